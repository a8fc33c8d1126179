//! Several contacts of one user: RFC 3261 section 16.6.

use super::phone::{Answer, Habits};
use super::proxied::by_proxy;
use super::stage::{Setup, Stage};
use ringfort::config::Plan;
use std::time::Duration;

fn habits(answer: Answer, q: Option<&'static str>) -> Habits {
    Habits {
        answer,
        q,
        ..Habits::default()
    }
}

fn both_roles(seed: u64) -> fn(&mut Plan) {
    if seed.is_multiple_of(2) { by_proxy } else { |_| {} }
}

#[test]
fn all_ring_one_answers_the_other_is_cancelled() {
    for seed in 0..8 {
        let mut stage = Stage::new(Setup {
            seed,
            change: both_roles(seed),
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        let desk = stage.registered("bob", habits(Answer::Rings, None));
        let cell = stage.registered("bob", habits(Answer::After(Duration::from_secs(2)), None));
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(1000);
        assert!(!stage.look(desk).leg().is_over() && !stage.look(cell).leg().is_over());
        stage.run(4000);
        assert_eq!(stage.look(alice).leg().status, 200);
        assert_eq!(stage.look(desk).leg().status, 487);
        assert!(stage.look(desk).requests.iter().any(|method| method == "CANCEL"));
        stage.act(cell, |phone, cx| phone.hang_up(cx, 0));
        stage.run(1000);
        assert!(stage.look(alice).leg().is_over());
        stage.rest(1);
    }
}

#[test]
fn both_answer_at_once() {
    for seed in 0..20 {
        let mut stage = Stage::new(Setup {
            seed,
            change: both_roles(seed),
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        let at_once = Answer::After(Duration::from_secs(2));
        stage.registered("bob", habits(at_once, None));
        stage.registered("bob", habits(at_once, None));
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(6000);
        assert_eq!(stage.look(alice).legs[0].status, 200);
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

#[test]
fn one_after_the_other_by_preference() {
    for seed in 0..8 {
        let mut stage = Stage::new(Setup {
            seed,
            change: both_roles(seed),
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        let second = stage.registered("bob", habits(Answer::After(Duration::from_secs(1)), Some("0.3")));
        let first = stage.registered("bob", habits(Answer::Busy, Some("0.9")));
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.run(8000);
        assert_eq!(stage.look(first).leg().status, 486);
        assert_eq!(
            (stage.look(second).leg().status, stage.look(alice).leg().status),
            (200, 200)
        );
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}
