//! Limits that are reached: refused at once with a reason, nothing stays, room comes back.

use super::phone::{Answer, Habits};
use super::stage::{Setup, Stage};
use ringfort::config::Plan;
use ringfort::config::plan::{Host, Target, Trunk};
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
