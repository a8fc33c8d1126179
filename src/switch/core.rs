//! What all roles of a shard share, and the turn in which they use it.
//!
//! A role (registrar, proxy, B2BUA) owns its own state and is handed a [`Turn`] for one event.
//! Roles never call each other; where a request changes hands the appliance does that.

use super::mesh::Mesh;
use super::site::Site;
use super::slab::Handle;
use crate::media::{Media, MediaReport};
use crate::ops::model::StreamRow;
use crate::ops::stats::{Direction, ShardStats};
use crate::protocol::hex;
use crate::protocol::sip::digest::Nonces;
use crate::protocol::sip::transaction::{ServerId, Transactions, User};
use crate::protocol::sip::{Carrier, Message, Method, Reply, Spans, parse};
use crate::protocol::{Path, Wire};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::Rng;
use shards::{ConnId, Cx, ShardId, StreamCommand, Target, Time};
use std::sync::Arc;

/// Who owns a transaction: [`User::role`].
pub mod role {
    /// Nobody waits for anything.
    pub const NONE: u8 = 0;
    /// The registrar.
    pub const REGISTRAR: u8 = 1;
    /// The proxy.
    pub const PROXY: u8 = 2;
    /// The caller's leg of a B2BUA call.
    pub const B2BUA: u8 = 3;
    /// A call of the B2BUA that is over: what is still answered is only acknowledged and ended.
    pub const ENDED: u8 = 4;
}

/// A transaction's owner from a role and a slab handle.
#[must_use]
pub fn user(role: u8, handle: Handle) -> User {
    User {
        role,
        index: handle.index,
        generation: handle.generation,
    }
}

/// The slab handle in a transaction's owner.
#[must_use]
pub fn handle(user: User) -> Handle {
    Handle {
        index: user.index,
        generation: user.generation,
    }
}

/// Nobody's transaction: its end interests no one.
pub const NOBODY: User = User {
    role: role::NONE,
    index: 0,
    generation: 0,
};

/// How an answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Within the request's transaction, which sends it again when the request comes again.
    Transaction(ServerId),
    /// Without one, where section 18.2.2 of RFC 3261 says. The request's repetition is computed anew.
    Bare(Path),
}

/// State of a shard that every role uses.
pub struct Core {
    /// Configuration and tables.
    pub site: Arc<Site>,
    /// This shard.
    pub shard: ShardId,
    /// Transactions, both sides.
    pub tx: Transactions,
    /// Flows and ports.
    pub media: Media,
    /// Nonces made here.
    pub nonces: Nonces,
    /// Counters and latencies.
    pub stats: ShardStats,
    /// For tags, branches, Call-IDs: unpredictable, seeded once.
    pub rng: ChaCha12Rng,
    /// Buffers that are used again.
    pub scratch: Scratch,
    /// CDR lines of this batch.
    pub cdr: Vec<u8>,
    /// True when new work is refused (SIGTERM).
    pub draining: bool,
    /// Calls that are alive in this shard.
    pub calls: u32,
    /// The most calls this shard takes.
    pub calls_limit: u32,
}

/// Buffers for building and spans for parsing, used again.
#[derive(Default)]
pub struct Scratch {
    octets: Vec<Vec<u8>>,
    /// Boxed, because a set of spans is large and comes and goes with each message.
    #[expect(clippy::vec_box, reason = "they go in and out more often than the vector grows")]
    spans: Vec<Box<Spans>>,
}

impl Scratch {
    /// An empty buffer; give it back with [`Scratch::give`].
    pub fn take(&mut self) -> Vec<u8> {
        self.octets.pop().unwrap_or_else(|| Vec::with_capacity(4096))
    }

    /// Gives a buffer back.
    pub fn give(&mut self, mut octets: Vec<u8>) {
        octets.clear();
        if self.octets.len() < 16 && octets.capacity() <= 1 << 18 {
            self.octets.push(octets);
        }
    }

    /// Spans to parse into.
    pub fn take_spans(&mut self) -> Box<Spans> {
        self.spans.pop().unwrap_or_default()
    }

    /// Gives spans back.
    pub fn give_spans(&mut self, spans: Box<Spans>) {
        if self.spans.len() < 16 {
            self.spans.push(spans);
        }
    }
}

/// One event's worth of access to the core and the outside.
pub struct Turn<'t, 'c> {
    /// The shard's shared state.
    pub core: &'t mut Core,
    /// Time, output and back-end.
    pub cx: &'t mut Cx<'c, Mesh>,
}

