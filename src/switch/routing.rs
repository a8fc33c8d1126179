//! Where a request is meant to go: a pure decision from the Request-URI and the site.

use super::site::Site;
use super::target::{Target, TargetSet};
use crate::config::plan::{CallPolicy, RouteAuth};
use crate::media::Service;
use crate::protocol::Path;
use crate::protocol::sip::{Scheme, Uri, write_ip, write_number};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// This server itself: no user part.
    Here,
    /// Echo test or music.
    Service(Service),
    /// A user of our domain.
    User(&'a str),
    /// Trunks by a route, or by the emergency rule.
    Trunks {
        /// Indices into the plan's trunks, in order.
        trunks: &'a [usize],
        /// Role and media path.
        policy: CallPolicy,
        /// Who may.
        auth: RouteAuth,
        /// Never shed, never challenged.
        emergency: bool,
    },
    /// Ours, but nobody has this name: 404.
    Nobody,
    /// Somebody else's domain.
    Foreign,
    /// A scheme that we do not route (RFC 3261 section 16.3 step 2): 416.
    Scheme,
}

/// Writes the user part as it is dialled: escapes decoded, a tel URI's number without separators.
pub fn dialled(uri: &Uri<'_>, user: &mut Vec<u8>) {
    uri.write_user_decoded(user);
    if uri.scheme == Scheme::Tel {
        user.retain(|digit| !matches!(digit, b'-' | b'.' | b'(' | b')'));
    }
}

/// The number that a trunk, a route or a local safety desk knows `urn:service:sos` by (RFC 5031): the
/// first of the emergency numbers. A URN has no user part, and `sip:@trunk` is no URI.
pub fn dial_urn(site: &Site, raw: &[u8], user: &mut Vec<u8>) {
    if user.is_empty()
        && site.is_emergency(raw, user)
        && let Some(number) = site.plan.emergency.numbers.first()
    {
        user.extend_from_slice(number.as_bytes());
    }
}

/// Decides. `uri` is the Request-URI, `raw` its text.
#[must_use]
pub fn decide<'a>(site: &'a Site, uri: &Uri<'_>, raw: &[u8], user: &[u8]) -> Destination<'a> {
    let plan = &site.plan;
    let ours = match uri.scheme {
        Scheme::Sip | Scheme::Sips => site.is_ours(uri),
        Scheme::Tel => true,
        Scheme::Other => false,
    };
    if site.is_emergency(raw, user) && (ours || uri.scheme == Scheme::Other) {
        return emergency(site, user);
    }
    if uri.scheme == Scheme::Other {
        return Destination::Scheme;
    }
    if !ours {
        return Destination::Foreign;
    }
    if user.is_empty() {
        return Destination::Here;
    }
    for (number, service) in [
        (&plan.services.echo, Service::Echo),
        (&plan.services.music, Service::Music),
    ] {
        if number.as_deref().is_some_and(|number| number.as_bytes() == user) {
            return Destination::Service(service);
        }
    }
    if let Some(user) = site.user(user) {
        return Destination::User(&user.name);
    }
    match plan.routes.iter().find(|route| route.pattern.is_match(user)) {
        Some(route) => Destination::Trunks {
            trunks: &route.trunks,
            policy: route.policy,
            auth: route.auth,
            emergency: false,
        },
        None => Destination::Nobody,
    }
}

/// Emergency calls take their own trunks; without any, the route that the number matches. Nobody
/// is asked for a password.
fn emergency<'a>(site: &'a Site, user: &[u8]) -> Destination<'a> {
    let plan = &site.plan;
    let route = plan.routes.iter().find(|route| route.pattern.is_match(user));
    let policy = route.map_or(plan.local, |route| route.policy);
    let trunks = if plan.emergency.trunks.is_empty() {
        route.map_or(&[][..], |route| &route.trunks)
    } else {
        &plan.emergency.trunks
    };
    if trunks.is_empty() {
        // A local safety desk may be a user named 911.
        return match site.user(user) {
            Some(user) => Destination::User(&user.name),
            None => Destination::Nobody,
        };
    }
    Destination::Trunks {
        trunks,
        policy,
        auth: RouteAuth::Open,
        emergency: true,
    }
}

