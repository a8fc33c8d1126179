//! Limits that are reached: refused at once with a reason, nothing stays, room comes back.

use super::phone::{Answer, Habits};
use super::stage::{Setup, Stage};
use ringfort::config::Plan;
use ringfort::config::plan::{Host, MediaPath, Mode, Target, Trunk};
use ringfort::protocol::Transport;
use std::time::Duration;

/// Answers after half a second.
fn quick() -> Habits {
    Habits {
        answer: Answer::After(Duration::from_millis(500)),
        ..Habits::default()
    }
}

/// Two calls where there is room for one; then one more, after the first has ended.
fn room_for_one(change: fn(&mut Plan), seed: u64) {
    let mut stage = Stage::new(Setup {
        seed,
        shards: 1,
        change,
        ..Setup::default()
    });
    let phones = ["alice", "bob", "carol", "dave"].map(|stem| stage.registered(stem, quick()));
    let numbers = [stage.name("bob"), stage.name("dave")];
    stage.act(phones[0], |phone, cx| phone.call(cx, &numbers[0]));
    stage.run(3000);
    stage.act(phones[2], |phone, cx| phone.call(cx, &numbers[1]));
    stage.run(3000);
    assert_eq!(stage.look(phones[0]).leg().status, 200);
    assert_eq!(stage.look(phones[2]).leg().status, 503);
    assert!(stage.look(phones[3]).legs.is_empty());
    stage.act(phones[0], |phone, cx| phone.hang_up(cx, 0));
    // A released port rests before it is used again.
    stage.run(120_000);
    stage.act(phones[2], |phone, cx| phone.call(cx, &numbers[1]));
    stage.run(3000);
    assert_eq!(stage.look(phones[2]).leg().status, 200);
    stage.act(phones[3], |phone, cx| phone.hang_up(cx, 0));
    stage.rest_at_most(3);
    let answered = stage.cdr().iter().filter(|cdr| cdr["result"] == "completed").count();
    assert_eq!(answered, 2);
}

#[test]
fn calls() {
    for seed in 0..3 {
        room_for_one(|plan| plan.limits.calls = 1, seed);
    }
}

#[test]
fn ports() {
    for seed in 0..3 {
        room_for_one(|plan| plan.media.ports = (20_000, 20_003), seed);
    }
}

/// Registrations fill half of the transactions at the most: the rest of a storm is answered without any,
/// and calls find their room.
#[test]
fn a_storm_of_registers_leaves_calls_their_transactions() {
    const LIMIT: usize = 100;
    for mode in [Mode::B2bua, Mode::Proxy] {
        let change: fn(&mut Plan) = match mode {
            Mode::B2bua => |plan| plan.limits.transactions = LIMIT as u32,
            _ => |plan| {
                plan.limits.transactions = LIMIT as u32;
                (plan.local.mode, plan.local.media) = (Mode::Proxy, MediaPath::Direct);
            },
        };
        let mut stage = Stage::new(Setup {
            shards: 1,
            change,
            ..Setup::default()
        });
        let phones = ["alice", "bob", "carol"].map(|stem| stage.registered(stem, quick()));
        let number = stage.name("bob");
        // An ended transaction stays for 32 s; these take 12 s.
        for round in 0..LIMIT + 20 {
            let expires = 1000 + round as u32;
            stage.act(phones[2], |phone, cx| phone.register(cx, expires));
            stage.run(100);
            let phone = stage.look(phones[2]);
            assert_eq!((phone.register_status(), phone.granted()), (200, expires), "{round}");
        }
        assert_eq!(stage.world.program(0).leftovers().transactions, LIMIT / 2);
        assert_eq!(stage.figures(0).registrations, 3);

        // Without a transaction a repetition is computed again, and comes to the same.
        let statuses = stage.look(phones[2]).register.statuses.len();
        stage.act(phones[2], |phone, cx| phone.repeat_register(cx));
        stage.run(100);
        assert_eq!(stage.look(phones[2]).register.statuses[statuses..], [200]);
        assert_eq!(stage.figures(0).registrations, 3);

        stage.act(phones[0], |phone, cx| phone.call(cx, &number));
        stage.run(3000);
        assert_eq!(stage.look(phones[0]).leg().status, 200, "{mode:?}");
        assert!(stage.world.program(0).leftovers().transactions > LIMIT / 2);
        stage.act(phones[0], |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

/// A full house does not stop a call to an emergency number; an ordinary one is still refused.
#[test]
fn emergency_calls_are_never_shed() {
    let change: fn(&mut Plan) = |plan| {
        plan.limits.calls = 1;
        plan.trunks = vec![Trunk {
            name: "exchange".into(),
            targets: vec![Target {
                transport: Transport::Udp,
                host: Host::Ip([10, 0, 1, 4].into()),
                port: Some(5060),
            }],
            trusted: Vec::new(),
        }];
        plan.emergency.trunks = vec![0];
    };
    for seed in 0..3 {
        let mut stage = Stage::new(Setup {
            seed,
            shards: 1,
            change,
            ..Setup::default()
        });
        let phones = ["alice", "bob", "carol"].map(|stem| stage.registered(stem, quick()));
        let desk = stage.phone("112", quick());
        let number = stage.name("bob");
        stage.act(phones[0], |phone, cx| phone.call(cx, &number));
        stage.run(3000);
        stage.act(phones[2], |phone, cx| phone.call(cx, "112"));
        stage.run(3000);
        let leg = stage.look(phones[2]).leg();
        assert_eq!((leg.status, leg.heard > 0), (200, true), "seed {seed}");
        assert_eq!(stage.look(desk).legs.len(), 1);
        stage.act(phones[2], |phone, cx| {
            phone.hang_up(cx, 0);
            phone.call(cx, &number)
        });
        stage.run(3000);
        assert_eq!(stage.look(phones[2]).leg().status, 503, "seed {seed}");
        stage.act(phones[0], |phone, cx| phone.hang_up(cx, 0));
        stage.rest_at_most(3);
    }
}
