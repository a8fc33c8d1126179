//! What a second of figures teaches: rates of each shard, what a call and a message cost it, how
//! much memory a call takes. Everything is smoothed over several seconds; what was learnt stays
//! while there is nothing to learn from.

use super::counters::Counters;
use super::fit::{Fit, Smooth};
use super::machine::{CoreTime, Machine};
use super::memory::Memory;
use super::others::Others;
use crate::ops::view::{ShardView, View};
use std::collections::BTreeMap;

/// Seconds over which figures are smoothed.
pub const CALM: f64 = 5.0;
/// Seconds over which costs and habits are smoothed.
pub const CALM_COST: f64 = 10.0;
/// Calls on a shard, its busy share, and calls or REGISTERs a second, below which they say nothing.
pub const CALLS_TO_JUDGE: f64 = 10.0;
pub const BUSY_TO_JUDGE: f64 = 0.02;
pub const RATE_TO_JUDGE: f64 = 0.25;
/// From this busy share on, a second teaches in full.
const BUSY_TO_TEACH: f64 = 0.2;
/// Share of time that a thread must have wanted a processor before its waits say something.
const WANTED_TO_JUDGE: f64 = 0.01;
/// Seconds between two samples; outside, the clock was set or we were stopped.
const SPAN: std::ops::RangeInclusive<f64> = 0.2..=10.0;
/// Seconds that a silent shard is still believed in.
const PATIENCE: u32 = 3;

/// What is known of one shard.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    restarts: u64,
    quiet: u32,
    heard: bool,
    before: Option<Counters>,
    /// Share of time spent on work.
    pub busy: Smooth,
    /// Relayed packets a second.
    pub packets: Smooth,
    /// SIP messages a second, both directions.
    pub messages: Smooth,
    /// Messages of REGISTER among them.
    pub register_messages: Smooth,
    /// REGISTER requests a second.
    pub registers: Smooth,
    /// Calls begun a second.
    pub started: Smooth,
    /// Calls ended a second.
    pub ended: Smooth,
    /// Calls now.
    pub calls: Smooth,
    /// Bindings now.
    pub bindings: Smooth,
    /// Bindings more than a second ago.
    pub bindings_grown: Smooth,
    ran: Smooth,
    waited: Smooth,
    /// What else its core does.
    pub others: Others,
    last_bindings: Option<u64>,
    fit: Fit,
    /// Busy share without any work.
    rest: Smooth,
    /// Busy share of one standing call.
    pub call_cost: Smooth,
    /// Busy share of one call set up a second, with the calls that then stand.
    pub rate_cost: Smooth,
    /// Processor seconds of one SIP message.
    pub message_cost: Smooth,
    /// How the last cost of a call was found.
    pub model: Option<&'static str>,
    /// Processor seconds of one packet, when the load has shown them.
    pub packet_cost: Option<f64>,
}

impl Shard {
    /// The share of the core that others take while this shard wants it; `None` when it cannot be
    /// told, or the shard hardly wants it.
    #[must_use]
    pub fn contended(&self) -> Option<f64> {
        let (ran, waited) = (self.ran.known()?, self.waited.known()?);
        (ran + waited >= WANTED_TO_JUDGE).then(|| waited / (ran + waited))
    }

    /// Whether it takes part in the estimate: it answers, or did a moment ago.
    #[must_use]
    pub fn takes_part(&self, view: &ShardView) -> bool {
        !view.silent || (self.heard && self.quiet < PATIENCE && view.restarts == self.restarts)
    }

    /// Whether buffers, and whether queues were short.
    fn sample(&mut self, view: &ShardView, machine: &Machine, seconds: Option<f64>) -> (bool, bool) {
        if view.restarts != self.restarts {
            // Its load is gone with the instance, what its work costs is not.
            *self = Self {
                restarts: view.restarts,
                fit: std::mem::take(&mut self.fit),
                rest: self.rest,
                call_cost: self.call_cost,
                rate_cost: self.rate_cost,
                message_cost: self.message_cost,
                model: self.model,
                packet_cost: self.packet_cost,
                others: self.others.restarted(),
                ..Self::default()
            };
        }
        if view.silent {
            self.quiet += 1;
            self.before = None;
            return (false, false);
        }
        (self.quiet, self.heard) = (0, true);
        let now = Counters::of(view, machine);
        let before = self.before.replace(now);
        let (Some(before), Some(seconds)) = (before, seconds) else {
            return (false, false);
        };
        self.rates(view, &before, &now, seconds);
        (now.shortages > before.shortages, now.refused > before.refused)
    }

