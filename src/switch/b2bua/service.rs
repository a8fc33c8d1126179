//! Calls that end here: echo test and music on hold.

use super::body::sdp_of;
use super::{B2bua, Start, State};
use crate::config::plan::MediaPath;
use crate::media::{Seen, Service};
use crate::switch::core::Turn;

impl B2bua {
    /// Answers a call to a built-in service.
    pub fn serve(&mut self, turn: &mut Turn<'_, '_>, start: &Start<'_>, service: Service) {
        let Some(at) = self.open(turn, start) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        call.service = true;
        call.relay = MediaPath::Relay;
        let Ok(sdp) = sdp_of(start.request) else { return };
        let site = turn.core.site.clone();
        let addresses = site.plan.sip.listeners.get(usize::from(start.path.listener.0)).map_or(&[][..], |listener| &listener.media);
        let seen = Seen { signalling: start.path.peer.ip(), addresses, other: &[] };
        let mut out = turn.core.scratch.take();
        let (now, host) = (turn.cx.now, &mut *turn.cx.host);
        let result = turn.core.media.answer_local(now, &mut |slot| host.open_media(slot), &mut call.media, service, sdp, seen, &mut out);
        match result {
            Ok(()) => {
                turn.core.media.set_user(&call.media, super::leg::media_user(at));
                call.state = State::Answered;
                call.answered = Some((now, turn.cx.wall));
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
}