impl Turn<'_, '_> {
    /// The batch's time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.cx.now
    }

    /// Answers a request within its server transaction.
    pub fn respond(&mut self, server: ServerId, request: &Message<'_>, path: &Path, reply: &Reply<'_>) {
        self.answer(Way::Transaction(server), request, path, reply);
    }

    /// Sends a finished response in a server transaction.
    pub fn respond_octets(&mut self, server: ServerId, method: Method, status: u16, octets: &[u8]) {
        let mut wire = CxWire(self.cx);
        if self.core.tx.respond(&mut wire, server, status, octets) {
            self.core.stats.response(label(method), status, Direction::Out);
        }
    }

    /// Answers a request without a transaction (RFC 3261 section 8.2.7, and challenges as
    /// section 26.3.2.4 asks).
    pub fn respond_stateless(&mut self, request: &Message<'_>, path: &Path, reply: &Reply<'_>) {
        self.answer(Way::Bare(*path), request, path, reply);
    }

    /// Answers a request in either way; `path` is how it came.
    pub fn answer(&mut self, way: Way, request: &Message<'_>, path: &Path, reply: &Reply<'_>) {
        let mut octets = self.core.scratch.take();
        reply.write(&mut octets, request, path.peer);
        self.answer_octets(way, request.method(), reply.status, &octets);
        self.core.scratch.give(octets);
    }

    /// Sends a finished response in either way.
    pub fn answer_octets(&mut self, way: Way, method: Method, status: u16, octets: &[u8]) {
        match way {
            Way::Transaction(server) => self.respond_octets(server, method, status, octets),
            Way::Bare(path) => {
                self.send(&path, octets);
                self.core.stats.response(label(method), status, Direction::Out);
            }
        }
    }

    /// Sends octets on a path; nobody is told when that fails.
    pub fn send(&mut self, path: &Path, octets: &[u8]) {
        CxWire(self.cx).send(path, 0, octets);
    }

    /// Runs `work` with the transactions and a wire, borrowed apart.
    pub fn with_wire<R>(&mut self, work: impl FnOnce(&mut Transactions, &mut dyn Wire) -> R) -> R {
        work(&mut self.core.tx, &mut CxWire(self.cx))
    }

    /// Parses octets that we kept (a request out of its transaction) and runs `work` on them;
    /// `None` when they do not parse, which what we kept always does.
    pub fn reparse<R>(&mut self, octets: &[u8], work: impl FnOnce(&mut Self, &Message<'_>) -> R) -> Option<R> {
        let mut spans = self.core.scratch.take_spans();
        let result = match parse(octets, &mut spans, Carrier::Datagram) {
            Ok(message) => Some(work(self, &message)),
            Err(_) => None,
        };
        self.core.scratch.give_spans(spans);
        result
    }

    /// A To tag for an answer without a transaction: the same for a retransmission of the same
    /// request (RFC 3261 section 8.2.7), told by nothing but the request and this process's secret
    /// (section 19.3). Two dialogs with one Call-ID come from two requests, which have two branches.
    #[must_use]
    pub fn stateless_tag(&self, request: &Message<'_>) -> [u8; 16] {
        let branch = request.via().branch.unwrap_or(b"");
        hex::long(self.core.site.hash_of(&[request.call_id(), branch]))
    }

    /// Random octets.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0u8; N];
        self.core.rng.fill_bytes(&mut octets);
        octets
    }

    /// Where a response to this request goes: for UDP to the source, with the port that the Via
    /// asks for (RFC 3261 section 18.2.2, RFC 3581 section 4); on streams over the connection.
    #[must_use]
    pub fn reply_path(request: &Message<'_>, path: &Path) -> Path {
        let via = request.via();
        let mut reply = *path;
        if !path.transport.is_reliable() && via.rport.is_none() {
            // Without rport the sent-by port counts, at the address that the packet came from.
            reply.peer.set_port(via.port.unwrap_or(5060));
        }
        reply
    }
}

/// The outbox and the companions as protocol code sees them.
pub struct CxWire<'a, 'c>(pub &'a mut Cx<'c, Mesh>);

impl Wire for CxWire<'_, '_> {
    fn now(&self) -> Time {
        self.0.now
    }

    fn shard(&self) -> ShardId {
        self.0.shard
    }

    fn send(&mut self, path: &Path, tag: u64, octets: &[u8]) {
        if !path.transport.is_reliable() {
            self.0.out.datagram(Target::Listener(path.listener, path.peer), octets);
            return;
        }
        let via = if path.conn == ConnId::NONE {
            self.0.shard
        } else {
            path.conn.shard()
        };
        let command = StreamCommand {
            conn: path.conn,
            listener: path.listener,
            peer: path.peer,
            may_open: true,
            bytes: octets.into(),
            tag,
            reply_to: self.0.shard,
        };
        if let Err(command) = self.0.host.stream(via, command)
            && command.tag != 0
        {
            // The companion's queue is full: as if the connection had failed (RFC 3261 section 17.1.4).
            let failed = Mesh::StreamFailed { tag: command.tag };
            let _ = self.0.host.mesh(self.0.shard, failed);
        }
    }
}

/// The metric label of a method.
#[must_use]
pub fn label(method: Method) -> crate::ops::stats::MethodLabel {
    use crate::ops::stats::MethodLabel as Label;
    match method {
        Method::Invite => Label::Invite,
        Method::Ack => Label::Ack,
        Method::Bye => Label::Bye,
        Method::Cancel => Label::Cancel,
        Method::Register => Label::Register,
        Method::Options => Label::Options,
        Method::Info => Label::Info,
        Method::Prack => Label::Prack,
        Method::Update => Label::Update,
        Method::Subscribe => Label::Subscribe,
        Method::Notify => Label::Notify,
        Method::Message => Label::Message,
        Method::Refer => Label::Refer,
        Method::Publish => Label::Publish,
        Method::Other => Label::Other,
    }
}

/// A call's media as the live list shows it: from the caller, from the callee.
#[must_use]
pub fn stream_rows(report: Option<&MediaReport>) -> [StreamRow; 2] {
    let mut rows = [StreamRow::default(); 2];
    for stream in report.map_or(&[][..], MediaReport::streams) {
        for (row, side) in rows.iter_mut().zip(&stream.sides) {
            row.packets += side.packets;
            row.lost += side.lost;
            row.jitter_ms = row.jitter_ms.max(f64::from(side.jitter_us) / 1000.0);
        }
    }
    rows
}
