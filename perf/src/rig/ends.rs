//! What an engine reaches on the runtime.

use super::desk::Desk;
use super::{NoteLine, Order, Outlets};
use crate::engine::{AudioOrder, CallId, Host, Note, Peer, Wish};
use shards::{Buf, Cx, ListenerId, StreamCommand, Target, Time};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) struct Ends<'a, 'b> {
    pub(super) cx: &'a mut Cx<'b, Order>,
    pub(super) desk: &'a mut Desk,
    pub(super) outlets: &'a Outlets,
    pub(super) wish: &'a mut Option<Wish>,
    pub(super) role: usize,
    pub(super) datagrams: &'a [ListenerId],
    pub(super) stream: Option<ListenerId>,
}

impl Host for Ends<'_, '_> {
    fn send(&mut self, to: Peer, octets: &[u8], call: CallId, port: usize) {
        match to {
            Peer::Datagram(address) => {
                if let Some(listener) = self.datagrams.get(port).or(self.datagrams.first()) {
                    self.cx.out.datagram(Target::Listener(*listener, address), octets);
                }
            }
            Peer::Stream(conn, peer) => {
                let Some(listener) = self.stream else { return };
                let known = conn != shards::ConnId::NONE;
                let via = if known { conn.shard() } else { self.cx.shard };
                let command = StreamCommand {
                    conn,
                    listener,
                    peer,
                    // An answer does not open a connection: the caller's port is no listener.
                    may_open: !known,
                    bytes: Buf::copy_of(octets),
                    tag: (self.role as u64) << 60 | call.bits(),
                    reply_to: self.cx.shard,
                };
                // A full queue is counted by the runtime; the call then waits in vain and fails by time.
                let _ = self.cx.host.stream(via, command);
            }
        }
    }

    fn audio_port(&mut self, audio: &mut Option<u32>) -> Option<u16> {
        if audio.is_none() {
            *audio = self.desk.open(self.cx.host);
        }
        audio.and_then(|audio| self.desk.port(audio))
    }

    fn audio(&mut self, now: Time, audio: u32, order: AudioOrder<'_>) {
        self.desk.order(now, audio, order);
    }

    fn command(&mut self, octets: &[u8]) -> bool {
        // A full queue fails the call: the twin takes nothing.
        let link = self.outlets.commands.as_ref();
        link.is_some_and(|link| link.try_send(octets.to_vec()).is_ok())
    }

    fn note(&mut self, kind: Note, peer: Option<Peer>, octets: &[u8]) {
        if let Some(notes) = &self.outlets.notes {
            let at = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_nanos() as u64;
            // Waits when the disk is slower than the traces are asked for: nothing of them is lost.
            let _ = notes.send(NoteLine {
                kind,
                at,
                peer,
                octets: octets.to_vec(),
            });
        }
    }

    fn wish(&mut self, wish: Wish) {
        *self.wish = Some(wish);
    }
}
