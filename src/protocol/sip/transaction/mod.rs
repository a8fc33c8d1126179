//! The transaction layer, RFC 3261 section 17 with RFC 6026: both
//! sides, four machines, one owner a shard.
//!
//! The machines themselves are the pure tables in [`table`]; this module matches messages to
//! transactions, keeps what may have to be sent again, and runs the timers on one wheel.
//! Time comes with [`Wire::now`]; nothing here reads a clock.
//!
//! What the layer leaves to its users (the TU of the RFC):
//! - 100 Trying is written by the user and goes through [`Transactions::respond`].
//! - A server transaction lives until it is answered; every user must answer in the end.
//! - An INVITE client in Proceeding has no timeout (that is Timer C, or the caller's patience);
//!   the way out is [`Transactions::cancel`].
//! - 2xx of an INVITE and their ACK are end to end: users repeat and absorb them.
//!
//! Exceptions from the RFC: `maddr` in a Via is ignored when answering (section 18.2.2), since it
//! lets anybody point our responses at a third party; a stream response that cannot be sent is
//! reported ([`Event::ServerFailed`]) and not tried again at the sent-by address.

mod branch;
mod cancel;
mod client;
mod compose;
mod key;
mod room;
mod server;
mod slab;
pub mod table;
#[cfg(test)]
mod tests;
mod timers;

use super::Spans;
use crate::config::plan::Timers;
use crate::protocol::Wire;
use client::Client;
use hashbrown::HashTable;
use key::{Key, Keyer};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use server::Server;
use shards::wheel::{TimerId, Wheel};
use shards::{ShardId, Time};
use slab::Slab;

pub use branch::Branch;
pub use room::OUTSIDE;

/// A server transaction of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerId {
    index: u32,
    generation: u32,
}

/// A client transaction of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId {
    index: u32,
    generation: u32,
}

/// Who owns a transaction; the layer only carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Which role.
    pub role: u8,
    /// Place in the role's table.
    pub index: u32,
    /// Generation of that place.
    pub generation: u32,
}

/// The limit of transactions is reached: refuse new work with 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a received request is to the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A repetition; the last response, if any, was sent again. Nothing to do.
    Retransmission,
    /// An ACK for a response of 300 to 699. Nothing to do.
    AckAbsorbed,
    /// An ACK for a 2xx (or for nothing): no transaction; the caller deals with it.
    Ack,
    /// A CANCEL for a known INVITE. The caller answers it with a server transaction of its own.
    Cancel {
        /// The INVITE's transaction; it may already have its final response.
        invite: ServerId,
        /// Its user.
        user: User,
    },
    /// A CANCEL for nothing that we know; 481.
    CancelUnmatched,
    /// A new request: make a server transaction.
    New,
}

/// What a received response is to the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// A repetition, or an answer to the layer's own CANCEL. Nothing to do.
    Absorbed,
    /// For the transaction's user. The ACK to 300-699 is already out.
    Pass {
        /// The transaction.
        client: ClientId,
        /// Its user.
        user: User,
    },
    /// It belongs to no transaction here. RFC 6026 section 8.9: drop it.
    Stray,
}

/// What time or the transport did to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Timer B or F, or 64*T1 after a CANCEL: as if a 408 had come. The transaction is gone.
    ClientTimeout {
        /// The transaction.
        client: ClientId,
        /// Its user.
        user: User,
    },
    /// The request could not be sent: as if a 503 had come. The transaction is gone.
    ClientFailed {
        /// The transaction.
        client: ClientId,
        /// Its user.
        user: User,
    },
    /// Timer H (no ACK came for 300-699) or Timer L (64*T1 after the first 2xx, which says
    /// nothing about its ACK). The transaction is gone.
    ServerTimeout {
        /// The transaction.
        server: ServerId,
        /// Its user.
        user: User,
    },
    /// A response could not be sent on its stream. The transaction remains (RFC 6026 section 8.8).
    ServerFailed {
        /// The transaction.
        server: ServerId,
        /// Its user.
        user: User,
    },
}

/// All transactions of one shard.
pub struct Transactions {
    shard: ShardId,
    limit: usize,
    random: ChaCha12Rng,
    keyer: Keyer,
    /// Of the request that [`Transactions::receive_request`] saw last, until it has a transaction.
    newest: Option<Key>,
    /// Server transactions by key; places in `servers`.
    index: HashTable<u32>,
    servers: Slab<Server>,
    clients: Slab<Client>,
    /// How many of both are of requests outside calls.
    outside: usize,
    tools: Tools,
}

/// What both sides need while an entry is borrowed.
struct Tools {
    wheel: Wheel<Token>,
    timers: Timers,
    /// Messages that the layer writes itself.
    text: Vec<u8>,
    /// For reading back what is stored.
    spans: Spans,
}

/// What the wheel carries: whose timer it is. Timers are cancelled with their entry, so a token
/// never outlives it.
#[derive(Clone, Copy, Debug)]
enum Token {
    Server(u32),
    Client(u32),
}

