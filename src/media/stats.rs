//! Figures of one received stream: RFC 3550 appendices A.1 (sequence numbers), A.3 (loss) and
//! A.8 (jitter). The source is known, so there is no probation.

use crate::protocol::rtp::Header;
use shards::Time;

/// One received stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Packets.
    pub packets: u64,
    /// Octets with RTP header.
    pub octets: u64,
    /// Arrival of the first packet.
    pub first: Time,
    /// Arrival of the latest packet.
    pub last: Time,
    /// Lost in earlier spans (before a change of SSRC or a restart of the sender).
    lost_before: u32,
    /// How much of [`Stats::lost`] the shard's counter already has.
    pub lost_counted: u32,
    ssrc: u32,
    base: u16,
    max: u16,
    cycles: u32,
    /// The sequence number that would prove a restart; beyond 16 bits when there is none.
    bad: u32,
    /// Packets since `base`; 0 means that no span has begun.
    received: u32,
    transit: u32,
    timestamp: u32,
    /// Jitter times 16, in units of the clock.
    jitter: u32,
    rate: u32,
}

impl Stats {
    /// Nothing received.
    pub const NONE: Stats = Stats {
        packets: 0,
        octets: 0,
        first: Time::ZERO,
        last: Time::ZERO,
        lost_before: 0,
        lost_counted: 0,
        ssrc: 0,
        base: 0,
        max: 0,
        cycles: 0,
        bad: NONE,
        received: 0,
        transit: 0,
        timestamp: 0,
        jitter: 0,
        rate: 8_000,
    };

    /// A packet was received.
    #[inline]
    pub fn receive(&mut self, now: Time, header: &Header, octets: usize, rate: u32) {
        self.opaque(now, octets);
        if self.received == 0 || header.ssrc != self.ssrc {
            self.begin(now, header, rate);
            return;
        }
        self.sequence(now, header, rate);
        self.jitter(now, header.timestamp, rate);
    }

    /// Something that is not RTP was received.
    #[inline]
    pub fn opaque(&mut self, now: Time, octets: usize) {
        if self.packets == 0 {
            self.first = now;
        }
        self.packets += 1;
        self.octets += octets as u64;
        self.last = now;
    }

    /// Packets that are missing; duplicates can hide losses (appendix A.3), never below 0.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.lost_before.saturating_add(self.lost_now())
    }

    /// Interarrival jitter in microseconds.
    #[must_use]
    pub fn jitter_us(&self) -> u32 {
        let micros = u64::from(self.jitter >> 4) * 1_000_000 / u64::from(self.rate.max(1));
        u32::try_from(micros).unwrap_or(u32::MAX)
    }

    fn lost_now(&self) -> u32 {
        if self.received == 0 {
            return 0;
        }
        let expected = (self.cycles + u32::from(self.max))
            .wrapping_sub(u32::from(self.base))
            .wrapping_add(1);
        expected.saturating_sub(self.received)
    }

    fn begin(&mut self, now: Time, header: &Header, rate: u32) {
        self.lost_before = self.lost();
        self.ssrc = header.ssrc;
        self.base = header.sequence;
        self.max = header.sequence;
        self.cycles = 0;
        self.bad = NONE;
        self.received = 1;
        self.rate = rate;
        self.timestamp = header.timestamp;
        self.transit = arrival(now, rate).wrapping_sub(header.timestamp);
    }

    #[inline]
    fn sequence(&mut self, now: Time, header: &Header, rate: u32) {
        let ahead = header.sequence.wrapping_sub(self.max);
        if ahead < MAX_DROPOUT {
            if header.sequence < self.max {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.max = header.sequence;
        } else if ahead <= 0u16.wrapping_sub(MAX_MISORDER) {
            // A very large jump: two in a row mean that the sender has restarted.
            if u32::from(header.sequence) == self.bad {
                self.begin(now, header, rate);
                return;
            }
            self.bad = u32::from(header.sequence.wrapping_add(1));
            return;
        }
        self.received = self.received.saturating_add(1);
    }

    #[inline]
    fn jitter(&mut self, now: Time, timestamp: u32, rate: u32) {
        // Packets of one video frame or one telephone event share their timestamp and say
        // nothing about the network's delay.
        if timestamp == self.timestamp {
            return;
        }
        self.timestamp = timestamp;
        let transit = arrival(now, rate).wrapping_sub(timestamp);
        let change = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        // Another clock, or a jump of the media clock, is not jitter.
        if rate != self.rate || change > rate.saturating_mul(JUMP_SECONDS) {
            self.rate = rate;
            return;
        }
        self.jitter = self
            .jitter
            .saturating_add(change)
            .saturating_sub(self.jitter.saturating_add(8) >> 4);
    }
}

