//! The limits are arithmetic: what the plan's pools add up to, and which wall is met first.

use crate::config::machine::Machine;
use crate::config::plan::Plan;
use crate::config::resolve::any_relayed;
use shards::MediaSlice;

/// Two legs, each RTP and RTCP.
pub(super) const PORTS_A_CALL: usize = 4;
/// Descriptors of a ring's table that are not media: listeners, and a few to spare.
const DESCRIPTORS_BESIDE: u64 = 64;
/// Descriptors that the process itself needs: rings, eventfds, database, logs, web interface.
const DESCRIPTORS_PROCESS: u64 = 256;

/// A wall: what ends first, at how many calls, and how to move it.
struct Wall {
    what: &'static str,
    calls: u64,
    raise: &'static str,
}

impl Plan {
    /// What the limits add up to on this machine, as lines for the start-up log; the last one names
    /// what binds first.
    #[must_use]
    pub fn arithmetic(&self) -> Vec<String> {
        self.arithmetic_on(&Machine::probe())
    }

    /// What the machine's limit of open files keeps from being carried, and how to raise it.
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        self.shortage_on(&Machine::probe())
    }

    /// [`Plan::shortage`] for a machine that is given.
    #[must_use]
    pub fn shortage_on(&self, machine: &Machine) -> Option<String> {
        let wanted = u64::from(self.limits.calls).min(relayed_calls(self));
        let carried = by_descriptors(self, machine);
        if !any_relayed(self) || carried >= wanted {
            return None;
        }
        let needed = wanted.div_ceil(self.shards as u64) * PORTS_A_CALL as u64 + DESCRIPTORS_BESIDE;
        Some(format!(
            "RLIMIT_NOFILE {} carries {carried} of {wanted} relayed calls: raise it with `ulimit -Hn {needed}` (as root) or LimitNOFILE={needed}",
            machine.descriptors
        ))
    }

    /// [`Plan::arithmetic`] for a machine that is given.
    #[must_use]
    pub fn arithmetic_on(&self, machine: &Machine) -> Vec<String> {
        let (first, last) = self.media.ports;
        let addresses = self.media.addresses.len();
        let slots = slots_a_shard(self);
        let shards = self.shards as u64;
        let ports = relayed_calls(self);
        let descriptors = by_descriptors(self, machine);
        let connections = machine.descriptors.saturating_sub(DESCRIPTORS_PROCESS);
        let rest = self.media.quarantine.as_secs_f64();
        let mut lines = vec![
            format!(
                "ports: {first}-{last} on {addresses} address(es), {shards} shard(s) of {slots} sockets, {PORTS_A_CALL} a relayed call: {ports} relayed calls"
            ),
            format!(
                "descriptors: RLIMIT_NOFILE {} counts for each ring's table, {shards} ring(s): {descriptors} relayed calls",
                shown(machine.descriptors)
            ),
            format!(
                "limits: {} calls, {} registrations of {} contacts an address at most, {} transactions, {} connections",
                self.limits.calls,
                self.limits.registrations,
                self.limits.contacts,
                self.limits.transactions,
                self.limits.connections
            ),
        ];
        if rest > 0.0 && any_relayed(self) {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let rate = (ports as f64 / rest) as u64;
            lines.push(format!(
                "ports rest {rest} s after a call: at most {rate} short relayed calls a second"
            ));
        }
        if u64::from(self.limits.connections) > connections {
            lines.push(format!(
                "connections: RLIMIT_NOFILE {} leaves {connections} of {}; raise it with LimitNOFILE= or ulimit -Hn",
                shown(machine.descriptors),
                self.limits.connections
            ));
        }
        let calls = Wall {
            what: "limits.calls",
            calls: u64::from(self.limits.calls),
            raise: "raise [limits] calls",
        };
        // On a tie the later one is named: the limit may have been lowered to what the ports carry.
        let walls = [
            Wall {
                what: "descriptors",
                calls: descriptors,
                raise: "raise RLIMIT_NOFILE (LimitNOFILE=, ulimit -Hn)",
            },
            Wall {
                what: "ports",
                calls: ports,
                raise: "widen media.ports or list more addresses in media.address",
            },
        ];
        let nearer = |a: Wall, b: Wall| if b.calls <= a.calls { b } else { a };
        let first = walls.into_iter().filter(|_| any_relayed(self)).fold(calls, nearer);
        lines.push(format!(
            "first wall: {} at {} calls; to move it, {}",
            first.what, first.calls, first.raise
        ));
        lines
    }
}

/// Ports of each shard on each address.
pub(super) fn ports_a_shard(plan: &Plan) -> usize {
    let (first, last) = plan.media.ports;
    let slices = MediaSlice::split(&plan.media.addresses, first, last, plan.shards);
    slices.first().map_or(0, |slice| slice.ports as usize)
}

/// Media sockets of each shard.
fn slots_a_shard(plan: &Plan) -> u64 {
    ports_a_shard(plan) as u64 * plan.media.addresses.len() as u64
}

/// How many relayed calls the rings' tables of descriptors carry, all shards.
fn by_descriptors(plan: &Plan, machine: &Machine) -> u64 {
    let table = machine.descriptors.saturating_sub(DESCRIPTORS_BESIDE);
    table.min(slots_a_shard(plan)) / PORTS_A_CALL as u64 * plan.shards as u64
}

/// How many relayed calls the ports carry, all shards.
pub(super) fn relayed_calls(plan: &Plan) -> u64 {
    slots_a_shard(plan) / PORTS_A_CALL as u64 * plan.shards as u64
}

fn shown(limit: u64) -> String {
    if limit == u64::MAX {
        "unlimited".into()
    } else {
        limit.to_string()
    }
}
