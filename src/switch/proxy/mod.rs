//! Stateful proxy, RFC 3261 section 16: forking by preference, best response, CANCEL of the losers,
//! Record-Route, loop detection (RFC 5393).

mod best;
mod forward;
pub mod record;
mod redirected;
mod responses;
mod route;
mod within;

use super::alarm::Alarm;
use super::core::{Turn, handle, role, user};
use super::next_hop;
use super::redirect::{Lookup, Redirects};
use super::slab::{Handle, Slab};
use super::target::{Hunt, TargetSet};
use crate::media::Side;
use crate::protocol::Path;
use crate::protocol::sip::transaction::{ClientId, ServerId, User};
use crate::protocol::sip::{Message, Method, Reply};
use best::Best;
use hashbrown::HashTable;
use record::Record;
use shards::Time;
use shards::wheel::Wheel;
use std::time::Duration;

pub use forward::is_loop;
pub use route::Routes;
pub use within::Within;

/// A shard's proxied requests and calls.
pub struct Proxy {
    requests: Slab<Forwarding>,
    records: Slab<Record>,
    /// Calls by Call-ID, for phones that leave the Route set out.
    by_call_id: HashTable<Handle>,
    timers: Wheel<Handle>,
    next_sweep: Time,
    spare: Vec<Vec<Branch>>,
    /// Users that redirected requests ask for; the appliance takes them after each response.
    lookups: Vec<Lookup>,
}

/// One request on its way (RFC 3261 section 16.7's response context).
struct Forwarding {
    server: ServerId,
    method: Method,
    path: Path,
    /// Targets that were not tried yet.
    targets: TargetSet,
    branches: Vec<Branch>,
    best: Best,
    /// The call that this request opens (INVITE) or ends (BYE).
    call: Option<Handle>,
    /// How the next target is chosen after a failure.
    hunt: Hunt,
    /// Values of Route that named us.
    drop_routes: usize,
    cancelled: bool,
    /// A final response was passed on.
    done: bool,
    trusted: bool,
    redirect: bool,
    /// Timer C, or the time for a look-up.
    alarm: Alarm,
    redirects: Redirects,
    began: Time,
}

struct Branch {
    client: ClientId,
    path: Path,
    flow: bool,
    /// Last status seen; 0 before any.
    status: u16,
    /// Timer C (section 16.6 step 11); only INVITEs have it.
    until: Time,
}

/// What a request needs to be forwarded.
pub struct Start<'a> {
    /// Its server transaction.
    pub server: ServerId,
    /// The request.
    pub request: &'a Message<'a>,
    /// Where it came from.
    pub path: &'a Path,
    /// How to go on after a failure.
    pub hunt: Hunt,
    /// From a trusted source: identity headers are kept.
    pub trusted: bool,
    /// The caller showed who he is: a redirection may lead him where users may call.
    pub proven: bool,
    /// Top Route values that named us.
    pub drop_routes: usize,
    /// Answer with the targets (302) instead of going there.
    pub redirect: bool,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            requests: Slab::default(),
            records: Slab::default(),
            by_call_id: HashTable::new(),
            timers: Wheel::new(Time::ZERO),
            next_sweep: Time::ZERO,
            spare: Vec::new(),
            lookups: Vec::new(),
        }
    }
}

impl Proxy {
    /// Accepts a request that opens something (no To tag) before its targets are known.
    pub fn open(&mut self, turn: &mut Turn<'_, '_>, start: &Start<'_>) -> Handle {
        let call = (start.request.method() == Method::Invite).then(|| {
            turn.core.stats.call_started();
            turn.core.calls += 1;
            let caller_flow = next_hop::needs_flow(start.request, start.path);
            if self.records.is_empty() {
                self.next_sweep = turn.cx.now + SWEEP;
            }
            let (now, wall) = (turn.cx.now, turn.cx.wall);
            let site = &turn.core.site;
            self.remember(Record::new(site, now, wall, start.request, start.path, caller_flow))
        });
        self.insert(turn, start, call)
    }

    fn remember(&mut self, record: Record) -> Handle {
        let hash = record.call_id_hash;
        let call = self.records.insert(record);
        let records = &self.records;
        let rehash = |&call: &Handle| records.get(call).map_or(0, |record| record.call_id_hash);
        self.by_call_id.insert_unique(hash, call, rehash);
        call
    }

