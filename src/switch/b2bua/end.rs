//! How calls end: BYE in both directions, ports back, one CDR.

use super::{B2bua, State};
use crate::media::Side;
use crate::ops::stats::{CallResult, Direction, MethodLabel};
use crate::protocol::Path;
use crate::protocol::sip::Method;
use crate::protocol::sip::dialog::Dialog;
use crate::switch::cdr::{self, Cdr};
use crate::switch::core::{NOBODY, Turn, label};
use crate::switch::proxy::record::write_id;
use crate::switch::slab::Handle;

impl B2bua {
    /// Ends an answered call: BYE to every side but the one that hung up.
    pub(super) fn hang_up(&mut self, turn: &mut Turn<'_, '_>, at: Handle, by: Option<Side>, result: CallResult) {
        // RFC 3261 section 13.2.2.4: each 2xx is acknowledged, also one whose offer nobody answers any more.
        if let Some(owed) = self.calls.get(at).and_then(|call| call.ack_owed) {
            self.acknowledge(turn, at, owed, &[]);
        }
        for side in [Side::A, Side::B] {
            if by != Some(side) {
                self.send_bye(turn, at, side);
            }
        }
        self.end(turn, at, 200, result, by);
    }

    /// Sends BYE on a leg.
    pub(super) fn send_bye(&mut self, turn: &mut Turn<'_, '_>, at: Handle, side: Side) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let leg = call.leg(side);
        let path = leg.next_hop(turn);
        if let Some(dialog) = &mut leg.dialog {
            send_in(turn, dialog, &path, Method::Bye, &[]);
        }
    }

    /// The call is over: media and timers end, the CDR is written. The entry stays while branches
    /// may still be answered.
    pub(super) fn end(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        status: u16,
        result: CallResult,
        by: Option<Side>,
    ) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let counted = call.state == State::Over;
        call.state = State::Over;
        if !counted {
            let result = call.result.unwrap_or(result);
            let report = if call.media.is_empty() {
                None
            } else {
                Some(turn.core.media.release(turn.cx.now, &mut call.media))
            };
            turn.core.calls = turn.core.calls.saturating_sub(1);
            turn.core.stats.call_ended(result);
            let mut id = turn.core.scratch.take();
            write_id(&mut id, turn.cx.shard, b'b', at);
            let mut media = turn.core.scratch.take();
            if let Some(report) = report {
                super::rows::write_report(&mut media, &report);
            }
            let cdr = Cdr {
                id: &id,
                call_id: call.text(0),
                from: call.text(1),
                to: call.text(2),
                mode: if call.service.is_some() { "service" } else { "b2bua" },
                started: call.started,
                answered: call.answered.map(|(_, wall)| wall),
                ended: turn.cx.wall,
                status,
                result,
                hung_up_by: match by {
                    Some(Side::A) => "caller",
                    Some(Side::B) => "callee",
                    None if result == CallResult::Cancelled => "caller",
                    None => "server",
                },
                shard: turn.cx.shard,
                media: &media,
            };
            cdr::write(&mut turn.core.cdr, &cdr);
            turn.core.scratch.give(id);
            turn.core.scratch.give(media);
        }
        let Some(call) = self.calls.get_mut(at) else { return };
        call.unacknowledged = None;
        if let Some(exchange) = call.exchange.take() {
            // Section 15.1.2: requests that are still open are answered all the same.
            super::exchange::reply_open(turn, &exchange, 487);
        }
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.branches.iter().all(|branch| branch.status >= 200) {
            self.forget(turn, at);
        }
    }

    /// Frees the entry; what is answered late finds only the marks that it leaves.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(mut call) = self.calls.remove(at) else { return };
        call.leave_marks(turn);
        call.alarm.stop(&mut self.timers);
        if self.spare.len() < 1024 {
            let mut branches = call.branches;
            branches.clear();
            self.spare.push(branches);
        }
    }

    /// Ends every call (shutdown after the drain time, or one by an operator).
    pub fn end_all(&mut self, turn: &mut Turn<'_, '_>) {
        let all: Vec<Handle> = self
            .calls
            .iter()
            .filter(|(_, call)| call.state != State::Over)
            .map(|(at, _)| at)
            .collect();
        for at in all {
            self.end_one(turn, at);
        }
    }

    /// Ends one call by command; false when there is none.
    pub fn end_one(&mut self, turn: &mut Turn<'_, '_>, at: Handle) -> bool {
        match self.calls.get(at).map(|call| call.state) {
            Some(State::Answered) => self.hang_up(turn, at, None, CallResult::Administrative),
            Some(State::Opening) => self.abandon(turn, at, 503, CallResult::Administrative),
            _ => return false,
        }
        true
    }
}

/// Sends a request of ours within a dialog; nobody waits for its answer (the transaction layer
/// sends it again as long as RFC 3261 says). Where there is no room for its transaction it goes out once.
pub(super) fn send_in(turn: &mut Turn<'_, '_>, dialog: &mut Dialog, path: &Path, method: Method, sdp: &[u8]) {
    let Ok((client, branch)) = turn.core.tx.mint_for(method) else {
        turn.core.stats.shed("transactions");
        return send_bare(turn, dialog, path, method, sdp);
    };
    let octets = write_in(turn, dialog, path, method, &branch, sdp);
    turn.with_wire(|tx, wire| tx.client(wire, client, &octets, method, path, NOBODY));
    turn.core.stats.request(label(method), Direction::Out);
    turn.core.scratch.give(octets);
}

/// The ACK to the 2xx of our INVITE with this number.
pub(super) fn send_ack(turn: &mut Turn<'_, '_>, dialog: &Dialog, path: &Path, number: u32, sdp: &[u8]) {
    let branch = turn.core.tx.bare_branch();
    let mut octets = turn.core.scratch.take();
    let via = via(turn, path, &branch);
    let body = (!sdp.is_empty()).then_some((super::write::SDP, sdp));
    dialog.write_ack(&mut octets, number, &via, &[], body);
    turn.send(path, &octets);
    turn.core.stats.request(MethodLabel::Ack, Direction::Out);
    turn.core.scratch.give(via);
    turn.core.scratch.give(octets);
}

/// Sends a request of ours within a dialog once, without a transaction.
fn send_bare(turn: &mut Turn<'_, '_>, dialog: &mut Dialog, path: &Path, method: Method, sdp: &[u8]) {
    let branch = turn.core.tx.bare_branch();
    let octets = write_in(turn, dialog, path, method, &branch, sdp);
    turn.send(path, &octets);
    turn.core.stats.request(label(method), Direction::Out);
    turn.core.scratch.give(octets);
}

fn write_in(
    turn: &mut Turn<'_, '_>,
    dialog: &mut Dialog,
    path: &Path,
    method: Method,
    branch: &[u8],
    sdp: &[u8],
) -> Vec<u8> {
    let mut octets = turn.core.scratch.take();
    let via = via(turn, path, branch);
    let body = (!sdp.is_empty()).then_some((super::write::SDP, sdp));
    dialog.write_request(&mut octets, method, &via, &[], body);
    turn.core.scratch.give(via);
    octets
}

/// Our Via's value for a path.
pub(super) fn via(turn: &mut Turn<'_, '_>, path: &Path, branch: &[u8]) -> Vec<u8> {
    let mut via = turn.core.scratch.take();
    via.extend_from_slice(&turn.core.site.listener(path.listener).via);
    via.extend_from_slice(b";branch=");
    via.extend_from_slice(branch);
    if !path.transport.is_reliable() {
        via.extend_from_slice(b";rport");
    }
    via
}
