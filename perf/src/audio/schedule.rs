//! The pace of thousands of streams. Time is a ring of 20 slots of one millisecond; a stream sits in
//! one slot, so it is due once each 20 ms, and streams are spread over the slots so that a tick has
//! a twentieth of the work. Joining, leaving and being due cost the same for any number of streams.

/// Slots of the ring: milliseconds of one packet (G.711 with RFC 3551's 20 ms).
pub const SLOTS: u64 = 20;
/// After a stall, so many packets of each stream are sent at once; older ones are skipped. A phone
/// whose buffer has run empty gains nothing from more, and the server would take it for an attack.
pub const CATCH_UP_ROUNDS: u64 = 3;

/// Who is due when.
#[derive(Debug)]
pub struct Schedule {
    slots: [Vec<Member>; SLOTS as usize],
    /// By stream index: its slot and place within.
    places: Vec<Option<Place>>,
    /// All milliseconds before this one are done.
    next_ms: u64,
    skipped: u64,
    members: usize,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    stream: u32,
    /// Nothing is owed for the time before the stream joined.
    from_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u8,
    at: u32,
}

impl Schedule {
    /// A ring that starts at `now_ms` of the caller's clock.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            slots: std::array::from_fn(|_| Vec::new()),
            places: Vec::new(),
            next_ms: now_ms,
            skipped: 0,
            members: 0,
        }
    }

    /// Makes room, so that joining does not allocate below `streams`.
    pub fn reserve(&mut self, streams: usize) {
        self.places.reserve(streams);
        for slot in &mut self.slots {
            slot.reserve(streams / SLOTS as usize + 1);
        }
    }

    /// Takes in a stream (a slab index, small numbers: a table is kept up to the largest) at the
    /// least filled slot, of several the one that comes next. Its first packet is due within 20 ms
    /// of `now_ms`. `false` when it is in already.
    pub fn join(&mut self, stream: u32, now_ms: u64) -> bool {
        if self.contains(stream) {
            return false;
        }
        let from_ms = now_ms.max(self.next_ms);
        let Some((slot, members)) = (from_ms..from_ms + SLOTS)
            .map(|ms| (ms % SLOTS, self.slots[(ms % SLOTS) as usize].len()))
            .min_by_key(|&(_, members)| members)
        else {
            return false;
        };
        let index = stream as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        self.places[index] = Some(Place {
            slot: slot as u8,
            at: members as u32,
        });
        self.slots[slot as usize].push(Member { stream, from_ms });
        self.members += 1;
        true
    }

    /// Takes a stream out. `false` when it is not in.
    pub fn leave(&mut self, stream: u32) -> bool {
        let Some(place) = self.places.get_mut(stream as usize).and_then(Option::take) else {
            return false;
        };
        let slot = &mut self.slots[usize::from(place.slot)];
        slot.swap_remove(place.at as usize);
        if let Some(moved) = slot.get(place.at as usize) {
            self.places[moved.stream as usize] = Some(place);
        }
        self.members -= 1;
        true
    }

    /// The streams that have to send a packet now: those of each millisecond since the last call up
    /// to and including `now_ms`, in order of time. After a stall a stream comes up to
    /// [`CATCH_UP_ROUNDS`] times. The call counts as served whether or not all is taken.
    pub fn due(&mut self, now_ms: u64) -> Due<'_> {
        let end_ms = now_ms.saturating_add(1).max(self.next_ms);
        let start_ms = self.next_ms.max(end_ms.saturating_sub(SLOTS * CATCH_UP_ROUNDS));
        if start_ms > self.next_ms {
            self.skipped += self.owed(self.next_ms, start_ms);
        }
        self.next_ms = end_ms;
        Due {
            slots: &self.slots,
            ms: start_ms,
            end_ms,
            at: 0,
        }
    }

    /// Whether a stream is in.
    #[must_use]
    pub fn contains(&self, stream: u32) -> bool {
        self.places.get(stream as usize).is_some_and(Option::is_some)
    }

    /// Streams in the ring.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members
    }

    /// Whether the ring has no stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// Packets of streams in the ring that were never due, since a stall was too long.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Packets due from `start_ms` to before `end_ms`; only after a stall, so it may look at all.
    fn owed(&self, start_ms: u64, end_ms: u64) -> u64 {
        // Milliseconds t below `end` with t % SLOTS == slot.
        let below = |end: u64, slot: u64| (end + SLOTS - 1 - slot) / SLOTS;
        let slots = self.slots.iter().zip(0u64..);
        slots
            .flat_map(|(members, slot)| members.iter().map(move |member| (member.from_ms.max(start_ms), slot)))
            .map(|(from, slot)| below(end_ms, slot).saturating_sub(below(from, slot)))
            .sum()
    }
}

