use super::machine::{CoreTime, Turns};
use super::*;
use crate::ops::model::ShardFigures;
use crate::ops::view::ShardView;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

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
        limit_calls: 100_000,
        limit_registrations: 500_000,
        limit_transactions: 1_000_000,
        limit_connections: 10_000,
    }
}

fn machine() -> Machine {
    Machine {
        resident: Some(100 << 20),
        memory: Some(16 << 30),
        descriptors: Some(100),
        descriptors_max: Some(1 << 20),
        turns: Default::default(),
        cores: Default::default(),
    }
}

/// Two shards whose counters move as a test says.
struct Stage {
    view: View,
    machine: Machine,
    about: About,
    estimator: Estimator,
}

impl Stage {
    fn new() -> Self {
        let shard = |shard| ShardView {
            shard,
            restarts: 0,
            silent: false,
            figures: ShardFigures::default(),
        };
        let mut stage = Self {
            view: View {
                at: 1_700_000_000_000,
                shards: vec![shard(0), shard(1)],
            },
            machine: machine(),
            about: about(),
            estimator: Estimator::default(),
        };
        stage.each(|f| f.media.ports_free = 400_000);
        stage
    }

    fn each(&mut self, change: impl Fn(&mut ShardFigures)) {
        self.view.shards.iter_mut().for_each(|shard| change(&mut shard.figures));
    }

    /// One second of `work` on both shards.
    fn second(&mut self, work: impl Fn(&mut ShardFigures)) {
        self.view.at += 1000;
        self.each(work);
        self.estimator.learn(&self.view, self.machine.clone());
    }

    fn seconds(&mut self, seconds: u32, work: impl Fn(&mut ShardFigures)) {
        (0..seconds).for_each(|_| self.second(&work));
    }

    fn capacity(&self) -> Capacity {
        self.estimator.capacity(&self.view, &self.about)
    }

    fn calls(&self) -> (u64, &'static str) {
        let room = self.capacity().calls;
        (room.more, room.bound_by)
    }
}

/// `busy` thousandths of a second of work.
fn busy(f: &mut ShardFigures, thousandths: u64) {
    f.ring.busy_nanos += thousandths * SECOND / 1000;
    f.ring.idle_nanos += (1000 - thousandths.min(1000)) * SECOND / 1000;
}

/// Each a call of ten messages; `calls` stand and send a hundred packets a second.
fn load(f: &mut ShardFigures, calls: u64, set_ups: u64, ends: u64) {
    f.calls[2] = calls;
    f.media.rtp_in += calls * 100;
    f.stats.calls_started += set_ups;
    f.stats.calls_ended[0] += ends;
    f.stats.requests[0][0] += set_ups * 10;
    // 4 us a packet, 30 us a message, and a hundredth for nothing.
    let nanos = calls * 100 * 4_000 + set_ups * 10 * 30_000 + SECOND / 100;
    f.ring.busy_nanos += nanos;
    f.ring.idle_nanos += SECOND.saturating_sub(nanos);
}

fn row(room: &Room, resource: &str) -> Resource {
    let found = room.resources.iter().find(|row| row.resource == resource);
    found.unwrap_or_else(|| panic!("no {resource}")).clone()
}

#[test]
fn limits_ports_and_transactions_bind_by_the_scarcest_shard() {
    let mut stage = Stage::new();
    stage.second(|f| f.calls[2] = 200);
    stage.view.shards[0].figures.media.ports_free = 40;
    assert_eq!(stage.calls(), (20, "media ports"));
    stage.about.limit_transactions = 10_020;
    stage.each(|f| f.media.ports_free = 400_000);
    stage.view.shards[1].figures.transactions = 5000;
    assert_eq!(stage.calls(), (10, "transactions"));
    stage.about.limit_calls = 404;
    assert_eq!(stage.calls(), (4, "call limit"));
    stage.each(|f| f.registrations = 20);
    stage.about.limit_registrations = 500;
    let room = stage.capacity().registrations;
    assert_eq!((room.now, room.more, room.bound_by), (40, 460, "registration limit"));
}

