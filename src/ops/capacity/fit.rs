//! What a relayed packet and a SIP message cost a shard, from figures that only show the sum.
//!
//! A least-squares fit of the shard's busy share on packets and messages a second, in which old
//! seconds fade (exponentially weighted means and covariances; West, CACM 22(9), 1979). A cost is
//! told only when the load has moved enough to show it: otherwise any split fits as well as any other.

use std::f64::consts::E;

/// Seconds after which a sample counts for 1/e.
pub const MEMORY_SECONDS: f64 = 180.0;
/// Samples before anything is told.
pub const SAMPLES_MIN: f64 = 30.0;
/// Neighbouring samples are smoothed over several seconds: so many of them tell as much as one.
const SAMPLES_ALIKE: f64 = 10.0;
/// The standard deviation of a load, as a part of its mean, below which it has not varied.
const VARIED: f64 = 0.15;
/// Above this squared correlation packets and messages came and went together.
const TOGETHER: f64 = 0.95;
/// The standard error of a cost, as a part of it, above which the cost is a guess.
const ERROR_MAX: f64 = 0.25;
/// The busy share is never known better than to this, so that no fit looks perfect.
const BUSY_NOISE: f64 = 0.003;
/// Loads below these, packets and messages a second, show nothing.
const LOAD_MIN: [f64; 2] = [10.0, 1.0];

const PACKETS: usize = 0;
const MESSAGES: usize = 1;
const BUSY: usize = 2;

/// Seconds of processor time each; `None` when the load cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// One relayed packet.
    pub packet: Option<f64>,
    /// One SIP message.
    pub message: Option<f64>,
}

/// Means and covariances in which old samples fade.
#[derive(Clone, Debug)]
pub struct Moments<const N: usize> {
    /// How many samples count, [`MEMORY_SECONDS`] at the most.
    pub samples: f64,
    /// Of each value.
    pub mean: [f64; N],
    /// Of each pair.
    pub covariance: [[f64; N]; N],
}

impl<const N: usize> Default for Moments<N> {
    fn default() -> Self {
        Self {
            samples: 0.0,
            mean: [0.0; N],
            covariance: [[0.0; N]; N],
        }
    }
}

impl<const N: usize> Moments<N> {
    /// One sample; what is no number is left out.
    pub fn add(&mut self, sample: [f64; N]) {
        if !sample.iter().all(|value| value.is_finite()) {
            return;
        }
        self.samples = (self.samples + 1.0).min(MEMORY_SECONDS);
        let weight = 1.0 / self.samples;
        let off: [f64; N] = std::array::from_fn(|i| sample[i] - self.mean[i]);
        for (row, &of) in self.covariance.iter_mut().zip(&off) {
            for (value, &with) in row.iter_mut().zip(&off) {
                *value = (1.0 - weight) * (*value + weight * of * with);
            }
        }
        self.mean
            .iter_mut()
            .zip(&off)
            .for_each(|(mean, off)| *mean += weight * off);
    }
}

/// The fading fit of one shard.
#[derive(Clone, Debug, Default)]
pub struct Fit(Moments<3>);

impl Fit {
    /// One second: relayed packets and SIP messages a second, and the share of time spent on work.
    pub fn add(&mut self, packets: f64, messages: f64, busy: f64) {
        self.0.add([packets, messages, busy]);
    }

    /// The costs that the last minutes show.
    #[must_use]
    pub fn costs(&self) -> Costs {
        if self.0.samples < SAMPLES_MIN {
            return Costs::default();
        }
        let c = &self.0.covariance;
        // A load that stands still cannot be told from the base; it is left to the base.
        let moves = |of: usize| c[of][of].sqrt() > (1e-3 * self.0.mean[of]).max(1e-6);
        let across = c[PACKETS][MESSAGES];
        match (moves(PACKETS), moves(MESSAGES)) {
            (true, true) => {
                let (p, m) = (c[PACKETS][PACKETS], c[MESSAGES][MESSAGES]);
                if across * across > TOGETHER * p * m {
                    return Costs::default();
                }
                let determinant = p * m - across * across;
                let packet = (c[PACKETS][BUSY] * m - c[MESSAGES][BUSY] * across) / determinant;
                let message = (c[MESSAGES][BUSY] * p - c[PACKETS][BUSY] * across) / determinant;
                let rest = c[BUSY][BUSY] - packet * c[PACKETS][BUSY] - message * c[MESSAGES][BUSY];
                Costs {
                    packet: self.trusted(PACKETS, packet, rest, m / determinant),
                    message: self.trusted(MESSAGES, message, rest, p / determinant),
                }
            }
            (true, false) => Costs {
                packet: self.alone(PACKETS),
                message: None,
            },
            (false, true) => Costs {
                packet: None,
                message: self.alone(MESSAGES),
            },
            (false, false) => Costs::default(),
        }
    }

