//! The sequence numbers and the jitter of one source, as RFC 3550 appendices A.1, A.3 and A.8 do it,
//! with a window that tells duplicates from late packets.

/// A larger step is a restart of the source, not loss (RFC 3550 appendix A.1).
const MAX_DROPOUT: u16 = 3000;
/// Further behind than this is a restart of the source, not a late packet. Less than the window.
const MAX_MISORDER: u16 = 100;
const WINDOW: u32 = 128;

/// What a sequence number was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Higher than all before.
    Next,
    /// Lower than the highest, not seen before.
    Late,
    /// Seen before.
    Duplicate,
    /// Far from all before; counted when the number after it follows (A.1's `bad_seq`).
    Stray,
}

/// State of one source. Extended numbers start at 65,536 + the first number, so that late packets
/// from before the first do not wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    /// Bit i: the highest number less i was seen; the lower half first.
    seen: [u64; 2],
    highest: u32,
    /// Lowest number: the first, or a late one from before it.
    lowest: u32,
    /// Expected of sources and runs of numbers that are over.
    expected_before: u32,
    ssrc: u32,
    /// The number that would confirm a restart.
    restart: Option<u16>,
    jitter_q4: u32,
    arrived_us: u64,
    timestamp: u32,
    started: bool,
}

impl Sequence {
    /// Takes the number of a packet. Packets confirmed with it: 2 when it confirms a restart, 1 when
    /// it is new, else 0.
    #[inline]
    pub(super) fn take(&mut self, ssrc: u32, number: u16) -> (Step, u32) {
        if !self.started || ssrc != self.ssrc {
            self.start(ssrc, number);
            return (Step::Next, 1);
        }
        let ahead = number.wrapping_sub(self.highest as u16);
        if (1..MAX_DROPOUT).contains(&ahead) {
            self.advance(u32::from(ahead));
            self.restart = None;
            return (Step::Next, 1);
        }
        let behind = (self.highest as u16).wrapping_sub(number);
        if behind <= MAX_MISORDER {
            let bit = 1 << (behind % 64);
            let word = &mut self.seen[usize::from(behind / 64)];
            if *word & bit != 0 {
                return (Step::Duplicate, 0);
            }
            *word |= bit;
            self.lowest = self.lowest.min(self.highest - u32::from(behind));
            return (Step::Late, 1);
        }
        if self.restart == Some(number) {
            // The stray before it was the first of the restart: both have arrived.
            self.start(ssrc, number.wrapping_sub(1));
            self.advance(1);
            return (Step::Next, 2);
        }
        self.restart = Some(number.wrapping_add(1));
        (Step::Stray, 0)
    }

    /// Packets from the lowest to the highest number, over all sources (A.3).
    pub(super) fn expected(&self) -> u32 {
        let current = if self.started {
            self.highest - self.lowest + 1
        } else {
            0
        };
        self.expected_before.saturating_add(current)
    }

    /// Jitter of a packet of an 8 kHz clock (A.8), in sixteenths of a microsecond within. A packet with
    /// the timestamp of the one before says nothing: it belongs to the same telephone event (RFC 4733)
    /// though it was sent later.
    #[inline]
    pub(super) fn jitter(&mut self, timestamp: u32, arrived_us: u64) {
        const US_PER_UNIT: i64 = 125;
        if self.arrived_us != 0 {
            let media = i64::from(timestamp.wrapping_sub(self.timestamp) as i32) * US_PER_UNIT;
            if media == 0 {
                return;
            }
            let transit = (arrived_us.wrapping_sub(self.arrived_us) as i64).wrapping_sub(media);
            let step = transit.unsigned_abs().min(u64::from(u32::MAX >> 5)) as u32;
            self.jitter_q4 = self.jitter_q4 + step - ((self.jitter_q4 + 8) >> 4);
        }
        self.arrived_us = arrived_us;
        self.timestamp = timestamp;
    }

    /// Interarrival jitter in microseconds.
    pub(super) fn jitter_us(&self) -> u32 {
        self.jitter_q4 >> 4
    }

