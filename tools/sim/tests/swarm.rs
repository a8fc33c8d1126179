//! A fixed set of seeds and a random one, on every change; `ringfort-sim` runs them for hours.

use ringfort_sim::swarm::{self, Size};
use std::hash::{BuildHasher, RandomState};

const SMALL: Size = Size { calls: 25 };

fn good(seed: u64) -> u64 {
    let outcome = swarm::run(seed, &SMALL, None);
    assert!(
        outcome.violations.is_empty(),
        "ringfort-sim --seed {seed} --calls {}: {:#?}",
        SMALL.calls,
        outcome.violations
    );
    outcome.answered
}

#[test]
fn fixed_seeds() {
    let answered: u64 = (0..150).map(good).sum();
    // Worlds in which nobody talks would say nothing.
    assert!(answered > 800, "{answered} calls answered");
}

#[test]
fn random_seeds() {
    let first = RandomState::new().hash_one("seed") >> 16;
    for seed in first..first + 50 {
        good(seed);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 200..205 {
        let [one, other] = [swarm::run(seed, &SMALL, None), swarm::run(seed, &SMALL, None)];
        assert_eq!((one.trace, one.events), (other.trace, other.events), "seed {seed}");
        assert!(one.events > 500, "seed {seed}: {} events", one.events);
    }
    let [one, other] = [swarm::run(206, &SMALL, None), swarm::run(207, &SMALL, None)];
    assert_ne!(one.trace, other.trace);
}