#[test]
fn memory_binds_calls_and_bindings() {
    let mut stage = Stage::new();
    stage.machine.memory = Some((100 << 20) + 64 * 1024);
    stage.seconds(2, |_| {});
    assert_eq!(stage.calls(), (2, "memory"), "32 KiB each until calls have shown it");
    let room = stage.capacity().registrations;
    assert_eq!((room.more, room.bound_by), (64 * 1024 / 214, "memory"));
    stage.machine.memory = None;
    stage.seconds(1, |_| {});
    assert_eq!(row(&stage.capacity().calls, "memory").more, None);
}

#[test]
fn descriptors_and_connections_bind_only_what_takes_them() {
    let mut stage = Stage::new();
    stage.machine.descriptors_max = Some(150);
    stage.second(|f| f.calls[2] = 10);
    assert_eq!(
        row(&stage.capacity().calls, "descriptors").more,
        None,
        "datagrams take none"
    );
    stage.each(|f| (f.registrations, f.ring.connections) = (20, 20));
    assert_eq!(
        row(&stage.capacity().calls, "descriptors").more,
        None,
        "they are the phones'"
    );
    let room = stage.capacity().registrations;
    assert_eq!((room.more, room.bound_by), (50, "descriptors"));
    stage.each(|f| f.ring.connections = 30);
    assert_eq!(stage.calls(), (50, "descriptors"), "one a call beside the phones'");
    stage.about.limit_connections = 70;
    assert_eq!(stage.calls(), (10, "connections"));
}

#[test]
fn shortages_of_now_leave_no_room_and_pass() {
    let mut stage = Stage::new();
    stage.seconds(3, |_| {});
    stage.second(|f| f.ring.receive_buffer_exhausted += 1);
    assert_ne!(stage.calls().1, "receive buffers", "a single burst is no state");
    stage.second(|f| f.ring.receive_buffer_exhausted += 9);
    assert_eq!(stage.calls(), (0, "receive buffers"));
    assert_eq!(stage.capacity().registrations.more, 0);
    stage.seconds(6, |_| {});
    assert_ne!(stage.calls().1, "receive buffers");
    stage.seconds(2, |f| f.ring.mesh_full += 1);
    assert_eq!(stage.calls(), (0, "shard queues"));
}

#[test]
fn a_steady_load_is_shared_out_by_calls() {
    let mut stage = Stage::new();
    stage.seconds(40, |f| {
        f.calls[2] = 200;
        busy(f, 400);
    });
    let capacity = stage.capacity();
    assert_eq!(
        (capacity.calls.bound_by, capacity.shards[0].model),
        ("processor", Some("proportional"))
    );
    assert!((395..=400).contains(&capacity.calls.more), "{}", capacity.calls.more);
    assert_eq!(row(&capacity.calls, "processor").used, 0.4);
    // The busiest shard decides.
    for _ in 0..40 {
        stage.view.at += 1000;
        busy(&mut stage.view.shards[0].figures, 700);
        busy(&mut stage.view.shards[1].figures, 400);
        stage.estimator.learn(&stage.view, stage.machine.clone());
    }
    let more = stage.calls().0;
    assert!((50..=60).contains(&more), "{more}");
    stage.seconds(40, |f| busy(f, 950));
    assert_eq!(stage.calls(), (0, "processor"));
}

#[test]
fn two_calls_say_nothing_about_the_processor() {
    let mut stage = Stage::new();
    stage.seconds(40, |f| {
        f.calls[2] = 1;
        busy(f, 500);
    });
    assert_eq!(row(&stage.capacity().calls, "processor").more, None);
}

#[test]
fn calls_that_pile_up_show_where_they_will_end() {
    let mut stage = Stage::new();
    // Ten calls a second on each shard, none ends: 0.01 + 0.003 + 0.0004 a call.
    for n in 0..100 {
        stage.second(|f| load(f, 10 * n, 10, 0));
    }
    let capacity = stage.capacity();
    assert_eq!(capacity.shards[0].model, Some("fitted"));
    let expected = (0.8 - 0.013 - 0.0004 * 990.0) / 0.0004 * 2.0;
    let off = row(&capacity.calls, "processor").more.unwrap() as f64 / expected;
    assert!((0.9..1.1).contains(&off), "{off}: {capacity:?}");
    let packet = capacity.shards[0].packet_micros.unwrap();
    assert!((3.8..4.2).contains(&packet), "{packet}");
}