/// The targets of trunks, in order; each lower than the one before, so that they are tried one
/// after the other.
#[must_use]
pub fn trunk_targets(site: &Site, trunks: &[usize], user: &[u8], scratch: &mut Vec<u8>) -> TargetSet {
    let mut set = TargetSet::default();
    let mut q = 1000u16;
    for target in trunks
        .iter()
        .filter_map(|&index| site.plan.trunks.get(index))
        .flat_map(|trunk| &trunk.targets)
    {
        let Some(path) = site.trunk_path(target) else { continue };
        scratch.clear();
        scratch.extend_from_slice(b"sip:");
        if !user.is_empty() {
            Uri::write_user_escaped(scratch, user);
            scratch.push(b'@');
        }
        write_address(scratch, &path);
        set.push(&Target {
            uri: scratch,
            route: b"",
            path,
            q,
            flow: false,
        });
        q = q.saturating_sub(1);
    }
    set
}

fn write_address(out: &mut Vec<u8>, path: &Path) {
    match path.peer {
        SocketAddr::V4(peer) => {
            write_ip(out, IpAddr::V4(*peer.ip()));
            out.push(b':');
            write_number(out, u64::from(peer.port()));
        }
        // Writing to a Vec cannot fail.
        SocketAddr::V6(peer) => drop(write!(out, "{peer}")),
    }
    if path.transport.is_reliable() {
        out.extend_from_slice(b";transport=");
        out.extend_from_slice(path.transport.param().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::{Host, Target as Hop, Trunk};
    use crate::protocol::Transport;
    use crate::switch::keyed::Keyed;

    /// The demonstration with one trunk at 127.0.0.9.
    fn with_a_trunk(change: impl FnOnce(&mut crate::config::Plan)) -> Site {
        let mut plan = crate::config::demonstration("nowhere".into(), Vec::new());
        plan.trunks = vec![Trunk {
            name: "exchange".into(),
            targets: vec![Hop {
                transport: Transport::Udp,
                host: Host::Ip([127, 0, 0, 9].into()),
                port: None,
            }],
            trusted: Vec::new(),
        }];
        change(&mut plan);
        let bound: Vec<_> = plan.sip.listeners.iter().map(|listener| listener.address).collect();
        Site::new(plan, &bound, Keyed::new([7; 32]))
    }

    /// RFC 3261 section 19.1.2 and RFC 4475 section 3.1.1.3: what was dialled in escapes leaves in
    /// escapes; no `%0D%0A` becomes a line of the request to the trunk.
    #[test]
    fn what_was_dialled_stays_in_the_user_part() {
        let site = with_a_trunk(|_| {});
        for (dialled_as, sent_as) in [
            ("sip:2002@h", "sip:2002@127.0.0.9:5060"),
            ("sip:*21%23@h", "sip:*21%23@127.0.0.9:5060"),
            ("sip:sips%3Aa%40b@h", "sip:sips%3Aa%40b@127.0.0.9:5060"),
            (
                "sip:1%20SIP/2.0%0d%0aX%3a%20@h",
                "sip:1%20SIP/2.0%0D%0AX%3A%20@127.0.0.9:5060",
            ),
            ("sip:%00%ff@h", "sip:%00%FF@127.0.0.9:5060"),
        ] {
            let (mut user, mut scratch) = (Vec::new(), Vec::new());
            dialled(&Uri::parse(dialled_as.as_bytes()).unwrap(), &mut user);
            let targets = trunk_targets(&site, &[0], &user, &mut scratch);
            let target = targets.peek().unwrap();
            assert_eq!(String::from_utf8_lossy(target.uri), sent_as);
            let mut again = Vec::new();
            Uri::parse(target.uri).unwrap().write_user_decoded(&mut again);
            assert_eq!(again, user, "{dialled_as}");
        }
    }

    /// RFC 5031: the URN reaches what the first emergency number reaches; without any number, the
    /// trunk itself.
    #[test]
    fn an_emergency_by_urn_has_a_number() {
        for (numbers, sent_as) in [
            (&["911", "112"][..], "sip:911@127.0.0.9:5060"),
            (&[], "sip:127.0.0.9:5060"),
        ] {
            let site = with_a_trunk(|plan| {
                plan.emergency.numbers = numbers.iter().map(ToString::to_string).collect();
                plan.emergency.trunks = vec![0];
            });
            let raw = b"urn:service:sos.police";
            let (uri, mut user, mut scratch) = (Uri::parse(raw).unwrap(), Vec::new(), Vec::new());
            dialled(&uri, &mut user);
            dial_urn(&site, raw, &mut user);
            let Destination::Trunks { trunks, emergency, .. } = decide(&site, &uri, raw, &user) else {
                panic!("no trunk")
            };
            assert!(emergency);
            let targets = trunk_targets(&site, trunks, &user, &mut scratch);
            let target = targets.peek().unwrap();
            assert_eq!(String::from_utf8_lossy(target.uri), sent_as);
            assert!(Uri::parse(target.uri).is_ok());
        }
    }
}
