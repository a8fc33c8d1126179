//! `[limits]`, `[registrar]`, `[local]`, `[[route]]`, `[emergency]`, `[services]`, `[http]`.

use crate::config::error::{Report, Span};
use crate::config::file::{Item, Section};
use crate::config::plan::{
    CallPolicy, Emergency, Http, Limits, MediaPath, Mode, Registrar, Route, RouteAuth, Services, Trunk,
};
use crate::config::text::nearest;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Calls between our users: topology hidden, audio relayed.
pub(in crate::config) const DEFAULT_LOCAL: CallPolicy = CallPolicy {
    mode: Mode::B2bua,
    media: MediaPath::Relay,
};

pub(in crate::config) const DEFAULT_LIMITS: Limits = Limits {
    calls: 20_000,
    registrations: 200_000,
    transactions: 1_000_000,
    contacts: 10,
    connections: 10_000,
    call_time: Duration::from_secs(12 * 3_600),
    drain: Duration::from_secs(10),
    breadth: 60,
};

pub(in crate::config) const DEFAULT_REGISTRAR: Registrar = Registrar {
    min_expires: 60,
    max_expires: 3_600,
    default_expires: 3_600,
    keep_alive: Duration::from_secs(30),
};

/// `[limits]`; also whether and where `calls` was given.
pub(in crate::config) fn limits(mut section: Section<'_>, report: &mut Report) -> (Limits, Option<Span>) {
    let default = DEFAULT_LIMITS;
    let calls = section.take("calls");
    let calls_at = calls.as_ref().map(|item| item.at.clone());
    let limits = Limits {
        calls: calls
            .and_then(|item| item.integer((1, 10_000_000), report))
            .unwrap_or(default.calls),
        registrations: section.integer("registrations", (1, 50_000_000), default.registrations, report),
        transactions: section.integer("transactions", (100, 50_000_000), default.transactions, report),
        contacts: section.integer("contacts", (1, 1_000), default.contacts, report),
        connections: section.integer("connections", (1, 1_000_000), default.connections, report),
        call_time: section.seconds("call_hours", (1, 240), 12, report) * 3_600,
        drain: section.seconds("drain_seconds", (0, 86_400), default.drain.as_secs(), report),
        breadth: section.integer("breadth", (1, 1_000), default.breadth, report),
    };
    section.finish(report);
    (limits, calls_at)
}

pub(in crate::config) fn registrar(mut section: Section<'_>, report: &mut Report) -> Registrar {
    let default = DEFAULT_REGISTRAR;
    let min_expires = section.integer("min_expires", (1, 86_400), default.min_expires, report);
    let max_expires = section.integer("max_expires", (1, 604_800), default.max_expires, report);
    let middle = default.default_expires.clamp(min_expires, max_expires.max(min_expires));
    let default_expires = section.integer("default_expires", (1, 604_800), middle, report);
    if !(min_expires <= default_expires && default_expires <= max_expires) {
        let found = format!("min_expires {min_expires}, default_expires {default_expires}, max_expires {max_expires}");
        report.error(
            section.at(),
            "registrar",
            found,
            "min_expires <= default_expires <= max_expires",
        );
    }
    let keep_alive = section.seconds("keep_alive_seconds", (0, 3_600), default.keep_alive.as_secs(), report);
    section.finish(report);
    Registrar {
        min_expires,
        max_expires,
        default_expires,
        keep_alive,
    }
}

/// `folder` is where relative paths start, `data` where the token is kept by default.
pub(in crate::config) fn http(mut section: Section<'_>, folder: &Path, data: &Path, report: &mut Report) -> Http {
    let mut listen = Some(([127, 0, 0, 1], 8080).into());
    if let Some(item) = section.take("listen") {
        let off = item.is_false() || item.text() == Some("");
        let expected = "address:port such as \"127.0.0.1:8080\", or false for none";
        listen = if off {
            None
        } else {
            item.read(expected, report, |text| text.parse().ok())
        };
    }
    let token_file = section.take("token_file").and_then(|item| {
        item.read("the name of a file", report, |text| {
            (!text.is_empty()).then(|| folder.join(PathBuf::from(text)))
        })
    });
    section.finish(report);
    Http {
        listen,
        token_file: token_file.unwrap_or_else(|| data.join("token")),
    }
}