#[test]
fn room_for_set_ups_is_told_at_the_present_holding_time() {
    let mut stage = Stage::new();
    // Calls of ten seconds: 50 a second and 500 standing on each shard, 0.2 + 0.015 + 0.01.
    stage.seconds(100, |f| load(f, 500, 50, 50));
    let rate = stage.capacity().calls_per_second;
    assert_eq!(
        (rate.now, rate.messages_per_call, rate.seconds_per_call),
        (100.0, Some(10.0), Some(10.0))
    );
    let expected = (0.8 - 0.225) / (0.225 / 50.0) * 2.0;
    let off = rate.more.unwrap() / expected;
    assert!((0.95..1.05).contains(&off), "{off}");
    assert_eq!(rate.bound_by, Some("processor"));
}

#[test]
fn ended_transactions_bound_a_rate_of_cheap_calls() {
    let mut stage = Stage::new();
    // 500 calls a second on each shard that end at once; they keep it busy for 0.05 only.
    stage.seconds(100, |f| {
        f.stats.calls_started += 500;
        f.stats.calls_ended[0] += 500;
        f.stats.requests[0][0] += 5000;
        busy(f, 50);
    });
    let rate = stage.capacity().calls_per_second;
    assert_eq!(rate.bound_by, Some("transactions"), "{rate:?}");
    // 101 seconds of transactions a call.
    let all = rate.now + rate.more.unwrap();
    assert!((9_800.0..10_000.0).contains(&all), "{rate:?}");
}

#[test]
fn registers_take_calls_their_transactions_up_to_a_half() {
    let all = |registers: u64| {
        let mut stage = Stage::new();
        stage.seconds(100, |f| {
            f.stats.calls_started += 500;
            f.stats.calls_ended[0] += 500;
            f.stats.requests[0][0] += 5000;
            f.stats.requests[4][0] += registers;
            busy(f, 50);
        });
        let rate = stage.capacity().calls_per_second;
        assert_eq!(rate.bound_by, Some("transactions"));
        rate.now + rate.more.unwrap()
    };
    // Of a million places 32 for each of 5,000 REGISTERs a second; then half of them.
    assert!((8_250.0..8_350.0).contains(&all(2_500)), "{}", all(2_500));
    assert!((4_940.0..4_960.0).contains(&all(50_000)), "{}", all(50_000));
}

#[test]
fn registers_cost_what_messages_cost() {
    let mut stage = Stage::new();
    stage.seconds(60, |f| {
        f.registrations = 50_000;
        f.stats.requests[4][0] += 500;
        f.stats.responses[4][1][1] += 500;
        busy(f, 50);
    });
    let capacity = stage.capacity();
    // A thousand REGISTERs a second cost 0.05 of each shard: 15 times as many may still come.
    let more = capacity.registers_per_second.more.unwrap();
    assert!((14_500.0..15_100.0).contains(&more), "{more}");
    let bindings = row(&capacity.registrations, "processor").more.unwrap();
    assert!((1_450_000..=1_510_000).contains(&bindings), "{bindings}");
}

/// In an overload a message costs half: most are turned away, and batches are large.
#[test]
fn a_survived_overload_does_not_make_the_next_messages_cheap() {
    let mut stage = Stage::new();
    for (seconds, registers, thousandths) in [(20, 0, 0), (40, 10_000, 160), (40, 60_000, 480), (60, 10_000, 160)] {
        stage.seconds(seconds, |f| {
            f.stats.requests[4][0] += registers;
            f.stats.responses[4][1][1] += registers;
            busy(f, thousandths);
        });
    }
    let capacity = stage.capacity();
    let cost = capacity.shards[0].message_micros.unwrap();
    assert!((7.8..8.2).contains(&cost), "{cost}");
    let more = capacity.registers_per_second.more.unwrap();
    assert!(
        (78_000.0..82_000.0).contains(&more),
        "(0.8 - 0.16) / 16 us, twice: {more}"
    );
}

#[test]
fn a_contended_core_lowers_the_limit() {
    let mut stage = Stage::new();
    for n in 1..=60u64 {
        // Of each second 0.3 run and 0.1 waited: three quarters of the core can be had.
        let turns = Turns {
            ran: n * 3 * SECOND / 10,
            waited: n * SECOND / 10,
        };
        stage.machine.turns = [(0, turns)].into();
        stage.second(|f| {
            f.calls[2] = 300;
            busy(f, 300);
        });
    }
    let capacity = stage.capacity();
    assert_eq!(
        (capacity.shards[0].contended, capacity.shards[0].limit),
        (Some(0.25), 0.6)
    );
    assert_eq!((capacity.shards[1].contended, capacity.shards[1].limit), (None, 0.8));
    let more = row(&capacity.calls, "processor").more.unwrap();
    assert!((595..=600).contains(&more), "the contended shard decides: {more}");
}

