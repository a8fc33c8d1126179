//! A latency distribution: an HDR histogram and the exact sum.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Durations from 128 ns to 60 s in two significant digits; longer ones count as 60 s.
/// Recording does not allocate. The copy of an empty one is small.
#[derive(Debug)]
pub struct Latency {
    histogram: Option<Histogram<u64>>,
    sum_nanos: u64,
}

const LOWEST: u64 = 128;
const HIGHEST: u64 = 60_000_000_000;

fn empty() -> Histogram<u64> {
    // Constants that the library accepts: the test below would fail otherwise.
    Histogram::new_with_bounds(LOWEST, HIGHEST, 2).expect("constant bounds are valid")
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            histogram: Some(empty()),
            sum_nanos: 0,
        }
    }
}

impl Clone for Latency {
    fn clone(&self) -> Self {
        Self {
            histogram: self.histogram.as_ref().filter(|h| !h.is_empty()).cloned(),
            sum_nanos: self.sum_nanos,
        }
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).min(HIGHEST);
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        self.histogram.get_or_insert_with(empty).saturating_record(nanos);
    }

    /// A distribution that was recorded elsewhere in nanoseconds; its sum is as exact as its
    /// buckets.
    #[must_use]
    pub fn of_nanos(other: &Histogram<u64>) -> Self {
        let mut latency = Self::default();
        for step in other.iter_recorded() {
            let (nanos, count) = (step.value_iterated_to().min(HIGHEST), step.count_at_value());
            latency.sum_nanos = latency.sum_nanos.saturating_add(nanos.saturating_mul(count));
            latency.histogram.get_or_insert_with(empty).saturating_record_n(nanos, count);
        }
        latency
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Latency) {
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        if let Some(theirs) = &other.histogram {
            // Cannot fail: all have the same bounds.
            let _ = self.histogram.get_or_insert_with(empty).add(theirs);
        }
    }

    /// What was recorded since `earlier` was copied from the same distribution; `None` when
    /// `earlier` is not an earlier state of it.
    #[must_use]
    pub fn since(&self, earlier: &Latency) -> Option<Latency> {
        let mut delta = self.clone();
        delta.sum_nanos = self.sum_nanos.checked_sub(earlier.sum_nanos)?;
        if let Some(theirs) = &earlier.histogram {
            delta.histogram.get_or_insert_with(empty).subtract(theirs).ok()?;
        }
        Some(delta)
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// The sum of all, in seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_nanos(self.sum_nanos).as_secs_f64()
    }

    /// How many took at most `seconds`.
    #[must_use]
    pub fn count_upto(&self, seconds: f64) -> u64 {
        let nanos = Duration::from_secs_f64(seconds.max(0.0)).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.histogram.as_ref().map_or(0, |h| h.count_between(0, nanos))
    }

    /// The value below which `quantile` (0 to 1) of all lie; `None` when there are none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let histogram = self.histogram.as_ref().filter(|h| !h.is_empty())?;
        Some(Duration::from_nanos(histogram.value_at_quantile(quantile)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_buckets_and_sum() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        for ms in 1..=100 {
            latency.record(Duration::from_millis(ms));
        }
        latency.record(Duration::from_secs(3600));
        assert_eq!(latency.count(), 101);
        assert!((latency.sum_seconds() - 65.05).abs() < 1e-6);
        let p50 = latency.quantile(0.5).unwrap().as_secs_f64();
        assert!((0.0505..0.0525).contains(&p50), "{p50}");
        assert_eq!(latency.count_upto(0.010), 10);
        assert_eq!(latency.count_upto(0.0), 0);
        assert_eq!(latency.count_upto(100.0), 101);
    }

    #[test]
    fn differences_and_copies() {
        let mut latency = Latency::default();
        let nothing = latency.clone();
        assert!(nothing.histogram.is_none(), "an empty copy is small");
        latency.record(Duration::from_millis(5));
        let earlier = latency.clone();
        latency.record(Duration::from_millis(50));
        let delta = latency.since(&earlier).unwrap();
        assert_eq!((delta.count(), delta.count_upto(0.006)), (1, 0));
        assert_eq!(latency.since(&nothing).unwrap().count(), 2);
        assert!(earlier.since(&latency).is_none(), "time does not run backwards");
        let mut copy = nothing;
        copy.record(Duration::from_millis(1));
        copy.merge(&latency);
        assert_eq!(copy.count(), 3);
    }
}
