//! Stream connections: opened, written, closed.

use super::{Event, HAND, World};
use crate::pool::Buf;
use crate::program::{ConnId, ListenerId, Program, ShardId, StreamCommand, StreamEvent};
use crate::sim::stream::{Connection, Taken};
use crate::sim::{EndpointId, Fate, Happening};
use crate::supervise::ListenerKind;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the program has to answer octets that could not be understood.
const LAST_ANSWER: Duration = Duration::from_millis(500);

impl<P: Program> World<P> {
    pub(super) fn arrive(&mut self, endpoint: EndpointId, number: u64, from: SocketAddr, to: SocketAddr) {
        let back = self.now + self.link_delay();
        match self.listener(ListenerKind::Stream, to) {
            Some(listener) => {
                let shard = self.steer(from, to);
                self.connect(shard, listener, endpoint, number, from);
                self.plan_at(back, None, Event::Opened { endpoint, number });
            }
            None => self.plan_at(back, None, Event::Closed { endpoint, number }),
        }
    }

    pub(super) fn connect(
        &mut self,
        shard: ShardId,
        listener: ListenerId,
        endpoint: EndpointId,
        number: u64,
        peer: SocketAddr,
    ) -> ConnId {
        let id = ConnId::new(shard, number);
        let (shard_at, endpoint_at) = (self.now, self.now);
        self.connections.insert(
            id,
            Connection {
                id,
                listener,
                endpoint,
                number,
                peer,
                shard_at,
                endpoint_at,
                pending: Vec::new(),
                deaf: false,
            },
        );
        id
    }

    pub(super) fn command(&mut self, via: ShardId, command: StreamCommand) {
        if let Some(waiting) = self.bounds.stream.get_mut(usize::from(via)) {
            *waiting -= 1;
        }
        let StreamCommand {
            conn,
            listener,
            peer,
            may_open,
            bytes,
            tag,
            reply_to,
        } = command;
        self.note(b"command", &[via.into(), conn.0, tag], &bytes);
        let known = self.connections.get(&conn).or_else(|| {
            self.connections
                .values()
                .find(|c| c.peer == peer && c.id.shard() == via)
        });
        let known = known.map(|connection| connection.id);
        if let Some(plan) = self
            .plan
            .listeners
            .get(usize::from(listener.0))
            .filter(|_| !bytes.is_empty())
        {
            let reaches = known.is_some() || (may_open && self.addresses.contains_key(&peer));
            let (from, fate) = (plan.address, if reaches { Fate::Whole } else { Fate::Lost });
            self.tell(Happening::Sent {
                from,
                to: peer,
                octets: &bytes,
                fate,
            });
        }
        let id = match (known, self.addresses.get(&peer)) {
            (Some(id), _) => id,
            (None, Some(&endpoint)) if may_open && !bytes.is_empty() => {
                self.next_conn += 1;
                let number = self.next_conn;
                let id = self.connect(via, listener, endpoint, number, peer);
                let at = self.now + self.link_delay();
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.endpoint_at = at;
                }
                self.plan_at(at, None, Event::Opened { endpoint, number });
                let event = StreamEvent::Opened { conn: id, peer };
                self.plan_at(at, Some(self.life), Event::Stream { to: reply_to, event });
                id
            }
            _ => {
                if !bytes.is_empty() {
                    let (at, event) = (self.now + self.link_delay(), StreamEvent::Failed { tag, peer });
                    self.plan_at(at, Some(self.life), Event::Stream { to: reply_to, event });
                }
                return;
            }
        };
        if bytes.is_empty() {
            self.plan_at(
                self.now + HAND,
                Some(self.life),
                Event::Close {
                    conn: id,
                    by_endpoint: false,
                },
            );
        } else {
            self.write_to_endpoint(id, &bytes);
        }
    }

    pub(super) fn write_to_endpoint(&mut self, id: ConnId, octets: &[u8]) {
        let at = self.now + self.link_delay();
        let cut = self.random.below(octets.len() as u64 + 1) as usize;
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.endpoint_at = connection.endpoint_at.max(at);
        let (at, endpoint, number) = (connection.endpoint_at, connection.endpoint, connection.number);
        for piece in [&octets[..cut], &octets[cut..]] {
            if !piece.is_empty() {
                self.plan_at(
                    at,
                    None,
                    Event::ToEndpoint {
                        endpoint,
                        number,
                        octets: piece.to_vec(),
                    },
                );
            }
        }
    }

    pub(super) fn arrived(&mut self, conn: ConnId, octets: &[u8]) {
        self.note(b"in", &[conn.0], octets);
        let framer = self.plan.framer;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let (listener, peer) = (connection.listener, connection.peer);
        for taken in connection.take(octets, framer) {
            let message = match taken {
                Taken::Reply(reply) => {
                    self.write_to_endpoint(conn, reply);
                    continue;
                }
                Taken::Broken(message) => {
                    let at = self.now + LAST_ANSWER;
                    self.plan_at(
                        at,
                        Some(self.life),
                        Event::Close {
                            conn,
                            by_endpoint: false,
                        },
                    );
                    message
                }
                Taken::Message(message) => message,
            };
            if let Some(to) = self
                .plan
                .listeners
                .get(usize::from(listener.0))
                .map(|plan| plan.address)
            {
                let (from, octets) = (peer, &message[..]);
                let fate = Fate::Whole;
                self.tell(Happening::Sent { from, to, octets, fate });
                let corrupted = false;
                self.tell(Happening::Delivered {
                    from,
                    to,
                    octets,
                    corrupted,
                });
            }
            let event = StreamEvent::Message {
                conn,
                listener,
                peer,
                bytes: Buf::copy_of(&message),
            };
            self.call(conn.shard(), |program, cx| program.stream(cx, event));
        }
    }

    pub(super) fn close(&mut self, conn: ConnId, by_endpoint: bool) {
        let Some(connection) = self.connections.remove(&conn) else {
            return;
        };
        self.note(b"close", &[conn.0], &[]);
        if !by_endpoint {
            let (endpoint, number) = (connection.endpoint, connection.number);
            let at = connection.endpoint_at.max(self.now);
            self.plan_at(at, None, Event::Closed { endpoint, number });
        }
        self.call(conn.shard(), |program, cx| {
            program.stream(cx, StreamEvent::Closed { conn })
        });
    }
}
