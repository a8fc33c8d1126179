//! One flat record for each local media socket, keyed by its slot: all that a packet needs. The
//! same shape can be installed in a kernel fast path once a stream is learnt.

use super::latch::{Latch, NOWHERE, Phase};
use super::stats::Stats;
use crate::protocol::rtp;
use shards::{Slot, Time};
use std::net::SocketAddr;

/// What is received on one slot, and where it goes.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The expected source: negotiated, or learnt.
    pub source: SocketAddr,
    /// Where packets go.
    pub to: SocketAddr,
    /// The socket that sends them.
    pub to_slot: Slot,
    /// The socket that sends RTCP which arrives here with the RTP (RFC 5761).
    pub rtcp_slot: Slot,
    /// Allowed payload types, a bit each.
    pub allowed: u128,
    /// How far it is.
    pub state: State,
    /// What arrives here.
    pub kind: Kind,
    /// RTCP may arrive here too.
    pub muxed: bool,
    /// Whether `to` may be sent to.
    pub sendable: bool,
    /// The side that sends here does not want to receive (`c=0.0.0.0`).
    pub held: bool,
    /// Whether the three rewrites below apply; off while both ends keep their own streams.
    pub rewrite: bool,
    /// Whether the socket was pointed at `source`, see [`shards::Host::point_media`].
    pub pointed: bool,
    /// Added to each sequence number.
    pub sequence_offset: u16,
    /// Added to each timestamp.
    pub timestamp_offset: u32,
    /// Set as SSRC; of a built-in service, its own.
    pub ssrc: u32,
    /// Of an echo: when the next packet may go back.
    pub paced: Time,
    /// Payload types whose clock is not 8,000 Hz.
    pub clocks: Clocks,
    /// Who may be the source.
    pub latch: Latch,
    /// What was received.
    pub stats: Stats,
}

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not in use.
    Closed,
    /// Negotiated, nothing heard yet: off the hot path.
    Waiting,
    /// The source is known.
    Live,
}

/// What arrives on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain RTP.
    Rtp,
    /// SRTP: header looked at, nothing else.
    Secure,
    /// SRTP and DTLS.
    Dtls,
    /// T.38, opaque.
    Udptl,
    /// RTCP alone.
    Rtcp,
    /// SRTCP alone.
    SecureRtcp,
    /// RTP that is sent back.
    Echo,
    /// RTP that is counted and thrown away.
    Sink,
}

impl Flow {
    /// Not in use.
    pub const CLOSED: Flow = Flow {
        source: NOWHERE,
        to: NOWHERE,
        to_slot: Slot(0),
        rtcp_slot: Slot(0),
        allowed: 0,
        state: State::Closed,
        kind: Kind::Rtp,
        muxed: false,
        sendable: false,
        held: false,
        rewrite: false,
        pointed: false,
        sequence_offset: 0,
        timestamp_offset: 0,
        ssrc: 0,
        paced: Time::ZERO,
        clocks: Clocks::NONE,
        latch: Latch::NOWHERE,
        stats: Stats::NONE,
    };

    /// Whether packets may be sent to this flow's source.
    #[must_use]
    pub fn can_be_sent_to(&self) -> bool {
        self.state != State::Closed && self.source != NOWHERE && !self.held
    }

    /// Takes a (new) negotiated address. An unchanged one keeps what was heard, and so does hold
    /// by `c=0.0.0.0`, which names no address.
    pub fn negotiated(&mut self, latch: Latch, held: bool) {
        self.held = held;
        if self.state != State::Closed && (held || self.latch.describes_as(&latch)) {
            return;
        }
        self.source = latch.expected();
        self.latch = latch;
        self.state = State::Waiting;
    }

    /// Whether the source in use was learnt.
    #[must_use]
    pub fn is_learnt(&self) -> bool {
        self.latch.phase() == Phase::Learnt
    }

    /// Rewrites a checked packet in place.
    #[inline]
    pub fn rewrite(&self, packet: &mut [u8], header: &rtp::Header) {
        if self.rewrite {
            rtp::set_sequence(packet, header.sequence.wrapping_add(self.sequence_offset));
            rtp::set_timestamp(packet, header.timestamp.wrapping_add(self.timestamp_offset));
            rtp::set_ssrc(packet, self.ssrc);
        }
    }
}

/// Clock rates of up to four payload types; others run at 8,000 Hz, or as RFC 3551 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    types: [u8; 4],
    rates: [u32; 4],
}

impl Clocks {
    /// All at 8,000 Hz.
    pub const NONE: Clocks = Clocks {
        types: [u8::MAX; 4],
        rates: [8_000; 4],
    };

