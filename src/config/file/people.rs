//! `[[user]]` and `[[trunk]]`: who calls.

use crate::config::error::{Report, Span};
use crate::config::file::{Item, Section, sip};
use crate::config::plan::{Cidr, Host, Target, Trunk, User};
use crate::config::text::{self, CidrError};
use crate::protocol::Transport;
use std::collections::HashMap;

/// The users, with the places of their names.
pub(in crate::config) fn users(sections: Vec<Section<'_>>, report: &mut Report) -> Vec<(User, Span)> {
    let mut seen = HashMap::new();
    sections
        .into_iter()
        .filter_map(|section| user(section, &mut seen, report))
        .collect()
}

fn user(mut section: Section<'_>, seen: &mut HashMap<String, u32>, report: &mut Report) -> Option<(User, Span)> {
    let name = required(
        &mut section,
        "name",
        "the user part of an address such as \"1001\"",
        report,
        text::user_name,
    );
    let password = required(
        &mut section,
        "password",
        "a password in quotes that is not empty",
        report,
        |password| !password.is_empty() && !password.contains(char::is_control),
    );
    let digest = section.take("digest").and_then(|item| sip::digest(item, report));
    let display = section.take("display").and_then(|item| {
        item.read("a name on one line, at most 100 characters", report, |text| {
            let fine = text.chars().count() <= 100 && !text.contains(char::is_control);
            fine.then(|| text.to_owned())
        })
    });
    section.finish(report);
    let (name, at) = name?;
    once("user.name", &name, &at, seen, report);
    let user = User {
        name,
        password: password?.0,
        digest,
        display,
    };
    Some((user, at))
}

pub(in crate::config) fn trunks(sections: Vec<Section<'_>>, report: &mut Report) -> Vec<Trunk> {
    let mut seen = HashMap::new();
    sections
        .into_iter()
        .filter_map(|section| trunk(section, &mut seen, report))
        .collect()
}

/// A trunk is kept whenever it has a name, so that routes to it make no further errors.
fn trunk(mut section: Section<'_>, seen: &mut HashMap<String, u32>, report: &mut Report) -> Option<Trunk> {
    let name = required(
        &mut section,
        "name",
        "a name such as \"carrier\"",
        report,
        text::user_name,
    );
    let mut targets = Vec::new();
    match section.take("targets") {
        None => report.error(
            section.at(),
            "trunk.targets",
            "nothing",
            format!("a list of {}", text::TARGET),
        ),
        Some(item) if item.list().is_some_and(|list| list.is_empty()) => item.wrong(report, text::TARGET),
        Some(item) => targets.extend(item.one_or_more().iter().filter_map(|item| target(item, report))),
    }
    let trusted = section.take("trusted").map_or_else(Vec::new, Item::one_or_more);
    let trusted = trusted.iter().filter_map(|item| cidr(item, report)).collect();
    section.finish(report);
    let (name, at) = name?;
    once("trunk.name", &name, &at, seen, report);
    Some(Trunk { name, targets, trusted })
}

fn target(item: &Item<'_>, report: &mut Report) -> Option<Target> {
    let target = item.read(text::TARGET, report, text::target)?;
    if !matches!(target.transport, Transport::Udp | Transport::Tcp) {
        item.wrong(
            report,
            "udp: or tcp: (tls:, ws: and wss: targets are not served by this version yet)",
        );
    }
    match &target.host {
        Host::Name(name) => {
            let text = format!(
                "trunk.targets: the name {name} is not resolved by this version yet, the target is skipped: give an address"
            );
            report.warn(&item.at, text);
        }
        Host::Ip(ip) if ip.is_unspecified() || ip.is_multicast() => item.wrong(report, "an address that can be called"),
        Host::Ip(_) => {}
    }
    Some(target)
}

fn cidr(item: &Item<'_>, report: &mut Report) -> Option<Cidr> {
    let example = "an address or a prefix such as \"192.0.2.0/24\"";
    let Some(text) = item.text() else {
        item.wrong(report, example);
        return None;
    };
    match text::cidr(text) {
        Ok(cidr) => {
            if cidr.prefix == 0 {
                report.warn(
                    &item.at,
                    format!("trunk.trusted: {text} trusts everyone: their calls need no digest"),
                );
            }
            return Some(cidr);
        }
        Err(CidrError::Syntax) => item.wrong(report, example),
        Err(CidrError::Length { most }) => item.wrong(report, &format!("a prefix length from 0 to {most}")),
        Err(CidrError::HostBits(network)) => item.wrong(report, &format!("no bits beyond the prefix: \"{network}\"")),
    }
    None
}

fn required(
    section: &mut Section<'_>,
    key: &'static str,
    expected: &str,
    report: &mut Report,
    fine: impl FnOnce(&str) -> bool,
) -> Option<(String, Span)> {
    let Some(item) = section.take(key) else {
        report.error(section.at(), &section.path_of(key), "nothing", expected);
        return None;
    };
    // The value of a password is not shown.
    if key == "password" {
        let good = item.text().filter(|text| fine(text));
        if good.is_none() {
            report.error(&item.at, &item.path, "something else", expected);
        }
        return good.map(|text| (text.to_owned(), item.at));
    }
    item.read(expected, report, |text| fine(text).then(|| text.to_owned()))
        .map(|text| (text, item.at))
}

fn once(key: &str, name: &str, at: &Span, seen: &mut HashMap<String, u32>, report: &mut Report) {
    if let Some(line) = seen.insert(name.to_owned(), report.line(at)) {
        report.error(
            at,
            key,
            format!("{name:?} a second time"),
            format!("each name once; the first is on line {line}"),
        );
    }
}