    fn rates(&mut self, view: &ShardView, before: &Counters, now: &Counters, seconds: f64) {
        let since = |of: fn(&Counters) -> u64| of(now).saturating_sub(of(before)) as f64;
        let (busy, idle) = (since(|c| c.busy), since(|c| c.idle));
        // Both are accounted at the same moment, so that their ratio is exact where their span is not.
        let span = if idle > 0.0 { busy + idle } else { seconds * 1e9 };
        let own = (busy / span).min(1.0);
        self.busy.add(own, seconds, CALM);
        if let Some(core) = CoreTime::share(before.core, now.core) {
            self.others.add(own, core, self.busy.get(), seconds);
        }
        let mut rate = |to: fn(&mut Self) -> &mut Smooth, of: fn(&Counters) -> u64| {
            to(self).add(since(of) / seconds, seconds, CALM);
        };
        rate(|s| &mut s.packets, |c| c.packets);
        rate(|s| &mut s.messages, |c| c.messages);
        rate(|s| &mut s.register_messages, |c| c.register_messages);
        rate(|s| &mut s.registers, |c| c.registers);
        rate(|s| &mut s.started, |c| c.started);
        rate(|s| &mut s.ended, |c| c.ended);
        self.calls.add(view.figures.calls_total() as f64, seconds, CALM);
        let bindings = view.figures.registrations;
        let grown = bindings.saturating_sub(self.last_bindings.replace(bindings).unwrap_or(bindings));
        self.bindings.add(bindings as f64, seconds, CALM);
        self.bindings_grown.add(grown as f64 / seconds, seconds, CALM);
        if let (Some(old), Some(new)) = (before.turns, now.turns) {
            let share = |new: u64, old: u64| new.saturating_sub(old) as f64 / (seconds * 1e9);
            self.ran.add(share(new.ran, old.ran), seconds, CALM_COST);
            self.waited.add(share(new.waited, old.waited), seconds, CALM_COST);
        }
        let (packets, messages) = (self.packets.get(), self.messages.get());
        if packets < 1.0 && messages < 1.0 {
            self.rest.add(self.busy.get(), seconds, CALM_COST);
        }
        self.fit.add(packets, messages, self.busy.get());
    }

    /// Costs of packets and messages, which together explain at least what is spent now beyond rest. Work gets
    /// cheaper in large batches, and cheapest in an overload that was just survived, where most of it is turned
    /// away: a line through such seconds is too flat to be followed from here.
    fn costs(&self) -> (Option<f64>, Option<f64>) {
        let (packet, message) = self.shared_costs();
        let of = |cost: Option<f64>, load: f64| cost.unwrap_or(0.0) * load;
        let explained = of(packet, self.packets.get()) + of(message, self.messages.get());
        let spent = self.busy.get() - self.rest.get();
        let more = if explained > 0.0 {
            (spent / explained).max(1.0)
        } else {
            1.0
        };
        (packet.map(|cost| cost * more), message.map(|cost| cost * more))
    }

    /// As the load has shown them. What the fit cannot tell gets what is left over, whole: the
    /// base is then counted as work, so that the estimate errs towards fewer calls.
    fn shared_costs(&self) -> (Option<f64>, Option<f64>) {
        let (busy, packets, messages) = (self.busy.get(), self.packets.get(), self.messages.get());
        let shared = |rest: f64, load: f64, enough: f64| (load >= enough).then(|| rest.max(0.0) / load);
        let fitted = self.fit.costs();
        match (fitted.packet, fitted.message) {
            (Some(packet), None) => (Some(packet), shared(busy - packet * packets, messages, 1.0)),
            (None, Some(message)) => (shared(busy - message * messages, packets, 50.0), Some(message)),
            (None, None) if packets < 1.0 => (None, shared(busy, messages, 5.0)),
            (None, None) if messages < 1.0 => (shared(busy, packets, 50.0), None),
            both => both,
        }
    }

    fn learn_costs(&mut self, habits: &Habits, seconds: f64) {
        if self.busy.get() < BUSY_TO_JUDGE {
            return;
        }
        // The base weighs most where there is little work: such seconds teach less.
        let seconds = seconds * (self.busy.get() / BUSY_TO_TEACH).min(1.0);
        let (packet, message) = self.costs();
        let fitted = self.fit.costs();
        let is_fitted = fitted.packet.is_some() || fitted.message.is_some();
        self.packet_cost = packet.or(self.packet_cost);
        if let Some(message) = message {
            self.message_cost.add(message, seconds, CALM_COST);
        }
        // Each: how much of it, times what one costs; nothing of it costs nothing.
        let of = |amount: Option<f64>, cost: Option<f64>| match amount {
            Some(amount) if amount < 1e-6 => Some(0.0),
            Some(amount) => Some(amount * cost?),
            None => None,
        };
        let sum = |packets: Option<f64>, messages: Option<f64>| {
            let cost = of(packets, packet)? + of(messages, message)?;
            (is_fitted && cost > 0.0).then_some(cost)
        };
        let (calls, started, busy) = (self.calls.get(), self.started.get(), self.busy.get());
        let standing = sum(
            habits.packets,
            habits.turnover.map_or(Some(0.0), |turnover| {
                if turnover < 1e-6 {
                    Some(0.0)
                } else {
                    Some(turnover * habits.messages?)
                }
            }),
        );
        let shared = || (calls >= CALLS_TO_JUDGE).then(|| busy / calls);
        if let Some(cost) = standing.or_else(shared) {
            self.model = Some(if standing.is_some() { "fitted" } else { "proportional" });
            self.call_cost.add(cost, seconds, CALM_COST);
        }
        let packets_a_rate = || Some(habits.packets.unwrap_or(0.0) * habits.holding?);
        let set_up = sum(packets_a_rate(), habits.messages);
        let shared = || (started >= RATE_TO_JUDGE).then(|| busy / started);
        if let Some(cost) = set_up.or_else(shared) {
            self.rate_cost.add(cost, seconds, CALM_COST);
        }
    }
}

