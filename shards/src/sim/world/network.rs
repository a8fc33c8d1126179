//! Datagrams on their way, and where they arrive.

use super::{Event, World};
use crate::media::{MediaSlice, Slot};
use crate::program::{ListenerId, Program, ShardId, Verdict};
use crate::sim::{Fate, Happening, Random};
use crate::supervise::ListenerKind;
use std::net::SocketAddr;
use std::time::Duration;

impl<P: Program> World<P> {
    /// A datagram on its way: lost, delayed, doubled, overtaken.
    pub(super) fn route(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let link = self.plan.link;
        if self.random.chance(link.loss) {
            let fate = Fate::Lost;
            return self.tell(Happening::Sent {
                from,
                to,
                octets: bytes,
                fate,
            });
        }
        let copies = 1 + u32::from(self.random.chance(link.duplicate));
        let corrupted = self.random.chance(link.corrupt);
        self.tell(Happening::Sent {
            from,
            to,
            octets: bytes,
            fate: match (corrupted, copies) {
                (true, _) => Fate::Corrupted,
                (false, 1) => Fate::Whole,
                (false, _) => Fate::Doubled,
            },
        });
        for copy in 0..copies {
            let mut at = self.now + self.link_delay();
            if self.random.chance(link.reorder) {
                at += self.random.span(Duration::ZERO, link.jitter * 4);
            }
            let mut bytes = bytes.to_vec();
            // Of a doubled one, the copy stays whole.
            let corrupted = corrupted && copy == 0;
            if corrupted {
                self.corrupt(&mut bytes);
            }
            self.plan_at(
                at,
                None,
                Event::Datagram {
                    from,
                    to,
                    bytes,
                    corrupted,
                },
            );
        }
    }

    /// Changes one to four octets, each to another one.
    fn corrupt(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.random.below(4) {
            let (place, change) = (self.random.below(bytes.len() as u64), 1 + self.random.below(255));
            if let Some(octet) = bytes.get_mut(place as usize) {
                *octet ^= change as u8;
            }
        }
    }

    pub(super) fn datagram(&mut self, from: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>, corrupted: bool) {
        self.note(b"datagram", &[from.port().into(), to.port().into()], &bytes);
        self.tell(Happening::Delivered {
            from,
            to,
            octets: &bytes,
            corrupted,
        });
        if let Some(&id) = self.addresses.get(&to) {
            return self.with_endpoint(id, |endpoint, cx| endpoint.datagram(cx, to, from, &bytes));
        }
        let listener = self.listener(ListenerKind::Datagram, to);
        if let Some(id) = listener {
            let shard = self.steer(from, to);
            return self.call(shard, |program, cx| program.datagram(cx, id, from, &bytes));
        }
        for shard in 0..self.plan.shards {
            let Some(slot) = self
                .plan
                .media
                .get(usize::from(shard))
                .and_then(|slice| slot_of(slice, to))
            else {
                continue;
            };
            let now = self.now;
            let place = &mut self.shards[usize::from(shard)];
            let peer = place.peers.get(slot.0 as usize).copied().flatten();
            if place.open.get(slot.0 as usize) != Some(&true) || peer.is_some_and(|peer| peer != from) {
                return;
            }
            match place.program.media(now, slot, from, &mut bytes) {
                Verdict::Drop => {}
                Verdict::Odd => self.call(shard, |program, cx| program.media_odd(cx, slot, from, &mut bytes)),
                Verdict::Relay { slot: leaves, to } => {
                    let open = place.open.get(leaves.0 as usize) == Some(&true);
                    let source = self.plan.media[usize::from(shard)].address(leaves).filter(|_| open);
                    if let Some(source) = source {
                        self.route(source, to, &bytes);
                    }
                }
            }
            return;
        }
    }

    pub(super) fn listener(&self, kind: ListenerKind, to: SocketAddr) -> Option<ListenerId> {
        let found = self.plan.listeners.iter().position(|listener| {
            let address = listener.address;
            listener.transport == kind
                && address.port() == to.port()
                && (address.ip() == to.ip() || address.ip().is_unspecified())
        });
        found.map(|index| ListenerId(index as u8))
    }

    /// As SO_REUSEPORT does: the same pair of addresses goes to the same shard.
    pub(super) fn steer(&self, from: SocketAddr, to: SocketAddr) -> ShardId {
        let mut hash = Random::new(self.plan.seed ^ u64::from(from.port()) << 16 ^ u64::from(to.port()));
        (hash.next() % u64::from(self.plan.shards.max(1))) as ShardId
    }
}

fn slot_of(slice: &MediaSlice, address: SocketAddr) -> Option<Slot> {
    let place = slice.addresses.iter().position(|&ip| ip == address.ip())? as u32;
    let offset = u32::from(address.port()).checked_sub(slice.first.into())?;
    (offset < slice.ports).then_some(Slot(place * slice.ports + offset))
}
