//! `[sip]`: listeners, domains, digest, timers.

use crate::config::error::{Report, Span};
use crate::config::file::{Item, Section};
use crate::config::plan::{DigestAlgorithm, Host, Listener, Sip, Timers};
use crate::config::text;
use crate::protocol::Transport;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The section as far as it can be read alone.
pub(in crate::config) struct Read {
    pub(in crate::config) sip: Sip,
    /// Where each listener stands.
    pub(in crate::config) listeners_at: Vec<Span>,
}

pub(in crate::config) fn read(mut section: Section<'_>, report: &mut Report) -> Read {
    let (listeners, listeners_at) = listeners(&mut section, report);
    let domains = domains(&mut section, &listeners, report);
    let digest = section.take("digest").and_then(|item| digest(item, report));
    let timers = timers(section.section("timers", report), report);
    let product = section.take("product").and_then(|item| {
        item.read("printable characters on one line, at most 100", report, |text| {
            let fine = text.len() <= 100 && text.bytes().all(|octet| (0x20..0x7f).contains(&octet));
            (fine && !text.trim().is_empty()).then(|| text.trim().to_owned())
        })
    });
    let session_expires = section.integer("session_expires", (90, 86_400), 1_800, report);
    let min_se = section.integer("min_se", (90, 86_400), 90, report);
    if min_se > session_expires {
        report.error(
            section.at(),
            "sip.min_se",
            min_se.to_string(),
            format!("at most session_expires ({session_expires})"),
        );
    }
    let follow_redirects = section.boolean("follow_redirects", true, report);
    section.finish(report);
    let sip = Sip {
        listeners,
        domains,
        digest: digest.unwrap_or_else(default_digest),
        timers,
        product: product.unwrap_or_else(default_product),
        session_expires,
        min_se,
        follow_redirects,
    };
    Read { sip, listeners_at }
}

pub(in crate::config) fn default_digest() -> Vec<DigestAlgorithm> {
    vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5]
}

pub(in crate::config) fn default_product() -> String {
    concat!("Ringfort/", env!("CARGO_PKG_VERSION")).into()
}

/// RFC 3261 table 4; Timer C is more than three minutes (16.6 step 11).
pub(in crate::config) const DEFAULT_TIMERS: Timers = Timers {
    t1: Duration::from_millis(500),
    t2: Duration::from_secs(4),
    t4: Duration::from_secs(5),
    c: Duration::from_secs(181),
};

/// A listener on `address` that shows that address.
pub(in crate::config) fn listener(transport: Transport, address: SocketAddr) -> Listener {
    Listener {
        transport,
        address,
        advertised: address.to_string(),
        media: Vec::new(),
    }
}

/// Algorithms in the order in which they are offered.
pub(super) fn digest(item: Item<'_>, report: &mut Report) -> Option<Vec<DigestAlgorithm>> {
    let whole = item.clone();
    let words = [("sha-256", DigestAlgorithm::Sha256), ("md5", DigestAlgorithm::Md5)];
    let mut algorithms = Vec::new();
    for item in item.one_or_more() {
        if let Some(algorithm) = item.word(&words, report) {
            if algorithms.contains(&algorithm) {
                item.wrong(report, "each algorithm once");
            }
            algorithms.push(algorithm);
        }
    }
    if algorithms.is_empty() && whole.list().is_some_and(|list| list.is_empty()) {
        whole.wrong(report, "at least one of \"sha-256\", \"md5\"");
    }
    (!algorithms.is_empty()).then_some(algorithms)
}

fn listeners(section: &mut Section<'_>, report: &mut Report) -> (Vec<Listener>, Vec<Span>) {
    let Some(item) = section.take("listen") else {
        let address = SocketAddr::from(([127, 0, 0, 1], 5060));
        let both = [Transport::Udp, Transport::Tcp].map(|transport| listener(transport, address));
        return (both.into(), vec![section.at().clone(); 2]);
    };
    if item.list().is_some_and(|list| list.is_empty() || list.len() > 250) {
        item.wrong(report, "1 to 250 listeners");
    }
    let mut listeners: Vec<Listener> = Vec::new();
    let mut places = Vec::new();
    for item in item.one_or_more() {
        let Some(listener) = one_listener(&item, report) else {
            continue;
        };
        if let Some(other) = listeners.iter().find(|other| overlap(other, &listener)) {
            let other = format!("{}:{}", other.transport.param(), other.address);
            item.wrong(report, &format!("an address that does not overlap with \"{other}\""));
        }
        listeners.push(listener);
        places.push(item.at);
    }
    (listeners, places)
}

