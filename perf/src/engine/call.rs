//! One call, and where calls are kept.

use super::RTDS;
use super::value::Value;
use hashbrown::HashTable;
use shards::{Buf, ConnId, Time, TimerId};
use std::net::SocketAddr;

/// The other end of a call's signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// By UDP.
    Datagram(SocketAddr),
    /// On a connection; [`ConnId::NONE`] opens one.
    Stream(ConnId, SocketAddr),
}

impl Peer {
    /// Its address.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        match self {
            Peer::Datagram(address) | Peer::Stream(_, address) => address,
        }
    }
}

/// A call's place: an index that is used again, and how often it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl CallId {
    /// Generations start again after so many, so that four bits of [`bits`](Self::bits) stay free.
    pub(super) const GENERATIONS: u32 = 0x0fff_ffff;

    /// As one number of 60 bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// From [`bits`](Self::bits).
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32 & Self::GENERATIONS,
        }
    }
}

/// Where a call is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Follows the scenario.
    Running,
    /// Counted already; waits for the answer to its BYE or CANCEL.
    HangingUp,
    /// Counted already; answers repeated messages for a while.
    Dead,
}

/// How far our INVITE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invite {
    /// None was sent or received.
    None,
    /// Sent, nothing came.
    Sent,
    /// A provisional answer came.
    Provisional,
    /// A 2xx came (or was sent, when the other end called).
    Answered,
    /// It failed, or the call was hung up.
    Over,
}

/// A response to have been read to its end, so that its copies are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) cseq: u32,
    pub(super) invite: bool,
}

/// One call.
pub(super) struct Call {
    pub(super) number: u64,
    /// From 1; 0 without `-users`.
    pub(super) user: u64,
    /// Which of our ports it uses.
    pub(super) port: usize,
    pub(super) id: Buf,
    pub(super) hash: u64,
    pub(super) phase: Phase,
    pub(super) incoming: bool,
    /// The step that is executed or waited at.
    pub(super) step: usize,
    /// When it was due.
    pub(super) due: Time,
    /// When it began.
    pub(super) began: Time,
    pub(super) timer: TimerId,
    pub(super) again: TimerId,
    pub(super) interval_ms: u32,
    pub(super) repeats: u32,
    /// The step whose message may be sent again.
    pub(super) sent_step: usize,
    pub(super) sent: Buf,
    /// The INVITE that is not answered yet.
    pub(super) invite_text: Buf,
    pub(super) invite: Invite,
    pub(super) peer: Peer,
    pub(super) received: u64,
    pub(super) last: Buf,
    pub(super) finished: [Option<Finished>; 4],
    pub(super) finished_at: usize,
    pub(super) peer_tag: Buf,
    pub(super) routes: Buf,
    pub(super) next_url: Buf,
    pub(super) challenge: Buf,
    pub(super) nonce_count: u32,
    pub(super) cseq: u32,
    pub(super) sends: u32,
    /// How often the call went back to an earlier step.
    pub(super) rounds: u32,
    pub(super) vars: Vec<Value>,
    /// Its user's variables, lent to the call while it runs.
    pub(super) user_vars: Vec<Value>,
    pub(super) watches: [Time; RTDS],
    pub(super) rung: bool,
    pub(super) set_up: bool,
    pub(super) bye_at: Option<Time>,
    pub(super) register_at: Option<Time>,
    pub(super) audio: Option<u32>,
    pub(super) lines: Vec<u32>,
}

impl Call {
    /// Goes on at a step.
    pub(super) fn go(&mut self, to: usize) {
        if to <= self.step {
            self.rounds += 1;
        }
        self.step = to;
    }

    pub(super) fn is_finished(&self, cseq: u32, invite: bool) -> bool {
        self.finished.contains(&Some(Finished { cseq, invite }))
    }

    pub(super) fn finish(&mut self, cseq: u32, invite: bool) {
        self.finished[self.finished_at % self.finished.len()] = Some(Finished { cseq, invite });
        self.finished_at += 1;
    }
}

/// All calls of an engine, by place and by Call-ID.
#[derive(Default)]
pub(super) struct Calls {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashTable<u32>,
}

struct Slot {
    generation: u32,
    call: Option<Box<Call>>,
}

impl Calls {
    pub(super) fn insert(&mut self, call: Box<Call>) -> CallId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                call: None,
            });
            (self.slots.len() - 1) as u32
        });
        let Self { slots, by_id, .. } = self;
        let generation = slots[index as usize].generation;
        let hash = call.hash;
        slots[index as usize].call = Some(call);
        by_id.insert_unique(hash, index, |&at| hash_at(slots, at));
        CallId { index, generation }
    }

    pub(super) fn find(&self, id: &[u8], hash: u64) -> Option<CallId> {
        let index = *self.by_id.find(hash, |&at| {
            self.slots[at as usize]
                .call
                .as_ref()
                .is_some_and(|call| call.hash == hash && *call.id == *id)
        })?;
        Some(CallId {
            index,
            generation: self.slots[index as usize].generation,
        })
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.call.as_deref_mut().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<Box<Call>> {
        let slot = self
            .slots
            .get_mut(id.index as usize)
            .filter(|slot| slot.generation == id.generation)?;
        let call = slot.call.take()?;
        slot.generation = slot.generation.wrapping_add(1) & CallId::GENERATIONS;
        if let Ok(entry) = self.by_id.find_entry(call.hash, |&at| at == id.index) {
            entry.remove();
        }
        self.free.push(id.index);
        Some(call)
    }

    /// The places of all calls.
    pub(super) fn ids(&self) -> Vec<CallId> {
        let places = self.slots.iter().enumerate().filter(|(_, slot)| slot.call.is_some());
        places
            .map(|(index, slot)| CallId {
                index: index as u32,
                generation: slot.generation,
            })
            .collect()
    }
}

fn hash_at(slots: &[Slot], at: u32) -> u64 {
    slots
        .get(at as usize)
        .and_then(|slot| slot.call.as_ref())
        .map_or(0, |call| call.hash)
}