/// An entry's two possible deadlines, and the one wheel timer that serves both.
struct Schedule {
    /// [`TimerId::NONE`] when none runs.
    timer: TimerId,
    /// Timers A, E, G.
    resend_at: Time,
    /// All other timers; which one it is follows from the state.
    ends_at: Time,
    /// How often the retransmission timer has fired.
    round: u8,
}

/// Which of an entry's deadlines came.
enum Due {
    Resend,
    End,
}

impl Transactions {
    /// An empty layer for `shard` with room for `limit` transactions of both sides together.
    /// `seed` is secret and random: it makes branches and the hash unpredictable.
    #[must_use]
    pub fn new(shard: ShardId, timers: Timers, limit: u32, seed: [u8; 32]) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        let keyer = Keyer::new([random.next_u64(), random.next_u64()]);
        let limit = limit as usize;
        let expected = limit.min(RESERVED);
        Self {
            shard,
            limit,
            random,
            keyer,
            newest: None,
            index: HashTable::with_capacity(expected),
            servers: Slab::new(expected),
            clients: Slab::new(expected),
            outside: 0,
            tools: Tools {
                wheel: Wheel::new(Time::ZERO),
                timers,
                text: Vec::new(),
                spans: Spans::default(),
            },
        }
    }

    /// When [`Transactions::expire`] wants to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.tools.wheel.next()
    }

    /// Runs all timers that are due; `events` gets what users have to know.
    pub fn expire(&mut self, wire: &mut dyn Wire, events: &mut Vec<Event>) {
        let now = wire.now();
        while let Some(token) = self.tools.wheel.pop(now) {
            match token {
                Token::Server(index) => self.server_due(wire, index, events),
                Token::Client(index) => self.client_due(wire, index, events),
            }
        }
    }

    /// A message sent with `tag` could not be delivered by its stream.
    pub fn stream_failed(&mut self, wire: &mut dyn Wire, tag: u64, events: &mut Vec<Event>) {
        let index = tag as u32;
        let generation = (tag >> 32) as u32 & !SERVER_SIDE;
        if tag >> 32 & u64::from(SERVER_SIDE) != 0 {
            self.server_failed(wire, ServerId { index, generation }, events);
        } else {
            self.client_failed(wire, ClientId { index, generation }, events);
        }
    }

    /// The home shard that a branch names; `None` when it was not minted by this layer's kind.
    #[must_use]
    pub fn home(branch: &[u8]) -> Option<ShardId> {
        branch::parse(branch).map(|parts| parts.shard)
    }

    /// How many server and client transactions there are, lingering ones and minted slots included.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.servers.len(), self.clients.len())
    }
}

impl ServerId {
    fn tag(self) -> u64 {
        (u64::from(self.generation | SERVER_SIDE) << 32) | u64::from(self.index)
    }
}

impl ClientId {
    fn tag(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }
}

impl Schedule {
    const fn idle() -> Self {
        Self {
            timer: TimerId::NONE,
            resend_at: Time::FAR,
            ends_at: Time::FAR,
            round: 0,
        }
    }

    fn start(&mut self, timer: table::Timer, now: Time, timers: &Timers) {
        let at = now + timers::span(timer, self.round, timers);
        if timer.resends() {
            self.resend_at = at;
            self.round = self.round.saturating_add(1);
        } else {
            self.ends_at = at;
        }
    }

    fn stop(&mut self, timer: table::Timer) {
        if timer.resends() {
            (self.resend_at, self.round) = (Time::FAR, 0);
        } else {
            self.ends_at = Time::FAR;
        }
    }

    /// The wheel's timer fired: takes the deadline that came. `None` when it was early.
    fn fired(&mut self, now: Time) -> Option<Due> {
        self.timer = TimerId::NONE;
        if self.ends_at <= now {
            self.ends_at = Time::FAR;
            Some(Due::End)
        } else if self.resend_at <= now {
            self.resend_at = Time::FAR;
            Some(Due::Resend)
        } else {
            None
        }
    }

    fn next(&self) -> Time {
        self.resend_at.min(self.ends_at)
    }

    /// Makes the wheel agree, given what was due before.
    fn arm(&mut self, before: Time, wheel: &mut Wheel<Token>, token: Token) {
        let next = self.next();
        if next == before && self.timer != TimerId::NONE {
            return;
        }
        self.disarm(wheel);
        if next != Time::FAR {
            self.timer = wheel.insert(next, token);
        }
    }

    fn disarm(&mut self, wheel: &mut Wheel<Token>) {
        if self.timer != TimerId::NONE {
            wheel.cancel(std::mem::replace(&mut self.timer, TimerId::NONE));
        }
    }
}

/// Marks a server's tag, in the generation's half.
const SERVER_SIDE: u32 = 1 << 31;
/// Entries for which address space is reserved at the start, so that no growth copies them.
const RESERVED: usize = 1 << 18;
