//! Bad paths: whatever is lost, doubled or overtaken, every call ends, nothing stays behind.

use super::phone::{Answer, Habits};
use super::proxied::by_proxy;
use super::stage::{Setup, Stage, lossy};
use ringfort::config::Plan;
use ringfort::switch::mesh::Mesh;
use shards::sim::{EndpointId, Random};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many calls ended how, by the result in their records.
type Results = BTreeMap<String, u32>;

fn habits(draw: u64) -> Habits {
    let seconds = Duration::from_secs;
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
}

/// Several calls at once over lossy links; what each phone does depends on the seed.
fn chaos(seed: u64, results: &mut Results) {
    let change: fn(&mut Plan) = if seed % 4 == 3 { by_proxy } else { |_| {} };
    let mut stage = Stage::new(Setup {
        seed,
        shards: 2 + (seed % 2) as u16,
        change,
        ..Setup::default()
    });
    let phones: Vec<_> = ["alice", "bob", "carol", "dave"]
        .into_iter()
        .zip(0..)
        .map(|(stem, place)| stage.registered(stem, habits(seed.wrapping_mul(7) + place * 5)))
        .collect();
    stage.world.set_link(lossy(5 + (seed % 4) as u32 * 5));
    for (caller, callee) in [(0, "bob"), (2, "dave"), (1, "carol")] {
        let number = stage.name(callee);
        stage.act(phones[caller], |phone, cx| phone.call(cx, &number));
        stage.run(20);
    }
    meddle(&mut stage, &phones, seed);
    stage.run(120_000);
    stage.rest_at_most(3);
    let cdr = stage.cdr();
    for &phone in &phones {
        for leg in stage.look(phone).legs.iter().filter(|leg| leg.calling && leg.first) {
            let records = cdr.iter().filter(|cdr| cdr["call_id"] == leg.call_id).count();
            // Only a call of which nothing was heard but a challenge may have none, and one whose
            // shard has gone.
            let least = usize::from(!matches!(leg.status, 407 | 408) && seed % 11 != 3);
            assert!((least..=1).contains(&records), "{records} records of {leg:#?}");
        }
    }
    for cdr in cdr {
        if std::env::var_os("RINGFORT_SIM_SHOW").is_some_and(|show| cdr["result"] == *show.to_string_lossy()) {
            eprintln!("seed {seed}: {cdr:#}");
        }
        *results.entry(cdr["result"].to_string()).or_default() += 1;
    }
}

/// Buttons are pressed at random.
fn meddle(stage: &mut Stage, phones: &[EndpointId], seed: u64) {
    let mut random = Random::new(seed);
    let last = seed.is_multiple_of(9).then_some(12);
    let panic = (seed % 11 == 3).then(|| random.below(10));
    for second in 0..15 {
        stage.run(500 + random.below(1000));
        let phone = phones[random.below(phones.len() as u64) as usize];
        let button = random.below(12);
        stage.act(phone, |phone, cx| {
            let Some(leg) = phone.legs.len().checked_sub(1) else {
                return;
            };
            match button {
                0 => phone.change(cx, leg, "INVITE", "sendonly"),
                1 => phone.change(cx, leg, "UPDATE", "sendrecv"),
                2 => phone.change(cx, leg, "INVITE", "inactive"),
                3 => phone.hang_up(cx, leg),
                4 => phone.cancel(cx, leg),
                _ => {}
            }
        });
        if panic == Some(second) {
            stage.keep_logs();
            stage.world.crash_shard(0);
        }
        if last == Some(second) {
            stage.tell(|| Mesh::HangUpAll);
        }
    }
}

#[test]
fn every_call_ends() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let first = number("RINGFORT_SIM_SEED").unwrap_or(0u64);
    let count = number("RINGFORT_SIM_SEEDS").unwrap_or(200);
    let mut results = Results::new();
    for seed in first..first + count {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chaos(seed, &mut results)));
        assert!(result.is_ok(), "seed {seed}");
    }
    // The scenario has to reach the interesting ends, or it says nothing.
    eprintln!("{results:?}");
    if count >= 100 {
        for result in ["completed", "busy", "cancelled", "administrative"] {
            assert!(results.keys().any(|key| key.contains(result)), "{result}: {results:?}");
        }
    }
}
