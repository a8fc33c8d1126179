//! Stream connections of the simulator: in order, whole, and cut anywhere.

use super::EndpointId;
use crate::program::{ConnId, Frame, ListenerId};
use crate::time::Time;
use std::net::SocketAddr;

/// One connection between an endpoint and a shard's companion.
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) listener: ListenerId,
    pub(super) endpoint: EndpointId,
    /// The endpoint's number of it.
    pub(super) number: u64,
    /// The endpoint's address.
    pub(super) peer: SocketAddr,
    /// When the last octets sent so far arrive, at the shard and at the endpoint.
    pub(super) shard_at: Time,
    pub(super) endpoint_at: Time,
    /// Octets that are no whole message yet.
    pub(super) pending: Vec<u8>,
    /// Nothing is taken from the endpoint any more.
    pub(super) deaf: bool,
}

/// What arrived octets come to.
pub(super) enum Taken {
    Message(Vec<u8>),
    Reply(&'static [u8]),
    /// A last message; then the connection is closed.
    Broken(Vec<u8>),
}

impl Connection {
    /// Adds octets and takes what is whole, as the companion does.
    pub(super) fn take(&mut self, octets: &[u8], framer: fn(&[u8]) -> Frame) -> Vec<Taken> {
        let mut taken = Vec::new();
        if self.deaf {
            return taken;
        }
        self.pending.extend_from_slice(octets);
        let mut start = 0;
        while let Some(rest) = self.pending.get(start..).filter(|rest| !rest.is_empty()) {
            match framer(rest) {
                Frame::Partial => break,
                Frame::Message { len } if len > 0 && len <= rest.len() => {
                    taken.push(Taken::Message(rest[..len].to_vec()));
                    start += len;
                }
                Frame::KeepAlive { len, reply } if len > 0 => {
                    taken.push(Taken::Reply(reply));
                    start += len.min(rest.len());
                }
                bad => {
                    let len = if let Frame::Bad { len } = bad {
                        len.min(rest.len())
                    } else {
                        0
                    };
                    taken.push(Taken::Broken(rest[..len].to_vec()));
                    self.deaf = true;
                    break;
                }
            }
        }
        self.pending.drain(..start);
        taken
    }
}