    fn start(&mut self, ssrc: u32, number: u16) {
        self.expected_before = self.expected();
        self.started = true;
        self.ssrc = ssrc;
        self.highest = (1 << 16) + u32::from(number);
        self.lowest = self.highest;
        self.seen = [1, 0];
        self.restart = None;
        // Another source has another timestamp; the jitter so far is kept.
        self.arrived_us = 0;
    }

    #[inline]
    fn advance(&mut self, by: u32) {
        self.highest += by;
        let window = u128::from(self.seen[1]) << 64 | u128::from(self.seen[0]);
        let window = if by < WINDOW { window << by | 1 } else { 1 };
        self.seen = [window as u64, (window >> 64) as u64];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wraps_and_counts_what_is_missing() {
        let mut sequence = Sequence::default();
        for number in [65_533, 65_534, 0, 1, 3] {
            assert_eq!(sequence.take(1, number), (Step::Next, 1));
        }
        assert_eq!(sequence.take(1, 65_535), (Step::Late, 1));
        assert_eq!(sequence.take(1, 65_535), (Step::Duplicate, 0));
        assert_eq!(sequence.take(1, 65_532), (Step::Late, 1), "from before the first");
        assert_eq!(sequence.expected(), 8);
    }

    #[test]
    fn a_restart_needs_two_in_a_row() {
        let mut sequence = Sequence::default();
        sequence.take(1, 10);
        assert_eq!(sequence.take(1, 30_000), (Step::Stray, 0));
        assert_eq!(sequence.take(1, 11), (Step::Next, 1));
        assert_eq!(sequence.take(1, 30_001), (Step::Stray, 0));
        assert_eq!(sequence.take(1, 30_002), (Step::Next, 2));
        assert_eq!(sequence.expected(), 4);
        assert_eq!(sequence.take(2, 5), (Step::Next, 1), "another source");
        assert_eq!(sequence.expected(), 5);
    }

    #[test]
    fn jitter_of_a_known_pattern() {
        let mut sequence = Sequence::default();
        // Every other packet is 16 us late: |D| is 16 each time, and J goes towards 16.
        for packet in 0..500u32 {
            let at = 1_000 + u64::from(packet) * 20_000 + u64::from(packet % 2) * 16;
            sequence.jitter(u32::MAX.wrapping_add(packet * 160), at);
        }
        assert!((15..=16).contains(&sequence.jitter_us()), "{}", sequence.jitter_us());
        let steady = sequence.jitter_us();
        sequence.jitter(u32::MAX.wrapping_add(499 * 160), 90_000_000);
        assert_eq!(sequence.jitter_us(), steady, "same timestamp: same event");
    }

    proptest! {
        /// Any order within the window: every number counts once, and nothing is thought lost
        /// that arrived.
        #[test]
        fn shuffles_and_copies_are_told_apart(
            first: u16, keys in prop::collection::vec((0u32..60, any::<bool>(), prop::bool::weighted(0.1)), 1..400)
        ) {
            let mut order: Vec<(u32, u32)> = Vec::new();
            for (at, &(shift, twice, lost)) in (0u32..).zip(&keys) {
                if !lost {
                    order.push((at + shift, at));
                    if twice {
                        order.push((at + shift / 2, at));
                    }
                }
            }
            order.sort_unstable();
            let mut sequence = Sequence::default();
            let mut seen = std::collections::BTreeSet::new();
            for &(_, at) in &order {
                let (step, counted) = sequence.take(1, first.wrapping_add(at as u16));
                let highest = seen.last().is_none_or(|&last| at > last);
                let fresh = seen.insert(at);
                prop_assert_eq!(counted, u32::from(fresh));
                let expected = if !fresh { Step::Duplicate } else if highest { Step::Next } else { Step::Late };
                prop_assert_eq!(step, expected);
            }
            let span = seen.last().zip(seen.first()).map_or(0, |(last, first)| last - first + 1);
            prop_assert_eq!(sequence.expected(), span);
        }
    }
}