    fn insert(&mut self, turn: &mut Turn<'_, '_>, start: &Start<'_>, call: Option<Handle>) -> Handle {
        let entry = Forwarding {
            server: start.server,
            method: start.request.method(),
            path: *start.path,
            targets: TargetSet::default(),
            branches: self.spare.pop().unwrap_or_default(),
            best: Best::default(),
            call,
            hunt: start.hunt,
            drop_routes: start.drop_routes,
            cancelled: false,
            done: false,
            trusted: start.trusted,
            redirect: start.redirect,
            alarm: Alarm::default(),
            redirects: Redirects::new(&turn.core.site, start.request, start.proven, start.trusted),
            began: turn.cx.now,
        };
        let at = self.requests.insert(entry);
        turn.core.tx.set_server_user(start.server, user(role::PROXY, at));
        at
    }

    /// The targets of an opened request are another shard's to tell; without them it is answered at
    /// `until`.
    pub fn wait(&mut self, at: Handle, until: Time) {
        if let Some(entry) = self.requests.get_mut(at) {
            entry.alarm.ring_by(&mut self.timers, until, at);
        }
    }

    /// The targets of an opened request are known. `request` when it is at hand, else it is taken
    /// from its transaction.
    pub fn targets(&mut self, turn: &mut Turn<'_, '_>, at: Handle, targets: TargetSet, request: Option<&Message<'_>>) {
        let Some(entry) = self.requests.get_mut(at) else { return };
        entry.targets = targets;
        if entry.cancelled {
            return self.finish(turn, at);
        }
        if entry.redirect && !entry.targets.is_empty() {
            return self.redirect(turn, at);
        }
        self.try_next(turn, at, request);
    }

    /// Answers 302 with all targets, best first (RFC 3261 section 8.3), and forgets the request.
    fn redirect(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(entry) = self.requests.get_mut(at) else { return };
        let mut contacts = turn.core.scratch.take();
        for target in entry.targets.iter() {
            contacts.extend_from_slice(if contacts.is_empty() { b"<" } else { b", <" });
            contacts.extend_from_slice(target.uri);
            contacts.push(b'>');
            if target.q < 1000 {
                contacts.extend_from_slice(b";q=0.");
                contacts.extend_from_slice(
                    &[target.q / 100, target.q / 10 % 10, target.q % 10].map(|digit| b'0' + digit as u8),
                );
            }
        }
        let (server, path, call) = (entry.server, entry.path, entry.call);
        entry.done = true;
        reply_stored(turn, server, &path, 302, &[("Contact", &contacts)]);
        turn.core.scratch.give(contacts);
        if let Some(call) = call {
            self.close(turn, call, 302, None);
        }
        self.finish(turn, at);
    }

    /// Sends the next group of targets; without one, the best response goes back.
    fn try_next(&mut self, turn: &mut Turn<'_, '_>, at: Handle, request: Option<&Message<'_>>) {
        let sent = match request {
            Some(request) => self.send_group(turn, at, request),
            None => self.send_stored(turn, at),
        };
        if !sent {
            self.finish(turn, at);
        }
    }

    /// Sends the next group of targets with the request taken from its transaction.
    fn send_stored(&mut self, turn: &mut Turn<'_, '_>, at: Handle) -> bool {
        let Some(entry) = self.requests.get(at) else {
            return true;
        };
        let mut octets = turn.core.scratch.take();
        octets.extend_from_slice(turn.core.tx.server_request(entry.server).unwrap_or(&[]));
        let sent = turn
            .reparse(&octets, |turn, request| self.send_group(turn, at, request))
            .unwrap_or(false);
        turn.core.scratch.give(octets);
        sent
    }

    /// The caller's CANCEL (section 16.10): every branch that has no final answer is cancelled. The
    /// 487 comes from the branches.
    pub fn cancel(&mut self, turn: &mut Turn<'_, '_>, owner: User) {
        let at = handle(owner);
        let Some(entry) = self.requests.get_mut(at) else { return };
        entry.cancelled = true;
        entry.targets = TargetSet::default();
        if entry.redirects.stop() {
            // What the look-up would have found is what was cancelled.
            entry.best = Best::default();
        }
        self.cancel_branches(turn, at);
        self.settle(turn, at);
    }

    fn cancel_branches(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(entry) = self.requests.get_mut(at) else { return };
        if entry.method != Method::Invite {
            return;
        }
        for branch in entry.branches.iter().filter(|branch| branch.status < 200) {
            turn.with_wire(|tx, wire| tx.cancel(wire, branch.client, None));
        }
    }

