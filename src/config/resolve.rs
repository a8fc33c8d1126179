//! The whole file to one [`Plan`]: the sections, then what only shows when they are seen together.

use crate::config::error::{ConfigErrors, Report, Span};
use crate::config::file::{Section, media, people, policy, sip};
use crate::config::machine::Machine;
use crate::config::plan::{CallPolicy, MediaPath, Mode, Plan};
use crate::config::{Resolved, arithmetic};
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// More shards than this cannot be told apart in what we mint, nor fed.
const MOST_SHARDS: usize = 256;

pub(super) fn resolve(text: &str, file: &Path, data: PathBuf, machine: &Machine) -> Result<Resolved, ConfigErrors> {
    let mut report = Report::new(file, text);
    let (document, mistakes) = DeTable::parse_recoverable(text);
    for mistake in &mistakes {
        let at = mistake.span().unwrap_or(0..0);
        // The whole line: the place itself is often the line's end.
        let before = text.get(..at.start).unwrap_or("");
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        let line = text
            .get(begin..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or("")
            .trim();
        let found: String = line.chars().take(40).collect();
        report.error(&at, "", format!("{found:?}"), format!("TOML: {}", mistake.message()));
    }
    if report.has_errors() {
        // What could be read around a syntax error would only give misleading errors.
        return Err(report.finish().err().unwrap_or(ConfigErrors(Vec::new())));
    }
    let plan = plan(document.get_ref(), file, data, machine, &mut report);
    let warnings = report.finish()?;
    Ok(Resolved { plan, warnings })
}

fn plan(document: &DeTable<'_>, file: &Path, data: PathBuf, machine: &Machine, report: &mut Report) -> Plan {
    let mut root = Section::root(document);
    let signalling = sip::read(root.section("sip", report), report);
    let audio = media::read(root.section("media", report), &signalling.sip.listeners, report);
    let folder = file.parent().unwrap_or(Path::new(""));
    let http = policy::http(root.section("http", report), folder, &data, report);
    let shards = shards(root.section("shards", report), machine, report);
    let (limits, calls_at) = policy::limits(root.section("limits", report), report);
    let registrar = policy::registrar(root.section("registrar", report), report);
    let local = policy::local(root.section("local", report), report);
    let (users, users_at): (Vec<_>, Vec<_>) = people::users(root.sections("user", report), report).into_iter().unzip();
    let trunks = people::trunks(root.sections("trunk", report), report);
    let routes = policy::routes(root.sections("route", report), &trunks, report);
    let emergency = root.section("emergency", report);
    let emergency_at = emergency.at().clone();
    let emergency = policy::emergency(emergency, &trunks, report);
    let (services, services_at) = policy::services(root.section("services", report), report);
    let mut testing = root.section("testing", report);
    let fault_injection = testing.boolean("fault_injection", false, report);
    testing.finish(report);
    root.finish(report);
    let mut plan = Plan {
        sip: signalling.sip,
        media: audio.media,
        http,
        shards,
        limits,
        registrar,
        local,
        users,
        trunks,
        routes,
        emergency,
        services,
        data,
        demonstration: false,
        fault_injection,
    };
    spread_media(&mut plan);
    check_ports(&plan, &audio.ports_at, report);
    check_families(&plan, &signalling.listeners_at, &audio.address_at, report);
    check_numbers(&plan, &users_at, &services_at, report);
    check_emergency(&plan, &emergency_at, report);
    lower_calls(&mut plan, calls_at.as_ref(), &audio.ports_at, report);
    plan
}

fn shards(mut section: Section<'_>, machine: &Machine, report: &mut Report) -> usize {
    let item = section.take("count");
    let count = item.as_ref().and_then(|item| item.integer((1, MOST_SHARDS), report));
    if let (Some(item), Some(count)) = (item, count)
        && count > machine.cores
    {
        let cores = machine.cores;
        report.warn(
            &item.at,
            format!("shards.count: {count} shards share {cores} cores; a shard wants a core of its own"),
        );
    }
    section.finish(report);
    count.unwrap_or(machine.cores).clamp(1, MOST_SHARDS)
}

/// Addresses that only a listener names are bound like the others. Listeners that name none then
/// get those of `[media]`, and not the others' too.
fn spread_media(plan: &mut Plan) {
    let common = plan.media.addresses.clone();
    let own: Vec<_> = plan
        .sip
        .listeners
        .iter()
        .flat_map(|listener| listener.media.clone())
        .collect();
    for address in own {
        if !plan.media.addresses.contains(&address) {
            plan.media.addresses.push(address);
            plan.media.advertised.push(address);
        }
    }
    if plan.media.addresses.len() > common.len() {
        plan.sip
            .listeners
            .iter_mut()
            .filter(|listener| listener.media.is_empty())
            .for_each(|listener| {
                listener.media.clone_from(&common);
            });
    }
}

/// Each shard needs at least one relayed call's ports on each address, better without a listener
/// among them.
fn check_ports(plan: &Plan, at: &Span, report: &mut Report) {
    let (first, last) = plan.media.ports;
    let shown = format!("\"{first}-{last}\"");
    let least = arithmetic::PORTS_A_CALL * plan.shards;
    if arithmetic::ports_a_shard(plan) < arithmetic::PORTS_A_CALL {
        let expected = format!("at least {least} ports for {} shards: 4 a relayed call", plan.shards);
        report.error(at, "media.ports", shown.clone(), expected);
    }
    for listener in &plan.sip.listeners {
        let address = listener.address;
        let udp = listener.transport == crate::protocol::Transport::Udp;
        let same_host = address.ip().is_unspecified() || plan.media.addresses.contains(&address.ip());
        if udp && same_host && (first..=last).contains(&address.port()) {
            // The port is skipped when its turn comes: a call less, no harm.
            report.warn(
                at,
                format!(
                    "media.ports: {shown} includes the port of the listener udp:{address}; choose a range without it"
                ),
            );
        }
    }
}

fn check_families(plan: &Plan, listeners_at: &[Span], media_at: &Span, report: &mut Report) {
    for (listener, at) in plan.sip.listeners.iter().zip(listeners_at) {
        let media = if listener.media.is_empty() {
            &plan.media.addresses
        } else {
            &listener.media
        };
        let v4 = listener.address.is_ipv4();
        if !media.is_empty() && !media.iter().any(|ip| ip.is_ipv4() == v4) {
            let family = if v4 { "IPv4" } else { "IPv6" };
            let line = report.line(media_at);
            let text = format!(
                "sip.listen: {} has no media address of its family: add an {family} address to media.address (line {line})",
                listener.address
            );
            report.warn(at, text);
        }
    }
}

/// Numbers that have two meanings.
fn check_numbers(plan: &Plan, users_at: &[Span], services_at: &[Span; 2], report: &mut Report) {
    let services = [
        ("services.echo", &plan.services.echo),
        ("services.music", &plan.services.music),
    ];
    for ((key, number), at) in services.iter().zip(services_at) {
        let Some(number) = number else { continue };
        if plan.emergency.numbers.contains(number) {
            let found = format!("{number:?}, also an emergency number");
            report.error(at, key, found, "another number, or false for none");
        }
    }
    for (user, at) in plan.users.iter().zip(users_at) {
        let name = &user.name;
        for (key, _) in services.iter().filter(|(_, number)| number.as_ref() == Some(name)) {
            let found = format!("{name:?}, also {key}");
            report.error(
                at,
                "user.name",
                found,
                format!("another name, or another number for {key}"),
            );
        }
        if plan.emergency.numbers.contains(name) {
            let expected = "a name that is no emergency number ([emergency] numbers)";
            report.error(at, "user.name", format!("{name:?}"), expected);
        }
    }
}

/// A site with trunks whose emergency numbers reach none of them has forgotten something.
fn check_emergency(plan: &Plan, at: &Span, report: &mut Report) {
    if plan.trunks.is_empty() || !plan.emergency.trunks.is_empty() {
        return;
    }
    let routed = |number: &&String| {
        plan.routes
            .iter()
            .any(|route| route.pattern.is_match(number.as_bytes()))
    };
    let lost: Vec<&str> = plan
        .emergency
        .numbers
        .iter()
        .filter(|number| !routed(number))
        .map(String::as_str)
        .collect();
    if !lost.is_empty() {
        report.warn(
            at,
            format!(
                "emergency.numbers: calls to {} lead nowhere: name the trunks in [emergency] trunks, or a route that matches",
                lost.join(", ")
            ),
        );
    }
}

/// A limit that the ports cannot carry is lowered when every call is relayed; otherwise the direct
/// ones may reach it, and it stays.
fn lower_calls(plan: &mut Plan, calls_at: Option<&Span>, ports_at: &Span, report: &mut Report) {
    let most = arithmetic::relayed_calls(plan);
    let wanted = plan.limits.calls;
    if report.has_errors() || most >= u64::from(wanted) || !any_relayed(plan) {
        return;
    }
    let all_relayed = relays(&plan.local) && plan.routes.iter().all(|route| relays(&route.policy));
    if all_relayed {
        plan.limits.calls = u32::try_from(most).unwrap_or(u32::MAX).max(1);
    }
    // Without a wish of the operator's there is nothing to warn of: the start prints the sum.
    let Some(at) = calls_at else { return };
    let needed = u64::from(wanted) * arithmetic::PORTS_A_CALL as u64;
    let (first, last) = plan.media.ports;
    let done = if all_relayed {
        "lowered to"
    } else {
        "relayed calls end at"
    };
    report.warn(
        at,
        format!(
            "limits.calls: {wanted} relayed calls need {needed} ports, media.ports (line {}) has {first}-{last} on {} address(es): \
             {done} {most}. To raise it, widen media.ports or list more addresses in media.address",
            report.line(ports_at),
            plan.media.addresses.len(),
        ),
    );
}

pub(super) fn any_relayed(plan: &Plan) -> bool {
    relays(&plan.local) || plan.routes.iter().any(|route| relays(&route.policy))
}

fn relays(policy: &CallPolicy) -> bool {
    policy.mode == Mode::B2bua && policy.media == MediaPath::Relay
}
