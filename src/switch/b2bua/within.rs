//! Requests within a leg's dialog.

use super::leg::read_tag;
use super::write::{self, dialog_reply};
use super::{B2bua, State};
use crate::media::Side;
use crate::ops::stats::CallResult;
use crate::protocol::Path;
use crate::protocol::sip::dialog::Order;
use crate::protocol::sip::transaction::ServerId;
use crate::protocol::sip::{Message, Method, Reply};
use crate::switch::core::Turn;
use crate::switch::slab::Handle;

impl B2bua {
    /// The call and side of a request within one of our dialogs: found by our tag, and every other
    /// part of the dialog has to fit too.
    fn find(&self, request: &Message<'_>, path: &Path) -> Option<(Handle, Side)> {
        let (side, at) = read_tag(request.to_tag()?)?;
        let call = self.calls.get(at)?;
        let leg = match side {
            Side::A => &call.a,
            Side::B => &call.b,
        };
        leg.owns(request, path).then_some((at, side))
    }

    /// An ACK to a 2xx of ours.
    pub fn ack(&mut self, turn: &mut Turn<'_, '_>, request: &Message<'_>, path: &Path) {
        let Some((at, side)) = self.find(request, path) else {
            return;
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        let number = request.cseq().number;
        let acknowledged = call
            .unacknowledged
            .as_ref()
            .is_some_and(|pending| (pending.side, pending.number) == (side, number));
        if !acknowledged {
            return;
        }
        call.unacknowledged = None;
        self.ack_crosses(turn, at, side, request, path);
        self.schedule(at);
    }

    /// Another request with one of our tags, in its server transaction.
    pub fn within(&mut self, turn: &mut Turn<'_, '_>, server: ServerId, request: &Message<'_>, path: &Path) {
        let Some((at, side)) = self.find(request, path) else {
            return plain(turn, server, request, path, 481);
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.state == State::Over {
            return plain(turn, server, request, path, 481);
        }
        let in_order = call
            .leg(side)
            .dialog
            .as_mut()
            .is_some_and(|dialog| dialog.receive(request) != Order::Late);
        if !in_order {
            // RFC 3261 section 12.2.2: a CSeq that went down.
            return plain(turn, server, request, path, 500);
        }
        match request.method() {
            Method::Bye => self.bye(turn, at, side, server, request, path),
            Method::Invite | Method::Update | Method::Info => self.cross_request(turn, at, side, server, request, path),
            Method::Prack => self.prack(turn, at, side, server, request, path),
            Method::Options => {
                let leg = call.leg(side);
                let mut octets = turn.core.scratch.take();
                dialog_reply(
                    turn,
                    &mut octets,
                    leg,
                    request,
                    path,
                    200,
                    &[("Accept", write::SDP.as_bytes())],
                    &[],
                );
                turn.respond_octets(server, Method::Options, 200, &octets);
                turn.core.scratch.give(octets);
            }
            _ => {
                let tag = call.leg(side).tag;
                let reply = Reply {
                    to_tag: &tag,
                    headers: &[("Allow", write::ALLOW)],
                    ..Reply::of(405)
                };
                turn.respond(server, request, path, &reply);
            }
        }
    }

    fn bye(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        server: ServerId,
        request: &Message<'_>,
        path: &Path,
    ) {
        plain(turn, server, request, path, 200);
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.state == State::Opening {
            // Section 15: the caller may end an early dialog with BYE as well as with CANCEL.
            return self.abandon(turn, at, 487, CallResult::Cancelled);
        }
        self.hang_up(turn, at, Some(side), CallResult::Completed);
    }
}

/// An answer without dialog headers.
pub(super) fn plain(turn: &mut Turn<'_, '_>, server: ServerId, request: &Message<'_>, path: &Path, status: u16) {
    let tag = turn.stateless_tag(request);
    turn.respond(
        server,
        request,
        path,
        &Reply {
            to_tag: &tag,
            ..Reply::of(status)
        },
    );
}
