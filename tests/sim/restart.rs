//! The process is killed, a shard panics.

use super::phone::{Answer, Habits};
use super::stage::{Setup, Stage, lossy};
use shards::sim::EndpointId;
use std::time::Duration;

#[test]
fn every_registration_that_was_answered_outlives_a_kill() {
    for seed in 0..40 {
        let mut stage = Stage::new(Setup {
            seed,
            shards: 2 + (seed % 2) as u16,
            link: lossy((seed % 3) as u32 * 5),
            ..Setup::default()
        });
        let phones: Vec<_> = ["alice", "bob", "carol", "dave"]
            .into_iter()
            .map(|stem| stage.phone(stem, Habits::default()))
            .collect();
        for &phone in &phones {
            stage.act(phone, |phone, cx| phone.register(cx, 3600));
        }
        // Killed at any moment, often in the middle of a write.
        let until = stage.world.now() + Duration::from_micros(1000 + seed * 173);
        stage.world.run_until(until);
        let mut answered = Vec::new();
        for &phone in &phones {
            answered.push(stage.look(phone).register_status() == 200);
        }
        stage.keep_logs();
        stage.world.crash_process();
        // Once more: now with the torn ends of the files.
        stage.keep_logs();
        stage.world.crash_process();
        stage.run(5);
        for (&phone, answered) in phones.iter().zip(answered) {
            if answered {
                assert!(reached(&mut stage, phone), "seed {seed}: {phone:?} was answered 200");
            }
        }
    }
}

/// Whether a call to the phone's user arrives.
fn reached(stage: &mut Stage, phone: EndpointId) -> bool {
    stage.world.set_link(Default::default());
    let number = stage.look(phone).name.clone();
    let mut found = false;
    for shard in 0..stage.plan.shards as u16 {
        let (reply, answer) = crossbeam::channel::bounded(1);
        let ask = ringfort::switch::mesh::Ask::Registrations(10, number.clone(), reply);
        assert!(
            stage
                .world
                .send_mesh(shard, ringfort::switch::mesh::Mesh::Ask(ask))
                .is_ok()
        );
        stage.run(2);
        found |= answer.try_recv().is_ok_and(|rows| rows.len() == 1);
    }
    found
}

#[test]
fn a_panic_ends_one_shards_calls_only() {
    for seed in 0..6 {
        let mut stage = Stage::new(Setup {
            seed,
            ..Setup::default()
        });
        let habits = || Habits {
            answer: Answer::After(Duration::from_millis(500)),
            ..Habits::default()
        };
        let phones = ["alice", "bob", "carol", "dave"].map(|stem| stage.registered(stem, habits()));
        for (caller, callee) in [(0, "bob"), (2, "dave")] {
            let number = stage.name(callee);
            stage.act(phones[caller], |phone, cx| phone.call(cx, &number));
        }
        stage.run(3000);
        assert_eq!(stage.calls(), 2);
        let survivors: Vec<_> = (0..2).map(|shard| stage.figures(shard).calls_total()).collect();
        stage.keep_logs();
        stage.world.crash_shard(0);
        stage.run(1000);
        assert_eq!(stage.calls(), survivors[1], "seed {seed}");
        let before: Vec<_> = phones.iter().map(|&phone| stage.look(phone).leg().heard).collect();
        stage.run(2000);
        let speaking = phones
            .iter()
            .zip(before)
            .filter(|(phone, before)| stage.look(**phone).leg().heard > *before);
        assert_eq!(speaking.count() as u64, 2 * survivors[1], "seed {seed}");
        // New calls are taken, also where the panic was.
        for phone in phones {
            stage.act(phone, |phone, cx| phone.hang_up(cx, 0));
        }
        stage.run(2000);
        for home in 0..2 {
            let number = stage.name("bob");
            stage.act(phones[0], |phone, cx| {
                let _ = home;
                phone.call(cx, &number)
            });
            stage.run(3000);
            assert_eq!(stage.look(phones[0]).leg().status, 200, "seed {seed}");
            stage.act(phones[0], |phone, cx| {
                let last = phone.legs.len() - 1;
                phone.hang_up(cx, last);
            });
            stage.run(40_000);
        }
        stage.rest_at_most(4);
    }
}

/// A disk that refuses: telephones go on from memory, and what is registered afterwards lasts.
#[test]
fn a_disk_that_refuses_stops_no_telephone() {
    for seed in 0..8 {
        let mut stage = Stage::new(Setup {
            seed,
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        (0..2).for_each(|shard| stage.world.fail_log(shard, true));
        let bob = stage.registered("bob", Habits::default());
        assert!(reached(&mut stage, alice) && reached(&mut stage, bob), "seed {seed}");
        (0..2).for_each(|shard| stage.world.fail_log(shard, false));
        stage.act(bob, |phone, cx| phone.register(cx, 3600));
        stage.run(2000);
        assert_eq!(stage.look(bob).register_status(), 200, "seed {seed}");
        stage.keep_logs();
        stage.world.crash_process();
        stage.run(5);
        assert!(reached(&mut stage, alice) && reached(&mut stage, bob), "seed {seed}");
        stage.rest(0);
    }
}
