//! The seam between a back-end and what runs on it.

use crate::media::Slot;
use crate::outbox::Outbox;
use crate::pool::Buf;
use crate::time::{Time, Wall};
use std::net::SocketAddr;

/// Index of a shard, from 0.
pub type ShardId = u16;

/// Index of a signalling listener in the plan, the same in every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u8);

/// A stream connection. It belongs to the companion of the shard that is named in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ConnId(pub u64);

impl ConnId {
    /// No connection yet.
    pub const NONE: ConnId = ConnId(0);

    /// The connection with serial number `serial` (from 1) of a shard's companion.
    #[must_use]
    pub const fn new(shard: ShardId, serial: u64) -> Self {
        Self(((shard as u64) << 48) | (serial & 0xffff_ffff_ffff))
    }

    /// The shard whose companion owns the connection.
    #[must_use]
    pub const fn shard(self) -> ShardId {
        (self.0 >> 48) as ShardId
    }
}

/// Who sent a mesh message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Another shard (or the shard itself).
    Shard(ShardId),
    /// An ops thread.
    Ops,
}

/// What the media path decides about one received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the same buffer, rewritten in place, from `slot` to `to`.
    Relay {
        /// The socket that sends.
        slot: Slot,
        /// Where to.
        to: SocketAddr,
    },
    /// Nothing to send.
    Drop,
    /// Not for the hot path: call [`Program::media_odd`] with the same packet.
    Odd,
}

/// How a stream is cut into messages; given to the companion, which knows no protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// More octets are needed.
    Partial,
    /// The first `len` octets are one message.
    Message {
        /// Its length in octets.
        len: usize,
    },
    /// The first `len` octets are a keep-alive; answer with `reply` (may be empty).
    KeepAlive {
        /// Octets to take.
        len: usize,
        /// Octets to send back.
        reply: &'static [u8],
    },
    /// The stream cannot be understood any more. The octets go to the program as a last message
    /// (it may answer), then the connection is closed.
    Bad {
        /// How many octets the broken message's head has; they are passed on.
        len: usize,
    },
}

/// From a companion to a packet thread.
#[derive(Debug)]
pub enum StreamEvent {
    /// One whole message.
    Message {
        /// The connection.
        conn: ConnId,
        /// The listener that accepted it, or in whose name it was opened.
        listener: ListenerId,
        /// The other end.
        peer: SocketAddr,
        /// The octets, head and body.
        bytes: Buf,
    },
    /// A connection was opened by command.
    Opened {
        /// The connection.
        conn: ConnId,
        /// The other end.
        peer: SocketAddr,
    },
    /// A connection ended; nothing more will come from it.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// A command could not be carried out: no connection could be opened, or its write queue
    /// is full.
    Failed {
        /// `tag` of the command.
        tag: u64,
        /// The other end.
        peer: SocketAddr,
    },
}

/// From a packet thread to a companion: send `bytes`.
#[derive(Debug)]
pub struct StreamCommand {
    /// The connection to use. When it is [`ConnId::NONE`] or gone, a connection of this
    /// companion to `peer` is used again, and otherwise one is opened.
    pub conn: ConnId,
    /// The listener in whose name to open.
    pub listener: ListenerId,
    /// The other end.
    pub peer: SocketAddr,
    /// Whether a new connection may be opened.
    pub may_open: bool,
    /// What to send; empty closes the connection.
    pub bytes: Buf,
    /// Comes back in [`StreamEvent::Failed`], to the shard named by `reply_to`.
    pub tag: u64,
    /// Which shard to tell about failure.
    pub reply_to: ShardId,
}

/// The outcome of writing the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// All log octets below this offset are with the operating system, or were given up.
    pub upto: u64,
    /// False when the write failed (disk full, I/O error): the octets up to `upto` are lost.
    pub ok: bool,
}

/// A file that the log continues in. On the kernel it is an open file; in the simulator a number.
#[derive(Debug)]
pub struct LogFile {
    /// The program's number of the file; the back-end only carries it.
    pub serial: u64,
    /// The open file; `None` in the simulator.
    pub file: Option<std::fs::File>,
}

/// Why a media socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The port is in use by somebody else.
    InUse,
    /// A limit of the machine (descriptors, memory).
    Exhausted,
}

