//! What comes late: 2xx that nobody waits for, phones that are gone, refreshes that are refused.
//! (RFC 3261 sections 12.2.1.2 and 13.2.2.4, RFC 4028 section 10.)

use super::phone::{Answer, Habits};
use super::stage::{DOMAIN, SERVER, Setup, Stage};
use ringfort_sim::check::{Checker, Role};
use shards::sim::{EndpointId, Link};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

fn judged(stage: &mut Stage) -> Rc<RefCell<Checker>> {
    let role = || Role {
        server: SERVER,
        proxy: false,
        sheds: false,
        grace: Duration::from_millis(2),
    };
    let checker = Rc::new(RefCell::new(Checker::new(role())));
    let sees = checker.clone();
    stage
        .world
        .observe(Box::new(move |seen| sees.borrow_mut().observe(seen)));
    checker
}

fn acquit(stage: &mut Stage, checker: Rc<RefCell<Checker>>) {
    let at = stage.world.now();
    let cdr = stage.cdr();
    let empty = Checker::new(Role {
        server: SERVER,
        proxy: false,
        sheds: false,
        grace: Duration::ZERO,
    });
    let records = cdr.iter().filter_map(|record| record["call_id"].as_str());
    let found = checker.replace(empty).finish(at, records);
    assert!(found.is_empty(), "{found:#?}");
}

fn pair(seed: u64, link: Link, answer: Answer) -> (Stage, EndpointId, EndpointId) {
    let mut stage = Stage::new(Setup {
        seed,
        link,
        change: |plan| plan.sip.session_expires = 90,
        ..Setup::default()
    });
    let alice = stage.registered("alice", Habits::default());
    let habits = Habits {
        answer,
        ..Habits::default()
    };
    let bob = stage.registered("bob", habits);
    (stage, alice, bob)
}

fn doubling() -> Link {
    Link {
        duplicate: 1_000_000,
        ..Link::default()
    }
}

/// Every datagram comes twice: the 2xx of the phone that came second, too. It is acknowledged as often as
/// it comes, and its dialog is ended once.
#[test]
fn a_surplus_answer_is_ended_once() {
    for seed in 0..12 {
        let at_once = Answer::After(Duration::from_secs(2));
        let (mut stage, alice, desk) = pair(seed, doubling(), at_once);
        let habits = Habits {
            answer: at_once,
            ..Habits::default()
        };
        let cell = stage.registered("bob", habits);
        let checker = judged(&mut stage);
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(5000);
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.run(1000);
        for phone in [desk, cell] {
            let requests = &stage.look(phone).requests;
            let byes = requests.iter().filter(|method| *method == "BYE").count();
            assert!(byes <= 1, "seed {seed}: {requests:?}");
        }
        stage.rest(1);
        acquit(&mut stage, checker);
    }
}

/// The caller hangs up while the callee answers, or while a change of the session crosses: the 2xx of
/// what was asked is acknowledged, though the call is over.
#[test]
fn an_answer_after_the_end_is_acknowledged() {
    for seed in 0..20 {
        let (mut stage, alice, bob) = pair(seed, doubling(), Answer::After(Duration::from_secs(1)));
        let checker = judged(&mut stage);
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(3000);
        stage.act(alice, |phone, cx| phone.change(cx, 0, "INVITE", "sendonly"));
        stage.world.run_until(stage.world.now() + Duration::from_micros(900));
        stage.act(bob, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
        acquit(&mut stage, checker);
    }
}

/// A call on hold whose phone has died: no audio is expected and nobody refreshes, so we ask.
#[test]
fn a_held_call_does_not_outlive_its_phone() {
    let (mut stage, alice, _) = pair(1, Link::default(), Answer::Rings);
    stage.act(alice, |phone, cx| phone.call(cx, "9196"));
    stage.run(2000);
    stage.act(alice, |phone, cx| phone.change(cx, 0, "INVITE", "inactive"));
    stage.run(60_000);
    assert_eq!(stage.calls(), 1, "the phone answers, the call goes on");
    assert!(stage.look(alice).requests.iter().any(|method| method == "OPTIONS"));
    stage.look(alice).switch_off();
    stage.look(alice).habits.answer = Answer::Dead;
    stage.run(90_000);
    assert_eq!(stage.calls(), 0);
    stage.rest(1);
    assert_eq!(stage.cdr()[0]["result"], "expired");
}

/// A phone that lost the call (it started again) says so, and the other one is told.
#[test]
fn a_phone_that_forgot_the_call_ends_it() {
    let (mut stage, alice, bob) = pair(2, Link::default(), Answer::After(Duration::from_secs(1)));
    let number = stage.name("bob");
    stage.act(alice, |phone, cx| phone.call(cx, &number));
    stage.run(3000);
    assert_eq!(stage.look(alice).leg().status, 200, "{number}@{DOMAIN} answers");
    stage.look(alice).switch_off();
    stage.run(60_000);
    assert_eq!(stage.calls(), 0);
    assert!(stage.look(bob).leg().is_over());
    stage.rest(1);
}

/// Found by the swarm (seed 4289 at 200 calls): the ACK to the 503 of a re-INVITE, which had found no room
/// for a transaction, was taken for the one of the 200 before. An ACK is of its CSeq (section 13.3.1.4).
#[test]
fn the_ack_of_another_invite_acknowledges_nothing() {
    let (mut stage, alice, bob) = pair(3, Link::default(), Answer::After(Duration::from_secs(1)));
    stage.look(alice).habits.acks = false;
    let number = stage.name("bob");
    stage.act(alice, |phone, cx| phone.call(cx, &number));
    stage.run(1500);
    stage.act(alice, |phone, cx| phone.acknowledge_another(cx, 0));
    stage.run(10_000);
    assert_eq!(stage.calls(), 1);
    stage.run(40_000);
    assert_eq!(stage.calls(), 0, "nobody acknowledged the 200");
    assert!(stage.look(bob).leg().is_over());
    stage.rest(1);
}
