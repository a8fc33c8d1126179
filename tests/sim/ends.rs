//! Ways for a relayed call not to be answered, or to end badly.

use super::phone::{Answer, Habits};
use super::proxied::by_proxy;
use super::stage::{Setup, Stage};
use ringfort::config::Plan;
use ringfort::switch::mesh::Mesh;
use shards::sim::{EndpointId, Happening};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

fn relayed(plan: &mut Plan) {
    plan.sip.timers.c = Duration::from_secs(20);
}

fn proxied(plan: &mut Plan) {
    relayed(plan);
    by_proxy(plan);
}

/// A call under way; by the seed through the B2BUA (first two of four) or the proxy.
fn stage(seed: u64, caller: Habits, answer: Answer) -> (Stage, EndpointId, EndpointId) {
    let mut stage = Stage::new(Setup {
        seed,
        shards: 2 + (seed % 2) as u16,
        change: if seed % 4 < 2 { relayed } else { proxied },
        ..Setup::default()
    });
    let alice = stage.registered("alice", caller);
    let bob = stage.registered("bob", Habits::default());
    stage.look(bob).habits.answer = answer;
    let number = stage.name("bob");
    stage.act(alice, |phone, cx| phone.call(cx, &number));
    (stage, alice, bob)
}

#[test]
fn cancelled_while_it_rings() {
    for seed in 0..6 {
        let (mut stage, alice, bob) = stage(seed, Habits::default(), Answer::Rings);
        stage.run(2000);
        stage.act(alice, |phone, cx| phone.cancel(cx, 0));
        stage.run(2000);
        assert_eq!(
            (stage.look(alice).leg().status, stage.look(bob).leg().status),
            (487, 487)
        );
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["result"], "cancelled");
    }
}

/// Section 15: the caller may end an early dialog with BYE too.
#[test]
fn hung_up_while_it_rings() {
    for seed in [0, 1, 4, 5] {
        let (mut stage, alice, bob) = stage(seed, Habits::default(), Answer::Rings);
        stage.run(2000);
        stage.act(alice, |phone, cx| phone.hang_up_early(cx, 0));
        stage.run(2000);
        assert_eq!(
            (stage.look(alice).leg().status, stage.look(bob).leg().status),
            (487, 487)
        );
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["result"], "cancelled");
    }
}

/// The CANCEL leaves at every moment around the answer.
#[test]
fn cancel_crosses_the_answer() {
    for seed in 0..60 {
        let (mut stage, alice, bob) = stage(seed, Habits::default(), Answer::After(Duration::from_millis(50)));
        let until = stage.world.now() + Duration::from_micros(50_000 + seed * 80);
        stage.world.run_until(until);
        stage.act(alice, |phone, cx| {
            phone.cancel(cx, 0);
            phone.hang_up(cx, 0); // when it was answered already
        });
        stage.run(3000);
        assert!(stage.look(alice).leg().is_over(), "seed {seed}");
        assert!(
            stage.look(bob).leg().is_over(),
            "seed {seed}: {:?}",
            stage.look(bob).leg()
        );
        stage.rest(1);
    }
}

#[test]
fn cancelled_at_once() {
    for seed in 0..30 {
        let (mut stage, alice, _) = stage(seed, Habits::default(), Answer::Rings);
        let until = stage.world.now() + Duration::from_micros(seed * 150);
        stage.world.run_until(until);
        stage.act(alice, |phone, cx| phone.cancel(cx, 0));
        stage.run(3000);
        let status = stage.look(alice).leg().status;
        assert!(matches!(status, 407 | 487), "seed {seed}: {status}");
        // A caller who gives up when asked for a password has not made a call.
        stage.rest(usize::from(status == 487));
    }
}

#[test]
fn busy_unanswered_and_dead() {
    let cases = [
        (Answer::Busy, 486, "busy"),
        (Answer::Rings, 408, "no_answer"),
        (Answer::Dead, 408, "no_answer"),
    ];
    for (answer, status, result) in cases {
        let (mut stage, alice, bob) = stage(1, Habits::default(), answer);
        stage.run(50_000);
        assert_eq!(stage.look(alice).leg().status, status, "{answer:?}");
        if answer == Answer::Rings {
            assert_eq!(stage.look(bob).leg().status, 487, "the callee stops ringing");
        }
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["result"], result);
    }
}