/// A stage after a load that came and went for three minutes and then stands at 200 thousandths of each core,
/// for two hundred calls; `others` says what else the cores do then, in thousandths.
fn beside(others: impl Fn(u64, u64) -> u64) -> Stage {
    let mut stage = Stage::new();
    let mut core = CoreTime::default();
    for n in 0..200u64 {
        let own = if n < 180 {
            [50, 100, 200, 300, 200, 100][n as usize / 10 % 6]
        } else {
            200
        };
        core.at += SECOND;
        core.idle += (1000 - own - others(n, own)) * SECOND / 1000;
        stage.machine.cores = [(0, core), (1, core)].into();
        stage.second(|f| {
            f.calls[2] = own;
            busy(f, own);
        });
    }
    stage
}

#[test]
fn others_that_grow_with_the_load_take_their_part_of_the_room() {
    let more = |stage: &Stage| row(&stage.capacity().calls, "processor").more.unwrap();
    let near = |found: u64, expected: u64| found.abs_diff(expected) <= expected / 20;
    // 0.8 of a core for calls of a thousandth each, less the 200 that stand, on two cores.
    let alone = beside(|_, _| 0);
    assert!(near(more(&alone), 1200), "{}", more(&alone));
    assert_eq!(alone.capacity().shards[0].others_growth, Some(0.0));
    // As much again goes to others: half of the room that is left beside them.
    let followed = beside(|_, own| own);
    assert!(near(more(&followed), 400), "{}", more(&followed));
    let shard = &followed.capacity().shards[0];
    assert!((0.95..1.05).contains(&shard.others_growth.unwrap()), "{shard:?}");
    assert!(
        (0.19..0.21).contains(&shard.others.unwrap()) && (0.39..0.41).contains(&shard.limit),
        "{shard:?}"
    );
    let constant = beside(|_, _| 300);
    assert!(near(more(&constant), 600), "{}", more(&constant));
    // A neighbour comes and goes by himself; at the end he is there.
    let restless = beside(|n, _| if n / 17 % 2 == 1 || n > 170 { 300 } else { 0 });
    assert_eq!(restless.capacity().shards[0].others_growth, Some(0.0));
    assert!(near(more(&restless), 600), "{}", more(&restless));
}

#[test]
fn a_core_that_others_only_fill_is_judged_by_our_waits() {
    let mut stage = beside(|_, own| 1000 - own);
    assert_eq!(stage.calls().1, "processor");
    assert_eq!(row(&stage.capacity().calls, "processor").limit, 0.8);
    for n in 1..=60u64 {
        let turns = Turns {
            ran: n * 2 * SECOND / 10,
            waited: n * SECOND / 20,
        };
        stage.machine.turns = [(0, turns), (1, turns)].into();
        stage.machine.cores.values_mut().for_each(|core| core.at += SECOND);
        stage.second(|f| busy(f, 200));
    }
    assert_eq!(row(&stage.capacity().calls, "processor").limit, 0.64);
}

#[test]
fn silence_and_restarts_do_not_give_absurd_figures() {
    let mut stage = Stage::new();
    stage.seconds(60, |f| load(f, 500, 50, 50));
    let before = stage.calls().0;
    stage.view.shards[1].silent = true;
    stage.second(|f| load(f, 500, 50, 50));
    assert!(
        stage.calls().0.abs_diff(before) < before / 20,
        "a moment of silence changes nothing"
    );
    stage.seconds(5, |f| load(f, 500, 50, 50));
    let capacity = stage.capacity();
    assert!(!capacity.shards[1].counted && capacity.shards[0].counted);
    assert!(
        capacity.calls.more.abs_diff(before / 2) < before / 20,
        "half the shards, half the room"
    );
    // It comes back empty, its counters as large as ever.
    (stage.view.shards[1].silent, stage.view.shards[1].restarts) = (false, 1);
    stage.second(|f| load(f, 500, 50, 50));
    stage.seconds(5, |f| load(f, 500, 50, 50));
    assert!(
        stage.calls().0.abs_diff(before) < before / 10,
        "{} {before}",
        stage.calls().0
    );
    stage.view.shards.iter_mut().for_each(|shard| shard.silent = true);
    stage.seconds(5, |_| {});
    assert_eq!(stage.calls(), (0, "answering shards"));
}

