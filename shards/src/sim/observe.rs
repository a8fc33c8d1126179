//! What a world tells its observer: the network's view, and what was done to the programs.

use crate::program::ShardId;
use crate::time::Time;
use std::net::SocketAddr;

/// What became of a datagram when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It will arrive.
    Whole,
    /// It will not.
    Lost,
    /// It will arrive twice.
    Doubled,
    /// It will arrive with some octets changed.
    Corrupted,
}

/// Something that happened, and when.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Virtual time.
    pub at: Time,
    /// What.
    pub what: Happening<'a>,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// A datagram was sent, by an endpoint or by a program; or a message on a stream (by an
    /// endpoint: when it is whole and delivered).
    Sent {
        /// Source.
        from: SocketAddr,
        /// Destination.
        to: SocketAddr,
        /// As it was sent.
        octets: &'a [u8],
        /// What becomes of it.
        fate: Fate,
    },
    /// A datagram is about to be delivered (it may be for nobody); or a message of a stream, to a program.
    Delivered {
        /// Source.
        from: SocketAddr,
        /// Destination.
        to: SocketAddr,
        /// As it arrives.
        octets: &'a [u8],
        /// Not as it was sent.
        corrupted: bool,
    },
    /// A shard's program was dropped; a new one starts in its place.
    Crashed(ShardId),
    /// All programs were dropped, as `kill -9` does; new ones start.
    Killed,
}

/// Who is told.
pub(super) type Observer = Box<dyn FnMut(&Observed<'_>)>;
