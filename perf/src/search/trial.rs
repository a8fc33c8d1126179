//! One load, carried for some seconds and judged.

use super::lines::{Seen, missed};
use super::probe::{Sample, Web};
use super::{Arguments, What};
use crate::engine::share;
use crate::report_search::Trial;
use crate::rig::{Figures, Order};
use crate::run::{Fleet, Signals};
use hdrhistogram::Histogram;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Before the measured time: rings, caches and the target's threads settle.
const SETTLE: Duration = Duration::from_millis(1500);
/// After it, calls come to their end.
const DRAIN: Duration = Duration::from_secs(6);
/// How long calls may take to be hung up.
const HANG_UP: Duration = Duration::from_secs(4);
/// The target may be slower to pile calls up than asked for, up to here.
const RAMP_SLACK: f64 = 1.5;

/// What a trial is made with.
pub(super) struct Bench<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) fleet: &'a Fleet,
    pub(super) signals: &'a Signals,
    pub(super) web: Option<&'a Web>,
    pub(super) registered: u64,
}

/// A trial with everything that it saw.
pub(super) struct Carried {
    pub(super) trial: Trial,
    pub(super) figures: Figures,
    pub(super) capacity: Option<Value>,
}

fn four(histogram: &Histogram<u64>) -> [u64; 4] {
    let at = |quantile| histogram.value_at_quantile(quantile);
    [at(0.5), at(0.9), at(0.99), histogram.max()]
}

impl Bench<'_> {
    fn stopped(&self) -> bool {
        self.signals.stops() > 0
    }

    /// Waits, but not longer than until the operator stops it; `until` ends it early.
    fn wait(&self, time: Duration, until: impl Fn() -> bool) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.stopped() && !until() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn begin(&self, rate: f64, most: Option<u64>, limit: u64) {
        let shards = self.fleet.handle.shards();
        for shard in 0..shards {
            let limit = share(limit, shard.into(), shards.into()).max(1);
            // The queue is full only if the shard stands still.
            let _ = self.fleet.handle.send(shard, Order::Begin(0, rate, most, limit));
        }
    }

    /// Carries a load and judges it.
    pub(super) fn carry(&mut self, what: What, load: f64, ask_capacity: bool) -> Carried {
        let seconds = Duration::from_secs(self.arguments.seconds.max(1));
        let before = self.fleet.figures();
        let made_before = before.roles[0].counters.clone();
        let mut seen = Seen::default();
        let (first, mut total);
        let mut standing = 0.0;
        match what {
            What::Rate | What::Register => {
                self.begin(load, None, u64::MAX);
                self.wait(SETTLE, || false);
                first = Sample::take(self.arguments.pid);
                total = self.fleet.figures();
                self.wait(seconds / 2, || false);
                standing += self.fleet.running(0) as f64;
            }
            What::Calls => {
                let ramp = self.arguments.ramp.max(load / 30.0);
                self.begin(ramp, Some(load as u64), u64::MAX);
                let ramp_time = Duration::from_secs_f64(load / ramp * RAMP_SLACK + 2.0);
                self.wait(ramp_time, || self.fleet.running(0) as f64 >= load);
                self.wait(SETTLE, || false);
                if (self.fleet.running(0) as f64) < load * 0.999 {
                    seen.short_of = Some(self.fleet.running(0) as f64);
                }
                first = Sample::take(self.arguments.pid);
                total = Figures::default();
                self.wait(seconds / 2, || false);
                standing += self.fleet.running(0) as f64;
            }
        }
        let capacity = self.web.filter(|_| ask_capacity).and_then(|web| web.capacity().ok());
        self.wait(seconds / 2, || false);
        let last = Sample::take(self.arguments.pid);
        // The audio and the times of the whole load; calls made after this are not part of it.
        match what {
            What::Calls => self.fleet.order(|| Order::EndCalls(0)),
            _ => self.begin(0.0, Some(0), 1),
        }
        let hold = Duration::from_secs_f64(self.arguments.hold.max(0.0));
        let patience = if what == What::Calls { HANG_UP } else { DRAIN + hold };
        self.wait(patience, || self.fleet.running(0) == 0);
        let left = self.fleet.running(0);
        if left > 0 {
            self.fleet.order(|| Order::EndCalls(0));
            self.wait(HANG_UP, || self.fleet.running(0) == 0);
        }
        // Callees hear the last BYE, and both ends of the audio are closed.
        self.wait(Duration::from_secs(2), || self.fleet.running(1) == 0);
        std::thread::sleep(Duration::from_millis(300));
        let end = self.fleet.figures();
        total.follow(end);
        let between = last.since(&first);
        let (role, audio) = (&total.roles[0], &total.audio);
        let made = &role.counters;
        let attempts = made.created() - made_before.created();
        let failed = made.failed - made_before.failed + left;
        let registered = if what == What::Register {
            made.successful - made_before.successful
        } else {
            0
        };
        // A user who registers again has one binding all the same.
        self.registered = (self.registered + registered).min(self.arguments.user_count.into());
        seen.late_us = role.times.lateness.value_at_quantile(0.99);
        seen.skipped = audio.skipped.saturating_sub(before.audio.skipped);
        seen.silent = audio.silent;
        let has_audio = self.arguments.audio && what != What::Register;
        let setup = if what == What::Register {
            &role.times.register
        } else {
            &role.times.setup
        };
        let mut trial = Trial {
            load,
            attempts,
            failed,
            setup_us: four(setup),
            ringing_us: four(&role.times.ringing),
            disconnect_us: four(&role.times.disconnect),
            delay_us: has_audio.then(|| four(&audio.delay)),
            loss: has_audio.then(|| audio.loss()),
            mos: has_audio.then(|| {
                let at = |quantile| audio.mos.value_at_quantile(quantile) as f64 / 1000.0;
                [at(0.5), at(0.01)]
            }),
            crosstalk: audio.crosstalk,
            server_cpu: between.server_cpu,
            load_cpu: between.own_cpu,
            memory_bytes: last.memory_bytes,
            registrations: (what == What::Register).then_some(self.registered),
            kernel_drops: between.drops,
            retransmissions: made.retransmissions - made_before.retransmissions,
            standing,
            ..Trial::default()
        };
        trial.why = missed(self.arguments, &trial, &seen);
        trial.passed = trial.why.is_empty();
        Carried {
            trial,
            figures: total,
            capacity,
        }
    }
}
