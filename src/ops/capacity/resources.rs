//! The resources one by one: used, limit, and how many more calls or bindings each allows.
//!
//! Further work spreads evenly over the shards that answer, so what the scarcest shard can take,
//! times their number, is what there is room for.

use super::learn::{BUSY_TO_JUDGE, Learnt, SHORTAGES_MAX, Shard};
use super::machine::Machine;
use super::others::FULL;
use super::{CallRate, RegisterRate, Resource, ShardRoom};
use crate::ops::model::{About, ShardFigures};
use crate::ops::view::{ShardView, View};
use crate::protocol::sip::transaction::OUTSIDE;

/// Seconds that the transactions of a call stand in their table over UDP, all together: INVITE from the caller and
/// to the callee 32 s each (timers L and M of RFC 6026 section 8.11), BYE from one end 32 s (timer J) and to the
/// other 5 s (timer K, RFC 3261 section 17.1.2.2).
const TRANSACTION_SECONDS_A_CALL: f64 = 32.0 + 32.0 + 32.0 + 5.0;
/// Of a REGISTER, if each takes one: timer J.
const TRANSACTION_SECONDS_A_REGISTER: f64 = 32.0;
/// Media ports of one relayed call: two legs, RTP and RTCP.
const PORTS_A_CALL: u64 = 4;
/// Transactions that a call needs at one time: one on each side.
const TRANSACTIONS_A_CALL: u64 = 2;
/// A core may be busy to this share, whoever takes it; above it latency suffers.
const BUSY_MAX: f64 = 0.8;

/// Everything that an estimate is made of.
pub(super) struct Estimate<'a> {
    view: &'a View,
    about: &'a About,
    machine: &'a Machine,
    learnt: &'a Learnt,
    /// The shards that take part, with what is known of them.
    shards: Vec<(&'a ShardView, Option<&'a Shard>)>,
}

fn whole(n: f64) -> u64 {
    // Casts saturate; what is no number counts as nothing.
    n.max(0.0) as u64
}

fn rounded(n: f64) -> f64 {
    (n * 1e3).round() / 1e3
}

/// The share of its core that a shard may use: where its own and what others take then, as far as that
/// grows with it, fill the core to `BUSY_MAX`. On a core that is full with others who do not follow us, the
/// idle rest says nothing, since they may only fill it (a batch job of low priority); and where the kernel does not
/// tell the core's time, nothing else is known: then our waits for the core tell what we can have of it.
fn busy_limit(shard: &Shard) -> f64 {
    let busy = shard.busy.get();
    let growth = shard.others.growth().unwrap_or(0.0);
    match shard.others.share() {
        Some(others) if growth > 0.0 || busy + others < FULL => {
            (busy + (BUSY_MAX - busy - others) / (1.0 + growth)).max(0.0)
        }
        _ => BUSY_MAX * (1.0 - shard.contended().unwrap_or(0.0)),
    }
}

fn headroom(shard: &Shard) -> f64 {
    (busy_limit(shard) - shard.busy.get()).max(0.0)
}

impl<'a> Estimate<'a> {
    pub(super) fn new(view: &'a View, about: &'a About, machine: &'a Machine, learnt: &'a Learnt) -> Self {
        let known = view.shards.iter().map(|shard| (shard, learnt.shards.get(&shard.shard)));
        let takes_part = |(view, known): &(&ShardView, Option<&Shard>)| match known {
            Some(known) => known.takes_part(view),
            None => !view.silent,
        };
        Self {
            shards: known.filter(takes_part).collect(),
            view,
            about,
            machine,
            learnt,
        }
    }

    fn row(resource: &'static str, used: u64, limit: u64, more: Option<u64>) -> Resource {
        Resource {
            resource,
            used: used as f64,
            limit: limit as f64,
            more,
        }
    }

    /// What the scarcest shard has, times the shards.
    fn evenly(&self, room: impl Fn(&ShardFigures) -> u64) -> Option<u64> {
        let least = self.shards.iter().map(|(view, _)| room(&view.figures)).min()?;
        Some(least.saturating_mul(self.shards.len() as u64))
    }

    /// A limit that each shard keeps its part of.
    fn parted(&self, resource: &'static str, used: fn(&ShardFigures) -> u64, limit: u64, each: u64) -> Resource {
        let part = limit.div_ceil((self.view.shards.len() as u64).max(1));
        let more = self.evenly(|figures| part.saturating_sub(used(figures)) / each);
        let used = self.view.sum(used);
        // Parts are rounded up.
        let more = more.map(|more| more.min(limit.saturating_sub(used) / each));
        Self::row(resource, used, limit, more)
    }