/// See [`Schedule::due`].
#[derive(Debug)]
pub struct Due<'a> {
    slots: &'a [Vec<Member>; SLOTS as usize],
    ms: u64,
    end_ms: u64,
    at: usize,
}

impl Iterator for Due<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        while self.ms < self.end_ms {
            while let Some(member) = self.slots[(self.ms % SLOTS) as usize].get(self.at) {
                self.at += 1;
                if member.from_ms <= self.ms {
                    return Some(member.stream);
                }
            }
            self.ms += 1;
            self.at = 0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn streams_spread_evenly_and_each_sends_once_a_round() {
        let mut schedule = Schedule::new(1_000);
        schedule.reserve(1_000);
        for stream in 0..1_000 {
            assert!(schedule.join(stream, 1_000));
        }
        assert!(!schedule.join(5, 1_000), "once is enough");
        let ticks: Vec<usize> = (1_000..1_020).map(|ms| schedule.due(ms).count()).collect();
        assert_eq!(ticks, [50; 20]);
        assert_eq!((schedule.due(1_019).count(), schedule.len()), (0, 1_000));
    }

    #[test]
    fn a_stall_is_caught_up_for_three_rounds() {
        let mut schedule = Schedule::new(0);
        for stream in 0..40 {
            schedule.join(stream, 0);
        }
        assert_eq!(schedule.due(19).count(), 40);
        assert_eq!(schedule.due(19 + 200).count(), 120);
        assert_eq!(schedule.skipped(), 7 * 40);
        schedule.join(40, 219);
        assert_eq!(schedule.due(239).filter(|&stream| stream == 40).count(), 1);
    }

    /// What the ring has to equal: each stream's slot, and every millisecond looked at.
    #[derive(Default)]
    struct Naive {
        streams: BTreeMap<u32, (u64, u64)>,
        next_ms: u64,
        skipped: u64,
    }

    impl Naive {
        fn due(&mut self, now_ms: u64) -> Vec<u32> {
            let mut due = Vec::new();
            for ms in self.next_ms..=now_ms {
                for (&stream, &(slot, from)) in &self.streams {
                    if ms % 20 == slot && ms >= from {
                        if ms + 60 > now_ms {
                            due.push(stream);
                        } else {
                            self.skipped += 1;
                        }
                    }
                }
            }
            self.next_ms = self.next_ms.max(now_ms + 1);
            due
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(u32),
        Leave(u32),
        Tick(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u32..60).prop_map(Step::Join),
            2 => (0u32..60).prop_map(Step::Leave),
            4 => (0u64..30).prop_map(Step::Tick),
            1 => (0u64..500).prop_map(Step::Tick),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn equals_the_naive_model(steps in steps(), start in 0u64..100) {
            let mut schedule = Schedule::new(start);
            let mut naive = Naive { next_ms: start, ..Naive::default() };
            let mut now = start;
            for step in steps {
                match step {
                    Step::Join(stream) => {
                        let fresh = !naive.streams.contains_key(&stream);
                        prop_assert_eq!(schedule.join(stream, now), fresh);
                        if fresh {
                            let slot = u64::from(schedule.places[stream as usize].unwrap().slot);
                            let fill = |slot| naive.streams.values().filter(|member| member.0 == slot).count();
                            prop_assert!((0..20).all(|other| fill(slot) <= fill(other)));
                            naive.streams.insert(stream, (slot, now.max(naive.next_ms)));
                        }
                    }
                    Step::Leave(stream) => {
                        prop_assert_eq!(schedule.leave(stream), naive.streams.remove(&stream).is_some());
                    }
                    Step::Tick(by) => {
                        now += by;
                        let (mut ours, mut theirs) = (schedule.due(now).collect::<Vec<_>>(), naive.due(now));
                        ours.sort_unstable();
                        theirs.sort_unstable();
                        prop_assert_eq!(ours, theirs);
                    }
                }
                prop_assert_eq!(schedule.len(), naive.streams.len());
                prop_assert_eq!(schedule.skipped(), naive.skipped);
            }
        }
    }
}
