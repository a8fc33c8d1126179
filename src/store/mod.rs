//! The only code that writes to disk: bindings (a journal a shard, compacted into an embedded
//! database), call records, users, secrets.
//!
//! A shard never waits here: it takes a prepared log file, announces a closed one, or hands over
//! a call record, each by one push into a bounded queue. One writer thread does the rest.
//!
//! # Why a later value always wins
//! Serial numbers of log files come from one counter for all shards and all runs: a new file's
//! serial is above every file and every retired serial in the data directory. Therefore:
//! 1. Within a run a key has one home shard, so its history lies in that shard's files, which are
//!    used in the order of their serials (only the writer makes files, and gives each shard's out in
//!    the order in which it made them). Between runs the home may change with the shard count,
//!    but every serial of the later run is the higher one. So *for each key, serial order over all
//!    files of all shards is the order of its history*.
//! 2. The writer compacts files of former runs first, in serial order, and a shard's files only in
//!    serial order. A file that cannot be compacted holds up all later ones. So *for each key, the
//!    database holds a prefix of its history, and the files that are left hold the rest*.
//! 3. The transaction that brings a file into the database also writes the file's serial into the
//!    table `retired`, and is synchronised before the file is deleted. A file whose serial is
//!    retired is never read again, whether or not its deletion has reached the disk.
//!
//! So the database, then the files that are not retired in serial order, gives every key its last
//! value, after a crash at any point.

#![allow(clippy::disallowed_methods, reason = "this module touches the machine")]

pub mod calendar;
pub mod journal;

mod cdr;
mod database;
mod error;
mod lock;
mod logs;
mod recovery;
mod secret;
mod writer;

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;

pub use cdr::Full;
pub use error::StoreError;
pub use recovery::Loaded;
pub use secret::{load_or_make_token, readable_password};

use crate::store::database::Database;
use crate::store::logs::Logs;
use crate::store::writer::{Command, Writer};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use shards::{LogFile, ShardId, Wall};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A binding log that has grown to this many octets should be switched to the next file.
pub const LOG_ROTATE_OCTETS: u64 = 16 << 20;
/// Call records that may wait for the writer; then [`Store::cdr`] answers [`Full`].
pub const CDR_QUEUE: usize = 65_536;

/// A user kept in the store (the demonstration's directory).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUser {
    /// User part of the AOR.
    pub name: String,
    /// Shown in the directory.
    pub display: Option<String>,
    /// Clear password; the database file has mode 0600.
    pub password: String,
}

/// What the writer did so far, for metrics. All are counts since the start but `cdr_waiting`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Call records written to their file.
    pub cdr_written: AtomicU64,
    /// Call records refused because the queue was full.
    pub cdr_refused: AtomicU64,
    /// Call records in the writer's memory that are not in a file yet.
    pub cdr_waiting: AtomicU64,
    /// Failed writes or synchronisations of call records (they are retried).
    pub cdr_errors: AtomicU64,
    /// Log files brought into the database.
    pub logs_compacted: AtomicU64,
    /// Failed compactions (they are retried).
    pub compact_errors: AtomicU64,
    /// Log octets ignored because a record was torn or damaged.
    pub log_octets_ignored: AtomicU64,
}

