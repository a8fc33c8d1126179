//! From a plan to running shards: threads, pinning, restart after a panic, and the handle by
//! which other threads reach the shards.

mod cluster;
mod launch;

pub use cluster::{Cluster, Handle};
pub use launch::launch;

use crate::media::MediaSlice;
use crate::program::{Frame, ListenerId, ShardId};
use crate::steer::Steering;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What a listener carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// UDP.
    Datagram,
    /// TCP, cut into messages by the plan's framer.
    Stream,
}

/// One signalling listener; its place in the plan is its [`crate::ListenerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerPlan {
    /// What it carries.
    pub transport: ListenerKind,
    /// Where it listens; port 0 takes any free port.
    pub address: SocketAddr,
}

/// Limits of one shard's stream transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Most connections at once.
    pub connections: usize,
    /// A connection on which no octet came or went for so long is closed.
    pub idle: Duration,
    /// A message that has started must be complete after this time.
    pub message: Duration,
    /// How long opening a connection may take.
    pub connect: Duration,
    /// Most octets that wait to be written on one connection.
    pub write_queue: usize,
    /// Most octets of one message that is not yet complete.
    pub message_octets: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connections: 8192,
            idle: Duration::from_secs(600),
            message: Duration::from_secs(5),
            connect: Duration::from_secs(4),
            write_queue: 256 << 10,
            message_octets: 132 << 10,
        }
    }
}

/// Kernel features that may be used; for tests and for ruling out a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow {
    /// `min_wait_usec` (Linux 6.12).
    pub min_wait: bool,
    /// `DEFER_TASKRUN` (Linux 6.1).
    pub defer_taskrun: bool,
    /// `SEND` with an address (Linux 6.1 or so); `SENDMSG` otherwise.
    pub send_address: bool,
}

impl Default for Allow {
    fn default() -> Self {
        Self {
            min_wait: true,
            defer_taskrun: true,
            send_address: true,
        }
    }
}

/// Everything that a cluster of shards is made from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many shards.
    pub shards: u16,
    /// The core of each shard; `None` takes the cores that the process may use, in turn. Nothing
    /// is pinned when there are more shards than cores.
    pub cores: Option<Vec<usize>>,
    /// Signalling listeners, each opened by every shard.
    pub listeners: Vec<ListenerPlan>,
    /// Listeners of which each shard has a port of its own, counted up from the plan's (any free ports for
    /// port 0): answers to what a shard sends come back to it, as load generators want it.
    pub own_ports: Vec<ListenerId>,
    /// Chooses the shard of a datagram where shards share a port; without it the kernel spreads
    /// them by their pair of addresses.
    pub steering: Option<Steering>,
    /// Media ports, one slice a shard; empty for none.
    pub media: Vec<MediaSlice>,
    /// The kernel notes the arrival of every datagram, for [`crate::Program::media_at`] and
    /// [`crate::Program::datagram_at`]; otherwise of one media socket in sixteen.
    pub arrival_times: bool,
    /// Media sockets are read when the program asks for it ([`crate::Outbox::fetch`]) instead of with each
    /// packet that comes: a packet then costs neither its sender nor us a wake-up. For programs that know
    /// their pace and judge by the kernel's times of arrival.
    pub fetched_media: bool,
    /// Network devices where media goes past the kernel's IP stack (AF_XDP), beside the media sockets. A shard
    /// serves the queue that has its number.
    pub xdp: Vec<String>,
    /// Deadlines are kept under load too: packets are gathered until the next deadline, at most for so
    /// long, and it does not wait for them.
    pub punctual: Option<Duration>,
    /// Cuts streams into messages.
    pub framer: fn(&[u8]) -> Frame,
    /// Mesh messages that may wait for one shard.
    pub mesh_capacity: usize,
    /// Stream events that may wait for one shard, and commands for one companion.
    pub stream_capacity: usize,
    /// Receive buffers for media, 2 KiB each; a power of two, at most 32,768.
    pub media_buffers: u16,
    /// Receive buffers for signalling, 64 KiB each, of which only the touched pages take memory;
    /// a power of two, at most 32,768.
    pub signal_buffers: u16,
    /// Limits of stream transports.
    pub streams: StreamLimits,
    /// Kernel features that may be used.
    pub allow: Allow,
}

/// A framer for plans without stream listeners: nothing is ever understood.
fn no_framer(octets: &[u8]) -> Frame {
    Frame::Bad { len: octets.len() }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            shards: 1,
            cores: None,
            listeners: Vec::new(),
            own_ports: Vec::new(),
            steering: None,
            media: Vec::new(),
            arrival_times: false,
            fetched_media: false,
            xdp: Vec::new(),
            punctual: None,
            framer: no_framer,
            mesh_capacity: 4096,
            stream_capacity: 1024,
            media_buffers: 1024,
            signal_buffers: 256,
            streams: StreamLimits::default(),
            allow: Allow::default(),
        }
    }
}

/// Which place a program is made for.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The shard.
    pub shard: ShardId,
    /// How many shards there are.
    pub shards: u16,
    /// 0 at the start, then the number of the restart after a panic.
    pub restart: u32,
    /// The listeners with their actual addresses, in the plan's order.
    pub listeners: Vec<ListenerPlan>,
    /// The shard's media ports, already reduced to what the machine allows.
    pub media: Option<MediaSlice>,
}

/// Why a cluster could not be started: one sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchError {
    sentence: String,
}

impl LaunchError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for LaunchError {}
