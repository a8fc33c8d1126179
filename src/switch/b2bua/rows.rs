//! Calls as operators see them: live rows and the media part of the CDR.

use super::{B2bua, Call, State};
use crate::config::plan::MediaPath;
use crate::media::{MediaReport, Side};
use crate::ops::model::{CallRow, CallState};
use crate::ops::stats::CallResult;
use crate::protocol::sip::write_number;
use crate::switch::core::Turn;
use crate::switch::proxy::record::write_id;
use crate::switch::slab::Handle;
use shards::{Cx, ShardId};

impl B2bua {
    /// The media plane heard nothing in either direction for too long.
    pub fn silent(&mut self, turn: &mut Turn<'_, '_>, user: u64) {
        let at = super::leg::media_call(user);
        match self.calls.get(at).map(|call| call.state) {
            Some(State::Answered) => self.hang_up(turn, at, None, CallResult::MediaTimeout),
            Some(State::Opening) => self.abandon(turn, at, 480, CallResult::MediaTimeout),
            _ => {}
        }
    }

    /// How many calls are in each state, by [`CallState`].
    pub fn count(&self, states: &mut [u64; CallState::COUNT]) {
        for (_, call) in self.calls.iter() {
            if let Some(state) = call.shown()
                && let Some(count) = states.get_mut(state as usize)
            {
                *count += 1;
            }
        }
    }

    /// Rows of live calls.
    pub fn rows<M>(
        &self,
        cx: &Cx<'_, M>,
        shard: ShardId,
        media: &crate::media::Media,
    ) -> impl Iterator<Item = CallRow> {
        let (now, wall) = (cx.now, cx.wall);
        self.calls.iter().filter_map(move |(at, call)| {
            let mut id = Vec::new();
            write_id(&mut id, shard, b'b', at);
            let text = |place| String::from_utf8_lossy(call.text(place)).into_owned();
            let [from_caller, from_callee] = super::super::core::stream_rows(media.report(&call.media).as_ref());
            let since = call.answered.map_or(call.began, |(at, _)| at);
            let _ = wall;
            Some(CallRow {
                id: String::from_utf8(id).ok()?,
                shard,
                state: call.shown()?,
                from: text(1),
                to: text(2),
                mode: if call.service.is_some() { "service" } else { "b2bua" },
                media: if call.relay == MediaPath::Relay {
                    "relay"
                } else {
                    "direct"
                },
                started: call.started.0,
                answered: call.answered.map(|(_, wall)| wall.0),
                seconds: now.since(since).as_secs(),
                from_caller,
                from_callee,
            })
        })
    }

    /// The live call at a handle.
    #[must_use]
    pub fn is_live(&self, at: Handle) -> bool {
        self.calls.get(at).is_some_and(|call| call.state != State::Over)
    }
}

impl Call {
    fn shown(&self) -> Option<CallState> {
        match self.state {
            State::Opening if self.ringing => Some(CallState::Ringing),
            State::Opening => Some(CallState::Trying),
            State::Answered => Some(CallState::Answered),
            State::Over => None,
        }
    }
}

/// The media report as JSON.
pub(super) fn write_report(out: &mut Vec<u8>, report: &MediaReport) {
    let number = |out: &mut Vec<u8>, before: &str, value: u64| {
        out.extend_from_slice(before.as_bytes());
        write_number(out, value);
    };
    out.push(b'[');
    for (place, stream) in report.streams().iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        number(out, "{\"line\":", u64::from(stream.line));
        for (side, figures) in ["from_caller", "from_callee"].iter().zip(&stream.sides) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(side.as_bytes());
            number(out, "\":{\"packets\":", figures.packets);
            number(out, ",\"octets\":", figures.octets);
            number(out, ",\"lost\":", figures.lost);
            number(out, ",\"jitter_us\":", u64::from(figures.jitter_us));
            out.extend_from_slice(if figures.learnt {
                b",\"learnt\":true}"
            } else {
                b",\"learnt\":false}"
            });
        }
        let silent = match stream.one_way {
            Some(Side::A) => "\"caller_not_heard\"",
            Some(Side::B) => "\"callee_not_heard\"",
            None => "null",
        };
        out.extend_from_slice(b",\"one_way\":");
        out.extend_from_slice(silent.as_bytes());
        out.push(b'}');
    }
    out.push(b']');
}