/// The open store. Cheap to clone; all clones share one writer thread.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens (and makes, if needed) the data directory for `shards` shards, takes its lock, and
    /// starts the writer. Call [`Store::load`] once before the shards start.
    /// # Errors
    /// [`StoreError`] says what to do: the directory is in use, cannot be written, or was written
    /// by a newer version.
    pub fn open(data: &Path, shards: usize) -> Result<Store, StoreError> {
        let lock = lock::lock(data)?;
        let database = Database::open(&data.join("ringfort.db"))?;
        let retired = database.retired()?;
        let (logs, former) = Logs::open(data, shards, &retired)?;
        // Only now that the deletion of the retired files is on disk.
        database.forget_retired()?;
        let logs = Arc::new(logs);
        let counters = Arc::new(Counters::default());
        let (commands, command_queue) = bounded(1024);
        let (cdrs, cdr_queue) = bounded(CDR_QUEUE);
        let queues = (command_queue, cdr_queue);
        let writer = Writer::new(data, database, Arc::clone(&logs), Arc::clone(&counters), queues, former);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run())
            .map_err(|source| StoreError::Io {
                what: "start the writer thread of",
                path: data.into(),
                source,
            })?;
        let shared = Shared {
            data: data.into(),
            commands,
            cdrs,
            logs,
            counters,
            thread: Mutex::new(Some(thread)),
            _lock: lock,
        };
        Ok(Store {
            shared: Arc::new(shared),
        })
    }

    /// Gives every stored binding once, with its last value (never a deleted one), in no
    /// particular order. Files of former runs are then compacted in the background. May be called again later (after a
    /// shard was restarted, say): then it includes all that has reached the operating system by now.
    /// Blocks; not for a packet thread while it serves.
    /// # Errors
    /// [`StoreError`] when the database or a log cannot be read.
    pub fn load(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<Loaded, StoreError> {
        let (chunks, answer) = bounded(4);
        self.shared.command(Command::Load(chunks))?;
        recovery::visit_chunks(&answer, visit)
    }

    /// The next log file of a shard, prepared ahead: no I/O in the caller. `None` when the writer
    /// has not prepared it yet (then go on with the present file and ask again later).
    #[must_use]
    pub fn take_next_log(&self, shard: ShardId) -> Option<LogFile> {
        let taken = self.shared.logs.take(shard);
        // A full queue is no harm: the writer also looks at the slots by itself.
        let _ = self.shared.commands.try_send(Command::Prepare);
        taken
    }

    /// The next log file of a shard; makes one if none is prepared. Blocks on the disk: for the
    /// start, before the shard serves.
    /// # Errors
    /// [`StoreError`] when no file can be made.
    pub fn next_log(&self, shard: ShardId) -> Result<LogFile, StoreError> {
        // Made by the writer and nobody else: were it made here while the writer prepares one, the
        // prepared one would have the lower serial and yet be used later.
        self.ask(|reply| Command::NextLog(shard, reply))
    }

    /// Says that all octets of the shard's log `serial` are with the operating system and that
    /// nothing more will be appended: [`shards::Program::written`] has reached the offset at which
    /// the log was switched. Never blocks. An announcement that is lost (queue full) is made good
    /// by the shard's next one, or at the next start.
    pub fn log_closed(&self, shard: ShardId, serial: u64) {
        let _ = self.shared.commands.try_send(Command::LogClosed { shard, serial });
    }

    /// Hands over one call record, or several with line ends between them, filed under the UTC day
    /// of `ended`; the last has no line end. Never blocks.
    /// # Errors
    /// [`Full`] when the disk has refused for so long that the bounded memory is used up; counted.
    pub fn cdr(&self, ended: Wall, line: impl Into<Vec<u8>>) -> Result<(), Full> {
        match self.shared.cdrs.try_send(cdr::Record {
            ended,
            line: line.into(),
        }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.counters.cdr_refused.fetch_add(1, Ordering::Relaxed);
                Err(Full)
            }
        }
    }

    /// Users in the store, by name. Blocks.
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub fn users(&self) -> Result<Vec<StoredUser>, StoreError> {
        self.ask(Command::Users)
    }

    /// Adds a user or replaces the one of that name. Blocks until it is on disk.
    /// # Errors
    /// [`StoreError`] when the database cannot be written.
    pub fn put_user(&self, user: StoredUser) -> Result<(), StoreError> {
        self.ask(|reply| Command::PutUser(user, reply))
    }

    /// The users of the demonstration, 1001 to 1009. Those that are missing are made, with
    /// passwords from the operating system's randomness.
    /// # Errors
    /// [`StoreError`] when the database or the randomness fails.
    pub fn demonstration_users(&self) -> Result<Vec<StoredUser>, StoreError> {
        let mut users = self.users()?;
        for number in 1001..=1009 {
            let name = number.to_string();
            if users.iter().any(|user| user.name == name) {
                continue;
            }
            let display = Some(format!("Demonstration {number}"));
            let user = StoredUser {
                name,
                display,
                password: readable_password()?,
            };
            self.put_user(user.clone())?;
            users.push(user);
        }
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// What the writer did so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.shared.data
    }

    /// Writes and synchronises what waits, and ends the writer. Later calls on other clones answer
    /// [`StoreError::Closed`] or [`Full`]. Log files of the shards stay for the next start.
    pub fn close(&self) {
        let _ = self.shared.commands.send(Command::Stop);
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread had panicked");
        }
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<Result<T, StoreError>>) -> Command) -> Result<T, StoreError> {
        let (reply, answer): (_, Receiver<Result<T, StoreError>>) = bounded(1);
        self.shared.command(command(reply))?;
        answer.recv().map_err(|_| StoreError::Closed)?
    }
}

struct Shared {
    data: PathBuf,
    commands: Sender<Command>,
    cdrs: Sender<cdr::Record>,
    logs: Arc<Logs>,
    counters: Arc<Counters>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _lock: std::fs::File,
}

impl Shared {
    fn command(&self, command: Command) -> Result<(), StoreError> {
        self.commands.send(command).map_err(|_| StoreError::Closed)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