/// A time in units of a clock of `rate` Hz, modulo 2^32.
#[inline]
fn arrival(now: Time, rate: u32) -> u32 {
    let (seconds, nanos) = (now.nanos() / 1_000_000_000, now.nanos() % 1_000_000_000);
    let rate = u64::from(rate);
    seconds.wrapping_mul(rate).wrapping_add(nanos * rate / 1_000_000_000) as u32
}

/// RFC 3550 appendix A.1.
const MAX_DROPOUT: u16 = 3000;
const MAX_MISORDER: u16 = 100;
const NONE: u32 = (1 << 16) + 1;
/// A larger change of transit time is a jump of the sender's clock.
const JUMP_SECONDS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(sequence: u16, timestamp: u32, ssrc: u32) -> Header {
        Header {
            payload_type: 0,
            marker: false,
            padding: false,
            sequence,
            timestamp,
            ssrc,
            length: 12,
        }
    }

    /// Feeds (arrival ms, sequence), 20 ms of audio a packet.
    fn run(packets: &[(u64, u16)]) -> Stats {
        let mut stats = Stats::NONE;
        for &(millis, sequence) in packets {
            let timestamp = u32::from(sequence).wrapping_mul(160);
            stats.receive(Time::from_millis(millis), &header(sequence, timestamp, 1), 172, 8000);
        }
        stats
    }

    #[test]
    fn loss_reorder_duplicate() {
        assert_eq!(run(&[(0, 10), (20, 11), (40, 12)]).lost(), 0);
        assert_eq!(run(&[(0, 10), (60, 13)]).lost(), 2);
        assert_eq!(
            run(&[(0, 10), (60, 12), (61, 11), (80, 13)]).lost(),
            0,
            "late is not lost"
        );
        assert_eq!(
            run(&[(0, 10), (1, 10), (2, 10)]).lost(),
            0,
            "duplicates do not go below 0"
        );
        assert_eq!(run(&[(0, 65534), (20, 65535), (40, 0), (80, 2)]).lost(), 1, "wrap");
    }

    #[test]
    fn restart_and_new_source() {
        let stats = run(&[(0, 100), (40, 102), (60, 40_000), (80, 40_001), (100, 40_002)]);
        assert_eq!((stats.lost(), stats.packets), (1, 5));
        // One stray packet does not begin anew.
        assert_eq!(run(&[(0, 100), (20, 40_000), (40, 101)]).lost(), 0);
        let mut stats = run(&[(0, 1), (40, 3)]);
        stats.receive(Time::from_millis(60), &header(9, 9, 2), 172, 8000);
        assert_eq!(stats.lost(), 1, "what was lost before stays");
    }

    #[test]
    fn jitter() {
        let steady: Vec<_> = (0..100).map(|n| (u64::from(n) * 20, n)).collect();
        assert_eq!(run(&steady).jitter_us(), 0);
        // Every other packet 10 ms late: the difference is always 10 ms, and jitter goes there.
        let uneven: Vec<_> = (0..200)
            .map(|n| (u64::from(n) * 20 + u64::from(n % 2) * 10, n))
            .collect();
        let jitter = run(&uneven).jitter_us();
        assert!((9_000..=10_500).contains(&jitter), "{jitter} us");
    }

    #[test]
    fn shared_timestamps_and_jumps_are_no_jitter() {
        let mut stats = Stats::NONE;
        for n in 0..50u16 {
            stats.receive(Time::from_millis(u64::from(n) * 20), &header(n, 1000, 1), 16, 8000);
        }
        stats.receive(Time::from_millis(1000), &header(50, 900_000, 1), 172, 8000);
        assert_eq!(stats.jitter_us(), 0);
    }

    proptest! {
        #[test]
        fn anything(packets in proptest::collection::vec((any::<u64>(), any::<u16>(), any::<u32>(), 0u32..3, 1u32..1_000_001), 0..60)) {
            let mut stats = Stats::NONE;
            for &(now, sequence, timestamp, ssrc, rate) in &packets {
                stats.receive(Time::from_nanos(now), &header(sequence, timestamp, ssrc), 172, rate);
            }
            prop_assert_eq!(stats.packets, packets.len() as u64);
            let _ = (stats.lost(), stats.jitter_us());
        }
    }
}
