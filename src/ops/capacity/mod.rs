//! How much more work can be taken, and what gives out first.
//!
//! An ops thread feeds the [`Estimator`] once a second; whoever asks gets the gauges of now with
//! the costs that were learnt. `fit` tells what packets and messages cost, `others` how the rest
//! of a core follows, `learn` smooths and remembers, `machine` asks the kernel, `resources` makes the rows.

mod counters;
pub mod fit;
pub mod learn;
pub mod machine;
pub mod memory;
pub mod others;
mod resources;

use super::model::About;
use super::view::View;
use learn::Learnt;
use machine::{Machine, Reader};
use resources::Estimate;
use serde::Serialize;

/// One resource.
#[derive(Clone, Debug, Serialize)]
pub struct Resource {
    /// Name for people.
    pub resource: &'static str,
    /// In use, in the resource's own unit.
    pub used: f64,
    /// The most there can be; 0 when it is not known.
    pub limit: f64,
    /// How many more it allows; `None` when that cannot be told yet.
    pub more: Option<u64>,
}

impl Resource {
    /// Share in use; above 1 when it is over its limit.
    #[must_use]
    pub fn used_ratio(&self) -> Option<f64> {
        (self.limit > 0.0).then(|| self.used / self.limit)
    }
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

/// Calls set up a second.
#[derive(Clone, Debug, Serialize)]
pub struct CallRate {
    /// Now.
    pub now: f64,
    /// How many more a second until the busiest shard is at its limit, if calls stand as long as
    /// they do now, or until ended transactions fill their table; `None` when that cannot be told yet.
    pub more: Option<f64>,
    /// Which of the two comes first.
    pub bound_by: Option<&'static str>,
    /// SIP messages of a call, received and sent.
    pub messages_per_call: Option<f64>,
    /// Seconds that a call stands.
    pub seconds_per_call: Option<f64>,
}

/// REGISTERs a second.
#[derive(Clone, Debug, Serialize)]
pub struct RegisterRate {
    /// Now.
    pub now: f64,
    /// How many more a second, as for calls.
    pub more: Option<f64>,
    /// What comes first.
    pub bound_by: Option<&'static str>,
}

/// A shard's processor, and what work costs it.
#[derive(Clone, Debug, Serialize)]
pub struct ShardRoom {
    /// Which.
    pub shard: u16,
    /// False while it does not answer: the estimate is then for the others.
    pub counted: bool,
    /// Share of time spent on work, smoothed.
    pub busy: f64,
    /// The most that this should be: there it fills the core to 0.8 with what others then take.
    pub limit: f64,
    /// Share of the core that is neither idle nor the packet thread's, smoothed: the kernel's work for packets,
    /// the companion, other processes. Of all cores where shards are not pinned; `None` when not known.
    pub others: Option<f64>,
    /// By how much `others` grows while `busy` grows by one; 0 when others do not follow the load, `None`
    /// before there was any.
    pub others_growth: Option<f64>,
    /// Share of the core that others take while the shard wants it; `None` when it hardly wants it.
    pub contended: Option<f64>,
    /// `fitted` when the load has shown what packets or messages cost, `proportional` when the
    /// busy share was divided by the calls.
    pub model: Option<&'static str>,
    /// Processor time of a standing call, with the set-ups that keep it standing.
    pub call_micros_per_second: Option<f64>,
    /// Processor time of a relayed packet.
    pub packet_micros: Option<f64>,
    /// Processor time of a SIP message.
    pub message_micros: Option<f64>,
}

/// The answer of `/api/capacity`.
#[derive(Clone, Debug, Serialize)]
pub struct Capacity {
    /// Calls, as if all further ones were relayed.
    pub calls: Room,
    /// Set-ups, as far as processor and transactions go.
    pub calls_per_second: CallRate,
    /// Bindings.
    pub registrations: Room,
    /// REGISTERs, as far as processor and transactions go.
    pub registers_per_second: RegisterRate,
    /// Octets of a call: learnt, or a guess until a thousand stood.
    pub octets_per_call: u64,
    /// Octets of a binding.
    pub octets_per_binding: u64,
    /// The shards.
    pub shards: Vec<ShardRoom>,
}

impl Capacity {
    /// Each resource once, with the share in use.
    #[must_use]
    pub fn used_ratios(&self) -> Vec<(&'static str, f64)> {
        let mut ratios: Vec<(&'static str, f64)> = Vec::new();
        for row in self.calls.resources.iter().chain(&self.registrations.resources) {
            if let Some(ratio) = row.used_ratio()
                && ratios.iter().all(|(known, _)| *known != row.resource)
            {
                ratios.push((row.resource, ratio));
            }
        }
        ratios
    }
}

/// Learns from the figures of each second.
#[derive(Debug, Default)]
pub struct Estimator {
    reader: Reader,
    machine: Machine,
    learnt: Learnt,
}

impl Estimator {
    /// Takes the figures of one second, and reads the machine's. For ops threads: it touches files.
    pub fn tick(&mut self, view: &View) {
        let shards: Vec<u16> = view.shards.iter().map(|shard| shard.shard).collect();
        let machine = self.reader.read(&shards);
        self.learn(view, machine);
    }

    fn learn(&mut self, view: &View, machine: Machine) {
        self.learnt.tick(view, &machine);
        self.machine = machine;
    }

    /// The room that there is now.
    #[must_use]
    pub fn capacity(&self, view: &View, about: &About) -> Capacity {
        let estimate = Estimate::new(view, about, &self.machine, &self.learnt);
        Capacity {
            calls: room(view.calls(), estimate.of_calls()),
            calls_per_second: estimate.call_rate(),
            registrations: room(view.sum(|f| f.registrations), estimate.of_registrations()),
            registers_per_second: estimate.register_rate(),
            octets_per_call: self.learnt.memory.octets_a_call() as u64,
            octets_per_binding: self.learnt.memory.octets_a_binding() as u64,
            shards: estimate.shard_rooms(),
        }
    }
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

#[cfg(test)]
mod tests;
