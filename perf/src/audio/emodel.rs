//! The E-model, ITU-T G.107, reduced to what a load generator measures: loss, delay and jitter of
//! G.711. All other parameters have the defaults of G.107 table 2 (no echo, no noise), which is
//! R = 93.2.

/// Rating of a call in which nothing goes wrong, with the defaults of G.107 table 2.
pub const BEST_R: f64 = 93.2;

/// What the listening phone does about a lost packet: the packet-loss robustness factor `Bpl` of
/// G.711 in ITU-T G.113 appendix I, for losses that are independent of each other.
///
/// The default is [`Concealment::AppendixI`]: every phone of a campus conceals (G.711 appendix I or
/// better), and the score is to say what its user hears. The other is the harsher rule for networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concealment {
    /// Silence in place of the packet: `Bpl` 4.3.
    None,
    /// As G.711 appendix I: `Bpl` 25.1.
    #[default]
    AppendixI,
}

impl Concealment {
    const fn robustness(self) -> f64 {
        match self {
            Self::None => 4.3,
            Self::AppendixI => 25.1,
        }
    }
}

/// What was measured of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Share of packets that did not arrive, 0 to 1.
    pub loss: f64,
    /// One-way delay of the network in milliseconds.
    pub delay_ms: f64,
    /// Interarrival jitter (RFC 3550 section 6.4.1) in milliseconds.
    pub jitter_ms: f64,
    /// What the phone does about loss.
    pub concealment: Concealment,
}

impl Measured {
    /// Mouth-to-ear delay in milliseconds: the network, 20 ms of packetisation, and a jitter
    /// buffer of twice the jitter.
    #[must_use]
    pub fn mouth_to_ear_ms(&self) -> f64 {
        self.delay_ms.max(0.0) + 2.0 * self.jitter_ms.max(0.0) + 20.0
    }

    /// Transmission rating R, at least 0.
    #[must_use]
    pub fn rating(&self) -> f64 {
        (BEST_R - delay_impairment(self.mouth_to_ear_ms()) - loss_impairment(self.loss, self.concealment)).max(0.0)
    }

    /// Mean opinion score, 1 to 4.5.
    #[must_use]
    pub fn mos(&self) -> f64 {
        mos(self.rating())
    }
}

/// `Id` of a one-way delay in milliseconds: the usual two-line fit to G.107 section 7.4 without echo
/// (Cole and Rosenbluth, "Voice over IP performance monitoring", 2001).
#[must_use]
pub fn delay_impairment(delay_ms: f64) -> f64 {
    0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0)
}

/// `Ie-eff` of a share of lost packets (G.107 section 7.5) with `Ie` 0 and burst ratio 1.
#[must_use]
pub fn loss_impairment(loss: f64, concealment: Concealment) -> f64 {
    let percent = loss.clamp(0.0, 1.0) * 100.0;
    95.0 * percent / (percent + concealment.robustness())
}

/// Mean opinion score of a rating (G.107 annex B). The cubic dips below 1 for ratings under 6.5,
/// where the scale has no values: 1 there.
#[must_use]
pub fn mos(rating: f64) -> f64 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64, by: f64) {
        assert!((value - expected).abs() <= by, "{value}, expected {expected}");
    }

    #[test]
    fn scores_of_g107_annex_b() {
        // Table B.1, which rounds up; and the ends of the scale.
        for (r, score) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            near(mos(r), score, 0.01);
        }
        near(mos(93.2), 4.41, 0.005);
        assert_eq!((mos(0.0), mos(-5.0), mos(3.0)), (1.0, 1.0, 1.0));
        assert_eq!((mos(100.0), mos(120.0)), (4.5, 4.5));
    }

    #[test]
    fn impairments() {
        near(delay_impairment(100.0), 2.4, 1e-9);
        near(delay_impairment(277.3), 6.6552 + 11.0, 1e-9);
        assert_eq!(loss_impairment(0.0, Concealment::None), 0.0);
        near(loss_impairment(0.01, Concealment::None), 95.0 / 5.3, 1e-9);
        near(loss_impairment(0.01, Concealment::AppendixI), 95.0 / 26.1, 1e-9);
        near(
            loss_impairment(7.0, Concealment::None),
            loss_impairment(1.0, Concealment::None),
            1e-9,
        );
    }

    #[test]
    fn a_campus_call_and_a_dead_one() {
        let good = Measured {
            delay_ms: 1.0,
            jitter_ms: 0.5,
            ..Measured::default()
        };
        near(good.mouth_to_ear_ms(), 22.0, 1e-9);
        near(good.rating(), 93.2 - 0.528, 1e-9);
        near(good.mos(), 4.40, 0.01);
        let dead = Measured { loss: 1.0, ..good };
        near(dead.mos(), 1.1, 0.1);
        let worse = Measured {
            concealment: Concealment::None,
            loss: 0.05,
            ..good
        };
        assert!(worse.mos() < Measured { loss: 0.05, ..good }.mos());
    }
}
