//! What else a shard's core does, and how that grows with the shard's own work.
//!
//! Our load brings work that is not our thread's: the kernel's for arriving packets, the companion's for
//! streams, on a shared machine the load generator's or the media server's. It takes part of the room that
//! our thread seems to have, so it is carried along to the load in question. What a neighbour does whether
//! we work or not is only subtracted.

use super::fit::{MEMORY_SECONDS, Moments, SAMPLES_MIN, Smooth};
use super::learn::{BUSY_TO_JUDGE, CALM, CALM_COST};

/// From here on a core is full: what grows then takes from the rest, and shows nothing of its wishes.
pub const FULL: f64 = 0.9;
/// The own share has moved when its standard deviation is this part of its mean, and this much of a core.
const VARIED: f64 = 0.15;
const VARIED_MIN: f64 = 0.02;
/// Growth counts when it is so many times its standard error; less is a neighbour's noise.
const SURE: f64 = 2.0;
/// What follows is a good part of the others from one in so many on.
const MOSTLY: f64 = 3.0;
/// No core's share is known better than to this.
const NOISE: f64 = 0.01;
/// Neighbouring samples are smoothed over several seconds: so many of them tell as much as one.
const SAMPLES_ALIKE: f64 = 10.0;

/// The others on one shard's core.
#[derive(Clone, Debug, Default)]
pub struct Others {
    share: Smooth,
    /// While the shard rested.
    base: Smooth,
    line: Moments<2>,
    growth: Option<f64>,
}

impl Others {
    /// A second in which the core was busy for the share `core`, and the shard for `own` of it; `calm` is
    /// the shard's share smoothed over [`CALM`] seconds.
    pub fn add(&mut self, own: f64, core: f64, calm: f64, seconds: f64) {
        self.share.add((core - own).clamp(0.0, 1.0), seconds, CALM);
        let share = self.share.get();
        if calm < BUSY_TO_JUDGE {
            self.base.add(share, seconds, CALM_COST);
        } else if self.base.known().is_some() {
            // Who was there at rest may have gone since; it is believed less and less.
            self.base.add(0.0, seconds, MEMORY_SECONDS);
        }
        if core.max(calm + share) < FULL {
            self.line.add([calm, share]);
            self.growth = self.grows(calm).or(self.growth);
        }
    }

    /// The share of the core that is neither idle nor the shard's, smoothed; `None` when it is not known.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        self.share.known()
    }

    /// By how much it grows while the shard's own share grows by one; `None` before there was work.
    #[must_use]
    pub fn growth(&self) -> Option<f64> {
        self.growth
    }

    /// Forgets the load, not how the others follow it.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self {
            share: Smooth::default(),
            ..self.clone()
        }
    }

    /// Others that do not follow are left out. When a good part does, all beyond the base may: the line of the last
    /// minutes is too flat where an overload is part of it.
    fn grows(&self, own: f64) -> Option<f64> {
        match self.slope() {
            Some(slope) if slope * own * MOSTLY >= self.share.get() => {
                Some(slope.max(self.beyond_base(own).unwrap_or(0.0)))
            }
            Some(slope) => Some(slope),
            None => self.beyond_base(own),
        }
    }

    /// As the last minutes show it; `None` when our own share did not move. Others that moved by
    /// themselves, or recede before us, count as constant.
    fn slope(&self) -> Option<f64> {
        let Moments {
            samples,
            mean: [own, _],
            covariance: [[variance, across], [_, others]],
        } = self.line;
        if samples < SAMPLES_MIN || variance.sqrt() < (VARIED * own).max(VARIED_MIN) {
            return None;
        }
        let slope = across / variance;
        let rest = (others - slope * across).max(NOISE * NOISE);
        let error = (rest * SAMPLES_ALIKE / (samples * variance)).sqrt();
        Some(if slope >= SURE * error { slope } else { 0.0 })
    }

    /// Under a steady load nothing shows what belongs together. What was there while the shard rested is a
    /// neighbour's; all beyond it may have come with our load, and is taken to grow with it: of the two
    /// errors, too little room told is the one that costs no call.
    fn beyond_base(&self, own: f64) -> Option<f64> {
        (own >= BUSY_TO_JUDGE).then(|| (self.share.get() - self.base.get()).max(0.0) / own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The growth after seconds in which the shard took `own` and the others `others` of the core.
    fn after(seconds: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
        let (mut found, mut calm) = (Others::default(), Smooth::default());
        for (own, others) in seconds {
            calm.add(own, 1.0, CALM);
            found.add(own, own + others, calm.get(), 1.0);
        }
        found.growth()
    }

    /// A load that comes and goes within `period` seconds.
    fn wave(second: i32, period: f64) -> f64 {
        0.2 + 0.15 * (f64::from(second) * std::f64::consts::TAU / period).sin()
    }

    #[test]
    fn what_follows_a_moving_load_is_seen() {
        let rest = (0..30).map(|_| (0.0, 0.0));
        let work = |most: i32, per: f64| (0..most).map(move |n| (wave(n, 60.0), per * wave(n, 60.0)));
        let growth = after(rest.clone().chain(work(180, 0.8))).unwrap();
        assert!((0.75..0.85).contains(&growth), "{growth}");
        // An overload in which others hardly grow any more does not hide how they grew up to it.
        let overload = (0..30).map(|_| (0.5, 0.35));
        let after_it = work(60, 0.8).chain(overload).chain((0..40).map(|_| (0.2, 0.16)));
        let growth = after(rest.chain(after_it)).unwrap();
        assert!((0.75..0.9).contains(&growth), "{growth}");
    }

    #[test]
    fn a_neighbour_that_does_not_follow_is_constant() {
        let still = after((0..180).map(|n| (wave(n, 60.0), 0.3)));
        assert_eq!(still, Some(0.0));
        // One in ten follows, and the neighbour is not taken along.
        let mostly_still = after((0..180).map(|n| (wave(n, 60.0), 0.3 + 0.1 * wave(n, 60.0)))).unwrap();
        assert!(mostly_still < 0.15, "{mostly_still}");
        let restless = after((0..180).map(|n| (wave(n, 60.0), if n / 13 % 2 == 0 { 0.4 } else { 0.05 })));
        assert_eq!(restless, Some(0.0));
        let receding = after((0..180).map(|n| (wave(n, 60.0), 0.4 - wave(n, 60.0))));
        assert_eq!(receding, Some(0.0));
    }

    #[test]
    fn under_a_steady_load_all_beyond_the_base_follows() {
        let rest = (0..20).map(|_| (0.0, 0.1));
        let growth = |seconds: i32| after(rest.clone().chain((0..seconds).map(|_| (0.2, 0.3)))).unwrap();
        assert!((0.95..1.15).contains(&growth(30)), "{}", growth(30));
        assert!(
            (1.4..1.5).contains(&growth(900)),
            "who was there at rest may have gone: {}",
            growth(900)
        );
        let unknown = after((0..100).map(|_| (0.2, 0.3))).unwrap();
        assert!((1.4..1.6).contains(&unknown), "{unknown}");
        assert_eq!(after((0..100).map(|_| (0.0, 0.3))), None, "no work, nothing to tell");
    }

    #[test]
    fn a_full_core_teaches_nothing() {
        let calm = (0..120).map(|n| (wave(n, 60.0), 0.5 * wave(n, 60.0)));
        let growth =
            after(calm.chain((0..60).map(|n| (0.5 + f64::from(n) / 200.0, 0.5 - f64::from(n) / 200.0)))).unwrap();
        assert!((0.45..0.55).contains(&growth), "{growth}");
    }
}