#[test]
fn what_was_learnt_stays_when_the_calls_have_gone() {
    let mut stage = Stage::new();
    stage.seconds(60, |f| load(f, 500, 50, 50));
    stage.seconds(60, |f| load(f, 0, 0, 0));
    let more = row(&stage.capacity().calls, "processor").more.unwrap();
    assert!((3000..3700).contains(&more), "{more}");
}

fn sane(capacity: &Capacity, about: &About) -> Result<(), TestCaseError> {
    let (calls, bindings) = (&capacity.calls, &capacity.registrations);
    prop_assert!(calls.more <= about.limit_calls && bindings.more <= about.limit_registrations);
    for row in calls.resources.iter().chain(&bindings.resources) {
        prop_assert!(row.used.is_finite() && row.used >= 0.0 && row.limit.is_finite() && row.limit >= 0.0);
    }
    let rates = [capacity.calls_per_second.more, capacity.registers_per_second.more];
    for figure in rates.into_iter().flatten() {
        prop_assert!(figure.is_finite() && figure >= 0.0, "{figure}");
    }
    for shard in &capacity.shards {
        let all = [
            Some(shard.busy),
            Some(shard.limit),
            shard.others,
            shard.others_growth,
            shard.contended,
            shard.call_micros_per_second,
        ];
        for figure in all
            .into_iter()
            .chain([shard.packet_micros, shard.message_micros])
            .flatten()
        {
            prop_assert!(figure.is_finite() && figure >= 0.0, "{shard:?}");
        }
    }
    Ok(())
}

proptest! {
    /// Counters that jump, clocks that are set, shards that come and go.
    #[test]
    fn no_figures_make_the_estimate_absurd(steps in proptest::collection::vec(
        (0u64..30_000, any::<[u32; 6]>(), 0u64..6, any::<bool>(), any::<bool>()), 1..120
    )) {
        let mut stage = Stage::new();
        for (passed, [a, b, c, d, e, f], restarts, silent, back) in steps {
            stage.view.at = if back { stage.view.at - passed } else { stage.view.at + passed };
            let shard = &mut stage.view.shards[usize::from(a % 2 == 0)];
            (shard.restarts, shard.silent) = (restarts / 4, silent);
            let figures = &mut shard.figures;
            figures.ring.busy_nanos = figures.ring.busy_nanos.wrapping_add(u64::from(a)) / (1 + restarts % 2);
            figures.ring.idle_nanos += u64::from(b);
            figures.media.rtp_in = u64::from(c);
            figures.stats.calls_started = u64::from(d);
            figures.stats.calls_ended[0] = u64::from(e);
            figures.calls[2] = u64::from(f) % 100_000;
            figures.registrations = u64::from(d);
            figures.stats.requests[4][0] = u64::from(f);
            figures.media.ports_free = u64::from(e);
            stage.machine.resident = Some(u64::from(b));
            stage.machine.turns = [(0, Turns { ran: u64::from(c), waited: u64::from(d) })].into();
            let core = CoreTime { at: u64::from(e), idle: u64::from(f) };
            stage.machine.cores = [(1, core)].into();
            stage.estimator.learn(&stage.view, stage.machine.clone());
            sane(&stage.capacity(), &stage.about)?;
        }
    }

    /// More work on the same calls never means more room, and a steady load means a steady figure.
    #[test]
    fn room_falls_as_the_shards_get_busier(calls in 20u64..5000, low in 20u64..1000, higher in 0u64..500) {
        let settled = |thousandths: u64| {
            let mut stage = Stage::new();
            stage.seconds(60, |f| { f.calls[2] = calls; busy(f, thousandths); });
            let first = stage.calls().0;
            stage.seconds(1, |f| busy(f, thousandths));
            assert!(stage.calls().0.abs_diff(first) <= 1 + first / 100);
            first
        };
        prop_assert!(settled((low + higher).min(1000)) <= settled(low));
    }
}
