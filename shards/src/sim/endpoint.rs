//! Scripted peers of a simulated world.

use super::Random;
use crate::time::{Time, Wall};
use std::net::SocketAddr;

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
    pub(super) actions: &'a mut Vec<Action>,
    pub(super) random: &'a mut Random,
    pub(super) next_conn: &'a mut u64,
}

#[derive(Debug)]
pub(super) enum Action {
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
