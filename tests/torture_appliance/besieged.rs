//! A siege that is counted: how much memory lives before and after.

use super::live;
use ringfort::config::Plan;
use ringfort::config::plan::{MediaPath, Mode};
use ringfort_sim::siege::Siege;
use ringfort_sim::stage::Setup;

/// Live octets that a second pass over the same messages may add: containers whose room depends on the order of events
/// (the queue of events, a hash table that grows at another moment).
pub(super) const SLACK: i64 = 16 * 1024;

pub(super) fn relayed(plan: &mut Plan) {
    domains(plan);
    plan.local.mode = Mode::B2bua;
    plan.local.media = MediaPath::Relay;
}

pub(super) fn proxied(plan: &mut Plan) {
    domains(plan);
    plan.local.mode = Mode::Proxy;
    plan.local.media = MediaPath::Direct;
}

/// The torture messages are of these.
fn domains(plan: &mut Plan) {
    plan.sip
        .domains
        .extend(["example.com", "example.net", "example.org"].map(str::to_owned));
}

pub(super) fn siege(seed: u64, change: fn(&mut Plan), trusted: bool) -> Siege {
    let setup = Setup {
        seed,
        change,
        ..Setup::default()
    };
    Siege::new(&setup, trusted)
}

/// Plays everything, which sizes pools and tables, then again (`pass` gets the step: all of it, or
/// each so-manieth), which may keep nothing. A table may first grow in the second pass; what is kept
/// for each message would grow in the third as well, which is played where the second kept more.
pub(super) fn twice(siege: &mut Siege, again: usize, mut pass: impl FnMut(&mut Siege, usize)) {
    let mut lives_after = |step| {
        pass(siege, step);
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
        live::live()
    };
    let first = lives_after(1);
    let second = lives_after(again);
    let mut grown = vec![second - first];
    if second - first > SLACK {
        grown.push(lives_after(again) - second);
    }
    eprintln!("live memory {first} octets, then {grown:+?}");
    assert!(
        grown.iter().any(|&more| more <= SLACK),
        "the second and the third pass kept {grown:?} octets"
    );
}