fn one_listener(item: &Item<'_>, report: &mut Report) -> Option<Listener> {
    let Some(mut table) = item.section() else {
        let mut listener = bound(item, report)?;
        wildcard_needs_a_name(item, &mut listener, None, report);
        return Some(listener);
    };
    let address = table.take("address");
    let advertise = table.take("advertise");
    let media = table
        .take("media")
        .map_or_else(Vec::new, |media| super::media::addresses(media, report));
    table.finish(report);
    let Some(address) = address else {
        item.wrong(report, &format!("the key `address` in it: {}", text::LISTEN));
        return None;
    };
    let mut listener = bound(&address, report)?;
    let advertise = advertise.and_then(|item| {
        item.read("a host or host:port that peers can reach", report, |text| {
            text::host_port(text).map(|parts| (text.to_owned(), parts))
        })
    });
    wildcard_needs_a_name(&address, &mut listener, advertise, report);
    Some(Listener { media, ..listener })
}

fn bound(item: &Item<'_>, report: &mut Report) -> Option<Listener> {
    let (transport, address) = item.read(text::LISTEN, report, text::listen)?;
    if !matches!(transport, Transport::Udp | Transport::Tcp) {
        item.wrong(
            report,
            "udp: or tcp: (tls:, ws: and wss: listeners are not served by this version yet)",
        );
        return None;
    }
    if address.ip().is_multicast() {
        item.wrong(report, "a unicast address");
    }
    Some(listener(transport, address))
}

/// Via and Contact must show an address that peers can reach.
fn wildcard_needs_a_name(
    item: &Item<'_>,
    listener: &mut Listener,
    advertise: Option<(String, (Host, Option<u16>))>,
    report: &mut Report,
) {
    match advertise {
        Some((text, (_, port))) => {
            let port = port.map_or_else(|| format!(":{}", listener.address.port()), |_| String::new());
            listener.advertised = format!("{text}{port}");
        }
        None if listener.address.ip().is_unspecified() => {
            let shown = "{ address = \"udp:0.0.0.0:5060\", advertise = \"192.0.2.1\" }";
            item.wrong(
                report,
                &format!("one address, or a table that says what peers are shown: {shown}"),
            );
        }
        None => {}
    }
}

/// Two listeners that the kernel would not bind both: same port space, same port, and one address
/// covers the other.
fn overlap(a: &Listener, b: &Listener) -> bool {
    let datagrams = |listener: &Listener| listener.transport == Transport::Udp;
    let (x, y) = (a.address.ip(), b.address.ip());
    let same_family = x.is_ipv4() == y.is_ipv4();
    // [::] takes IPv4 as well unless the socket says otherwise.
    let covers = |wide: IpAddr, other: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    datagrams(a) == datagrams(b)
        && a.address.port() == b.address.port()
        && ((same_family && x == y) || covers(x, y) || covers(y, x))
}

/// Default: what the listeners are bound to.
fn domains(section: &mut Section<'_>, listeners: &[Listener], report: &mut Report) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    let Some(item) = section.take("domains") else {
        for ip in listeners
            .iter()
            .map(|listener| listener.address.ip())
            .filter(|ip| !ip.is_unspecified())
        {
            let domain = if ip.is_ipv6() {
                format!("[{ip}]")
            } else {
                ip.to_string()
            };
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        if domains.is_empty() && !listeners.is_empty() {
            let expected = "domains = [\"campus.example\"]: what users register at";
            report.error(section.at(), "sip.domains", "nothing", expected);
        }
        return domains;
    };
    if item.list().is_some_and(|list| list.is_empty()) {
        item.wrong(report, "at least one domain");
    }
    let expected = "a domain such as \"campus.example\", \"192.0.2.1\" or \"[2001:db8::1]\"";
    for item in item.one_or_more() {
        match item.read(expected, report, text::domain) {
            Some(domain) if domains.contains(&domain) => item.wrong(report, "each domain once"),
            Some(domain) => domains.push(domain),
            None => {}
        }
    }
    domains
}

fn timers(mut section: Section<'_>, report: &mut Report) -> Timers {
    let mut millis = |key, limits: (u64, u64), default: Duration, report: &mut Report| {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(section.integer(key, limits, default, report))
    };
    let t1 = millis("t1_ms", (10, 10_000), DEFAULT_TIMERS.t1, report);
    let t2 = millis("t2_ms", (10, 60_000), DEFAULT_TIMERS.t2, report);
    let t4 = millis("t4_ms", (10, 60_000), DEFAULT_TIMERS.t4, report);
    let c = section.seconds("c_seconds", (1, 3_600), DEFAULT_TIMERS.c.as_secs(), report);
    if t2 < t1 {
        report.error(
            section.at(),
            "sip.timers.t2_ms",
            t2.as_millis().to_string(),
            format!("at least t1_ms ({})", t1.as_millis()),
        );
    }
    if c.as_secs() <= 180 {
        report.warn(
            section.at(),
            "sip.timers.c_seconds: RFC 3261 (16.6) wants Timer C above 180 seconds",
        );
    }
    section.finish(report);
    Timers { t1, t2, t4, c }
}
