//! What the callee's side answers to our INVITEs.

use super::body::{Part, cross, sdp_of};
use super::write::dialog_reply;
use super::{B2bua, State, Unacknowledged, worse};
use crate::media::Side;
use crate::protocol::sip::transaction::ServerId;
use crate::protocol::sip::{Message, Method, Name};
use crate::switch::core::Turn;
use crate::switch::slab::Handle;
use shards::Buf;

impl B2bua {
    /// A response to the INVITE of branch `place`.
    pub(super) fn branch_answered(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        place: usize,
        response: &Message<'_>,
    ) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let Some(branch) = call.branches.get_mut(place) else {
            return;
        };
        let before = branch.status;
        let status = response.status();
        branch.status = branch.status.max(status);
        let path = branch.path;
        if (300..400).contains(&status) && self.redirected(turn, at, &path, response) {
            return self.settle(turn, at);
        }
        let Some(call) = self.calls.get_mut(at) else { return };
        match status {
            100 => {}
            101..=199 if call.state == State::Opening && before < 200 => {
                call.ring_until = turn.cx.now + turn.core.site.plan.sip.timers.c;
                self.provisional(turn, at, place, response);
            }
            200..=299 if call.state == State::Opening => self.answered(turn, at, place, response),
            200..=299 => self.surplus(turn, at, place, response),
            300.. => {
                // The callee's challenge is not for the caller: whoever wants credentials of this
                // server gets none (and no digest of ours leaks: CVE-2021-41158).
                let told = match status {
                    401 | 407 => 403,
                    300..=399 => 480,
                    status => status,
                };
                call.failure = worse(call.failure, told);
                if status >= 600 {
                    call.targets = Default::default();
                    call.redirects.stop();
                    self.cancel_branches(turn, at, Some(place));
                }
                self.settle(turn, at);
            }
            _ => {}
        }
    }

    /// 18x: ringing or early media.
    fn provisional(&mut self, turn: &mut Turn<'_, '_>, at: Handle, place: usize, response: &Message<'_>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let (Some(server), Some(branch)) = (call.invite, call.branches.get(place)) else {
            return;
        };
        let (source, a_path) = (branch.path, call.a.path);
        let early = call.b.dialog.as_ref().filter(|dialog| dialog.remote_tag().is_empty());
        if let Some(dialog) = early.and_then(|dialog| dialog.established(response).ok()) {
            call.b.dialog = Some(dialog);
            call.b.path = source;
            call.b.flow = branch.flow;
        }
        let sdp = sdp_of(response).unwrap_or(&[]);
        let crossed = if sdp.is_empty() || call.offer.is_empty() {
            Buf::new()
        } else {
            // An early answer that cannot be used is left out; the final one decides.
            cross(turn, at, call, Side::B, Part::Answer, sdp, &source, &a_path).unwrap_or_default()
        };
        if !call.ringing {
            call.ringing = true;
            turn.core.stats.pdd(turn.cx.now.since(call.began));
        }
        // Reliable numbers pass through (RFC 3262): the caller's PRACK finds its way back.
        let reliable = response
            .header(Name::RSeq)
            .filter(|_| response.values(Name::Require).any(|value| value == b"100rel"));
        let extra = [("Require", &b"100rel"[..]), ("RSeq", reliable.unwrap_or(b""))];
        let extra = if reliable.is_some() { &extra[..] } else { &[] };
        let mut request = turn.core.scratch.take();
        request.extend_from_slice(turn.core.tx.server_request(server).unwrap_or(&[]));
        turn.reparse(&request, |turn, request| {
            let mut octets = turn.core.scratch.take();
            dialog_reply(
                turn,
                &mut octets,
                &call.a,
                request,
                &a_path,
                response.status(),
                extra,
                &crossed,
            );
            turn.respond_octets(server, Method::Invite, response.status(), &octets);
            turn.core.scratch.give(octets);
        });
        turn.core.scratch.give(request);
        self.schedule(at);
    }

    /// The first 2xx: the call is answered.
    fn answered(&mut self, turn: &mut Turn<'_, '_>, at: Handle, place: usize, response: &Message<'_>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let (Some(server), Some(branch)) = (call.invite, call.branches.get_mut(place)) else {
            return;
        };
        branch.won = true;
        let (source, flow, a_path) = (branch.path, branch.flow, call.a.path);
        let Some(dialog) = call
            .b
            .dialog
            .as_ref()
            .and_then(|dialog| dialog.established(response).ok())
        else {
            // A 2xx with a Contact or Record-Route that cannot be read: nothing to speak to.
            call.failure = worse(call.failure, 502);
            return self.settle(turn, at);
        };
        call.b.dialog = Some(dialog);
        call.b.path = source;
        call.b.flow = flow;
        call.b.takes_update = super::invite::allows_update(response);
        let site = turn.core.site.clone();
        call.b.session_answered(&site, turn.cx.now, response);
        let delayed = call.offer.is_empty();
        let sdp = sdp_of(response).unwrap_or(&[]);
        let part = if delayed { Part::Offer } else { Part::Answer };
        let crossed = if sdp.is_empty() {
            Ok(Buf::new())
        } else {
            cross(turn, at, call, Side::B, part, sdp, &source, &a_path)
        };
        let Ok(crossed) = crossed else {
            // RFC 3261 section 13.2.2.4: an answer that cannot be used is acknowledged, then the
            // dialog is ended.
            call.state = State::Answered;
            self.acknowledge(turn, at, Side::B, &[]);
            self.send_bye(turn, at, Side::B);
            self.cancel_branches(turn, at, Some(place));
            return self.fail(turn, at, 488);
        };
        call.state = State::Answered;
        call.offer = Buf::new();
        call.targets = Default::default();
        call.answered = Some((turn.cx.now, turn.cx.wall));
        if !call.ringing {
            turn.core.stats.pdd(turn.cx.now.since(call.began));
        }
        turn.core.stats.setup(turn.cx.now.since(call.began));
        if delayed {
            call.ack_owed = Some(Side::B);
        }
        self.answer_caller(turn, at, server, &crossed);
        if !delayed {
            self.acknowledge(turn, at, Side::B, &[]);
        }
        self.cancel_branches(turn, at, Some(place));
    }

    /// Sends the 200 to the caller, and again until the ACK comes.
    pub(super) fn answer_caller(&mut self, turn: &mut Turn<'_, '_>, at: Handle, server: ServerId, sdp: &[u8]) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let a_path = call.a.path;
        let mut request = turn.core.scratch.take();
        request.extend_from_slice(turn.core.tx.server_request(server).unwrap_or(&[]));
        let mut session = turn.core.scratch.take();
        let timed = call.a.write_session(&mut session);
        let extra = [
            ("Supported", &b"timer"[..]),
            ("Session-Expires", &session[..]),
            ("Require", &b"timer"[..]),
        ];
        let extra = extra
            .get(..timed.map_or(1, |require| 2 + usize::from(require)))
            .unwrap_or(&[]);
        let sent = turn.reparse(&request, |turn, request| {
            let mut octets = turn.core.scratch.take();
            dialog_reply(turn, &mut octets, &call.a, request, &a_path, 200, extra, sdp);
            turn.respond_octets(server, Method::Invite, 200, &octets);
            let kept = Buf::copy_of(&octets);
            turn.core.scratch.give(octets);
            (request.cseq().number, kept)
        });
        turn.core.scratch.give(request);
        turn.core.scratch.give(session);
        call.invite = None;
        if let Some(sent) = sent {
            call.unacknowledged = Some(Unacknowledged::new(turn, Side::A, server, sent));
        }
        self.schedule(at);
    }

    /// Sends the ACK of the 2xx to our last INVITE on a leg.
    pub(super) fn acknowledge(&mut self, turn: &mut Turn<'_, '_>, at: Handle, side: Side, sdp: &[u8]) {
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.ack_owed == Some(side) {
            call.ack_owed = None;
        }
        let leg = call.leg(side);
        let path = leg.next_hop(turn);
        if let Some(dialog) = &leg.dialog {
            let number = dialog.invite_seq();
            super::end::send_ack(turn, dialog, &path, number, sdp);
            leg.acknowledged = (number, if sdp.is_empty() { Buf::new() } else { sdp.into() });
        }
    }

    /// The ACK of a 2xx that came again, with the same answer (RFC 3261 section 13.2.2.4). Of one that was
    /// not acknowledged yet (the answer to its offer is still missing) there is nothing to repeat.
    pub(super) fn acknowledge_again(&mut self, turn: &mut Turn<'_, '_>, at: Handle, response: &Message<'_>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let side = match &call.a.dialog {
            Some(dialog) if dialog.call_id() == response.call_id() => Side::A,
            _ => Side::B,
        };
        let leg = call.leg(side);
        let (number, path) = (response.cseq().number, leg.next_hop(turn));
        if let (Some(dialog), (last, answer)) = (&leg.dialog, &leg.acknowledged)
            && number <= *last
        {
            let answer: &[u8] = if number == *last { answer } else { &[] };
            super::end::send_ack(turn, dialog, &path, number, answer);
        }
    }
}

impl Unacknowledged {
    pub(super) fn new(turn: &Turn<'_, '_>, side: Side, server: ServerId, (number, octets): (u32, Buf)) -> Self {
        let timers = turn.core.site.plan.sip.timers;
        Self {
            side,
            server,
            number,
            octets,
            interval: timers.t1,
            next: turn.cx.now + timers.t1,
            until: turn.cx.now + timers.t1 * 64,
        }
    }
}