pub(in crate::config) fn local(mut section: Section<'_>, report: &mut Report) -> CallPolicy {
    let policy = call_policy(&mut section, Mode::B2bua, report);
    section.finish(report);
    policy
}

/// `mode` and `media`: only a back-to-back user agent can stand in the audio's way.
fn call_policy(section: &mut Section<'_>, default: Mode, report: &mut Report) -> CallPolicy {
    let modes = [
        ("proxy", Mode::Proxy),
        ("b2bua", Mode::B2bua),
        ("redirect", Mode::Redirect),
    ];
    let mode = section.word("mode", &modes, report).unwrap_or(default);
    let own = if mode == Mode::B2bua {
        MediaPath::Relay
    } else {
        MediaPath::Direct
    };
    let item = section.take("media");
    let paths = [("direct", MediaPath::Direct), ("relay", MediaPath::Relay)];
    let media = item.as_ref().and_then(|item| item.word(&paths, report)).unwrap_or(own);
    if mode != Mode::B2bua && media == MediaPath::Relay {
        if let Some(item) = item {
            item.wrong(report, "\"direct\" with this mode (mode = \"b2bua\" relays audio)");
        }
        return CallPolicy {
            mode,
            media: MediaPath::Direct,
        };
    }
    CallPolicy { mode, media }
}

pub(in crate::config) fn routes(sections: Vec<Section<'_>>, trunks: &[Trunk], report: &mut Report) -> Vec<Route> {
    sections
        .into_iter()
        .filter_map(|section| route(section, trunks, report))
        .collect()
}

fn route(mut section: Section<'_>, trunks: &[Trunk], report: &mut Report) -> Option<Route> {
    let line = report.line(section.at());
    let pattern = pattern(&mut section, report);
    let to = trunk_list(&mut section, "to", "trunk:", trunks, report);
    if to.is_none() {
        report.error(
            section.at(),
            "route.to",
            "nothing",
            "a list such as [\"trunk:carrier\"]",
        );
    }
    let policy = call_policy(&mut section, Mode::Proxy, report);
    let words = [
        ("digest", RouteAuth::Digest),
        ("trusted", RouteAuth::Trusted),
        ("open", RouteAuth::Open),
    ];
    let auth = section.take("auth");
    let auth_at = auth.as_ref().map(|item| item.at.clone());
    let auth = auth
        .and_then(|item| item.word(&words, report))
        .unwrap_or(RouteAuth::Digest);
    if auth == RouteAuth::Open
        && let Some(at) = auth_at
    {
        report.warn(
            &at,
            "route.auth: anyone who reaches a listener may call over this route, at your cost",
        );
    }
    section.finish(report);
    Some(Route {
        pattern: pattern?,
        trunks: to?,
        policy,
        auth,
        line,
    })
}

fn pattern(section: &mut Section<'_>, report: &mut Report) -> Option<regex::bytes::Regex> {
    let Some(item) = section.take("match") else {
        report.error(
            section.at(),
            "route.match",
            "nothing",
            "a regular expression such as \"^2[0-9]{3}$\"",
        );
        return None;
    };
    let Some(text) = item.text() else {
        item.wrong(report, "a regular expression such as \"^2[0-9]{3}$\"");
        return None;
    };
    if !(text.starts_with('^') && text.ends_with('$')) {
        let advice = "route.match: without ^ and $ the pattern also matches inside longer numbers";
        report.warn(&item.at, advice);
    }
    match regex::bytes::RegexBuilder::new(text).size_limit(1 << 20).build() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            // The last line of the message says what is wrong; the lines before draw it.
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or("")
                .trim_start_matches("error: ")
                .to_owned();
            item.wrong(report, &format!("a regular expression ({reason})"));
            None
        }
    }
}