/// Services of the back-end that answer at once.
pub trait Host<M> {
    /// Makes sure that the slot's socket is bound and received from. Cheap when it already is.
    /// # Errors
    /// [`OpenError`] when the port cannot be had; try another one.
    fn open_media(&mut self, slot: Slot) -> Result<(), OpenError>;

    /// From now on the slot's socket hears from `peer` alone, and packets to it need no route
    /// look-up (`connect(2)`); `None` ends that, and so does [`Host::open_media`]. What other
    /// sources send is then refused by the kernel, uncounted. A back-end may leave it undone.
    fn point_media(&mut self, _slot: Slot, _peer: Option<SocketAddr>) {}

    /// Sends a message to a shard (also to oneself: it comes back in a later batch).
    /// # Errors
    /// Gives the message back when the queue is full: shed, count, answer 503.
    fn mesh(&mut self, to: ShardId, message: M) -> Result<(), M>;

    /// Sends on a stream through the companion of shard `via`.
    /// # Errors
    /// Gives the command back when the companion's queue is full.
    fn stream(&mut self, via: ShardId, command: StreamCommand) -> Result<(), StreamCommand>;

    /// The log goes on in `file`: octets appended to the outbox's log after this call land
    /// there; earlier octets are written to the former file first, which is then synchronised
    /// and closed.
    fn log_switch(&mut self, file: LogFile);
}

/// What a program may use while it handles one event.
pub struct Cx<'a, M> {
    /// The batch's time, read once.
    pub now: Time,
    /// The batch's wall-clock time.
    pub wall: Wall,
    /// The program's shard.
    pub shard: ShardId,
    /// How many shards there are.
    pub shards: u16,
    /// Output of the batch.
    pub out: &'a mut Outbox,
    /// The back-end.
    pub host: &'a mut dyn Host<M>,
}

/// What a shard runs. All methods are called from the shard's packet thread.
pub trait Program: Sized + 'static {
    /// Messages between shards, and from ops threads.
    type Mesh: Send + 'static;

    /// Called once before anything else, and again in a new instance after a restart.
    fn start(&mut self, cx: &mut Cx<'_, Self::Mesh>);

    /// A datagram on a signalling listener.
    fn datagram(&mut self, cx: &mut Cx<'_, Self::Mesh>, listener: ListenerId, from: SocketAddr, bytes: &[u8]);

    /// The same with the time of arrival, as exact as the plan asked for: what the back-end calls. Programs
    /// that measure nothing leave it as it is.
    fn datagram_at(
        &mut self,
        cx: &mut Cx<'_, Self::Mesh>,
        listener: ListenerId,
        from: SocketAddr,
        _arrived: Time,
        bytes: &[u8],
    ) {
        self.datagram(cx, listener, from, bytes);
    }

    /// A datagram on a media slot: the hot path. `now` is the batch's time.
    fn media(&mut self, now: Time, slot: Slot, from: SocketAddr, packet: &mut [u8]) -> Verdict;

    /// The same with the time of arrival in nanoseconds of the wall clock, where the kernel noted it: what the
    /// back-end calls. Programs that do not ask when it came leave it as it is.
    fn media_at(
        &mut self,
        now: Time,
        slot: Slot,
        from: SocketAddr,
        _arrived: Option<u64>,
        packet: &mut [u8],
    ) -> Verdict {
        self.media(now, slot, from, packet)
    }

    /// A media datagram that [`Program::media`] called odd.
    fn media_odd(&mut self, cx: &mut Cx<'_, Self::Mesh>, slot: Slot, from: SocketAddr, packet: &mut [u8]);

    /// Something on a stream transport.
    fn stream(&mut self, cx: &mut Cx<'_, Self::Mesh>, event: StreamEvent);

    /// A message from a shard or an ops thread.
    fn mesh(&mut self, cx: &mut Cx<'_, Self::Mesh>, from: Sender, message: Self::Mesh);

    /// Log octets reached the operating system (or could not).
    fn written(&mut self, cx: &mut Cx<'_, Self::Mesh>, written: Written);

    /// When [`Program::expire`] wants to be called next.
    fn deadline(&self) -> Option<Time>;

    /// The deadline has come.
    fn expire(&mut self, cx: &mut Cx<'_, Self::Mesh>);

    /// All events of the batch were delivered; output leaves after this.
    fn batch_end(&mut self, _cx: &mut Cx<'_, Self::Mesh>) {}
}
