//! CVE-2021-41145: a flood of requests must not make memory grow without bound.

use super::live;
use super::support::{request, siege};
use ringfort_sim::siege::{STRANGER, Siege};
use ringfort_sim::stage::SERVER;

const METHODS: [&str; 7] = [
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "MESSAGE",
    "INVITE",
    "OPTIONS",
];

/// A second holds so many; RINGFORT_LONG=1 floods ten minutes instead of half a minute.
const RATE: u64 = 2000;

fn flood(siege: &mut Siege, seconds: u64) {
    let texts: Vec<String> = METHODS
        .iter()
        .map(|method| request(siege, method, 0, "", "", ""))
        .collect();
    for number in 0..seconds * RATE {
        // Each has its own branch, Call-ID and tag: nothing is a retransmission.
        let text = &texts[number as usize % texts.len()];
        let text = text
            .replace("z9hG4bKx0", &format!("z9hG4bKx{number}"))
            .replace("m0", &format!("m{number}"));
        siege
            .stage
            .world
            .with_endpoint(siege.stranger, |_, cx| cx.send(STRANGER, SERVER, text.as_bytes()));
        if number % 20 == 19 {
            siege.stage.run(1000 * 20 / RATE);
        }
        if number % 200 == 199 {
            siege.forget();
        }
    }
}

fn one(change: fn(&mut ringfort::config::Plan), trusted: bool) {
    let seconds = if std::env::var_os("RINGFORT_LONG").is_some() {
        600
    } else {
        12
    };
    let limit = |plan: &mut ringfort::config::Plan| {
        plan.limits.transactions = 8000;
        plan.limits.calls = 500;
    };
    let mut siege = siege_with(change, limit, trusted);
    // Pools and tables get their size.
    flood(&mut siege, 6);
    assert!(siege.rest().is_empty());
    let start = live::live();
    live::forget();
    flood(&mut siege, seconds);
    let most = live::most() - start;
    siege.stage.run(40_000);
    siege.call().expect("a valid call goes through after the flood");
    assert!(siege.rest().is_empty());
    let kept = live::live() - start;
    eprintln!(
        "{} requests: {most} octets more at the most, {kept} octets kept of {start}",
        seconds * RATE
    );
    assert!(most < 64 << 20, "{most} octets in the flood");
    // The demand is five hundredths; tables may have grown, calls may not have stayed.
    assert!(kept <= (start / 20).min(256 << 10), "{kept} octets kept of {start}");
}

fn siege_with(change: fn(&mut ringfort::config::Plan), limit: fn(&mut ringfort::config::Plan), trusted: bool) -> Siege {
    let mut siege = siege(55, change, trusted);
    siege.stage.reload(limit);
    siege
}

#[test]
fn row05_flood_of_a_stranger() {
    one(super::support::relayed, false);
}

#[test]
fn row05_flood_of_a_trusted_peer() {
    one(super::support::relayed, true);
}
