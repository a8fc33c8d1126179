//! The counters that the estimate is learnt from.

use super::machine::{CoreTime, Machine, Turns};
use crate::ops::stats::{CallResult, Direction, MethodLabel};
use crate::ops::view::ShardView;

/// Counters of one shard at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) busy: u64,
    pub(super) idle: u64,
    pub(super) packets: u64,
    pub(super) messages: u64,
    pub(super) registers: u64,
    pub(super) register_messages: u64,
    pub(super) started: u64,
    pub(super) ended: u64,
    pub(super) shortages: u64,
    pub(super) refused: u64,
    pub(super) turns: Option<Turns>,
    pub(super) core: Option<CoreTime>,
}

impl Counters {
    pub(super) fn of(shard: &ShardView, machine: &Machine) -> Self {
        let (stats, ring) = (&shard.figures.stats, &shard.figures.ring);
        let register = MethodLabel::Register as usize;
        let sum = |of: &[u64]| of.iter().sum::<u64>();
        let requests = stats.requests.as_flattened();
        let responses = stats.responses.as_flattened().as_flattened();
        let (asked, answered) = (&stats.requests[register], &stats.responses[register]);
        let shed = stats.calls_ended[CallResult::Shed as usize];
        Self {
            busy: ring.busy_nanos,
            idle: ring.idle_nanos,
            packets: shard.figures.media.rtp_in,
            messages: sum(requests) + sum(responses),
            registers: asked[Direction::In as usize],
            register_messages: sum(asked) + sum(answered.as_flattened()),
            started: stats.calls_started,
            ended: sum(&stats.calls_ended).saturating_sub(shed),
            shortages: ring.receive_buffer_exhausted,
            refused: ring.mesh_full,
            turns: machine.turns.get(&shard.shard).copied(),
            core: machine.cores.get(&shard.shard).copied(),
        }
    }
}
