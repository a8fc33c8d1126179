//! What one stream plays: RTP headers of its own over a shared clip.

use crate::audio::clip::Clip;
use crate::audio::mark::{Mark, PAYLOAD_OCTETS};
use shards::Time;
use std::sync::Arc;

/// Octets of an RTP header without extensions (RFC 3550 section 5.1).
const HEADER: usize = 12;

/// Where a stream is in its clip.
pub(super) struct Player {
    clip: Arc<Clip>,
    at: usize,
    /// How often the clip is still to be begun; `None` for ever.
    loops: Option<u32>,
    payload_type: Option<u8>,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    number: u32,
    marker: bool,
    /// When a capture began, which keeps the times of its packets.
    began: Option<Time>,
}

impl Player {
    /// Plays a clip; SSRC, sequence numbers and timestamps go on from what the stream played before.
    pub(super) fn new(
        clip: Arc<Clip>,
        loops: Option<u32>,
        payload_type: Option<u8>,
        me: u32,
        before: Option<Player>,
    ) -> Self {
        // Distinct by stream, and not the same in sequence number and timestamp.
        let mixed = me.wrapping_mul(0x9e37_79b9);
        let before = before.map(|player| (player.sequence, player.timestamp, player.ssrc, player.number));
        let (sequence, timestamp, ssrc, number) =
            before.unwrap_or(((mixed >> 17) as u16, mixed ^ 0x5555, mixed | 1, 0));
        Self {
            clip,
            at: 0,
            loops: loops.map(|loops| loops.saturating_sub(1)),
            payload_type,
            sequence,
            timestamp,
            ssrc,
            number,
            marker: true,
            began: None,
        }
    }

    /// Plays a capture once with its own timing.
    pub(super) fn capture(clip: Arc<Clip>, me: u32, before: Option<Player>, now: Time) -> Self {
        Self {
            began: Some(now),
            ..Self::new(clip, Some(1), None, me, before)
        }
    }

    /// When a capture's next packet is due.
    pub(super) fn next_at(&self) -> Option<Time> {
        Some(self.began? + self.clip.packet(self.at)?.offset)
    }

    /// Goes on to the next packet; whether there is one.
    fn step(&mut self, increment: u32) -> bool {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(increment);
        self.number += 1;
        self.at += 1;
        if self.at < self.clip.len() {
            return true;
        }
        self.at = 0;
        match &mut self.loops {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Lets the time of a packet pass.
    pub(super) fn skip(&mut self) -> bool {
        let increment = self.clip.packet(self.at).map_or(160, |packet| packet.increment);
        let (sequence, number) = (self.sequence, self.number);
        let more = self.step(increment);
        (self.sequence, self.number) = (sequence, number);
        more
    }

    /// Appends the next packet; whether another one follows.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, run: u32, me: u32, heard: u32, sent_us: u32) -> bool {
        let Some(packet) = self.clip.packet(self.at) else {
            return false;
        };
        let payload_type = self.payload_type.unwrap_or(packet.payload_type);
        let marker = std::mem::replace(&mut self.marker, false) || (packet.marker && self.began.is_some());
        let mut header = [0u8; HEADER];
        header[0] = 0x80;
        header[1] = payload_type | u8::from(marker) << 7;
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&header);
        let start = out.len();
        out.extend_from_slice(packet.payload);
        let increment = packet.increment;
        // Only G.711 has a low bit that nobody hears.
        if matches!(payload_type, 0 | 8)
            && let Ok(payload) = <&mut [u8; PAYLOAD_OCTETS]>::try_from(&mut out[start..])
        {
            Mark {
                run,
                stream: me,
                number: self.number,
                heard,
                sent_us,
            }
            .write(payload);
        }
        self.step(increment)
    }
}
