//! The caller's INVITE, and the INVITEs to the callee's side.

use super::body::{Part, cross, sdp_of};
use super::leg::Leg;
use super::write::{self, dialog_reply};
use super::{B2bua, Branch, Call, Start, State, owner};
use crate::media::Side;
use crate::ops::stats::{CallResult, Direction, MethodLabel};
use crate::protocol::sip::dialog::Dialog;
use crate::protocol::sip::{Message, Method, Name, Reply, write_number};
use crate::switch::breadth::share;
use crate::switch::core::Turn;
use crate::switch::next_hop;
use crate::switch::redirect::Redirects;
use crate::switch::site::mint_call_id;
use crate::switch::slab::Handle;
use crate::switch::target::{Hunt, Target, TargetSet};
use shards::{Buf, Time};

impl B2bua {
    /// Accepts a caller's INVITE; its targets come later. `None` when it was refused.
    pub fn open(&mut self, turn: &mut Turn<'_, '_>, start: &Start<'_>) -> Option<Handle> {
        let Ok(sdp) = sdp_of(start.request) else {
            refuse(turn, start, 415, &[("Accept", write::SDP.as_bytes())]);
            return None;
        };
        let at = self
            .calls
            .insert(new_call(turn, start, self.spare.pop().unwrap_or_default()));
        let random = [turn.random(), turn.random()];
        let call = self.calls.get_mut(at)?;
        let flow = next_hop::needs_flow(start.request, start.path);
        call.a = Leg::new(Side::A, at, random[0], *start.path, flow);
        call.b = Leg::new(Side::B, at, random[1], *start.path, false);
        call.a.takes_update = allows_update(start.request);
        call.a.dialog = Dialog::from_uas(start.request, &call.a.tag, false).ok();
        let long_enough = call.a.session_asked(&turn.core.site, turn.cx.now, start.request);
        let missing_contact = call.a.dialog.is_none();
        turn.core.stats.call_started();
        turn.core.calls += 1;
        turn.core.tx.set_server_user(start.server, owner(at));
        call.offer = sdp.into();
        if missing_contact || !long_enough {
            self.fail(turn, at, if missing_contact { 400 } else { 422 });
            return None;
        }
        Some(at)
    }

    /// The targets of an opened call are another shard's to tell; without them it fails at `until`.
    pub fn wait(&mut self, at: Handle, until: Time) {
        if let Some(call) = self.calls.get_mut(at) {
            call.ring_until = until;
            self.schedule(at);
        }
    }

