//! Sending a request on: RFC 3261 section 16.6.

use super::record::write_token;
use super::{Branch, Forwarding, Proxy};
use crate::ops::stats::Direction;
use crate::protocol::Path;
use crate::protocol::sip::{Forward, Line, Message, Method, Name, write_number};
use crate::switch::core::{Turn, label, role, user};
use crate::switch::site::{Site, read_hex, write_hex};
use crate::switch::slab::Handle;
use crate::switch::target::Target;
use shards::{Buf, Time};

impl Proxy {
    /// Sends one group of targets; false when none could be sent.
    pub(super) fn send_group(&mut self, turn: &mut Turn<'_, '_>, at: Handle, request: &Message<'_>) -> bool {
        let Some(entry) = self.requests.get_mut(at) else {
            return true;
        };
        let mut sent = false;
        while !sent && !entry.targets.is_empty() {
            let group = entry.targets.group();
            // Targets of a redirection share what the redirecting branch had, when others still ring.
            let rings = entry.branches.iter().any(|branch| branch.status < 200);
            let among = if rings { entry.branches.len() } else { 1 };
            let breadth = breadth(request, turn.core.site.plan.limits.breadth) / among;
            // RFC 5393 section 5.3: each parallel branch takes a share of the breadth.
            let share =
                (group > 1 || rings || request.header(Name::MaxBreadth).is_some()).then(|| breadth / group.max(1));
            if share == Some(0) {
                entry.best.offer_status(440);
                entry.targets = Default::default();
                break;
            }
            for _ in 0..group {
                let targets = std::mem::take(&mut entry.targets);
                if let Some(target) = targets.peek() {
                    sent |= entry.send(turn, at, request, &target, share);
                }
                entry.targets = targets;
                entry.targets.skip();
            }
        }
        if entry.method == Method::Invite && sent {
            let until = turn.cx.now + turn.core.site.plan.sip.timers.c;
            self.timers.insert(until, at);
        }
        sent
    }
}

impl Forwarding {
    /// One branch.
    pub(super) fn send(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        request: &Message<'_>,
        target: &Target<'_>,
        share: Option<usize>,
    ) -> bool {
        let Ok((client, branch)) = turn.core.tx.mint() else {
            turn.core.stats.shed("transactions");
            self.best.offer_status(503);
            return false;
        };
        let mut octets = turn.core.scratch.take();
        let dialog =
            matches!(self.method, Method::Invite | Method::Subscribe | Method::Refer) && request.to_tag().is_none();
        let token = self.call.filter(|_| dialog);
        write(
            turn,
            &mut octets,
            &Build {
                request,
                from: &self.path,
                target,
                branch: &branch,
                record: dialog.then_some(token),
                drop_routes: self.drop_routes,
                trusted: self.trusted,
                share,
            },
        );
        turn.with_wire(|tx, wire| tx.client(wire, client, &octets, self.method, &target.path, user(role::PROXY, at)));
        turn.core.stats.request(label(self.method), Direction::Out);
        turn.core.scratch.give(octets);
        let until = if self.method == Method::Invite {
            turn.cx.now + turn.core.site.plan.sip.timers.c
        } else {
            Time::FAR
        };
        self.branches.push(Branch {
            client,
            path: target.path,
            flow: target.flow,
            status: 0,
            until,
        });
        true
    }
}

/// What a forwarded request is made of.
pub(super) struct Build<'a> {
    pub request: &'a Message<'a>,
    pub from: &'a Path,
    pub target: &'a Target<'a>,
    pub branch: &'a [u8],
    /// Record-Route, with the call's handle when there is a record.
    pub record: Option<Option<Handle>>,
    pub drop_routes: usize,
    pub trusted: bool,
    pub share: Option<usize>,
}

