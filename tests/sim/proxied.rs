//! Calls through the proxy: a trunk route that is open, and users among themselves.

use super::phone::{Answer, Habits};
use super::stage::{DOMAIN, SERVER, Setup, Stage};
use ringfort::config::Plan;
use ringfort::config::plan::{CallPolicy, Host, MediaPath, Mode, Route, RouteAuth, Target, Trunk};
use ringfort::protocol::Transport;
use shards::sim::{Happening, Link};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

pub(super) fn by_proxy(plan: &mut Plan) {
    plan.local = CallPolicy {
        mode: Mode::Proxy,
        media: MediaPath::Direct,
    };
}

/// Numbers that begin with 0 go to the trunk at the first phone's address.
fn open_route(plan: &mut Plan) {
    by_proxy(plan);
    plan.trunks.push(Trunk {
        name: "exchange".into(),
        targets: vec![Target {
            transport: Transport::Udp,
            host: Host::Ip([10, 0, 1, 1].into()),
            port: Some(5060),
        }],
        trusted: Vec::new(),
    });
    plan.routes.push(Route {
        pattern: regex::bytes::Regex::new("^0[0-9]+$").expect("a pattern"),
        trunks: vec![0],
        policy: plan.local,
        auth: RouteAuth::Open,
        line: 1,
    });
}

#[test]
fn a_call_over_an_open_route() {
    for (seed, shards) in [(1, 2), (2, 3), (3, 3)] {
        let mut stage = Stage::new(Setup {
            seed,
            shards,
            change: open_route,
            ..Setup::default()
        });
        let trunk = stage.phone("exchange", Habits::default());
        let caller = stage.phone("stranger", Habits::default());
        stage.look(trunk).name = "0123".into();
        stage.act(caller, |phone, cx| phone.call(cx, "0123"));
        stage.run(1000);
        assert!(stage.look(caller).leg().rings());
        stage.run(5000);
        assert_eq!(stage.look(caller).leg().status, 200);
        assert_eq!(stage.calls(), 1);
        stage.act(caller, |phone, cx| phone.hang_up(cx, 0));
        stage.run(1000);
        assert!(stage.look(trunk).leg().is_over());
        assert!(stage.look(caller).leg().heard > 20 && stage.look(trunk).leg().heard > 20);
        stage.rest(1);
        let cdr = &stage.cdr()[0];
        assert_eq!(
            (&cdr["result"], &cdr["hung_up_by"]),
            (&"completed".into(), &"caller".into())
        );
        assert_eq!(cdr["from"], format!("sip:stranger@{DOMAIN}"));
    }
}

#[test]
fn users_call_each_other_through_the_proxy() {
    for seed in 0..8 {
        let mut stage = Stage::new(Setup {
            seed,
            shards: 2 + (seed % 2) as u16,
            change: by_proxy,
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        let bob = stage.registered("bob", Habits::default());
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(8000);
        assert_eq!(stage.look(alice).leg().status, 200);
        stage.act(alice, |phone, cx| phone.change(cx, 0, "INVITE", "sendonly"));
        stage.run(1000);
        assert_eq!(stage.look(bob).leg().direction, "sendonly");
        stage.act(bob, |phone, cx| phone.hang_up(cx, 0));
        stage.run(1000);
        assert!(stage.look(alice).leg().is_over());
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["hung_up_by"], "callee");
    }
}

/// RFC 3261 section 14.1: the session goes on as it was; so does the record of the call.
#[test]
fn a_refused_change_does_not_end_the_call() {
    for seed in 0..6 {
        let mut stage = Stage::new(Setup {
            seed,
            change: by_proxy,
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        let bob = stage.registered("bob", Habits::default());
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(6000);
        for phone in [alice, bob] {
            stage.act(phone, |phone, cx| phone.change(cx, 0, "INVITE", "sendrecv"));
        }
        stage.run(10_000);
        assert!(stage.look(alice).leg().changes.contains(&491), "seed {seed}");
        assert_eq!(stage.look(alice).leg().changes.last(), Some(&200));
        assert_eq!(stage.calls(), 1, "seed {seed}");
        stage.act(bob, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["result"], "completed");
    }
}

/// Section 15.1.1: a BYE that nobody answers ends the call for the one who sent it, and for us.
#[test]
fn a_bye_to_a_phone_that_is_gone_ends_the_record() {
    let mut stage = Stage::new(Setup {
        change: by_proxy,
        ..Setup::default()
    });
    let alice = stage.registered("alice", Habits::default());
    let bob = stage.registered("bob", Habits::default());
    let number = stage.name("bob");
    stage.act(alice, |phone, cx| phone.call(cx, &number));
    stage.run(6000);
    stage.look(bob).habits.answer = Answer::Dead;
    stage.look(bob).switch_off();
    stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
    stage.rest(1);
    let cdr = &stage.cdr()[0];
    assert_eq!(
        (&cdr["result"], &cdr["hung_up_by"]),
        (&"completed".into(), &"caller".into())
    );
}

#[test]
fn failures_pass_the_proxy() {
    let cases: [(Answer, Option<u64>, u16); 4] = [
        (Answer::Busy, None, 486),
        (Answer::Rings, Some(3), 487),
        (Answer::Rings, None, 408),
        (Answer::Dead, None, 408),
    ];
    for (answer, patience, status) in cases {
        let mut stage = Stage::new(Setup {
            change: |plan| {
                by_proxy(plan);
                plan.sip.timers.c = Duration::from_secs(20);
            },
            ..Setup::default()
        });
        let patience = patience.map(Duration::from_secs);
        let alice = stage.registered(
            "alice",
            Habits {
                patience,
                ..Habits::default()
            },
        );
        let bob = stage.registered("bob", Habits::default());
        stage.look(bob).habits.answer = answer;
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(60_000);
        // Timer C cancels a ringing branch, whose 487 is then the best response.
        let got = stage.look(alice).leg().status;
        assert!(
            got == status || (answer, got) == (Answer::Rings, 487),
            "{answer:?}: {got}"
        );
        stage.rest(1);
    }
}

/// Section 8.2.7: the ACK of a challenge is nobody's but ours, also when the INVITE with the
/// credentials overtook it and opened the call.
#[test]
fn the_acknowledgement_of_a_challenge_goes_nowhere() {
    for seed in 0..20 {
        let mut stage = Stage::new(Setup {
            seed,
            change: by_proxy,
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        stage.registered("bob", Habits::default());
        let passed = Rc::new(Cell::new(0));
        let count = passed.clone();
        stage.world.observe(Box::new(move |seen| match seen.what {
            Happening::Sent { from, octets, .. } if from == SERVER && octets.starts_with(b"ACK ") => {
                count.set(count.get() + 1);
            }
            _ => {}
        }));
        stage.world.set_link(Link {
            jitter: Duration::from_millis(20),
            ..Link::default()
        });
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(1000);
        assert!(stage.look(alice).leg().rings(), "seed {seed}");
        assert_eq!(passed.get(), 0, "seed {seed}: the call is not answered yet");
        stage.run(5000);
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}
