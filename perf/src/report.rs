//! Result of a run: one line of JSON and a few lines for people.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// What was counted in the measured window, all streams together.
pub struct Report {
    /// Packets sent.
    pub sent: u64,
    /// Different packets received.
    pub received: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets of another call, or of the wrong direction.
    pub crosstalk: u64,
    /// Packets from an address that is not the relay's.
    pub wrong_source: u64,
    /// Packets that were not ours or were damaged.
    pub damaged: u64,
    /// Sends that the kernel refused.
    pub send_errors: u64,
    /// Send to kernel receive timestamp, nanoseconds.
    pub latency: Histogram<u64>,
    /// How late the load itself was, nanoseconds.
    pub lateness: Histogram<u64>,
}

impl Report {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sent: 0,
            received: 0,
            duplicates: 0,
            crosstalk: 0,
            wrong_source: 0,
            damaged: 0,
            send_errors: 0,
            latency: histogram(),
            lateness: histogram(),
        }
    }

    /// Adds the counts of another thread.
    pub fn add(&mut self, other: &Report) {
        self.sent += other.sent;
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.crosstalk += other.crosstalk;
        self.wrong_source += other.wrong_source;
        self.damaged += other.damaged;
        self.send_errors += other.send_errors;
        // Both were made by `histogram`, so the ranges fit.
        let _ = self.latency.add(&other.latency);
        let _ = self.lateness.add(&other.lateness);
    }

    /// Packets that were sent and never came.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// As JSON; times in microseconds.
    #[must_use]
    pub fn json(&self) -> Value {
        let us = |histogram: &Histogram<u64>, quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        json!({
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost(),
            "loss_percent": 100.0 * self.lost() as f64 / self.sent.max(1) as f64,
            "duplicates": self.duplicates,
            "crosstalk": self.crosstalk,
            "wrong_source": self.wrong_source,
            "damaged": self.damaged,
            "send_errors": self.send_errors,
            "p50_us": us(&self.latency, 0.5),
            "p99_us": us(&self.latency, 0.99),
            "p999_us": us(&self.latency, 0.999),
            "max_us": us(&self.latency, 1.0),
            "load_late_p99_us": us(&self.lateness, 0.99),
        })
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

fn histogram() -> Histogram<u64> {
    // 1 us to 60 s with two digits; larger values are clamped by saturating_record.
    Histogram::new_with_bounds(1, 60_000_000_000, 2).unwrap_or_else(|error| unreachable!("fixed bounds: {error}"))
}
