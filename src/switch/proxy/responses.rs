//! What branches answer: RFC 3261 section 16.7, and transactions that fail without an answer.

use super::Proxy;
use crate::media::Side;
use crate::protocol::sip::transaction::{ClientId, User};
use crate::protocol::sip::{Message, Method, forward_response};
use crate::switch::core::{Turn, handle};
use crate::switch::slab::Handle;

impl Proxy {
    /// A response in one of our client transactions.
    pub fn response(&mut self, turn: &mut Turn<'_, '_>, owner: User, client: ClientId, response: &Message<'_>) {
        let at = handle(owner);
        let status = response.status();
        if (300..400).contains(&status) && self.redirected(turn, at, client, response) {
            return self.settle(turn, at);
        }
        let Some(entry) = self.requests.get_mut(at) else {
            // The context has ended, but a branch answers once more: only a 2xx to an INVITE
            // matters then, and the stateless way up is the one left (section 16.7 step 5).
            if (200..300).contains(&status) && response.method() == Method::Invite {
                send_up_stateless(turn, response);
            }
            return;
        };
        let Some(branch) = entry.branches.iter_mut().find(|branch| branch.client == client) else {
            return;
        };
        match status {
            100 => {
                branch.status = branch.status.max(100);
            }
            101..=199 => {
                branch.status = branch.status.max(status.min(199));
                // Section 16.7 step 2: Timer C starts again.
                branch.until = turn.cx.now + turn.core.site.plan.sip.timers.c;
                if !entry.done {
                    self.pass(turn, at, response);
                    self.ringing(turn, at, status);
                }
            }
            200..=299 => {
                branch.status = status;
                let (path, flow) = (branch.path, branch.flow);
                let first = !entry.done;
                entry.done = true;
                entry.targets = Default::default();
                entry.redirects.stop();
                let (call, method, began) = (entry.call, entry.method, entry.began);
                self.pass(turn, at, response);
                if first {
                    turn.core
                        .stats
                        .processing(crate::switch::core::label(method), turn.cx.now.since(began));
                    if let Some(call) = call {
                        self.succeeded(turn, call, method, path, flow, began);
                    }
                    self.cancel_branches(turn, at);
                }
                self.settle(turn, at);
            }
            _ => {
                branch.status = status;
                entry.best.offer(turn, response);
                if status >= 600 {
                    // Section 16.7 step 5: no more targets, and the other branches are cancelled.
                    entry.targets = Default::default();
                    entry.redirects.stop();
                    self.cancel_branches(turn, at);
                }
                self.settle(turn, at);
            }
        }
    }

    /// A client transaction ended without a final response: 408 for a timeout, 503 for a transport
    /// failure (section 16.9).
    pub fn failed(&mut self, turn: &mut Turn<'_, '_>, owner: User, client: ClientId, status: u16) {
        let at = handle(owner);
        let Some(entry) = self.requests.get_mut(at) else { return };
        let Some(branch) = entry
            .branches
            .iter_mut()
            .find(|branch| branch.client == client && branch.status < 200)
        else {
            return;
        };
        branch.status = status;
        entry.best.offer_status(status);
        self.settle(turn, at);
    }

    /// Passes a response up within its server transaction.
    fn pass(&mut self, turn: &mut Turn<'_, '_>, at: Handle, response: &Message<'_>) {
        let Some(entry) = self.requests.get(at) else { return };
        let mut octets = turn.core.scratch.take();
        forward_response(&mut octets, response);
        turn.respond_octets(entry.server, entry.method, response.status(), &octets);
        turn.core.scratch.give(octets);
    }

    fn ringing(&mut self, turn: &mut Turn<'_, '_>, at: Handle, status: u16) {
        let call = self.requests.get(at).and_then(|entry| entry.call);
        if let Some(record) = call.and_then(|call| self.records.get_mut(call))
            && status >= 180
            && !record.ringing
        {
            record.ringing = true;
            turn.core.stats.pdd(turn.cx.now.since(record.began));
        }
    }

    /// A request of a call was answered well: an INVITE opens the call, a BYE ends it.
    fn succeeded(
        &mut self,
        turn: &mut Turn<'_, '_>,
        call: Handle,
        method: Method,
        path: crate::protocol::Path,
        flow: bool,
        began: shards::Time,
    ) {
        match method {
            Method::Invite => {
                if let Some(record) = self.records.get_mut(call)
                    && record.answered().is_none()
                {
                    record.answer(turn.cx.wall);
                    record.callee = path;
                    record.callee_flow = flow || path.transport.is_reliable();
                    if !record.ringing {
                        turn.core.stats.pdd(turn.cx.now.since(began));
                    }
                    turn.core.stats.setup(turn.cx.now.since(began));
                }
            }
            Method::Bye => {
                let side = self
                    .records
                    .get(call)
                    .map(|record| if record.bye_from_callee { Side::B } else { Side::A });
                self.close(turn, call, 200, side);
            }
            _ => {}
        }
    }
}

/// Sends a response where its next Via says, without state.
fn send_up_stateless(turn: &mut Turn<'_, '_>, response: &Message<'_>) {
    let mut octets = turn.core.scratch.take();
    forward_response(&mut octets, response);
    let site = turn.core.site.clone();
    turn.reparse(&octets, |turn, up| {
        let via = up.via();
        let transport = crate::switch::next_hop::transport_named(via.transport);
        if let (Some(peer), Some(transport)) = (via.reply_to(), transport)
            && crate::switch::next_hop::is_sendable(peer)
            && !site.is_own_address(peer)
            && let Some(path) = site.path_to(transport, peer, None)
            && crate::switch::next_hop::is_within_reach(peer.ip(), site.listener(path.listener).address.ip())
        {
            turn.send(&path, up.bytes());
        }
    });
    turn.core.scratch.give(octets);
}
