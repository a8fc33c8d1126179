//! Which work is taken: limits, drain. Emergency calls pass every rule here.

use crate::switch::site::Site;

/// The most calls one shard takes.
#[must_use]
pub fn calls_limit(site: &Site) -> u32 {
    let shards = u32::try_from(site.plan.shards.max(1)).unwrap_or(1);
    site.plan.limits.calls.div_ceil(shards)
}