    /// The targets of an opened call are known.
    pub fn targets(&mut self, turn: &mut Turn<'_, '_>, at: Handle, targets: TargetSet, request: Option<&Message<'_>>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.state != State::Opening {
            return;
        }
        if targets.is_empty() {
            call.failure = 480;
        }
        call.targets = targets;
        // The caller's offer is rewritten once; all branches get the same.
        if let Some(first) = call.targets.peek()
            && !call.offer.is_empty()
        {
            let (towards, source, offer) = (first.path, call.a.path, std::mem::take(&mut call.offer));
            match cross(turn, at, call, Side::A, Part::Offer, &offer, &source, &towards) {
                Ok(rewritten) => call.offer = rewritten,
                Err(error) => {
                    turn.core.stats.shed(error.label());
                    return self.fail(turn, at, error.status());
                }
            }
        }
        self.try_next(turn, at, request);
    }

    /// Sends the next group of targets; without one, the call has failed.
    pub(super) fn try_next(&mut self, turn: &mut Turn<'_, '_>, at: Handle, request: Option<&Message<'_>>) {
        let sent = match request {
            Some(request) => self.send_group(turn, at, request),
            None => self.send_stored(turn, at),
        };
        if !sent {
            let status = self
                .calls
                .get(at)
                .map_or(480, |call| if call.failure == 0 { 480 } else { call.failure });
            self.fail(turn, at, status);
        }
    }

    /// Sends the next group of targets with the INVITE taken from its transaction.
    pub(super) fn send_stored(&mut self, turn: &mut Turn<'_, '_>, at: Handle) -> bool {
        let Some(server) = self.calls.get(at).and_then(|call| call.invite) else {
            return true;
        };
        let mut octets = turn.core.scratch.take();
        octets.extend_from_slice(turn.core.tx.server_request(server).unwrap_or(&[]));
        let sent = turn
            .reparse(&octets, |turn, request| self.send_group(turn, at, request))
            .unwrap_or(false);
        turn.core.scratch.give(octets);
        sent
    }

    fn send_group(&mut self, turn: &mut Turn<'_, '_>, at: Handle, request: &Message<'_>) -> bool {
        let Some(call) = self.calls.get_mut(at) else {
            return true;
        };
        let mut sent = false;
        while !sent && !call.targets.is_empty() {
            let group = call.targets.group();
            // Across us the tree of branches goes on: without its breadth, two AORs with two contacts
            // each that lead back here would double it at every hop (RFC 5393 section 5.3).
            let rings = call.branches.iter().any(|branch| branch.status < 200);
            let among = if rings { call.branches.len() } else { 1 };
            let share = share(request, group, among, turn.core.site.plan.limits.breadth);
            if share == Some(0) {
                call.failure = super::worse(call.failure, 440);
                call.targets = TargetSet::default();
                break;
            }
            // The numbers of reliable answers pass through, so only one branch may give them out.
            let alone = group == 1 && call.branches.iter().all(|branch| branch.status >= 200);
            let reliable = alone && knows_100rel(request);
            for _ in 0..group {
                let mut targets = std::mem::take(&mut call.targets);
                if let Some(target) = targets.peek() {
                    sent |= send(turn, at, call, request, &target, (reliable, share));
                }
                targets.skip();
                call.targets = targets;
            }
        }
        if sent {
            call.ring_until = turn.cx.now + turn.core.site.plan.sip.timers.c;
            self.schedule(at);
        }
        sent
    }

    /// Whether all branches are through, and what then.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(call) = self.calls.get(at) else { return };
        let waiting = call.state == State::Opening && call.redirects.is_waiting();
        if waiting || call.branches.iter().any(|branch| branch.status < 200) {
            return;
        }
        match call.state {
            State::Opening => {
                let dead = matches!(call.failure, 408 | 500 | 502 | 503 | 504);
                let again = call.failure < 600 && (call.hunt == Hunt::Any || dead) && !call.targets.is_empty();
                if again {
                    self.try_next(turn, at, None);
                } else {
                    let status = if call.failure == 0 { 480 } else { call.failure };
                    self.fail(turn, at, status);
                }
            }
            State::Over => self.forget(turn, at),
            State::Answered => {}
        }
    }

    /// The caller gets a final failure, and the call is over.
    pub(super) fn fail(&mut self, turn: &mut Turn<'_, '_>, at: Handle, status: u16) {
        let Some(call) = self.calls.get_mut(at) else { return };
        if let Some(server) = call.invite.take() {
            let path = call.a.path;
            let mut octets = turn.core.scratch.take();
            octets.extend_from_slice(turn.core.tx.server_request(server).unwrap_or(&[]));
            turn.reparse(&octets, |turn, request| {
                let mut least = turn.core.scratch.take();
                write_number(&mut least, u64::from(turn.core.site.plan.sip.min_se));
                let headers = [("Retry-After", &b"5"[..]), ("Min-SE", &least[..])];
                let retry = match status {
                    503 => &headers[..1],
                    422 => &headers[1..],
                    _ => &[],
                };
                let mut reply = turn.core.scratch.take();
                dialog_reply(turn, &mut reply, &call.a, request, &path, status, retry, &[]);
                turn.respond_octets(server, Method::Invite, status, &reply);
                turn.core.scratch.give(reply);
                turn.core.scratch.give(least);
            });
            turn.core.scratch.give(octets);
        }
        let result = crate::switch::cdr::result_of(status);
        self.end(turn, at, status, result, None);
    }

    /// Ends an unanswered call from outside: the caller's CANCEL or BYE, an operator.
    pub(super) fn abandon(&mut self, turn: &mut Turn<'_, '_>, at: Handle, status: u16, result: CallResult) {
        if let Some(call) = self.calls.get_mut(at) {
            call.result = Some(result);
        }
        self.cancel_branches(turn, at, None);
        self.fail(turn, at, status);
    }

    /// Cancels every branch without a final answer, but not `winner`.
    pub(super) fn cancel_branches(&mut self, turn: &mut Turn<'_, '_>, at: Handle, winner: Option<usize>) {
        let Some(call) = self.calls.get(at) else { return };
        for (place, branch) in call.branches.iter().enumerate() {
            if Some(place) != winner && branch.status < 200 {
                turn.with_wire(|tx, wire| tx.cancel(wire, branch.client, None));
            }
        }
    }
}

