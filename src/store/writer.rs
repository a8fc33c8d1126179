//! The one thread that writes: compacts closed logs, writes call records and users, prepares logs.

use crate::store::cdr::{CdrWriter, Record};
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::logs::{LogName, Logs};
use crate::store::recovery::{self, Part};
use crate::store::{Counters, StoredUser, journal};
use crossbeam::channel::{Receiver, Sender, never, select_biased};
use shards::ShardId;
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(super) enum Command {
    /// A slot was emptied.
    Prepare,
    LogClosed {
        shard: ShardId,
        serial: u64,
    },
    Load(Sender<Part>),
    Users(Sender<Result<Vec<StoredUser>, StoreError>>),
    PutUser(StoredUser, Sender<Result<(), StoreError>>),
    Stop,
}

/// Call records are fetched in groups this far apart: a sender then finds nobody to wake.
const CDR_GATHER: Duration = Duration::from_millis(20);
/// Most call records fetched at once.
const CDR_GROUP: usize = 16_384;
const RETRY_AFTER: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(60);
/// Logs above this sum are compacted before they are loaded, to bound the memory of loading.
const LOAD_LOG_OCTETS: u64 = 512 << 20;

pub(super) struct Writer {
    database: Database,
    logs: Arc<Logs>,
    counters: Arc<Counters>,
    cdr: CdrWriter,
    commands: Receiver<Command>,
    cdrs: Receiver<Record>,
    /// Logs that may be compacted, lowest serial first. Those of former runs are in it from the
    /// start and below all others, so nothing of this run can overtake them.
    closed: BTreeSet<LogName>,
    /// Compaction begins after the first load, so as not to delay it.
    loaded: bool,
    compact_at: Option<Instant>,
    prepare_at: Option<Instant>,
    gather_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        data: &Path,
        database: Database,
        logs: Arc<Logs>,
        counters: Arc<Counters>,
        (commands, cdrs): (Receiver<Command>, Receiver<Record>),
        former: BTreeSet<LogName>,
    ) -> Self {
        let cdr = CdrWriter::new(data, Arc::clone(&counters));
        Self {
            database,
            logs,
            counters,
            cdr,
            commands,
            cdrs,
            closed: former,
            loaded: false,
            compact_at: None,
            prepare_at: None,
            gather_at: None,
        }
    }

    pub(super) fn run(mut self) {
        let nothing = never();
        loop {
            let now = Instant::now();
            let gathering = self.gather_at.is_some_and(|at| now < at) || !self.cdr.accepts();
            let cdrs = if gathering { nothing.clone() } else { self.cdrs.clone() };
            select_biased! {
                recv(self.commands) -> command => match command {
                    Ok(Command::Stop) | Err(_) => break,
                    Ok(command) => self.command(command),
                },
                recv(cdrs) -> record => {
                    if let Ok(record) = record {
                        self.gather(&record);
                    }
                },
                default(self.wait(now)) => {}
            }
            self.work(Instant::now());
        }
        while let Ok(record) = self.cdrs.try_recv() {
            self.cdr.add(&record);
        }
        self.cdr.finish(Instant::now());
        self.logs.discard_prepared();
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Prepare | Command::Stop => {}
            Command::LogClosed { shard, serial } => self.closed(shard, serial),
            Command::Load(parts) => {
                self.make_room();
                recovery::send(&self.database, &self.logs, &parts);
                self.loaded = true;
            }
            Command::Users(reply) => {
                let _ = reply.send(self.database.users());
            }
            Command::PutUser(user, reply) => {
                let _ = reply.send(self.database.put_user(&user));
            }
        }
    }

    /// A shard's logs up to `serial` are complete. Lower ones may be there whose announcement was
    /// lost, or that a restarted shard left: they come first.
    fn closed(&mut self, shard: ShardId, serial: u64) {
        let (files, retired) = match (self.logs.files(), self.database.retired()) {
            (Ok(files), Ok(retired)) => (files, retired),
            // Not lost: the shard's next announcement or the next start includes it.
            (files, _) => return tracing::warn!(error = ?files.err(), "cannot list the binding logs"),
        };
        let complete = |name: &LogName| name.shard == shard && name.serial <= serial;
        self.closed.extend(
            files
                .into_iter()
                .filter(complete)
                .filter(|name| !retired.contains(&name.serial)),
        );
    }

    fn gather(&mut self, first: &Record) {
        self.cdr.add(first);
        for record in self.cdrs.try_iter().take(CDR_GROUP) {
            self.cdr.add(&record);
        }
        self.gather_at = Some(Instant::now() + CDR_GATHER);
    }

    fn work(&mut self, now: Instant) {
        self.cdr.work(now);
        if self.prepare_at.is_none_or(|at| at <= now) {
            self.prepare_at = self.logs.prepare().err().map(|error| {
                tracing::warn!(%error, "cannot prepare a binding log");
                now + RETRY_AFTER
            });
        }
        if self.compaction_due(now)
            && let Some(name) = self.closed.first().copied()
        {
            self.compact_at = match self.compact(name) {
                Ok(()) => {
                    self.closed.remove(&name);
                    None
                }
                Err(error) => {
                    // The file stays the first one: no later value may overtake it.
                    self.counters.compact_errors.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(%error, "cannot bring a binding log into the database: tried again");
                    Some(now + RETRY_AFTER)
                }
            };
        }
    }

    fn compaction_due(&self, now: Instant) -> bool {
        self.loaded && self.commands.is_empty() && self.compact_at.is_none_or(|at| at <= now)
    }

    /// How long nothing is due. New commands and call records end the wait by themselves.
    fn wait(&self, now: Instant) -> Duration {
        let compaction = (self.loaded && !self.closed.is_empty()).then(|| self.compact_at.unwrap_or(now));
        let due = [
            self.cdr.due(),
            compaction,
            self.prepare_at,
            self.gather_at.filter(|at| *at > now),
        ];
        let next = due.into_iter().flatten().min();
        next.map_or(IDLE, |at| at.saturating_duration_since(now))
    }

    /// Compacts ahead of a load while the logs are too large to be held in memory.
    fn make_room(&mut self) {
        let octets = |logs: &Logs| -> u64 {
            logs.files()
                .map_or(0, |files| files.into_iter().map(|name| logs.octets(name)).sum())
        };
        while octets(&self.logs) > LOAD_LOG_OCTETS
            && let Some(name) = self.closed.first().copied()
        {
            if let Err(error) = self.compact(name) {
                tracing::error!(%error, "cannot bring a binding log into the database");
                return;
            }
            self.closed.remove(&name);
        }
    }

    fn compact(&mut self, name: LogName) -> Result<(), Box<dyn std::error::Error>> {
        let content = match self.logs.read(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            content => content?,
        };
        if content.is_empty() {
            return Ok(self.logs.delete(name)?);
        }
        let mut records = journal::replay(&content);
        let last: HashMap<&[u8], &[u8]> = records.by_ref().collect();
        // In the order of the keys, the database's pages are each touched once.
        let mut last: Vec<_> = last.into_iter().collect();
        last.sort_unstable();
        self.database.retire(name.serial, last)?;
        self.counters.logs_compacted.fetch_add(1, Ordering::Relaxed);
        // Retired: whether or not the file goes away now, nobody reads it again.
        let ignored = records.ignored();
        let gone = if ignored == 0 {
            self.logs.delete(name)
        } else {
            self.logs.put_aside(name)
        };
        if ignored > 0 {
            self.counters
                .log_octets_ignored
                .fetch_add(ignored as u64, Ordering::Relaxed);
            tracing::warn!(log = ?name, octets = ignored, "the end of a binding log was torn or damaged and is ignored");
        }
        if let Err(error) = gone {
            tracing::warn!(log = ?name, %error, "cannot delete a binding log that is in the database");
        }
        Ok(())
    }
}
