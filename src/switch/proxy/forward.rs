//! Sending a request on: RFC 3261 section 16.6.

use super::route::record_route;
use super::{Branch, Forwarding, Proxy};
use crate::ops::stats::Direction;
use crate::protocol::sip::{Forward, Line, Message, Method, Name, write_number};
use crate::protocol::{Path, hex};
use crate::switch::breadth::share;
use crate::switch::core::{Turn, label, role, user};
use crate::switch::site::Site;
use crate::switch::slab::Handle;
use crate::switch::target::Target;
use shards::Time;

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
            let share = share(request, group, among, turn.core.site.plan.limits.breadth);
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
        if sent {
            self.start_timer_c(turn, at);
        }
        sent
    }

    /// Sends to the one target that there is; false when that could not be done.
    pub(super) fn send_to(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        request: &Message<'_>,
        target: &Target<'_>,
    ) -> bool {
        let Some(entry) = self.requests.get_mut(at) else {
            return true;
        };
        let share = share(request, 1, 1, turn.core.site.plan.limits.breadth);
        if share == Some(0) {
            entry.best.offer_status(440);
            return false;
        }
        let sent = entry.send(turn, at, request, target, share);
        if sent {
            self.start_timer_c(turn, at);
        }
        sent
    }

    /// Section 16.6 step 11.
    fn start_timer_c(&mut self, turn: &Turn<'_, '_>, at: Handle) {
        if let Some(entry) = self.requests.get_mut(at).filter(|entry| entry.method == Method::Invite) {
            let until = turn.cx.now + turn.core.site.plan.sip.timers.c;
            entry.alarm.ring_by(&mut self.timers, until, at);
        }
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
        let Ok((client, branch)) = turn.core.tx.mint_for(self.method) else {
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
    let site = &*turn.core.site;
    // Our Via, one or two Record-Route values and the breadth, one after the other.
    let mut own = turn.core.scratch.take();
    write_via(&mut own, site, build);
    let via = own.len();
    let mut count = 0;
    if let Some(call) = build.record {
        record_route(&mut own, site, &build.target.path, call);
        count = 1;
    }
    let outgoing = own.len();
    if let Some(call) = build.record
        && build.from.listener != build.target.path.listener
    {
        record_route(&mut own, site, build.from, call);
        count = 2;
    }
    let incoming = own.len();
    if let Some(breadth) = build.share {
        write_number(&mut own, breadth as u64);
    }
    let added = [("Max-Breadth", &own[incoming..])];
    let records = [&own[via..outgoing], &own[outgoing..incoming]];
    let routes = [build.target.route];
    let remove = |line: &Line<'_>| {
        let identity = matches!(
            line.name,
            Name::PAssertedIdentity | Name::RemotePartyId | Name::Diversion | Name::HistoryInfo | Name::Identity
        );
        (identity && !build.trusted)
            || (build.share.is_some() && line.name == Name::MaxBreadth)
            || (line.name == Name::ProxyAuthorization && is_for_us(site, line.value))
    };
    Forward {
        uri: build.target.uri,
        via: &own[..via],
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
    turn.core.scratch.give(own);
}

fn write_via(out: &mut Vec<u8>, site: &Site, build: &Build<'_>) {
    out.extend_from_slice(&site.listener(build.target.path.listener).via);
    out.extend_from_slice(b";branch=");
    out.extend_from_slice(build.branch);
    if !build.target.path.transport.is_reliable() {
        out.extend_from_slice(b";rport");
    }
    // Section 16.6 step 8 wants the loop check in the branch; a parameter of ours says the same and
    // leaves the branch to the transaction layer. Nobody looks for it within a dialog, where the
    // route set says the way and Max-Forwards ends it.
    if build.request.to_tag().is_none() {
        out.extend_from_slice(LOOP_PARAM);
        hex::push(out, loop_mark(site, build.request));
    }
}

/// Credentials for one of our realms were meant for us and go no further (section 22.3).
fn is_for_us(site: &Site, value: &[u8]) -> bool {
    crate::protocol::sip::digest::Credentials::parse(value).is_ok_and(|credentials| site.is_domain(credentials.realm))
}

const LOOP_PARAM: &[u8] = b";rf=";

/// What must have changed for a request that comes by again to be a spiral and not a loop
/// (section 16.6 step 8, RFC 5393 section 4.2). There is no To tag: only requests without one have
/// a mark.
fn loop_mark(site: &Site, request: &Message<'_>) -> u64 {
    let route = request.header(Name::Route).unwrap_or(b"");
    site.hash_of(&[
        request.uri(),
        request.call_id(),
        request.from_tag(),
        &request.cseq().number.to_be_bytes(),
        route,
    ])
}

/// Section 16.3 step 4: whether this very request has come by here before.
#[must_use]
pub fn is_loop(site: &Site, request: &Message<'_>) -> bool {
    let mut mark = None;
    let mut is_ours = |param: &[u8]| {
        let digits = param.strip_prefix(LOOP_PARAM).and_then(|rest| rest.get(..16));
        let seen = digits.and_then(hex::read_long);
        seen.is_some() && seen == Some(*mark.get_or_insert_with(|| loop_mark(site, request)))
    };
    request.headers(Name::Via).any(|line| {
        let mut params = memchr::memchr_iter(b';', line).filter_map(|at| line.get(at..));
        params.any(&mut is_ours)
    })
}