    fn ports(&self) -> Resource {
        let sum = |of: fn(&ShardFigures) -> u64| self.view.sum(of);
        let used = sum(|f| f.media.ports_used);
        let all = used + sum(|f| f.media.ports_free) + sum(|f| f.media.ports_quarantined);
        let more = self.evenly(|figures| figures.media.ports_free / PORTS_A_CALL);
        Self::row("media ports", used, all, more)
    }

    /// Room on the processor in total, for what costs `cost` of a shard each; `None` when no shard
    /// knows it.
    fn affordable(&self, cost: impl Fn(&Shard) -> Option<f64>) -> Option<f64> {
        let shards = self.shards.iter().filter_map(|(_, known)| *known);
        let room = shards.filter_map(|shard| {
            let cost = cost(shard).filter(|cost| *cost > 0.0)?;
            Some(headroom(shard) / cost)
        });
        // A shard that is over its limit has no room even if the cost of a call is not known.
        let full = self
            .shards
            .iter()
            .filter_map(|(_, known)| *known)
            .any(|shard| headroom(shard) <= 0.0 && shard.busy.get() >= BUSY_TO_JUDGE);
        let least = if full { Some(0.0) } else { room.reduce(f64::min) };
        least.map(|least| (least * self.shards.len() as f64).min(1e9))
    }

    /// Shown is the shard that is nearest to its limit.
    fn processor(&self, more: Option<f64>) -> Resource {
        let shards = self.shards.iter().filter_map(|(_, known)| *known);
        let fullest = shards.max_by(|one, other| {
            let fill = |shard: &Shard| shard.busy.get() / busy_limit(shard).max(1e-3);
            fill(one).total_cmp(&fill(other))
        });
        Resource {
            resource: "processor",
            used: rounded(fullest.map_or(0.0, |shard| shard.busy.get())),
            limit: rounded(fullest.map_or(BUSY_MAX, busy_limit)),
            more: more.map(whole),
        }
    }

    fn memory(&self, octets: f64) -> Resource {
        let (used, limit) = (self.machine.resident, self.machine.memory);
        let room = used.zip(limit).map(|(used, limit)| limit.saturating_sub(used) as f64);
        Self::row(
            "memory",
            used.unwrap_or(0),
            limit.unwrap_or(0),
            room.map(|room| whole(room / octets)),
        )
    }

    /// Descriptors and connections: streams take them, datagrams and media sockets do not.
    fn streams(&self, each: Option<f64>) -> [Resource; 2] {
        let room = |used: u64, limit: u64| each.map(|each| whole(limit.saturating_sub(used) as f64 / each));
        let connections = self.view.sum(|f| f.ring.connections);
        let limit = self.about.limit_connections;
        let (open, most) = (self.machine.descriptors, self.machine.descriptors_max);
        let more = open.zip(most).and_then(|(open, most)| room(open, most));
        [
            Self::row("descriptors", open.unwrap_or(0), most.unwrap_or(0), more),
            Self::row("connections", connections, limit, room(connections, limit)),
        ]
    }

    /// Shortages of the last seconds: while there are any, every further call is one too many.
    fn shortages(&self) -> [Resource; 2] {
        let (buffers, queues) = self.learnt.shortages();
        let row = |resource, used: u32| Resource {
            resource,
            used: f64::from(used),
            limit: f64::from(SHORTAGES_MAX),
            more: (used >= SHORTAGES_MAX).then_some(0),
        };
        [row("receive buffers", buffers), row("shard queues", queues)]
    }

    /// Only when nobody answers: then nothing else can be told.
    fn answering(&self) -> Option<Resource> {
        let all = self.view.shards.len() as u64;
        self.shards
            .is_empty()
            .then(|| Self::row("answering shards", 0, all, Some(0)))
    }

    /// What bounds calls.
    pub(super) fn of_calls(&self) -> Vec<Resource> {
        let (calls, bindings) = (self.view.calls(), self.view.sum(|f| f.registrations));
        let connections = self.view.sum(|f| f.ring.connections);
        // Phones keep a connection for each binding; those beyond belong to calls.
        let each = connections.saturating_sub(bindings) as f64 / calls.max(1) as f64;
        let about = self.about;
        let mut rows = vec![
            self.parted("call limit", ShardFigures::calls_total, about.limit_calls, 1),
            self.ports(),
            self.parted(
                "transactions",
                |f| f.transactions,
                about.limit_transactions,
                TRANSACTIONS_A_CALL,
            ),
            self.processor(self.affordable(|shard| shard.call_cost.known())),
            self.memory(self.learnt.memory.octets_a_call()),
        ];
        rows.extend(self.streams((calls > 0 && each > 0.0).then_some(each)));
        rows.extend(self.shortages());
        rows.extend(self.answering());
        rows
    }

