//! Timers in a hierarchical wheel: insert, cancel and pop in constant time, no allocation once
//! the slab has grown to the most timers that ever lived at once.
//!
//! Eight levels of 64 slots, one millisecond a tick. A timer lies in the level of the highest
//! group of six bits in which its tick differs from the wheel's, so its place depends on the
//! wheel's tick alone: timers of the same tick always share a slot and keep their order.

use crate::time::Time;

/// Names a timer of one wheel; never names another one after the timer has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

impl TimerId {
    /// Names no timer.
    pub const NONE: TimerId = TimerId {
        index: u32::MAX,
        generation: 0,
    };
}

const BITS: u32 = 6;
const SLOTS: u64 = 1 << BITS;
const LEVELS: usize = 8;
/// The list of timers that are due, after the lists of the slots.
const DUE: u16 = (LEVELS as u16) * (SLOTS as u16);
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry<T> {
    value: Option<T>,
    tick: u64,
    generation: u32,
    list: u16,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// Timers that carry a `T`.
#[derive(Debug)]
pub struct Wheel<T> {
    /// All slots that end at or before this tick were emptied.
    tick: u64,
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
    lists: Box<[List]>,
    occupied: [u64; LEVELS],
}

const fn tick_at_or_after(at: Time) -> u64 {
    at.nanos().div_ceil(1_000_000)
}

const fn time_of(tick: u64) -> Time {
    Time::from_nanos(tick.saturating_mul(1_000_000))
}

impl<T> Wheel<T> {
    /// An empty wheel whose clock shows `now`.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self {
            tick: now.millis(),
            entries: Vec::new(),
            free: NONE,
            len: 0,
            lists: vec![
                List {
                    first: NONE,
                    last: NONE
                };
                DUE as usize + 1
            ]
            .into_boxed_slice(),
            occupied: [0; LEVELS],
        }
    }

    /// How many timers run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets a timer; one in the past is due at once, after those that are due already.
    pub fn insert(&mut self, at: Time, value: T) -> TimerId {
        let tick = tick_at_or_after(at);
        let index = self.claim(tick, value);
        self.link(index);
        self.len += 1;
        TimerId {
            index,
            generation: self.entries[index as usize].generation,
        }
    }

    /// Takes a timer away; `None` when it has gone already.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let entry = self.entries.get(id.index as usize)?;
        if entry.generation != id.generation || entry.value.is_none() {
            return None;
        }
        self.unlink(id.index);
        self.release(id.index)
    }

    /// A timer's value while it runs.
    pub fn get_mut(&mut self, id: TimerId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation == id.generation {
            entry.value.as_mut()
        } else {
            None
        }
    }

    /// When to call [`pop`](Self::pop) next. Never late; it may be early by the width of a
    /// slot, in which case nothing pops and the next answer is closer.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        let due = self.lists[DUE as usize].first;
        if due != NONE {
            return Some(time_of(self.entries[due as usize].tick));
        }
        self.first_slot().map(|(_, _, base)| time_of(base))
    }

    /// Takes the first timer that is due at `now`; timers come in the order of their
    /// milliseconds, those of the same millisecond in the order in which they were set.
    pub fn pop(&mut self, now: Time) -> Option<T> {
        let now = now.millis();
        loop {
            let due = self.lists[DUE as usize].first;
            if due != NONE {
                if self.entries[due as usize].tick > now {
                    return None; // the clock was set back; wait for it
                }
                self.unlink(due);
                return self.release(due);
            }
            match self.first_slot() {
                Some((level, slot, base)) if base <= now => {
                    self.tick = base;
                    self.empty_slot(level, slot);
                }
                _ => {
                    // No slot begins in between, so every timer's place stays right.
                    self.tick = self.tick.max(now);
                    return None;
                }
            }
        }
    }

    /// The occupied slot that begins first, and its first tick. A lower level is always earlier.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = BITS * level as u32;
        let above = self.tick >> shift >> BITS << BITS;
        Some((level, slot as usize, (above | u64::from(slot)) << shift))
    }

    fn empty_slot(&mut self, level: usize, slot: usize) {
        let list = std::mem::replace(
            &mut self.lists[level * SLOTS as usize + slot],
            List {
                first: NONE,
                last: NONE,
            },
        );
        self.occupied[level] &= !(1 << slot);
        let mut index = list.first;
        while index != NONE {
            let next = self.entries[index as usize].next;
            self.link(index);
            index = next;
        }
    }

    /// Puts an entry where its tick belongs, at the end.
    fn link(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick;
        let list = if tick <= self.tick {
            DUE
        } else {
            let level = ((tick ^ self.tick).ilog2() / BITS) as usize;
            debug_assert!(level < LEVELS, "64 bits of nanoseconds are 45 bits of ticks");
            let slot = (tick >> (BITS * level as u32)) % SLOTS;
            self.occupied[level] |= 1 << slot;
            (level as u64 * SLOTS + slot) as u16
        };
        let last = self.lists[list as usize].last;
        let entry = &mut self.entries[index as usize];
        entry.list = list;
        entry.previous = last;
        entry.next = NONE;
        match last {
            NONE => self.lists[list as usize].first = index,
            last => self.entries[last as usize].next = index,
        }
        self.lists[list as usize].last = index;
    }

    fn unlink(&mut self, index: u32) {
        let Entry {
            list, previous, next, ..
        } = self.entries[index as usize];
        match previous {
            NONE => self.lists[list as usize].first = next,
            previous => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[list as usize].last = previous,
            next => self.entries[next as usize].previous = previous,
        }
        if list != DUE && self.lists[list as usize].first == NONE {
            self.occupied[list as usize / SLOTS as usize] &= !(1 << (u64::from(list) % SLOTS));
        }
    }

    fn claim(&mut self, tick: u64, value: T) -> u32 {
        if self.free == NONE {
            let index = u32::try_from(self.entries.len()).unwrap_or(NONE);
            assert!(index != NONE, "fewer than 2^32 timers");
            self.entries.push(Entry {
                value: Some(value),
                tick,
                generation: 0,
                list: DUE,
                previous: NONE,
                next: NONE,
            });
            return index;
        }
        let index = self.free;
        let entry = &mut self.entries[index as usize];
        self.free = entry.next;
        entry.value = Some(value);
        entry.tick = tick;
        index
    }

    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free;
        self.free = index;
        self.len -= 1;
        entry.value.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::{BinaryHeap, HashMap, HashSet};

    #[test]
    fn never_early_and_in_order() {
        let mut wheel = Wheel::new(Time::ZERO);
        wheel.insert(Time::from_nanos(5_000_001), 'b');
        wheel.insert(Time::from_millis(5), 'a');
        wheel.insert(Time::from_millis(70), 'c');
        assert_eq!(wheel.next(), Some(Time::from_millis(5)));
        assert_eq!(wheel.pop(Time::from_nanos(4_999_999)), None);
        assert_eq!(wheel.pop(Time::from_millis(5)), Some('a'));
        assert_eq!(wheel.pop(Time::from_nanos(5_999_999)), None);
        assert_eq!(wheel.pop(Time::from_millis(6)), Some('b'));
        assert_eq!(wheel.pop(Time::from_millis(69)), None);
        assert_eq!(wheel.pop(Time::from_millis(1_000_000_000_000)), Some('c'));
        assert!(wheel.is_empty());
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_stale_id_cancels_nothing() {
        let mut wheel = Wheel::new(Time::ZERO);
        let first = wheel.insert(Time::from_millis(1), 1);
        assert_eq!(wheel.cancel(first), Some(1));
        let second = wheel.insert(Time::from_millis(1), 2);
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(wheel.cancel(TimerId::NONE), None);
        assert_eq!(wheel.get_mut(second), Some(&mut 2));
        assert_eq!(wheel.cancel(second), Some(2));
    }

    #[test]
    fn far_is_far() {
        let mut wheel = Wheel::new(Time::from_millis(7));
        wheel.insert(Time::FAR, ());
        assert!(wheel.next().is_some());
        assert_eq!(wheel.pop(Time::from_millis(1 << 44)), None);
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn the_slab_is_used_again() {
        let mut wheel = Wheel::new(Time::ZERO);
        for round in 0..1000u64 {
            let id = wheel.insert(Time::from_millis(round + 1000), round);
            wheel.insert(Time::from_millis(round), round);
            assert_eq!(wheel.pop(Time::from_millis(round)), Some(round));
            assert_eq!(wheel.cancel(id), Some(round));
        }
        assert_eq!(wheel.entries.len(), 2);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Cancel(usize),
        Advance(u64),
        Pop,
        Next,
    }

    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0..3_000_000u64,
            4 => 0..200_000_000u64,
            2 => 0..40_000_000_000u64,
            1 => 0..200_000_000_000_000_000u64,
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => span().prop_map(Op::Insert),
            2 => any::<usize>().prop_map(Op::Cancel),
            2 => span().prop_map(Op::Advance),
            4 => Just(Op::Pop),
            1 => Just(Op::Next),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// The wheel does what a heap ordered by (tick, insertion) does.
        #[test]
        fn like_a_heap(start in span(), ops in prop::collection::vec(op(), 1..400)) {
            let mut now = start;
            let mut wheel = Wheel::new(Time::from_nanos(now));
            let mut heap = BinaryHeap::new();
            let mut gone = HashSet::new();
            let mut ids = HashMap::new();
            let mut order = Vec::new();
            for (serial, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Insert(span) => {
                        let at = Time::from_nanos(now + span);
                        ids.insert(serial, wheel.insert(at, serial));
                        order.push(serial);
                        heap.push(Reverse((tick_at_or_after(at), serial)));
                    }
                    Op::Cancel(which) if !order.is_empty() => {
                        let serial = order[which % order.len()];
                        let cancelled = wheel.cancel(ids[&serial]);
                        prop_assert_eq!(cancelled, gone.insert(serial).then_some(serial));
                    }
                    Op::Cancel(_) => {}
                    Op::Advance(span) => now += span,
                    Op::Pop => {
                        while heap.peek().is_some_and(|Reverse((_, serial))| gone.contains(serial)) {
                            heap.pop();
                        }
                        let due = match heap.peek() {
                            Some(&Reverse((tick, serial))) if tick <= now / 1_000_000 => {
                                heap.pop();
                                gone.insert(serial);
                                Some(serial)
                            }
                            _ => None,
                        };
                        prop_assert_eq!(wheel.pop(Time::from_nanos(now)), due);
                    }
                    Op::Next => {
                        let first = heap.iter().filter(|Reverse((_, s))| !gone.contains(s)).map(|Reverse((t, _))| *t).min();
                        match (wheel.next(), first) {
                            (None, None) => {}
                            (Some(next), Some(tick)) => prop_assert!(next <= time_of(tick)),
                            (next, first) => prop_assert!(false, "{:?} {:?}", next, first),
                        }
                    }
                }
                prop_assert_eq!(wheel.len(), order.len() - gone.len());
            }
            // From next to next it comes to an end, in few steps for each timer.
            let mut steps = 0;
            while let Some(next) = wheel.next() {
                steps += 1;
                prop_assert!(steps < 400 * 9);
                wheel.pop(next.max(Time::from_nanos(now)));
                now = now.max(next.nanos());
            }
            prop_assert_eq!(wheel.len(), 0);
        }
    }
}
