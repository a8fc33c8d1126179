//! What can happen, and the order in which it does.

use crate::program::{ConnId, Sender, ShardId, StreamCommand, StreamEvent};
use crate::sim::EndpointId;
use crate::time::Time;
use std::cmp::Ordering;
use std::net::SocketAddr;

pub(super) enum Event<M> {
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
        corrupted: bool,
    },
    Timer {
        endpoint: EndpointId,
        tag: u64,
    },
    Mesh {
        to: ShardId,
        from: Sender,
        message: M,
    },
    Deadline {
        shard: ShardId,
    },
    Written {
        shard: ShardId,
    },
    /// An endpoint's connection arrives at a listener.
    Arrive {
        endpoint: EndpointId,
        number: u64,
        from: SocketAddr,
        to: SocketAddr,
    },
    Command {
        via: ShardId,
        command: StreamCommand,
    },
    Stream {
        to: ShardId,
        event: StreamEvent,
    },
    ToShard {
        conn: ConnId,
        octets: Vec<u8>,
    },
    ToEndpoint {
        endpoint: EndpointId,
        number: u64,
        octets: Vec<u8>,
    },
    Opened {
        endpoint: EndpointId,
        number: u64,
    },
    Closed {
        endpoint: EndpointId,
        number: u64,
    },
    /// A companion closes, or an endpoint closed.
    Close {
        conn: ConnId,
        by_endpoint: bool,
    },
}

pub(super) struct Planned<M> {
    pub(super) at: Time,
    pub(super) serial: u64,
    /// The life of the process that it belongs to; `None` for what is outside of it.
    pub(super) life: Option<u32>,
    pub(super) event: Event<M>,
}

impl<M> PartialEq for Planned<M> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<M> Eq for Planned<M> {}
impl<M> PartialOrd for Planned<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<M> Ord for Planned<M> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}