    /// Notes a rate; the fifth one other than 8,000 Hz is not noted (its jitter is then wrong,
    /// nothing else).
    pub fn set(&mut self, payload_type: u8, rate: u32) {
        if self.of(payload_type) == rate {
            return;
        }
        let place = self
            .types
            .iter()
            .position(|&known| known == payload_type || known == u8::MAX);
        if let Some(place) = place
            && let (Some(known), Some(known_rate)) = (self.types.get_mut(place), self.rates.get_mut(place))
        {
            *known = payload_type;
            *known_rate = rate;
        }
    }

    /// The rate of a payload type in Hz.
    #[inline]
    #[must_use]
    pub fn of(&self, payload_type: u8) -> u32 {
        if self.types[0] == u8::MAX {
            return 8_000;
        }
        self.types
            .iter()
            .zip(self.rates)
            .find(|(known, _)| **known == payload_type)
            .map_or(8_000, |(_, rate)| rate)
    }
}

/// The table of flows. Memory comes in chunks when a port of the chunk is first used.
pub struct Flows {
    chunks: Vec<Option<Box<[Flow]>>>,
}

impl Flows {
    /// For slots below `slots`; nothing allocated but the table of chunks.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        let mut chunks = Vec::new();
        chunks.resize_with((slots as usize).div_ceil(CHUNK), || None);
        Self { chunks }
    }

    /// The record of a slot, if its chunk was ever used.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Flow> {
        let at = slot.0 as usize;
        self.chunks.get_mut(at / CHUNK)?.as_mut()?.get_mut(at % CHUNK)
    }

    /// As [`Flows::get_mut`].
    #[inline]
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Flow> {
        let at = slot.0 as usize;
        self.chunks.get(at / CHUNK)?.as_ref()?.get(at % CHUNK)
    }

    /// Makes sure that there is a record.
    pub fn prepare(&mut self, slot: Slot) {
        let chunk = self.chunks.get_mut(slot.0 as usize / CHUNK);
        debug_assert!(chunk.is_some(), "slots come from our own slice");
        if let Some(chunk @ None) = chunk {
            *chunk = Some(vec![Flow::CLOSED; CHUNK].into_boxed_slice());
        }
    }

    /// Sets where a flow's packets go, after the flow that it feeds has changed.
    pub fn aim(&mut self, slot: Slot) {
        let Some(to_slot) = self.get(slot).map(|flow| flow.to_slot) else {
            return;
        };
        let Some((to, sendable)) = self.get(to_slot).map(|target| (target.source, target.can_be_sent_to())) else {
            return;
        };
        if let Some(flow) = self.get_mut(slot) {
            flow.to = to;
            flow.sendable = sendable;
        }
    }
}

/// Records in a chunk: about 16 KiB.
const CHUNK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_when_used() {
        let mut flows = Flows::new(40_000);
        assert!(flows.get(Slot(39_999)).is_none());
        flows.prepare(Slot(39_999));
        assert_eq!(flows.get(Slot(39_999)).unwrap().state, State::Closed);
        assert!(flows.get(Slot(0)).is_none() && flows.get(Slot(40_000)).is_none());
        assert_eq!(flows.chunks.iter().flatten().count(), 1);
    }

    #[test]
    fn clocks() {
        let mut clocks = Clocks::NONE;
        clocks.set(0, 8_000);
        assert_eq!(clocks, Clocks::NONE);
        clocks.set(111, 48_000);
        clocks.set(99, 90_000);
        clocks.set(111, 16_000);
        assert_eq!((clocks.of(111), clocks.of(99), clocks.of(0)), (16_000, 90_000, 8_000));
        for payload_type in 0..100 {
            clocks.set(payload_type, 44_100);
        }
        assert_eq!(clocks.of(111), 16_000);
    }

    #[test]
    fn rewriting() {
        let mut flow = Flow::CLOSED;
        let mut packet = rtp::header(0, true, 65_535, u32::MAX, 1).to_vec();
        let before = packet.clone();
        let header = rtp::check(&packet).unwrap();
        flow.rewrite(&mut packet, &header);
        assert_eq!(packet, before);
        flow.rewrite = true;
        (flow.sequence_offset, flow.timestamp_offset, flow.ssrc) = (2, 3, 4);
        flow.rewrite(&mut packet, &header);
        let after = rtp::check(&packet).unwrap();
        assert_eq!(
            (after.sequence, after.timestamp, after.ssrc, after.marker),
            (1, 2, 4, true)
        );
    }
}