    fn alone(&self, of: usize) -> Option<f64> {
        let c = &self.0.covariance;
        let cost = c[of][BUSY] / c[of][of];
        self.trusted(of, cost, c[BUSY][BUSY] - cost * c[of][BUSY], 1.0 / c[of][of])
    }

    /// `rest` is the variance that the fit leaves, `spread` the cost's element of the inverse
    /// covariance.
    fn trusted(&self, of: usize, cost: f64, rest: f64, spread: f64) -> Option<f64> {
        let mean = self.0.mean[of];
        let varied = mean >= LOAD_MIN[of] && self.0.covariance[of][of].sqrt() >= VARIED * mean;
        let error = (rest.max(BUSY_NOISE * BUSY_NOISE) * spread * SAMPLES_ALIKE / self.0.samples).sqrt();
        (varied && cost > 0.0 && error <= ERROR_MAX * cost).then_some(cost)
    }
}

/// A mean in which old values fade; right from the first value on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smooth {
    sum: f64,
    weight: f64,
}

impl Smooth {
    /// A value that stood for `seconds`; after `memory` seconds it counts for 1/e.
    pub fn add(&mut self, value: f64, seconds: f64, memory: f64) {
        if value.is_finite() && seconds > 0.0 {
            let stays = E.powf(-seconds / memory);
            self.sum = self.sum * stays + value * (1.0 - stays);
            self.weight = self.weight * stays + (1.0 - stays);
        }
    }

    /// The mean, when there was any value.
    #[must_use]
    pub fn known(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// The mean, 0 before the first value.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.known().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: f64 = 4e-6;
    const MESSAGE: f64 = 30e-6;

    fn fitted(loads: impl Iterator<Item = (f64, f64)>) -> Costs {
        let mut fit = Fit::default();
        for (n, (packets, messages)) in loads.enumerate() {
            let noise = if n % 2 == 0 { 0.002 } else { -0.002 };
            fit.add(packets, messages, 0.01 + packets * PACKET + messages * MESSAGE + noise);
        }
        fit.costs()
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found / expected - 1.0).abs() < 0.1)
    }

    #[test]
    fn loads_that_move_apart_show_both_costs() {
        let costs = fitted((0..120).map(|n| {
            let t = f64::from(n);
            (50_000.0 + 300.0 * t, 2_000.0 + 1_500.0 * (t / 9.0).sin())
        }));
        assert!(near(costs.packet, PACKET) && near(costs.message, MESSAGE), "{costs:?}");
    }

    #[test]
    fn calls_that_pile_up_at_a_constant_rate_show_the_packets_only() {
        let costs = fitted((0..120).map(|n| (600.0 * f64::from(n), 700.0)));
        assert!(near(costs.packet, PACKET) && costs.message.is_none(), "{costs:?}");
    }

    #[test]
    fn loads_without_audio_show_the_messages() {
        let costs = fitted((0..120).map(|n| (0.0, 40.0 * f64::from(n))));
        assert!(near(costs.message, MESSAGE) && costs.packet.is_none(), "{costs:?}");
    }

    #[test]
    fn a_load_that_does_not_move_or_moves_together_shows_nothing() {
        assert_eq!(fitted((0..300).map(|_| (50_000.0, 2_000.0))), Costs::default());
        let together = (0..300).map(|n| (1_000.0 * f64::from(n % 40), 20.0 * f64::from(n % 40)));
        assert_eq!(fitted(together), Costs::default());
        assert_eq!(
            fitted((0..5).map(|n| (1e4 * f64::from(n), 0.0))),
            Costs::default(),
            "too short"
        );
    }

    #[test]
    fn a_mean_is_right_from_the_first_value_and_forgets() {
        let mut mean = Smooth::default();
        assert_eq!(mean.known(), None);
        mean.add(8.0, 1.0, 5.0);
        assert!((mean.get() - 8.0).abs() < 1e-9);
        mean.add(f64::NAN, 1.0, 5.0);
        for _ in 0..40 {
            mean.add(2.0, 1.0, 5.0);
        }
        assert!((mean.get() - 2.0).abs() < 0.01);
    }
}
