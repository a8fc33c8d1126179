//! One side of a call: its dialog, the way to it, its session timer.

use crate::media::Side;
use crate::protocol::Path;
use crate::protocol::sip::Message;
use crate::protocol::sip::dialog::Dialog;
use crate::protocol::sip::dialog::session_timer::{self, SessionTimer};
use crate::protocol::sip::transaction::ClientId;
use crate::switch::core::Turn;
use crate::switch::next_hop;
use crate::switch::proxy::record::read_token;
use crate::switch::slab::Handle;
use shards::Buf;

/// Letter of the side, 16 digits of the call's handle, 8 random digits.
pub(super) const TAG: usize = 25;

/// A leg.
pub(super) struct Leg {
    /// Our tag.
    pub tag: [u8; TAG],
    /// Where its messages come from and go to.
    pub path: Path,
    /// True when requests have to take `path` whatever the remote target says (NAT, streams).
    pub flow: bool,
    /// The dialog, early or confirmed.
    pub dialog: Option<Dialog>,
    /// The peer may be sent UPDATE (its Allow says so).
    pub takes_update: bool,
    /// The session timer (RFC 4028). With a peer that neither knows it nor takes our UPDATE it is ours alone.
    pub session: Option<SessionTimer>,
    /// How we refresh.
    pub refresh: Refresh,
    /// What our 2xx says of it.
    pub agreed: Option<session_timer::Verdict>,
    /// The refresh of ours that is under way.
    pub refreshing: Option<ClientId>,
    /// The CSeq number of our last ACK (0 before any), and the answer that it carried.
    pub acknowledged: (u32, Buf),
}

/// What we ask a peer with, so that a session does not outlive it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Refresh {
    /// UPDATE with Session-Expires.
    #[default]
    Update,
    /// OPTIONS within the dialog: whoever has none answers 481 (RFC 3261 sections 11.2 and 12.2.2).
    Options,
}

impl Leg {
    /// A leg whose dialog is not there yet.
    pub(super) fn new(side: Side, at: Handle, random: [u8; 4], path: Path, flow: bool) -> Self {
        Self {
            tag: mint_tag(side, at, random),
            path,
            flow,
            dialog: None,
            takes_update: false,
            session: None,
            agreed: None,
            refresh: Refresh::default(),
            refreshing: None,
            acknowledged: (0, Buf::new()),
        }
    }

    /// Where the next request of the dialog goes: the flow, or the first Route or remote target.
    pub(super) fn next_hop(&self, turn: &Turn<'_, '_>) -> Path {
        let Some(dialog) = &self.dialog else { return self.path };
        if self.flow {
            return self.path;
        }
        // What cannot be resolved goes where the dialog's messages came from.
        next_hop::resolve(&turn.core.site, dialog.next_hop(), self.path.listener).unwrap_or(self.path)
    }

    /// Whether a request within the dialog is of this very dialog (tags and Call-ID), and comes
    /// from the address that the dialog's messages come from: blind BYEs end nothing.
    pub(super) fn owns(&self, request: &Message<'_>, path: &Path) -> bool {
        let Some(dialog) = &self.dialog else { return false };
        request.to_tag() == Some(&self.tag[..])
            && dialog.call_id() == request.call_id()
            && dialog.remote_tag() == request.from_tag()
            && (path.peer.ip() == self.path.peer.ip() || path.transport.is_reliable())
    }
}

fn mint_tag(side: Side, at: Handle, random: [u8; 4]) -> [u8; TAG] {
    let token = u128::from(at.index) << 64 | u128::from(at.generation) << 32;
    let digits = token | u128::from(u32::from_be_bytes(random));
    let mut tag = [if side == Side::A { b'a' } else { b'b' }; TAG];
    for (place, digit) in tag.iter_mut().skip(1).zip((0..TAG - 1).rev()) {
        *place = b"0123456789abcdef"[(digits >> (digit * 4) & 15) as usize];
    }
    tag
}

/// The call and the side that a tag of ours names. Whether they exist is another matter.
#[must_use]
pub fn read_tag(tag: &[u8]) -> Option<(Side, Handle)> {
    let (letter, rest) = tag.split_first()?;
    if tag.len() != TAG {
        return None;
    }
    let side = match letter {
        b'a' => Side::A,
        b'b' => Side::B,
        _ => return None,
    };
    Some((side, read_token(rest.get(..16)?)?))
}

/// A call's handle as the media plane carries it.
pub(super) fn media_user(at: Handle) -> u64 {
    u64::from(at.index) << 32 | u64::from(at.generation)
}

/// Reads what [`media_user`] wrote.
pub(super) fn media_call(user: u64) -> Handle {
    Handle {
        index: (user >> 32) as u32,
        generation: user as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_call_and_side() {
        let at = Handle {
            index: 0xdead,
            generation: 7,
        };
        let tag = mint_tag(Side::B, at, [1, 2, 3, 4]);
        assert_eq!(&tag, b"b0000dead0000000701020304");
        assert_eq!(read_tag(&tag), Some((Side::B, at)));
        assert_eq!(read_tag(b"314159"), None);
        assert_eq!(read_tag(b"c000000000000000000000000"), None);
    }
}
