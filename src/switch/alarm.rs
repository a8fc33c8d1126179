//! One owner's timer in a wheel that many share.

use super::slab::Handle;
use shards::Time;
use shards::wheel::{TimerId, Wheel};

/// Set for what falls due first, and taken away with its owner: an entry that stayed behind until it
/// falls due by itself (the longest call: hours) would be memory that grows with every call.
#[derive(Debug)]
pub struct Alarm {
    at: Time,
    id: TimerId,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            at: Time::FAR,
            id: TimerId::NONE,
        }
    }
}

impl Alarm {
    /// Rings at `at` or earlier, whichever was asked for first.
    pub fn ring_by(&mut self, wheel: &mut Wheel<Handle>, at: Time, owner: Handle) {
        if at < self.at {
            self.stop(wheel);
            *self = Self {
                at,
                id: wheel.insert(at, owner),
            };
        }
    }

    /// The wheel has given it out.
    pub fn rang(&mut self) {
        *self = Self::default();
    }

    /// Rings no more.
    pub fn stop(&mut self, wheel: &mut Wheel<Handle>) {
        wheel.cancel(self.id);
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_at_most() {
        let mut wheel = Wheel::new(Time::ZERO);
        let owner = Handle {
            index: 3,
            generation: 1,
        };
        let mut alarm = Alarm::default();
        for (at, rings) in [(500, 500), (700, 500), (20, 20), (Time::FAR.millis(), 20)] {
            alarm.ring_by(&mut wheel, Time::from_millis(at), owner);
            assert_eq!((wheel.len(), alarm.at), (1, Time::from_millis(rings)));
        }
        assert_eq!(wheel.pop(Time::from_millis(20)), Some(owner));
        alarm.rang();
        alarm.ring_by(&mut wheel, Time::FAR, owner);
        assert!(wheel.is_empty());
        alarm.ring_by(&mut wheel, Time::from_millis(90), owner);
        alarm.stop(&mut wheel);
        alarm.stop(&mut wheel);
        assert!(wheel.is_empty());
    }
}
