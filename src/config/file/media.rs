//! `[media]`: addresses, ports, silence, learning.

use crate::config::error::{Report, Span};
use crate::config::file::{Item, Section};
use crate::config::plan::{Learn, Listener, Media};
use crate::config::text;
use std::net::IpAddr;
use std::time::Duration;

/// The section as far as it can be read alone.
pub(in crate::config) struct Read {
    pub(in crate::config) media: Media,
    /// Where the addresses stand.
    pub(in crate::config) address_at: Span,
    /// Where the ports stand.
    pub(in crate::config) ports_at: Span,
}

/// Even, as RTP wants it, above the ports of SIP and below the kernel's own range's top.
pub(in crate::config) const DEFAULT_PORTS: (u16, u16) = (20_000, 39_999);
/// Silence in both directions.
pub(in crate::config) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Long enough for the last packets of a call to arrive at nobody.
pub(in crate::config) const DEFAULT_QUARANTINE: Duration = Duration::from_secs(2);

pub(in crate::config) fn read(mut section: Section<'_>, listeners: &[Listener], report: &mut Report) -> Read {
    let address = section.take("address");
    let address_at = address
        .as_ref()
        .map_or_else(|| section.at().clone(), |item| item.at.clone());
    let addresses = match address {
        Some(item) => addresses(item, report),
        None => from_listeners(listeners, section.at(), report),
    };
    let advertised = advertised(section.take("advertise"), &addresses, report);
    let (ports, ports_at) = ports(&mut section, report);
    let timeout = section.seconds("timeout_seconds", (5, 86_400), DEFAULT_TIMEOUT.as_secs(), report);
    let quarantine = section.seconds("quarantine_seconds", (0, 300), DEFAULT_QUARANTINE.as_secs(), report);
    let learn = section
        .word("learn", &[("nat", Learn::Nat), ("never", Learn::Never)], report)
        .unwrap_or(Learn::Nat);
    let xdp = section.take("xdp").map_or_else(Vec::new, |item| devices(item, report));
    section.finish(report);
    Read {
        media: Media {
            addresses,
            advertised,
            ports,
            timeout,
            quarantine,
            learn,
            xdp,
        },
        address_at,
        ports_at,
    }
}

/// One address or a list: each of this host, each once.
pub(super) fn addresses(item: Item<'_>, report: &mut Report) -> Vec<IpAddr> {
    if item.list().is_some_and(|list| list.is_empty()) {
        item.wrong(report, "at least one address");
    }
    let expected = "an address of this host such as \"192.0.2.1\" (SDP shows it, so not 0.0.0.0)";
    let usable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast();
    each_once(item, expected, "each address once", report, |text| {
        text.parse().ok().filter(usable)
    })
}

/// One network device or a list.
fn devices(item: Item<'_>, report: &mut Report) -> Vec<String> {
    let expected = "a network device such as \"eth0\" (`ip link` shows them)";
    // IFNAMSIZ counts the zero at the end; the kernel's own rule (dev_valid_name).
    let usable = |name: &str| {
        (1..16).contains(&name.len()) && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
    };
    each_once(item, expected, "each device once", report, |text| {
        usable(text).then(|| text.to_owned())
    })
}

/// One thing or a list of things that `read` understands, none twice.
fn each_once<T: PartialEq>(
    item: Item<'_>,
    expected: &str,
    once: &str,
    report: &mut Report,
    read: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for item in item.one_or_more() {
        match item.read(expected, report, &read) {
            Some(one) if all.contains(&one) => item.wrong(report, once),
            Some(one) => all.push(one),
            None => {}
        }
    }
    all
}

/// Default: the addresses that the listeners are bound to.
fn from_listeners(listeners: &[Listener], at: &Span, report: &mut Report) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let own = listeners
        .iter()
        .filter(|listener| listener.media.is_empty())
        .map(|listener| listener.address.ip());
    for address in own.filter(|ip| !ip.is_unspecified()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let all_have_own = listeners.iter().all(|listener| !listener.media.is_empty());
    if addresses.is_empty() && !all_have_own {
        report.error(
            at,
            "media.address",
            "nothing",
            "the address that SDP shows: address = \"192.0.2.1\"",
        );
    }
    addresses
}

fn advertised(item: Option<Item<'_>>, addresses: &[IpAddr], report: &mut Report) -> Vec<IpAddr> {
    let Some(item) = item else { return addresses.to_vec() };
    let whole = item.clone();
    let items = item.one_or_more();
    let shown: Vec<IpAddr> = items
        .iter()
        .filter_map(|item| item.read("an address such as \"192.0.2.1\"", report, |text| text.parse().ok()))
        .collect();
    if shown.len() != items.len() {
        return addresses.to_vec();
    }
    if shown.len() != addresses.len() {
        whole.wrong(
            report,
            &format!("as many addresses as in media.address ({})", addresses.len()),
        );
    } else if shown.iter().zip(addresses).any(|(a, b)| a.is_ipv4() != b.is_ipv4()) {
        whole.wrong(report, "for each address of media.address one of the same family");
    }
    shown
}

fn ports(section: &mut Section<'_>, report: &mut Report) -> ((u16, u16), Span) {
    let Some(item) = section.take("ports") else {
        return (DEFAULT_PORTS, section.at().clone());
    };
    let expected = "first-last such as \"20000-39999\", from 1024 to 65535";
    let read = |text: &str| text::ports(text).filter(|(first, last)| *first >= 1024 && first < last);
    (item.read(expected, report, read).unwrap_or(DEFAULT_PORTS), item.at)
}