/// RFC 3261 section 13.3.1.4: without an ACK the call ends, for both.
#[test]
fn a_caller_that_never_acknowledges() {
    for offers in [true, false] {
        let habits = Habits {
            acks: false,
            offers,
            ..Habits::default()
        };
        let (mut stage, alice, bob) = stage(1, habits, Answer::After(Duration::from_secs(1)));
        stage.run(10_000);
        assert_eq!(stage.calls(), 1);
        stage.run(40_000);
        assert!(stage.look(alice).leg().is_over() && stage.look(bob).leg().is_over());
        stage.rest(1);
    }
}

/// Nobody says goodbye, nobody speaks.
#[test]
fn both_phones_vanish() {
    let (mut stage, alice, bob) = stage(4, Habits::default(), Answer::After(Duration::from_secs(1)));
    stage.run(5000);
    assert_eq!(stage.calls(), 1);
    for phone in [alice, bob] {
        let phone = stage.look(phone);
        phone.habits.answer = Answer::Dead;
        phone.switch_off();
    }
    stage.run(200_000);
    stage.rest(1);
    assert_eq!(stage.cdr()[0]["result"], "media_timeout");
}

/// Section 15.1.2: requests that are open when the dialog ends are answered all the same.
#[test]
fn ended_by_the_operator_during_a_change() {
    for seed in [0, 1, 4, 5] {
        let (mut stage, alice, bob) = stage(seed, Habits::default(), Answer::After(Duration::from_secs(1)));
        stage.run(5000);
        stage.look(bob).habits.answer = Answer::Dead;
        stage.look(bob).switch_off();
        stage.act(alice, |phone, cx| phone.change(cx, 0, "INVITE", "sendonly"));
        stage.run(2000);
        stage.tell(|| Mesh::HangUpAll);
        stage.run(2000);
        assert_eq!(stage.look(alice).leg().changes, [487], "seed {seed}");
        assert!(stage.look(alice).leg().is_over());
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["result"], "administrative");
    }
}

/// While it drains, calls go on and new ones are turned away.
#[test]
fn draining() {
    for seed in [0, 1, 2, 3] {
        let (mut stage, alice, _) = stage(seed, Habits::default(), Answer::After(Duration::from_secs(1)));
        let carol = stage.registered("carol", Habits::default());
        stage.tell(|| Mesh::Drain);
        stage.run(10);
        let number = stage.name("bob");
        stage.act(carol, |phone, cx| phone.call(cx, &number));
        stage.run(5000);
        assert_eq!(stage.look(carol).leg().status, 503);
        assert_eq!(stage.calls(), 1);
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["result"], "completed");
    }
}

/// No message passes between shards: a caller is told so, sooner or later, and nothing stays.
#[test]
fn shards_that_cannot_speak() {
    for seed in 0..24 {
        let mut stage = Stage::new(Setup {
            seed,
            mesh: 0,
            change: if seed % 4 < 2 { relayed } else { proxied },
            ..Setup::default()
        });
        let alice = stage.phone("alice", Habits::default());
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(60_000);
        let status = stage.look(alice).leg().status;
        assert!(matches!(status, 408 | 480 | 503), "seed {seed}: {status}");
        stage.rest_at_most(1);
    }
}

/// Section 13.2.2.4: the callee's 2xx is acknowledged even when its offer is never answered.
#[test]
fn a_delayed_offer_that_nobody_answers_is_acknowledged_all_the_same() {
    for seed in [0, 1, 4, 5] {
        let caller = Habits {
            offers: false,
            acks: false,
            ..Habits::default()
        };
        let (mut stage, alice, bob) = stage(seed, caller, Answer::After(Duration::from_secs(1)));
        let sent = Rc::new(RefCell::new(Vec::new()));
        let sees = sent.clone();
        let to_bob = stage.look(bob).me;
        stage.world.observe(Box::new(move |seen| match seen.what {
            Happening::Sent { to, octets, .. } if to == to_bob => {
                let start = octets.split(|&octet| octet == b' ').next().unwrap_or(&[]);
                sees.borrow_mut().push(String::from_utf8_lossy(start).into_owned());
            }
            _ => {}
        }));
        stage.run(60_000);
        assert!(stage.look(alice).leg().is_over() && stage.look(bob).leg().is_over());
        let sent = sent.borrow();
        let first = |method: &str| sent.iter().position(|sent| sent == method);
        assert!(
            first("ACK").is_some() && first("ACK") < first("BYE"),
            "seed {seed}: {sent:?}"
        );
        stage.rest(1);
    }
}