    /// What bounds bindings.
    pub(super) fn of_registrations(&self) -> Vec<Resource> {
        let bindings = self.view.sum(|f| f.registrations);
        let connections = self.view.sum(|f| f.ring.connections);
        let each = connections.min(bindings) as f64 / bindings.max(1) as f64;
        let habits = &self.learnt.habits;
        let processor =
            self.affordable(|shard| Some(shard.message_cost.known()? * habits.register_messages? * habits.refresh?));
        let mut rows = vec![
            self.parted(
                "registration limit",
                |f| f.registrations,
                self.about.limit_registrations,
                1,
            ),
            self.processor(processor),
            self.memory(self.learnt.memory.octets_a_binding()),
        ];
        rows.extend(self.streams((each > 0.0).then_some(each)));
        rows.extend(self.shortages());
        rows.extend(self.answering());
        rows
    }

    /// Set-ups a second.
    pub(super) fn call_rate(&self) -> CallRate {
        let habits = &self.learnt.habits;
        let now = self.learnt.sum(|s| s.started);
        let processor = self.affordable(|shard| shard.rate_cost.known());
        // REGISTERs that have ended stand there too, as far as their share goes.
        let limit = self.about.limit_transactions as f64;
        let registers = self.learnt.sum(|s| s.registers) * TRANSACTION_SECONDS_A_REGISTER;
        let table = (limit - registers.min(limit / OUTSIDE as f64)) / TRANSACTION_SECONDS_A_CALL;
        let (more, bound_by) = Self::rate(now, processor, table);
        CallRate {
            now: rounded(now),
            more,
            bound_by,
            messages_per_call: habits.messages.map(rounded),
            seconds_per_call: habits.holding.map(rounded),
        }
    }

    /// REGISTERs a second.
    pub(super) fn register_rate(&self) -> RegisterRate {
        let messages = self.learnt.habits.register_messages;
        let now = self.learnt.sum(|s| s.registers);
        let processor = self.affordable(|shard| Some(shard.message_cost.known()? * messages?));
        // Beyond their share of the transactions they are answered without one.
        let (more, bound_by) = Self::rate(now, processor, f64::INFINITY);
        RegisterRate {
            now: rounded(now),
            more,
            bound_by,
        }
    }

    /// How many more a second the processor and the table of transactions allow. A transaction that has ended
    /// stays in the table to answer copies, so that a rate of calls fills it after half a minute; `all` is the rate
    /// that it bears.
    fn rate(now: f64, processor: Option<f64>, all: f64) -> (Option<f64>, Option<&'static str>) {
        let Some(processor) = processor else {
            return (None, None);
        };
        let table = (all - now).max(0.0);
        let (more, bound_by) = if table < processor {
            (table, "transactions")
        } else {
            (processor, "processor")
        };
        (Some(rounded(more)), Some(bound_by))
    }

    /// The processor's figures of each shard.
    pub(super) fn shard_rooms(&self) -> Vec<ShardRoom> {
        let micros = |seconds: f64| rounded(seconds * 1e6);
        let room = |view: &ShardView| {
            let known = self.learnt.shards.get(&view.shard);
            ShardRoom {
                shard: view.shard,
                counted: self.shards.iter().any(|(counted, _)| counted.shard == view.shard),
                busy: rounded(known.map_or(0.0, |s| s.busy.get())),
                limit: rounded(known.map_or(BUSY_MAX, busy_limit)),
                others: known.and_then(|s| s.others.share()).map(rounded),
                others_growth: known.and_then(|s| s.others.growth()).map(rounded),
                contended: known.and_then(Shard::contended).map(rounded),
                model: known.and_then(|s| s.model),
                call_micros_per_second: known.and_then(|s| s.call_cost.known()).map(micros),
                packet_micros: known.and_then(|s| s.packet_cost).map(micros),
                message_micros: known.and_then(|s| s.message_cost.known()).map(micros),
            }
        };
        self.view.shards.iter().map(room).collect()
    }
}
