//! What the fuzz targets run: the bodies, which the main workspace replays too, and the oracle that
//! only this crate depends on.
#![allow(clippy::missing_panics_doc, reason = "a panic is a finding")]

mod bodies;

use bodies::oracle::{Read, compare};

/// Runs the body of a target.
/// # Panics
/// When what it asserts does not hold, or there is no such target.
pub fn run(name: &str, octets: &[u8]) {
    let more: [bodies::Target; 2] = [bodies::APPLIANCE, ("oracle_rsipstack", rsipstack)];
    let mut targets = bodies::TARGETS.iter().chain(&more);
    let (_, body) = targets.find(|(target, _)| *target == name).expect("a target");
    body(octets);
}

/// Differential against rsipstack, whose SIP types grew out of rsip's.
fn rsipstack(octets: &[u8]) {
    compare(octets, || reader!(rsipstack::sip, octets));
}