fn new_call(turn: &Turn<'_, '_>, start: &Start<'_>, mut branches: Vec<Branch>) -> Call {
    branches.clear();
    let mut texts = Buf::with_capacity(192);
    let mut ends = [0u16; 3];
    for (end, part) in ends
        .iter_mut()
        .zip([start.request.call_id(), start.request.from().uri, start.request.uri()])
    {
        texts.extend_from_slice(part.get(..200).unwrap_or(part));
        *end = u16::try_from(texts.len()).unwrap_or(u16::MAX);
    }
    let nowhere = Handle {
        index: 0,
        generation: 0,
    };
    Call {
        state: State::Opening,
        invite: Some(start.server),
        a: Leg::new(Side::A, nowhere, [0; 4], *start.path, false),
        b: Leg::new(Side::B, nowhere, [0; 4], *start.path, false),
        branches,
        targets: TargetSet::default(),
        hunt: start.hunt,
        redirects: Redirects::new(&turn.core.site, start.request, start.proven, start.trusted),
        media: Default::default(),
        relay: start.media,
        offer: Buf::new(),
        failure: 0,
        exchange: None,
        unacknowledged: None,
        ack_owed: None,
        surplus: Vec::new(),
        ring_until: Time::FAR,
        life_until: turn.cx.now + turn.core.site.plan.limits.call_time,
        alarm: Default::default(),
        ringing: false,
        service: None,
        trusted: start.trusted,
        emergency: start.emergency,
        texts,
        ends,
        began: turn.cx.now,
        started: turn.cx.wall,
        answered: None,
        result: None,
    }
}

fn send(
    turn: &mut Turn<'_, '_>,
    at: Handle,
    call: &mut Call,
    request: &Message<'_>,
    target: &Target<'_>,
    (reliable, share): (bool, Option<usize>),
) -> bool {
    let Ok((client, branch)) = turn.core.tx.mint() else {
        turn.core.stats.shed("transactions");
        call.failure = super::worse(call.failure, 503);
        return false;
    };
    let mut octets = turn.core.scratch.take();
    let mut call_id = turn.core.scratch.take();
    // One Call-ID for all branches, as a forking proxy would show; made from the leg's tag, so that
    // it is the same for a later group.
    let mut seed = [0u8; 12];
    seed.copy_from_slice(&call.b.tag[TAIL..]);
    mint_call_id(&mut call_id, turn.cx.shard, seed);
    let site = turn.core.site.clone();
    write::invite(
        &site,
        &mut octets,
        &write::Invite {
            target,
            branch: &branch,
            call_id: &call_id,
            tag: &call.b.tag,
            request,
            sdp: &call.offer,
            trusted: call.trusted,
            reliable,
            share,
        },
    );
    if call.b.dialog.is_none() {
        // The same start for all branches: Call-ID, tag and CSeq are.
        call.b.dialog = turn.reparse(&octets, |_, invite| Dialog::calling(invite, false));
    }
    turn.with_wire(|tx, wire| tx.client(wire, client, &octets, Method::Invite, &target.path, owner(at)));
    turn.core.stats.request(MethodLabel::Invite, Direction::Out);
    turn.core.scratch.give(octets);
    turn.core.scratch.give(call_id);
    call.branches.push(Branch {
        client,
        path: target.path,
        flow: target.flow || target.path.transport.is_reliable(),
        status: 0,
        won: false,
    });
    true
}

/// The last twelve characters of a leg's tag: generation and random digits.
const TAIL: usize = super::leg::TAG - 12;

fn refuse(turn: &mut Turn<'_, '_>, start: &Start<'_>, status: u16, headers: &[(&str, &[u8])]) {
    let tag = turn.stateless_tag(start.request);
    turn.respond(
        start.server,
        start.request,
        start.path,
        &Reply {
            to_tag: &tag,
            headers,
            ..Reply::of(status)
        },
    );
}

/// Whether a message's Allow names UPDATE (RFC 3311 section 4).
pub(super) fn allows_update(message: &Message<'_>) -> bool {
    message.values(Name::Allow).any(|value| value == b"UPDATE")
}

/// Whether the caller can take reliable provisional answers (RFC 3262).
pub(super) fn knows_100rel(request: &Message<'_>) -> bool {
    request
        .values(Name::Supported)
        .chain(request.values(Name::Require))
        .any(|value| value.eq_ignore_ascii_case(b"100rel"))
}
