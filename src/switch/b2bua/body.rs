//! SDP from one side to the other: rewritten for the relay, or as it is when the ends talk directly.

use super::Call;
use crate::config::plan::MediaPath;
use crate::media::{MediaError, Seen, Side};
use crate::protocol::Path;
use crate::protocol::sip::Message;
use crate::switch::core::Turn;
use crate::switch::slab::Handle;
use shards::Buf;

use super::write::SDP;

/// A description's role (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Offer,
    Answer,
}

/// The SDP body of a message; empty when it has none. `Err` for a body that does not cross.
pub(super) fn sdp_of<'a>(message: &Message<'a>) -> Result<&'a [u8], ()> {
    let body = message.body();
    if body.is_empty() || message.content_type_is(SDP) {
        Ok(body)
    } else {
        Err(())
    }
}

/// Takes a description from one side and gives the one for the other.
#[expect(
    clippy::too_many_arguments,
    reason = "each says one thing about one message; a struct would only rename them"
)]
pub(super) fn cross(
    turn: &mut Turn<'_, '_>,
    at: Handle,
    call: &mut Call,
    from: Side,
    part: Part,
    sdp: &[u8],
    source: &Path,
    towards: &Path,
) -> Result<Buf, MediaError> {
    if call.relay == MediaPath::Direct {
        return Ok(sdp.into());
    }
    let site = turn.core.site.clone();
    let seen = Seen {
        signalling: source.peer.ip(),
        addresses: media_of(&site, source),
        other: media_of(&site, towards),
        urgent: call.emergency,
    };
    let mut out = turn.core.scratch.take();
    let now = turn.cx.now;
    let host = &mut *turn.cx.host;
    let result = match part {
        Part::Offer => turn.core.media.offer(
            now,
            &mut |slot| host.open_media(slot),
            &mut call.media,
            from,
            sdp,
            seen,
            &mut out,
        ),
        Part::Answer => turn.core.media.answer(now, &mut call.media, from, sdp, seen, &mut out),
    };
    if result.is_ok() {
        turn.core.media.set_user(&call.media, super::leg::media_user(at));
    }
    let octets = Buf::copy_of(&out);
    turn.core.scratch.give(out);
    result.map(|()| octets)
}

fn media_of<'s>(site: &'s crate::switch::site::Site, path: &Path) -> &'s [std::net::IpAddr] {
    site.plan
        .sip
        .listeners
        .get(usize::from(path.listener.0))
        .map_or(&[], |listener| &listener.media)
}