/// Indices of the trunks that a list names; it may not be empty where a `prefix` is wanted (a route).
fn trunk_list(
    section: &mut Section<'_>,
    key: &'static str,
    prefix: &str,
    trunks: &[Trunk],
    report: &mut Report,
) -> Option<Vec<usize>> {
    let item = section.take(key)?;
    if !prefix.is_empty() && item.list().is_some_and(|list| list.is_empty()) {
        item.wrong(report, "at least one trunk such as \"trunk:carrier\"");
    }
    let items = item.one_or_more();
    Some(
        items
            .iter()
            .filter_map(|item| trunk_index(item, prefix, trunks, report))
            .collect(),
    )
}

fn trunk_index(item: &Item<'_>, prefix: &str, trunks: &[Trunk], report: &mut Report) -> Option<usize> {
    let example = if prefix.is_empty() {
        "the name of a trunk"
    } else {
        "a trunk such as \"trunk:carrier\""
    };
    let name = item.read(example, report, |text| text.strip_prefix(prefix).map(str::to_owned))?;
    let index = trunks.iter().position(|trunk| trunk.name == name);
    if index.is_none() {
        let known = trunks.iter().map(|trunk| trunk.name.as_str());
        let hint = match nearest(&name, known.clone()) {
            Some(near) => format!("\"{prefix}{near}\""),
            None if trunks.is_empty() => "a trunk that is defined: there is no [[trunk]] in this file".into(),
            None => format!("a trunk that is defined: {}", known.collect::<Vec<_>>().join(", ")),
        };
        item.wrong(report, &hint);
    }
    index
}

/// Numbers that are never shed; `urn:service:sos` counts without being named.
pub(in crate::config) fn default_emergency() -> Vec<String> {
    ["911", "112", "999"].map(String::from).into()
}

pub(in crate::config) fn emergency(mut section: Section<'_>, trunks: &[Trunk], report: &mut Report) -> Emergency {
    let numbers = section.take("numbers").map(|item| {
        let items = item.one_or_more();
        items.iter().filter_map(|item| number(item, report)).collect()
    });
    let trunks = trunk_list(&mut section, "trunks", "", trunks, report).unwrap_or_default();
    section.finish(report);
    Emergency {
        numbers: numbers.unwrap_or_else(default_emergency),
        trunks,
    }
}

/// The numbers of the built-in services, with the places of echo and music.
pub(in crate::config) fn services(mut section: Section<'_>, report: &mut Report) -> (Services, [Span; 2]) {
    let echo_item = section.take("echo");
    let echo_at = echo_item
        .as_ref()
        .map_or_else(|| section.at().clone(), |item| item.at.clone());
    let echo = service(echo_item, "9196", report);
    let music_item = section.take("music");
    let music_at = music_item
        .as_ref()
        .map_or_else(|| section.at().clone(), |item| item.at.clone());
    let music = service(music_item, "9664", report);
    if echo.is_some() && echo == music {
        let found = format!("{:?}", music.as_deref().unwrap_or_default());
        report.error(&music_at, "services.music", found, "another number than services.echo");
    }
    section.finish(report);
    (Services { echo, music }, [echo_at, music_at])
}

/// `false` and `""` switch a service off.
fn service(item: Option<Item<'_>>, default: &str, report: &mut Report) -> Option<String> {
    match item {
        None => Some(default.to_owned()),
        Some(item) if item.is_false() || item.text() == Some("") => None,
        Some(item) => number(&item, report),
    }
}

fn number(item: &Item<'_>, report: &mut Report) -> Option<String> {
    item.read("digits as they are dialled, for example \"9196\"", report, |text| {
        let fine = |c: char| c.is_ascii_digit() || "*#+".contains(c);
        (!text.is_empty() && text.len() <= 32 && text.chars().all(fine)).then(|| text.to_owned())
    })
}
