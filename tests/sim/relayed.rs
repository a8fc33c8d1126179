//! Calls through the B2BUA with relayed audio.

use super::phone::Habits;
use super::stage::{Setup, Stage};
use shards::sim::EndpointId;

fn call(seed: u64, habits: Habits) -> (Stage, EndpointId, EndpointId) {
    let mut stage = Stage::new(Setup {
        seed,
        shards: 2 + (seed % 2) as u16,
        ..Setup::default()
    });
    let alice = stage.registered("alice", habits);
    let bob = stage.registered("bob", Habits::default());
    let number = stage.name("bob");
    stage.act(alice, |phone, cx| phone.call(cx, &number));
    stage.run(1500);
    assert!(stage.look(alice).leg().rings());
    stage.run(4500);
    for phone in [alice, bob] {
        assert_eq!(stage.look(phone).leg().status, 200, "seed {seed}");
        let leg = stage.look(phone).leg();
        assert!(leg.heard > 20, "seed {seed}: heard {} packets", leg.heard);
    }
    let ports: u64 = (0..2 + (seed % 2) as u16)
        .map(|shard| stage.figures(shard).media.ports_used)
        .sum();
    assert_eq!((stage.calls(), ports), (1, 4));
    (stage, alice, bob)
}

#[test]
fn early_and_delayed_offers_and_either_side_hangs_up() {
    for seed in 0..12 {
        let offers = seed % 3 != 0;
        let (mut stage, alice, bob) = call(
            seed,
            Habits {
                offers,
                ..Habits::default()
            },
        );
        let (by, other) = if seed % 2 == 0 { (alice, bob) } else { (bob, alice) };
        stage.act(by, |phone, cx| phone.hang_up(cx, 0));
        stage.run(1000);
        assert!(stage.look(other).leg().is_over());
        stage.rest(1);
        let who = if seed % 2 == 0 { "caller" } else { "callee" };
        assert_eq!(stage.cdr()[0]["hung_up_by"], who);
        assert_eq!(stage.cdr()[0]["result"], "completed");
    }
}

#[test]
fn hold_and_resume_by_either_method_and_side() {
    for seed in 0..8 {
        let (mut stage, alice, bob) = call(seed, Habits::default());
        let (by, other) = if seed % 2 == 0 { (alice, bob) } else { (bob, alice) };
        let method = if seed % 4 < 2 { "INVITE" } else { "UPDATE" };
        stage.act(by, |phone, cx| phone.change(cx, 0, method, "sendonly"));
        stage.run(1000);
        assert_eq!(stage.look(by).leg().changes, [200], "seed {seed}");
        assert_eq!(stage.look(other).leg().direction, "sendonly");
        assert_eq!(stage.look(by).leg().direction, "recvonly");
        let before = stage.look(by).leg().heard;
        stage.run(2000);
        assert_eq!(stage.look(by).leg().heard, before, "nothing is heard on hold");
        stage.act(by, |phone, cx| phone.change(cx, 0, method, "sendrecv"));
        stage.run(3000);
        assert_eq!(stage.look(by).leg().changes, [200, 200]);
        assert!(stage.look(by).leg().heard > before + 15);
        stage.act(other, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

#[test]
fn both_sides_hold_at_once() {
    for seed in 0..12 {
        let (mut stage, alice, bob) = call(seed, Habits::default());
        for phone in [alice, bob] {
            stage.act(phone, |phone, cx| phone.change(cx, 0, "INVITE", "sendrecv"));
        }
        stage.run(10_000);
        let changes = [alice, bob].map(|phone| stage.look(phone).leg().changes.clone());
        for side in &changes {
            assert_eq!(side.last(), Some(&200), "seed {seed}: {changes:?}");
        }
        assert!(
            changes.iter().flatten().any(|&status| status == 491),
            "seed {seed}: {changes:?}"
        );
        assert_eq!(stage.calls(), 1);
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

#[test]
fn both_hang_up_at_once() {
    for seed in 0..8 {
        let (mut stage, alice, bob) = call(seed, Habits::default());
        for phone in [alice, bob] {
            stage.act(phone, |phone, cx| phone.hang_up(cx, 0));
        }
        stage.rest(1);
    }
}

#[test]
fn hanging_up_during_a_change() {
    for seed in 0..8 {
        let (mut stage, alice, bob) = call(seed, Habits::default());
        stage.act(alice, |phone, cx| phone.change(cx, 0, "INVITE", "sendonly"));
        let by = if seed % 2 == 0 { alice } else { bob };
        stage.act(by, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}
