//! When calls are due: open loop. A call that was due is started whatever the target does, late if the
//! machine was late, and measured from when it was due.

use shards::Time;
use std::time::Duration;

/// Calls a second of a shard from which they are started in groups.
const GROUPED_FROM: f64 = 250.0;
/// How far apart the groups are: also how late a call may start without this counting as the target's fault.
pub(super) const GRAIN: Duration = Duration::from_millis(2);

/// The schedule of one shard: every `shards`-th call of the whole run.
#[derive(Clone, Debug)]
pub struct Arrivals {
    rate: f64,
    shard: u32,
    shards: u32,
    /// When counting at this rate began, and how many calls of ours were due since.
    since: Time,
    started: u64,
    /// Calls of this shard still to be started; `None` for no end.
    left: Option<u64>,
    stopped: bool,
}

impl Arrivals {
    /// `rate` calls a second in the whole run, `most` calls in the whole run.
    #[must_use]
    pub fn new(rate: f64, most: Option<u64>, shard: u16, shards: u16, start: Time) -> Self {
        let (shard, shards) = (u32::from(shard), u32::from(shards).max(1));
        Self {
            rate,
            shard,
            shards,
            since: start,
            started: 0,
            left: most.map(|most| share(most, shard, shards)),
            stopped: false,
        }
    }

    /// The next call's time; `None` when there is none.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        if self.stopped || self.left == Some(0) || self.rate <= 0.0 {
            return None;
        }
        // Call k of the run is due k/rate after the start; ours are shard, shard + shards, ...
        let number = self.started as f64 * f64::from(self.shards) + f64::from(self.shard);
        Some(self.since + Duration::from_secs_f64((number / self.rate).min(1e9)))
    }

    /// When to look for the next call. Above a few hundred a second calls are started in small groups:
    /// waking up for each one would cost more than the call.
    #[must_use]
    pub fn next_grain(&self) -> Option<Time> {
        let next = self.next()?;
        if self.rate / f64::from(self.shards) < GROUPED_FROM {
            return Some(next);
        }
        let grain = GRAIN.as_nanos() as u64;
        Some(Time::from_nanos(next.nanos().div_ceil(grain).saturating_mul(grain)))
    }

    /// Takes the next call if it is due.
    pub fn take(&mut self, now: Time) -> Option<Time> {
        let due = self.next().filter(|due| *due <= now)?;
        self.started += 1;
        self.left = self.left.map(|left| left - 1);
        Some(due)
    }

    /// Gives back the call just taken: it was due, but does not count towards the run's number of calls.
    pub fn give_back(&mut self) {
        self.left = self.left.map(|left| left + 1);
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, now: Time, rate: f64) {
        self.rate = rate;
        self.since = now;
        self.started = 0;
    }

    /// The run's rate.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// No more calls.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Goes on after [`stop`](Self::stop), with another rate and number of calls.
    pub fn restart(&mut self, now: Time, rate: f64, most: Option<u64>) {
        self.stopped = false;
        self.left = most.map(|most| share(most, self.shard, self.shards));
        self.set_rate(now, rate);
    }

    /// Whether no call will ever be due again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stopped || self.left == Some(0)
    }
}

/// A shard's share of `whole` things dealt out in turn.
#[must_use]
pub fn share(whole: u64, shard: u32, shards: u32) -> u64 {
    let shards = u64::from(shards);
    whole / shards + u64::from(u64::from(shard) < whole % shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for whole in 0..20 {
            for shards in 1..5 {
                assert_eq!((0..shards).map(|shard| share(whole, shard, shards)).sum::<u64>(), whole);
            }
        }
    }

    #[test]
    fn two_shards_make_one_schedule() {
        let mut due = Vec::new();
        for shard in 0..2 {
            let mut arrivals = Arrivals::new(10.0, Some(5), shard, 2, Time::ZERO);
            while let Some(at) = arrivals.take(Time::from_millis(10_000)) {
                due.push(at.millis());
            }
            assert!(arrivals.is_over());
        }
        due.sort_unstable();
        assert_eq!(due, [0, 100, 200, 300, 400]);
    }

    #[test]
    fn never_more_than_asked() {
        let mut arrivals = Arrivals::new(100.0, None, 0, 1, Time::ZERO);
        let mut count = 0;
        for millis in 0..=1000 {
            while arrivals.take(Time::from_millis(millis)).is_some() {
                count += 1;
            }
        }
        assert_eq!(count, 101, "one each 10 ms, the first at once");
        arrivals.set_rate(Time::from_millis(1000), 0.0);
        assert_eq!(arrivals.take(Time::from_millis(100_000)), None);
    }
}