/// Writes the forwarded request (section 16.6 steps 1 to 8).
pub(super) fn write(turn: &mut Turn<'_, '_>, out: &mut Vec<u8>, build: &Build<'_>) {
    let site = turn.core.site.clone();
    let listener = site.listener(build.target.path.listener);
    let mut via = turn.core.scratch.take();
    via.extend_from_slice(&listener.via);
    via.extend_from_slice(b";branch=");
    via.extend_from_slice(build.branch);
    if !build.target.path.transport.is_reliable() {
        via.extend_from_slice(b";rport");
    }
    // Section 16.6 step 8 wants the loop check in the branch; a parameter of ours says the same and
    // leaves the branch to the transaction layer.
    via.extend_from_slice(LOOP_PARAM);
    write_hex(&mut via, &loop_mark(&site, build.request).to_be_bytes());
    let mut outgoing = turn.core.scratch.take();
    let mut incoming = turn.core.scratch.take();
    let mut count = 0;
    if let Some(call) = build.record {
        record_route(&mut outgoing, &site, &build.target.path, call);
        count = 1;
        if build.from.listener != build.target.path.listener {
            record_route(&mut incoming, &site, build.from, call);
            count = 2;
        }
    }
    let mut share = turn.core.scratch.take();
    if let Some(breadth) = build.share {
        write_number(&mut share, breadth as u64);
    }
    let added = [("Max-Breadth", &share[..])];
    let records = [&outgoing[..], &incoming[..]];
    let routes = [build.target.route];
    let remove = |line: &Line<'_>| {
        let identity = matches!(
            line.name,
            Name::PAssertedIdentity | Name::RemotePartyId | Name::Diversion | Name::HistoryInfo | Name::Identity
        );
        (identity && !build.trusted)
            || (build.share.is_some() && line.name == Name::MaxBreadth)
            || (line.name == Name::ProxyAuthorization && is_for_us(&site, line.value))
    };
    Forward {
        uri: build.target.uri,
        via: &via,
        source: build.from.peer,
        max_forwards: build.request.max_forwards().map_or(70, |left| left.saturating_sub(1)),
        record_routes: records.get(..count).unwrap_or(&[]),
        drop_routes: build.drop_routes,
        routes: if build.target.route.is_empty() { &[] } else { &routes },
        remove: &remove,
        add: if build.share.is_some() { &added } else { &[] },
        body: None,
    }
    .write(out, build.request);
    for octets in [via, outgoing, incoming, share] {
        turn.core.scratch.give(octets);
    }
}

/// Section 16.6 step 4. The user part finds the call again without a look-up.
fn record_route(out: &mut Vec<u8>, site: &Site, path: &Path, call: Option<Handle>) {
    let listener = site.listener(path.listener);
    out.extend_from_slice(b"<sip:");
    if let Some(call) = call {
        write_token(out, call);
        out.push(b'@');
    }
    out.extend_from_slice(&listener.hostport);
    out.extend_from_slice(listener.param.as_bytes());
    out.extend_from_slice(b";lr>");
}

/// Credentials for one of our realms were meant for us and go no further (section 22.3).
fn is_for_us(site: &Site, value: &[u8]) -> bool {
    crate::protocol::sip::digest::Credentials::parse(value).is_ok_and(|credentials| site.is_domain(credentials.realm))
}

const LOOP_PARAM: &[u8] = b";rf=";

/// What must have changed for a request that comes by again to be a spiral and not a loop
/// (section 16.6 step 8, RFC 5393 section 4.2).
fn loop_mark(site: &Site, request: &Message<'_>) -> u64 {
    let mut number = Buf::with_capacity(16);
    number.extend_from_slice(&request.cseq().number.to_be_bytes());
    let route = request.header(Name::Route).unwrap_or(b"");
    site.hash_of(&[
        request.uri(),
        request.call_id(),
        request.from_tag(),
        request.to_tag().unwrap_or(b""),
        &number,
        route,
    ])
}

/// Section 16.3 step 4: whether this very request has come by here before.
#[must_use]
pub fn is_loop(site: &Site, request: &Message<'_>) -> bool {
    let mut mark = None;
    for value in request.values(Name::Via) {
        let Some(at) = value.windows(LOOP_PARAM.len()).position(|window| window == LOOP_PARAM) else {
            continue;
        };
        let digits = value.get(at + LOOP_PARAM.len()..).and_then(|rest| rest.get(..16));
        let mark = *mark.get_or_insert_with(|| loop_mark(site, request));
        if digits.and_then(read_hex) == Some(mark) {
            return true;
        }
    }
    false
}

/// RFC 5393 section 5.3.2.
fn breadth(request: &Message<'_>, most: u16) -> usize {
    let named = request
        .header(Name::MaxBreadth)
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    named.unwrap_or(usize::from(most)).min(usize::from(most))
}
