//! Where a SIP message came from and how to send something back there.

use shards::{ConnId, ListenerId, ShardId, Time};
use std::net::SocketAddr;

/// A SIP transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Transport {
    /// RFC 3261 section 18, datagrams.
    Udp,
    /// Streams, connection reuse.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// RFC 7118 over TCP.
    Ws,
    /// RFC 7118 over TLS.
    Wss,
}

impl Transport {
    /// True where the transport retransmits by itself (RFC 3261 section 17: timers A, E, G and
    /// the wait timers D, I, J, K depend on this).
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// As in a Via header.
    #[must_use]
    pub const fn via(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// As in a URI's `transport` parameter and in the configuration.
    #[must_use]
    pub const fn param(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        }
    }
}

/// A way to a peer: transport, our listener, the peer's address and, on streams, the connection
/// to use while it lives. Small and copied freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The transport.
    pub transport: Transport,
    /// Our listener: the socket that sends on UDP; the name in Via and Contact on streams.
    pub listener: ListenerId,
    /// The other end.
    pub peer: SocketAddr,
    /// The connection, [`ConnId::NONE`] on UDP or when one may be opened.
    pub conn: ConnId,
}

/// What protocol code may do to the outside: send, and nothing else.
pub trait Wire {
    /// The batch's time.
    fn now(&self) -> Time;
    /// The shard this code runs in.
    fn shard(&self) -> ShardId;
    /// Sends one SIP message on a path. `tag` comes back when a stream fails
    /// (see `StreamEvent::Failed`); 0 means that nobody waits for that.
    fn send(&mut self, path: &Path, tag: u64, bytes: &[u8]);
}
