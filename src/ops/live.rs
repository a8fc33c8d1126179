//! What the web page shows as it changes: one producer, a figure a second, five minutes of history.

use super::latency::Latency;
use super::model::CallState;
use super::view::{View, Views};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// Seconds of history for the charts.
pub const HISTORY: usize = 300;
/// Set-up times are shown over the last minute: this many steps of [`STEP`] ticks.
const STEPS: usize = 6;
const STEP: u64 = 10;

/// One shard's line.
#[derive(Clone, Debug, Serialize)]
pub struct ShardLine {
    /// Which.
    pub shard: u16,
    /// `ok` or `silent`.
    pub state: &'static str,
    /// 0 to 1.
    pub busy: f64,
    /// Calls now.
    pub calls: u64,
    /// Bindings now.
    pub registrations: u64,
    /// Transactions now.
    pub transactions: u64,
    /// Media ports in use.
    pub ports_used: u64,
    /// Media ports free.
    pub ports_free: u64,
    /// Media ports resting.
    pub ports_quarantined: u64,
    /// Messages waiting.
    pub mesh_depth: u64,
    /// Restarts after a panic.
    pub restarts: u64,
}

/// Calls by state.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CallCounts {
    /// All.
    pub total: u64,
    /// INVITE sent on.
    pub trying: u64,
    /// Ringing.
    pub ringing: u64,
    /// Talking.
    pub answered: u64,
    /// On hold.
    pub held: u64,
}

/// One second.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Unix milliseconds.
    pub at: u64,
    /// `ok`, `draining` or `degraded` (a shard is silent).
    pub health: &'static str,
    /// Calls now.
    pub calls: CallCounts,
    /// Calls let in, a second.
    pub calls_per_second: f64,
    /// Bindings now.
    pub registrations: u64,
    /// Requests received, a second.
    pub requests_per_second: f64,
    /// RTP packets sent on, a second.
    pub rtp_per_second: f64,
    /// Work refused, a second.
    pub shed_per_second: f64,
    /// RTP packets lost since the start.
    pub lost: u64,
    /// One-way calls since the start.
    pub one_way: u64,
    /// Median of the last minute's set-up times, milliseconds.
    pub setup_p50_ms: Option<f64>,
    /// Their 99th percentile.
    pub setup_p99_ms: Option<f64>,
    /// The shards.
    pub shards: Vec<ShardLine>,
}

/// One second in the charts.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Unix milliseconds.
    pub at: u64,
    /// Calls.
    pub calls: u64,
    /// Requests a second; `None` in the first second.
    pub requests: Option<f64>,
    /// RTP packets a second; `None` in the first second.
    pub rtp: Option<f64>,
    /// 99th percentile of set-up, milliseconds.
    pub setup_p99_ms: Option<f64>,
}

/// The health word of a view.
#[must_use]
pub fn health(view: &View, draining: bool) -> &'static str {
    if view.shards.iter().any(|shard| shard.silent) {
        "degraded"
    } else if draining {
        "draining"
    } else {
        "ok"
    }
}

/// Makes figures out of views, one a second.
#[derive(Default)]
pub struct Live {
    before: Option<Arc<View>>,
    ticks: u64,
    setups: VecDeque<Latency>,
    history: VecDeque<Point>,
}

impl Live {
    /// The figures of `view`; rates are against the view of the last call.
    pub fn tick(&mut self, view: Arc<View>, draining: bool) -> Figures {
        let comparable = self.before.is_some();
        let before = self.before.replace(view.clone()).unwrap_or_else(|| view.clone());
        let seconds = (view.at.saturating_sub(before.at) as f64 / 1e3).max(0.001);
        let rate =
            |of: &dyn Fn(&View) -> u64| (of(&view).saturating_sub(of(&before)) as f64 / seconds * 10.0).round() / 10.0;
        let recent = self.recent_setups(&view);
        let millis = |quantile| {
            recent
                .quantile(quantile)
                .map(|span| (span.as_secs_f64() * 1e5).round() / 100.0)
        };
        let figures = Figures {
            at: view.at,
            health: health(&view, draining),
            calls: CallCounts {
                total: view.calls(),
                trying: view.calls_in(CallState::Trying),
                ringing: view.calls_in(CallState::Ringing),
                answered: view.calls_in(CallState::Answered),
                held: view.calls_in(CallState::Held),
            },
            calls_per_second: rate(&|v| v.sum(|f| f.stats.calls_started)),
            registrations: view.sum(|f| f.registrations),
            requests_per_second: rate(&View::requests_in),
            rtp_per_second: rate(&|v| v.sum(|f| f.media.rtp_out)),
            shed_per_second: rate(&|v| v.sum(|f| f.stats.shed.total())),
            lost: view.sum(|f| f.media.lost),
            one_way: view.sum(|f| f.media.one_way),
            setup_p50_ms: millis(0.5),
            setup_p99_ms: millis(0.99),
            shards: shard_lines(&view),
        };
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Point {
            at: figures.at,
            calls: figures.calls.total,
            requests: comparable.then_some(figures.requests_per_second),
            rtp: comparable.then_some(figures.rtp_per_second),
            setup_p99_ms: figures.setup_p99_ms,
        });
        figures
    }

    /// The last [`HISTORY`] seconds, oldest first.
    #[must_use]
    pub fn history(&self) -> &VecDeque<Point> {
        &self.history
    }

    fn recent_setups(&mut self, view: &View) -> Latency {
        let mut now = Latency::default();
        view.shards
            .iter()
            .for_each(|shard| now.merge(&shard.figures.stats.setup));
        let recent = self.setups.front().and_then(|oldest| now.since(oldest));
        if recent.is_none() {
            self.setups.clear();
        }
        if self.ticks.is_multiple_of(STEP) || self.setups.is_empty() {
            self.setups.push_back(now.clone());
            if self.setups.len() > STEPS {
                self.setups.pop_front();
            }
        }
        self.ticks += 1;
        recent.unwrap_or_default()
    }
}

