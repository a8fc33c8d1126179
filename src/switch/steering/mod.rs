//! Who is whose home: the keyed hash over Call-IDs and user names, in a form that the kernel can
//! compute too ([`program`]), so that a datagram reaches its home shard without a hop.

mod program;
#[cfg(test)]
mod tests;

pub use program::compile;

use super::keyed::Keyed;
use shards::ShardId;
use std::hash::BuildHasher;

/// How many octets of a name count: the kernel's program has no loops.
const COUNTED: usize = 32;

/// Mixes the hash at its end.
const LAST: u32 = 0x85eb_ca6b;

/// A 32-bit hash under a key of ours. It balances; it is no wall: who learnt the key could choose
/// names that meet in one shard, as everybody can who sends all calls with one Call-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    start: u32,
    factor: u32,
}

impl Spread {
    /// The spread under the process's key.
    #[must_use]
    pub fn new(keyed: &Keyed) -> Self {
        let key = keyed.hash_one("home");
        Self {
            start: (key >> 32) as u32,
            // A multiple of 8 and 5: odd, and each bit of the hash depends on all lower ones.
            factor: (key as u32 & !7) | 5,
        }
    }

    /// The home shard of a name. Its first 32 octets count, or those before a space or control.
    #[must_use]
    pub fn home(self, name: &[u8], shards: usize) -> ShardId {
        let counted = name.iter().take(COUNTED).take_while(|&&octet| octet > b' ');
        let hash = counted.fold(self.start, |hash, &octet| {
            (hash ^ u32::from(octet)).wrapping_mul(self.factor)
        });
        let hash = (hash ^ hash >> 15).wrapping_mul(LAST);
        let shards = u32::try_from(shards.max(1)).unwrap_or(1);
        ShardId::try_from((hash ^ hash >> 16) % shards).unwrap_or(0)
    }
}