    /// Whether all branches are through, and what then.
    fn settle(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(entry) = self.requests.get(at) else { return };
        if entry.redirects.is_waiting() || entry.branches.iter().any(|branch| branch.status < 200) {
            return;
        }
        let again = !entry.done && !entry.cancelled && !entry.targets.is_empty() && entry.best.may_hunt(entry.hunt);
        if again {
            self.try_next(turn, at, None)
        } else {
            self.finish(turn, at)
        }
    }

    /// No branch is left: the best response goes back unless a final one went already
    /// (section 16.7 steps 6 and 10), and the entry ends.
    fn finish(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(mut entry) = self.requests.remove(at) else {
            return;
        };
        entry.alarm.stop(&mut self.timers);
        let mut branches = std::mem::take(&mut entry.branches);
        branches.clear();
        if self.spare.len() < 1024 {
            self.spare.push(branches);
        }
        if entry.done {
            return;
        }
        let status = entry.best.send(turn, &entry);
        let Some((call, record)) = entry.call.and_then(|call| Some((call, self.records.get(call)?))) else {
            return;
        };
        match entry.method {
            // A re-INVITE that fails leaves the session as it was (section 14.1).
            Method::Invite if record.answered().is_none() => self.close(turn, call, status, None),
            // Section 15.1.1: after 408 or 481, or no answer at all, the dialog is over all the same.
            Method::Bye if matches!(status, 408 | 481) => {
                let side = if record.bye_from_callee { Side::B } else { Side::A };
                self.close(turn, call, 200, Some(side));
            }
            _ => {}
        }
    }

    /// Ends a call's record with its CDR.
    fn close(&mut self, turn: &mut Turn<'_, '_>, call: Handle, status: u16, hung_up_by: Option<Side>) {
        if let Some(record) = self.records.remove(call) {
            let same = |&other: &Handle| other == call;
            if let Ok(entry) = self.by_call_id.find_entry(record.call_id_hash, same) {
                entry.remove();
            }
            record.close(turn.core, turn.cx, call, status, hung_up_by);
        }
    }

    /// Calls whose INVITE this proxy carries or has carried.
    pub fn calls(&self) -> impl Iterator<Item = (Handle, &Record)> {
        self.records.iter()
    }

    /// How many timers wait; none without requests.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// How many requests are on their way.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// When [`Proxy::expire`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let sweep = (!self.records.is_empty()).then_some(self.next_sweep);
        self.timers.next().into_iter().chain(sweep).min()
    }

    /// Timer C and the sweep for calls whose BYE never came.
    pub fn expire(&mut self, turn: &mut Turn<'_, '_>) {
        while let Some(at) = self.timers.pop(turn.cx.now) {
            self.timer_c(turn, at);
        }
        if !self.records.is_empty() && self.next_sweep <= turn.cx.now {
            self.next_sweep = turn.cx.now + SWEEP;
            let longest = turn.core.site.plan.limits.call_time;
            let old: Vec<Handle> = self
                .records
                .iter()
                .filter(|(_, record)| turn.cx.now.since(record.began) > longest)
                .map(|(call, _)| call)
                .collect();
            for call in old {
                self.close(turn, call, 200, None);
            }
        }
    }

    /// Section 16.8: a branch that rang is cancelled, one that was silent counts as 408.
    fn timer_c(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(entry) = self.requests.get_mut(at) else { return };
        entry.alarm.rang();
        let now = turn.cx.now;
        let mut next = Time::FAR;
        for branch in entry.branches.iter_mut().filter(|branch| branch.status < 200) {
            if branch.until > now {
                next = next.min(branch.until);
                continue;
            }
            turn.with_wire(|tx, wire| tx.cancel(wire, branch.client, None));
            if branch.status == 0 {
                branch.status = 408;
                entry.best.offer_status(408);
            }
        }
        let late = entry.redirects.give_up(now);
        entry.alarm.ring_by(&mut self.timers, next, at);
        if late {
            self.go_on(turn, at);
        }
        self.settle(turn, at);
    }
}

/// Answers a stored request from its transaction.
fn reply_stored(turn: &mut Turn<'_, '_>, server: ServerId, path: &Path, status: u16, headers: &[(&str, &[u8])]) {
    let mut octets = turn.core.scratch.take();
    octets.extend_from_slice(turn.core.tx.server_request(server).unwrap_or(&[]));
    turn.reparse(&octets, |turn, request| {
        let tag = turn.stateless_tag(request);
        turn.respond(
            server,
            request,
            path,
            &Reply {
                to_tag: &tag,
                headers,
                ..Reply::of(status)
            },
        );
    });
    turn.core.scratch.give(octets);
}

const SWEEP: Duration = Duration::from_secs(30);
