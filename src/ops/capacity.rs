//! How much more work can be taken, and what gives out first.

use super::model::About;
use super::view::View;
use serde::Serialize;

/// Media ports of one relayed call: two legs, RTP and RTCP.
const PORTS_A_CALL: u64 = 4;
/// Transactions that a call needs at one time: one on each side.
const TRANSACTIONS_A_CALL: u64 = 2;
/// A shard may be busy to this share; above it latency suffers.
const BUSY_MAX: f64 = 0.8;
/// Below these the processor's figure says nothing about calls.
const CALLS_TO_JUDGE: u64 = 20;
const BUSY_TO_JUDGE: f64 = 0.02;

/// One resource.
#[derive(Clone, Debug, Serialize)]
pub struct Resource {
    /// Name for people.
    pub resource: &'static str,
    /// In use, in the resource's own unit.
    pub used: f64,
    /// The most there can be.
    pub limit: f64,
    /// How many more it allows; `None` when that cannot be told yet.
    pub more: Option<u64>,
}

/// A kind of work.
#[derive(Clone, Debug, Serialize)]
pub struct Room {
    /// Now.
    pub now: u64,
    /// How many more can be taken, by the scarcest resource.
    pub more: u64,
    /// That resource.
    pub bound_by: &'static str,
    /// All of them.
    pub resources: Vec<Resource>,
}

/// The answer of `/api/capacity`.
#[derive(Clone, Debug, Serialize)]
pub struct Capacity {
    /// Calls, as if all further ones were relayed.
    pub calls: Room,
    /// Bindings.
    pub registrations: Room,
}

fn room(now: u64, resources: Vec<Resource>) -> Room {
    let scarcest = resources
        .iter()
        .filter_map(|r| Some((r.more?, r.resource)))
        .min_by_key(|(more, _)| *more);
    let (more, bound_by) = scarcest.unwrap_or((0, "unknown"));
    Room {
        now,
        more,
        bound_by,
        resources,
    }
}

/// From live figures. Calls spread evenly over the shards, so the scarcest shard decides.
#[must_use]
pub fn capacity(view: &View, about: &About) -> Capacity {
    let shards = view.shards.len() as u64;
    let calls = view.calls();
    let (used, free) = (view.sum(|f| f.media.ports_used), view.sum(|f| f.media.ports_free));
    let resting = view.sum(|f| f.media.ports_quarantined);
    let scarcest = view
        .shards
        .iter()
        .map(|s| s.figures.media.ports_free / PORTS_A_CALL)
        .min()
        .unwrap_or(0);
    let transactions = view.sum(|f| f.transactions);
    let busy = view
        .shards
        .iter()
        .map(|s| s.figures.ring.busy_ratio)
        .fold(0.0, f64::max);
    let by_busy = (calls >= CALLS_TO_JUDGE && busy >= BUSY_TO_JUDGE)
        .then(|| (calls as f64 * ((BUSY_MAX - busy).max(0.0) / busy)) as u64);
    let limit = |resource, used: u64, limit: u64, each: u64| Resource {
        resource,
        used: used as f64,
        limit: limit as f64,
        more: Some(limit.saturating_sub(used) / each),
    };
    let registrations = view.sum(|f| f.registrations);
    Capacity {
        calls: room(
            calls,
            vec![
                limit("call limit", calls, about.limit_calls, 1),
                Resource {
                    resource: "media ports",
                    used: used as f64,
                    limit: (used + free + resting) as f64,
                    more: Some(scarcest * shards),
                },
                limit(
                    "transactions",
                    transactions,
                    about.limit_transactions,
                    TRANSACTIONS_A_CALL,
                ),
                Resource {
                    resource: "processor",
                    used: busy,
                    limit: BUSY_MAX,
                    more: by_busy,
                },
            ],
        ),
        registrations: room(
            registrations,
            vec![limit("registration limit", registrations, about.limit_registrations, 1)],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::model::ShardFigures;
    use crate::ops::view::ShardView;

    fn about() -> About {
        About {
            name: "ringfort",
            version: String::new(),
            revision: String::new(),
            started: 0,
            listeners: vec![],
            domains: vec![],
            demonstration: false,
            fault_injection: false,
            echo: None,
            music: None,
            limit_calls: 1000,
            limit_registrations: 500,
            limit_transactions: 10_000,
        }
    }

    fn view(free: [u64; 2], calls: u64, busy: f64) -> View {
        let shard = |n: usize| {
            let mut figures = ShardFigures {
                registrations: 20,
                ..Default::default()
            };
            figures.calls[2] = calls / 2;
            figures.media.ports_free = free[n];
            figures.ring.busy_ratio = busy;
            ShardView {
                shard: n as u16,
                restarts: 0,
                silent: false,
                figures,
            }
        };
        View {
            at: 0,
            shards: vec![shard(0), shard(1)],
        }
    }

    #[test]
    fn the_scarcest_resource_binds() {
        let ports = capacity(&view([40, 4000], 0, 0.0), &about());
        assert_eq!((ports.calls.more, ports.calls.bound_by), (20, "media ports"));
        assert_eq!((ports.registrations.more, ports.registrations.now), (460, 40));
        let limit = capacity(&view([8000, 8000], 400, 0.1), &about());
        assert_eq!((limit.calls.more, limit.calls.bound_by), (600, "call limit"));
        let busy = capacity(&view([8000, 8000], 400, 0.4), &about());
        assert_eq!((busy.calls.more, busy.calls.bound_by), (400, "processor"));
        let full = capacity(&view([8000, 8000], 400, 0.95), &about());
        assert_eq!(full.calls.more, 0);
        let idle = capacity(&view([8000, 8000], 2, 0.5), &about());
        assert_eq!(
            idle.calls.bound_by, "call limit",
            "two calls say nothing about the processor"
        );
    }
}
