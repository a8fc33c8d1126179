//! Calls that end here: echo test and music on hold.

use super::body::sdp_of;
use super::within::plain;
use super::{B2bua, Call, Start, State, Unacknowledged};
use crate::config::plan::MediaPath;
use crate::media::{MediaError, Seen, Service, Side};
use crate::protocol::Path;
use crate::protocol::sip::transaction::ServerId;
use crate::protocol::sip::{Message, Method};
use crate::switch::core::Turn;
use crate::switch::slab::Handle;

impl B2bua {
    /// Answers a call to a built-in service.
    pub fn serve(&mut self, turn: &mut Turn<'_, '_>, start: &Start<'_>, service: Service) {
        let Some(at) = self.open(turn, start) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        call.service = Some(service);
        call.relay = MediaPath::Relay;
        let Ok(sdp) = sdp_of(start.request) else { return };
        let mut out = turn.core.scratch.take();
        match describe(turn, at, call, service, sdp, start.path, &mut out) {
            Ok(()) => {
                call.state = State::Answered;
                call.answered = Some((turn.cx.now, turn.cx.wall));
                call.ack_owed = None;
                turn.core.stats.pdd(std::time::Duration::ZERO);
                turn.core.stats.setup(std::time::Duration::ZERO);
                self.answer_caller(turn, at, start.server, &out);
            }
            Err(error) => {
                turn.core.stats.shed(error.label());
                self.fail(turn, at, error.status());
            }
        }
        turn.core.scratch.give(out);
    }

    /// A re-INVITE, UPDATE or INFO within such a call: hold, resume, another address.
    #[expect(
        clippy::too_many_arguments,
        reason = "each says one thing about one message; a struct would only rename them"
    )]
    pub(super) fn serve_again(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        service: Service,
        server: ServerId,
        request: &Message<'_>,
        path: &Path,
        sdp: &[u8],
    ) {
        if request.method() == Method::Info {
            // Keys are not listened to.
            return plain(turn, server, request, path, 200);
        }
        let Some(call) = self.calls.get_mut(at) else { return };
        let mut out = turn.core.scratch.take();
        match describe(turn, at, call, service, sdp, path, &mut out) {
            Ok(()) => {
                if let Some(octets) = self.refreshed(turn, at, Side::A, server, request, path, &out)
                    && let Some(call) = self.calls.get_mut(at)
                {
                    call.unacknowledged = Some(Unacknowledged::new(
                        turn,
                        Side::A,
                        server,
                        (request.cseq().number, octets),
                    ));
                    self.schedule(at);
                }
            }
            // RFC 3261 section 14.2: the session stays as it was.
            Err(error) => plain(turn, server, request, path, error.status()),
        }
        turn.core.scratch.give(out);
    }
}

/// The service's answer to an offer, or its own offer when there is none.
fn describe(
    turn: &mut Turn<'_, '_>,
    at: Handle,
    call: &mut Call,
    service: Service,
    sdp: &[u8],
    path: &Path,
    out: &mut Vec<u8>,
) -> Result<(), MediaError> {
    let site = turn.core.site.clone();
    let listener = site.plan.sip.listeners.get(usize::from(path.listener.0));
    let seen = Seen {
        signalling: path.peer.ip(),
        addresses: listener.map_or(&[][..], |listener| &listener.media),
        other: &[],
        urgent: false,
    };
    let (now, host) = (turn.cx.now, &mut *turn.cx.host);
    turn.core.media.answer_local(
        now,
        &mut |slot| host.open_media(slot),
        &mut call.media,
        service,
        sdp,
        seen,
        out,
    )?;
    turn.core.media.set_user(&call.media, super::leg::media_user(at));
    Ok(())
}