/// How calls and phones behave, all shards together; as last seen with enough of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Packets a second of a standing call.
    pub packets: Option<f64>,
    /// Calls that end a second, of each standing one: who takes its place is set up anew.
    pub turnover: Option<f64>,
    /// SIP messages of a call, both directions.
    pub messages: Option<f64>,
    /// Seconds that a call stands.
    pub holding: Option<f64>,
    /// Messages of a REGISTER.
    pub register_messages: Option<f64>,
    /// REGISTERs a second of each binding, to stay bound.
    pub refresh: Option<f64>,
}

/// Everything that was learnt.
#[derive(Debug, Default)]
pub struct Learnt {
    at: Option<u64>,
    /// By number.
    pub shards: BTreeMap<u16, Shard>,
    /// Of all shards.
    pub habits: Habits,
    /// Octets a call and a binding.
    pub memory: Memory,
    shortages: u8,
    refused: u8,
}

/// Samples that are looked at for shortages.
pub const SHORTAGES_OF: u32 = 5;
/// In so many of them there must be one: a single burst is no state.
pub const SHORTAGES_MAX: u32 = 2;

impl Learnt {
    /// Takes the figures of one second.
    pub fn tick(&mut self, view: &View, machine: &Machine) {
        let seconds = self.at.map(|at| (view.at as f64 - at as f64) / 1e3);
        if seconds.is_some_and(|seconds| (0.0..*SPAN.start()).contains(&seconds)) {
            return;
        }
        self.at = Some(view.at);
        let seconds = seconds.filter(|seconds| SPAN.contains(seconds));
        let (mut short, mut full) = (false, false);
        for shard in &view.shards {
            let known = self.shards.entry(shard.shard).or_default();
            let found = known.sample(shard, machine, seconds);
            (short, full) = (short | found.0, full | found.1);
        }
        self.shortages = self.shortages << 1 | u8::from(short);
        self.refused = self.refused << 1 | u8::from(full);
        self.learn_habits();
        if let Some(seconds) = seconds {
            let habits = self.habits;
            self.shards
                .values_mut()
                .filter(|shard| shard.quiet == 0)
                .for_each(|shard| shard.learn_costs(&habits, seconds));
            let (calls, bindings) = (view.calls(), view.sum(|f| f.registrations));
            self.memory.learn(machine.resident, calls, bindings, seconds);
        }
    }

    /// A smoothed figure, all shards together.
    pub fn sum(&self, of: impl Fn(&Shard) -> Smooth) -> f64 {
        self.shards.values().map(|shard| of(shard).get()).sum()
    }

    /// In how many of the last samples receive buffers, and queues between shards, were short.
    #[must_use]
    pub fn shortages(&self) -> (u32, u32) {
        let recent = |bits: u8| (bits & ((1 << SHORTAGES_OF) - 1)).count_ones();
        (recent(self.shortages), recent(self.refused))
    }

    fn learn_habits(&mut self) {
        let calls = self.sum(|s| s.calls);
        let (started, ended) = (self.sum(|s| s.started), self.sum(|s| s.ended));
        let register_messages = self.sum(|s| s.register_messages);
        let call_messages = (self.sum(|s| s.messages) - register_messages).max(0.0);
        let (bindings, registers) = (self.sum(|s| s.bindings), self.sum(|s| s.registers));
        // A phone's first REGISTER, and its answer to the challenge, belong to growth.
        let refreshes = (registers - 2.0 * self.sum(|s| s.bindings_grown)).max(0.0);
        let packets = self.sum(|s| s.packets);
        let habits = &mut self.habits;
        if calls >= 2.0 * CALLS_TO_JUDGE {
            habits.packets = Some(packets / calls);
            habits.turnover = Some(ended / calls);
        }
        if started >= 2.0 * RATE_TO_JUDGE {
            habits.messages = Some(call_messages / started);
            // While calls pile up, those that end are too few to judge by.
            habits.holding = Some(calls / started.max(ended));
        }
        if registers >= 2.0 * RATE_TO_JUDGE {
            habits.register_messages = Some(register_messages / registers);
        }
        if bindings >= 100.0 && refreshes > 0.0 {
            habits.refresh = Some(refreshes / bindings);
        }
    }
}
