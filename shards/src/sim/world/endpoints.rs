//! Endpoints: added, looked at, called, and what they do.

use super::{Event, World};
use crate::program::Program;
use crate::sim::endpoint::{Action, Endpoint, EndpointCx, EndpointId};
use std::net::SocketAddr;
use std::time::Duration;

impl<P: Program> World<P> {
    /// Adds an endpoint that is reached at `addresses` and starts it.
    pub fn add_endpoint(&mut self, addresses: &[SocketAddr], endpoint: impl Endpoint + 'static) -> EndpointId {
        let id = EndpointId(self.endpoints.len() as u32);
        self.endpoints.push(Some(Box::new(endpoint)));
        self.addresses.extend(addresses.iter().map(|&address| (address, id)));
        self.with_endpoint(id, |endpoint, cx| endpoint.start(cx));
        id
    }

    /// An endpoint, to look at; `None` when the type is another one.
    pub fn endpoint<E: Endpoint + 'static>(&mut self, id: EndpointId) -> Option<&mut E> {
        self.endpoints.get_mut(id.0 as usize)?.as_mut()?.as_any().downcast_mut()
    }

    /// Calls an endpoint as if an event had come, so that a test can make it act.
    pub fn with_endpoint(&mut self, id: EndpointId, act: impl FnOnce(&mut dyn Endpoint, &mut EndpointCx<'_>)) {
        let Some(mut endpoint) = self.endpoints.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        let mut actions = Vec::new();
        let mut cx = EndpointCx {
            now: self.now,
            wall: self.wall(),
            actions: &mut actions,
            random: &mut self.random,
            next_conn: &mut self.next_conn,
        };
        act(&mut *endpoint, &mut cx);
        self.endpoints[id.0 as usize] = Some(endpoint);
        for action in actions {
            self.act(id, action);
        }
    }

    fn act(&mut self, id: EndpointId, action: Action) {
        match action {
            Action::Send { from, to, bytes } => self.route(from, to, &bytes),
            Action::Timer { at, tag } => {
                self.plan_at(at.max(self.now), None, Event::Timer { endpoint: id, tag });
            }
            Action::Connect { conn: number, from, to } => {
                let at = self.now + self.link_delay();
                self.plan_at(
                    at,
                    None,
                    Event::Arrive {
                        endpoint: id,
                        number,
                        from,
                        to,
                    },
                );
            }
            Action::Write { conn: number, bytes } => {
                let delay = self.link_delay();
                let (now, random, life) = (self.now, &mut self.random, self.life);
                let Some(connection) = self.connections.values_mut().find(|c| c.number == number) else {
                    return;
                };
                let mut at = connection.shard_at.max(now + delay);
                let mut pieces = Vec::new();
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    // Mostly whole, often in two, now and then octet by octet.
                    let len = match random.below(4) {
                        0 => 1 + random.below(rest.len() as u64) as usize,
                        1 if rest.len() < 64 => 1,
                        _ => rest.len(),
                    };
                    pieces.push((at, rest[..len].to_vec()));
                    rest = &rest[len..];
                    at += Duration::from_micros(random.below(200));
                }
                connection.shard_at = at;
                let conn = connection.id;
                for (at, octets) in pieces {
                    self.plan_at(at, Some(life), Event::ToShard { conn, octets });
                }
            }
            Action::Close { conn: number } => {
                let Some(connection) = self.connections.values().find(|c| c.number == number) else {
                    return;
                };
                let (at, conn) = (connection.shard_at.max(self.now), connection.id);
                self.plan_at(
                    at,
                    Some(self.life),
                    Event::Close {
                        conn,
                        by_endpoint: true,
                    },
                );
            }
        }
    }
}