/// The shards' lines of a view.
#[must_use]
pub fn shard_lines(view: &View) -> Vec<ShardLine> {
    let line = |shard: &super::view::ShardView| {
        let f = &shard.figures;
        ShardLine {
            shard: shard.shard,
            state: if shard.silent { "silent" } else { "ok" },
            busy: (f.ring.busy_ratio * 1e3).round() / 1e3,
            calls: f.calls_total(),
            registrations: f.registrations,
            transactions: f.transactions,
            ports_used: f.media.ports_used,
            ports_free: f.media.ports_free,
            ports_quarantined: f.media.ports_quarantined,
            mesh_depth: f.ring.mesh_depth,
            restarts: shard.restarts,
        }
    };
    view.shards.iter().map(line).collect()
}

/// Health as `/api/health` shows it: whether all is well, and the JSON.
#[must_use]
pub fn health_report(views: &Views, draining: bool) -> (bool, serde_json::Value) {
    let view = views.get();
    let status = health(&view, draining);
    let shards: Vec<_> = shard_lines(&view)
        .iter()
        .map(|line| serde_json::json!({"shard": line.shard, "state": line.state, "restarts": line.restarts}))
        .collect();
    (status == "ok", serde_json::json!({"status": status, "shards": shards}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::model::ShardFigures;
    use crate::ops::view::ShardView;
    use std::time::Duration;

    fn view(at: u64, figures: ShardFigures) -> Arc<View> {
        Arc::new(View {
            at,
            shards: vec![ShardView {
                shard: 0,
                restarts: 0,
                silent: false,
                figures,
            }],
        })
    }

    #[test]
    fn rates_are_differences_over_time() {
        let mut live = Live::default();
        let mut figures = ShardFigures::default();
        figures.stats.calls_started = 100;
        figures.calls = [1, 2, 3, 4];
        let first = live.tick(view(10_000, figures.clone()), false);
        assert_eq!(
            (first.calls_per_second, first.calls.total, first.setup_p50_ms),
            (0.0, 10, None)
        );
        figures.stats.calls_started = 150;
        figures.media.rtp_out = 1000;
        figures.stats.setup(Duration::from_millis(20));
        let second = live.tick(view(12_000, figures.clone()), true);
        assert_eq!(
            (second.calls_per_second, second.rtp_per_second, second.health),
            (25.0, 500.0, "draining")
        );
        assert!((19.0..21.0).contains(&second.setup_p50_ms.unwrap()));
        // A shard that lost its counters: no negative rate, no panic.
        let third = live.tick(view(13_000, ShardFigures::default()), false);
        assert_eq!((third.calls_per_second, third.setup_p50_ms), (0.0, None));
        assert_eq!(live.history().len(), 3);
    }

    #[test]
    fn set_up_times_are_forgotten_after_a_minute() {
        let mut live = Live::default();
        live.tick(view(0, ShardFigures::default()), false);
        let mut figures = ShardFigures::default();
        figures.stats.setup(Duration::from_millis(20));
        let mut last_seen = 0;
        for second in 1..400 {
            if live
                .tick(view(second * 1000, figures.clone()), false)
                .setup_p50_ms
                .is_some()
            {
                last_seen = second;
            }
        }
        assert!((50..=70).contains(&last_seen), "{last_seen}");
        assert_eq!(live.history().len(), HISTORY);
    }
}
