//! The simulated back-end: the same programs in a deterministic world of virtual time.
//!
//! Everything that happens is drawn from one seed: delays, losses, duplicates, the order of
//! events at the same instant. Two runs with the same seed have the same [`World::trace`].

use crate::media::MediaSlice;
use crate::program::{Frame, Program, ShardId};
use crate::supervise::{ListenerPlan, Seat};
use crate::time::{Time, Wall};
use std::net::SocketAddr;
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
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(200),
            jitter: Duration::from_micros(300),
            loss: 0,
            duplicate: 0,
            reorder: 0,
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
            log_delay: (Duration::from_micros(20), Duration::from_millis(3)),
            wall: Wall(1_767_225_600_000),
        }
    }
}

/// Names an endpoint of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// What happens on an endpoint's stream connection.
#[derive(Debug)]
pub enum StreamInput<'a> {
    /// The world's listener accepted it, or the world opened it to this endpoint.
    Opened,
    /// Octets, cut anywhere.
    Octets(&'a [u8]),
    /// It ended, or could not be opened.
    Closed,
}

/// A scripted peer: a phone, a trunk, an attacker.
pub trait Endpoint {
    /// Called once when it is added.
    fn start(&mut self, _cx: &mut EndpointCx<'_>) {}
    /// A datagram for one of its addresses.
    fn datagram(&mut self, cx: &mut EndpointCx<'_>, to: SocketAddr, from: SocketAddr, bytes: &[u8]);
    /// A timer that it set.
    fn timer(&mut self, _cx: &mut EndpointCx<'_>, _tag: u64) {}
    /// Something on one of its stream connections.
    fn stream(&mut self, _cx: &mut EndpointCx<'_>, _conn: u64, _input: StreamInput<'_>) {}
    /// So that a test can look into it: return `self`.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
}

/// What an endpoint may do while it handles an event.
pub struct EndpointCx<'a> {
    /// Virtual time.
    pub now: Time,
    /// Virtual wall-clock time.
    pub wall: Wall,
    actions: &'a mut Vec<Action>,
    random: &'a mut Random,
    next_conn: &'a mut u64,
}

#[derive(Debug)]
enum Action {
    Send {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    Timer {
        at: Time,
        tag: u64,
    },
    Connect {
        conn: u64,
        from: SocketAddr,
        to: SocketAddr,
    },
    Write {
        conn: u64,
        bytes: Vec<u8>,
    },
    Close {
        conn: u64,
    },
}

impl EndpointCx<'_> {
    /// Sends a datagram.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.actions.push(Action::Send {
            from,
            to,
            bytes: bytes.to_vec(),
        });
    }

    /// Sets a timer; `tag` comes back.
    pub fn timer_at(&mut self, at: Time, tag: u64) {
        self.actions.push(Action::Timer { at, tag });
    }

    /// Opens a stream connection to a listener of the world.
    pub fn connect(&mut self, from: SocketAddr, to: SocketAddr) -> u64 {
        *self.next_conn += 1;
        self.actions.push(Action::Connect {
            conn: *self.next_conn,
            from,
            to,
        });
        *self.next_conn
    }

    /// Writes on a stream connection; the octets arrive in order, cut anywhere.
    pub fn write(&mut self, conn: u64, bytes: &[u8]) {
        self.actions.push(Action::Write {
            conn,
            bytes: bytes.to_vec(),
        });
    }

    /// Closes a stream connection.
    pub fn close(&mut self, conn: u64) {
        self.actions.push(Action::Close { conn });
    }

    /// A random number from the world's seed.
    pub fn random(&mut self) -> u64 {
        self.random.next()
    }
}

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }
}

/// A deterministic world of shards and endpoints.
pub struct World<P: Program> {
    plan: WorldPlan,
    factory: Box<dyn FnMut(&Seat) -> P>,
    programs: Vec<P>,
}

impl<P: Program> World<P> {
    /// Makes the programs and starts them at [`Time::ZERO`].
    pub fn new(plan: WorldPlan, factory: impl FnMut(&Seat) -> P + 'static) -> Self {
        Self {
            plan,
            factory: Box::new(factory),
            programs: Vec::new(),
        }
    }

    /// Adds an endpoint that is reached at `addresses` and starts it.
    pub fn add_endpoint(&mut self, _addresses: &[SocketAddr], _endpoint: impl Endpoint + 'static) -> EndpointId {
        EndpointId(0)
    }

    /// An endpoint, to look at; `None` when the type is another one.
    pub fn endpoint<E: Endpoint + 'static>(&mut self, _id: EndpointId) -> Option<&mut E> {
        None
    }

    /// Calls an endpoint as if an event had come, so that a test can make it act.
    pub fn with_endpoint(&mut self, _id: EndpointId, _act: impl FnOnce(&mut dyn Endpoint, &mut EndpointCx<'_>)) {}

    /// A shard's program, to look at.
    pub fn program(&mut self, shard: ShardId) -> &mut P {
        &mut self.programs[shard as usize]
    }

    /// Sends a mesh message as an ops thread does.
    /// # Errors
    /// Gives the message back when the queue is full.
    pub fn send_mesh(&mut self, _shard: ShardId, message: P::Mesh) -> Result<(), P::Mesh> {
        Err(message)
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::ZERO
    }

    /// Handles the next event; false when there is none.
    pub fn step(&mut self) -> bool {
        false
    }

    /// Runs until virtual time `until`.
    pub fn run_until(&mut self, _until: Time) {}

    /// Runs until nothing more will happen, or until `limit`; whether it came to rest.
    pub fn run_until_idle(&mut self, _limit: Time) -> bool {
        true
    }

    /// Changes the path of datagrams from now on.
    pub fn set_link(&mut self, link: Link) {
        self.plan.link = link;
    }

    /// From now on log writes of the shard fail (or succeed again).
    pub fn fail_log(&mut self, _shard: ShardId, _fail: bool) {}

    /// Drops a shard's program and makes it again, as after a panic.
    pub fn crash_shard(&mut self, shard: ShardId) {
        let _ = (&mut self.factory, shard);
    }

    /// Ends all programs as `kill -9` does and makes them again; logs are kept as far as they
    /// were written, and the group in flight may be torn anywhere.
    pub fn crash_process(&mut self) {}

    /// The octets of a log file as far as they are written.
    #[must_use]
    pub fn log(&self, _shard: ShardId, _serial: u64) -> &[u8] {
        &[]
    }

    /// The serial numbers of a shard's log files, in the order in which they were begun.
    #[must_use]
    pub fn logs(&self, _shard: ShardId) -> Vec<u64> {
        Vec::new()
    }

    /// FNV-1a over every event so far.
    #[must_use]
    pub fn trace(&self) -> u64 {
        0
    }

    /// How many events happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        0
    }
}
