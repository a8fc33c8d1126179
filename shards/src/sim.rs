//! The simulated back-end: the same programs in a deterministic world of virtual time.
//!
//! Everything that happens is drawn from one seed: delays, losses, duplicates, the order of
//! events at the same instant. Two runs with the same seed have the same [`World::trace`].

mod endpoint;
mod journal;
mod observe;
mod random;
mod shard;
mod stream;
mod world;

pub use endpoint::{Endpoint, EndpointCx, EndpointId, StreamInput};
pub use observe::{Fate, Happening, Observed};
pub use random::Random;
pub use world::World;

use crate::media::MediaSlice;
use crate::program::Frame;
use crate::supervise::ListenerPlan;
use crate::time::Wall;
use std::time::Duration;

/// How a path treats datagrams. Probabilities are parts of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Least delay.
    pub delay: Duration,
    /// Added at random up to this; more than the spacing of packets reorders them.
    pub jitter: Duration,
    /// Lost.
    pub loss: u32,
    /// Delivered twice.
    pub duplicate: u32,
    /// Delayed by four times the jitter more, so that others overtake it.
    pub reorder: u32,
    /// Delivered with one to four octets changed.
    pub corrupt: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(200),
            jitter: Duration::from_micros(300),
            loss: 0,
            duplicate: 0,
            reorder: 0,
            corrupt: 0,
        }
    }
}

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct WorldPlan {
    /// Everything random comes from it.
    pub seed: u64,
    /// How many shards.
    pub shards: u16,
    /// Signalling listeners.
    pub listeners: Vec<ListenerPlan>,
    /// Media ports, one slice a shard.
    pub media: Vec<MediaSlice>,
    /// Cuts streams into messages.
    pub framer: fn(&[u8]) -> Frame,
    /// The path of datagrams between endpoints and shards, both ways.
    pub link: Link,
    /// Delay of mesh messages: from, to.
    pub mesh_delay: (Duration, Duration),
    /// Mesh messages that may wait for one shard.
    pub mesh_capacity: usize,
    /// Stream commands that may wait for one companion.
    pub stream_capacity: usize,
    /// Delay of log writes: from, to.
    pub log_delay: (Duration, Duration),
    /// Wall-clock time at [`Time::ZERO`].
    pub wall: Wall,
}

impl Default for WorldPlan {
    fn default() -> Self {
        Self {
            seed: 1,
            shards: 2,
            listeners: Vec::new(),
            media: Vec::new(),
            framer: |octets| Frame::Bad { len: octets.len() },
            link: Link::default(),
            mesh_delay: (Duration::from_micros(5), Duration::from_micros(200)),
            mesh_capacity: 4096,
            stream_capacity: 1024,
            log_delay: (Duration::from_micros(20), Duration::from_millis(3)),
            wall: Wall(1_767_225_600_000),
        }
    }
}

#[cfg(test)]
mod tests;
