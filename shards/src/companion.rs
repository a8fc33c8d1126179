//! Stream transports beside the packet thread.

use crate::mesh::{Doorbell, Mailbox};
use crate::program::{Frame, ListenerId, ShardId, StreamCommand};
use crate::stats::LoopStats;
use crate::supervise::{LaunchError, StreamLimits};
use crate::sync::{ArrayQueue, AtomicBool};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

mod connection;
pub(crate) mod glommio;

/// Commands for one companion, from any packet thread.
#[derive(Debug)]
pub struct Commands {
    queue: ArrayQueue<StreamCommand>,
    bell: Doorbell,
    stop: AtomicBool,
}

impl Commands {
    /// Room for `capacity` commands; the other end of the bell is what the companion reads.
    /// # Errors
    /// When no socket pair can be had.
    pub fn new(capacity: usize) -> std::io::Result<(Self, UnixStream)> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let bell = Doorbell::new(near.into());
        let queue = ArrayQueue::new(capacity.max(1));
        Ok((
            Self {
                queue,
                bell,
                stop: AtomicBool::new(false),
            },
            far,
        ))
    }

    /// Leaves a command; does not ring.
    /// # Errors
    /// Gives it back when the queue is full.
    pub fn push(&self, command: StreamCommand) -> Result<(), StreamCommand> {
        self.queue.push(command)
    }

    /// Rings the companion's doorbell if it sleeps.
    pub fn ring(&self) -> bool {
        self.bell.ring()
    }

    /// Takes the oldest command.
    #[must_use]
    pub fn pop(&self) -> Option<StreamCommand> {
        self.queue.pop()
    }

    /// Whether no command waits and no stop was asked for.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && !self.is_stopping()
    }

    /// The companion's doorbell.
    #[must_use]
    pub fn bell(&self) -> &Doorbell {
        &self.bell
    }

    /// Asks the companion to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.bell.strike();
    }

    /// Whether the companion was asked to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// What a companion is given.
pub struct Post {
    /// Its shard.
    pub shard: ShardId,
    /// The core to stay on.
    pub core: Option<usize>,
    /// Listening sockets, bound already.
    pub listeners: Vec<(ListenerId, std::net::TcpListener)>,
    /// Cuts streams into messages.
    pub framer: fn(&[u8]) -> Frame,
    /// Its limits.
    pub limits: StreamLimits,
    /// What packet threads want of it.
    pub commands: Arc<Commands>,
    /// The end of the bell's socket pair that becomes readable.
    pub bell: UnixStream,
    /// The packet threads' mailboxes, by shard.
    pub mailboxes: Vec<Arc<Mailbox>>,
    /// The shard's counters.
    pub stats: Arc<LoopStats>,
}

/// A kind of companion. It runs on a thread of its own until [`Commands::stop`].
pub trait Companion {
    /// What it is, for the start-up log.
    fn describe(&self) -> String;

    /// Starts it.
    /// # Errors
    /// [`LaunchError`] when the machine does not give what it needs.
    fn start(&self, post: Post) -> Result<JoinHandle<()>, LaunchError>;
}
