//! Bad paths: whatever is lost, doubled or overtaken, every call ends, nothing stays behind.

use super::phone::{Answer, Habits};
use super::proxied::by_proxy;
use super::stage::{Setup, Stage, lossy};
use ringfort::config::Plan;
use std::time::Duration;

/// Several calls at once over lossy links; what each phone does depends on the seed.
fn chaos(seed: u64) {
    let seconds = Duration::from_secs;
    let change: fn(&mut Plan) = if seed % 4 == 3 { by_proxy } else { |_| {} };
    let mut stage = Stage::new(Setup {
        seed,
        shards: 2 + (seed % 2) as u16,
        change,
        ..Setup::default()
    });
    let habits = |place: u64| {
        let draw = seed.wrapping_mul(7) + place * 5;
        Habits {
            answer: match draw % 8 {
                0 => Answer::Busy,
                1 => Answer::Rings,
                rings => Answer::After(Duration::from_millis(rings * 400)),
            },
            talk: Some(seconds(8 + draw % 5)),
            hold: draw.is_multiple_of(3).then(|| seconds(2)),
            patience: Some(if draw.is_multiple_of(7) {
                seconds(2)
            } else {
                seconds(30)
            }),
            offers: !draw.is_multiple_of(5),
            pace: Duration::from_millis(500),
            ..Habits::default()
        }
    };
    let phones: Vec<_> = ["alice", "bob", "carol", "dave"]
        .into_iter()
        .zip(0..)
        .map(|(stem, place)| stage.registered(stem, habits(place)))
        .collect();
    stage.world.set_link(lossy(5 + (seed % 4) as u32 * 5));
    for (caller, callee) in [(0, "bob"), (2, "dave"), (1, "carol")] {
        let number = stage.name(callee);
        stage.act(phones[caller], |phone, cx| phone.call(cx, &number));
        stage.run(20);
    }
    stage.run(150_000);
    let heard: usize = phones.iter().map(|&phone| stage.look(phone).outgoing()).sum();
    let cdr = stage.cdr().len();
    assert!(cdr <= heard, "no more records than calls");
    stage.rest_at_most(3);
}

#[test]
fn every_call_ends() {
    let seeds = std::env::var("RINGFORT_SIM_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(200) {
        let result = std::panic::catch_unwind(|| chaos(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}
