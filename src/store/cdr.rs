//! Call records: `<data>/cdr/YYYY-MM-DD.jsonl`, one line a call, in the file of the UTC day on
//! which the call ended.
//!
//! Records are written in groups and synchronised at least once a second. When the disk refuses
//! (full, say), they stay in bounded memory and are tried again every second; a record is written
//! whole or not at all.

use crate::store::Counters;
use crate::store::calendar::{Date, date};
use shards::Wall;
use std::collections::VecDeque;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The call records' queue is full: the disk has refused for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue of call records is full")
    }
}

impl std::error::Error for Full {}

/// One call record on its way.
pub(super) struct Record {
    pub(super) ended: Wall,
    pub(super) line: Vec<u8>,
}

/// Half of what is promised, so that a slow disk still keeps the promise.
const SYNC_EVERY: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longer than any record.
const LONGEST_LINE: u64 = 1 << 16;
/// Octets of one write.
const GROUP_OCTETS: usize = 1 << 20;
/// Octets that wait in memory while the disk refuses; then the queue fills up behind them.
const WAITING_OCTETS: usize = 32 << 20;

pub(super) struct CdrWriter {
    folder: PathBuf,
    counters: Arc<Counters>,
    waiting: VecDeque<Group>,
    waiting_octets: usize,
    open: Option<Open>,
    /// When the oldest octets that are not synchronised were written.
    unsynchronised: Option<Instant>,
    retry_at: Option<Instant>,
}

/// Whole lines of one day.
struct Group {
    day: Date,
    octets: Vec<u8>,
    records: u64,
}

struct Open {
    day: Date,
    file: File,
    /// Octets of the file that are whole lines.
    good: u64,
}

impl CdrWriter {
    pub(super) fn new(data: &Path, counters: Arc<Counters>) -> Self {
        Self {
            folder: data.join("cdr"),
            counters,
            waiting: VecDeque::new(),
            waiting_octets: 0,
            open: None,
            unsynchronised: None,
            retry_at: None,
        }
    }

    /// Whether there is memory for more.
    pub(super) fn accepts(&self) -> bool {
        self.waiting_octets < WAITING_OCTETS
    }

    /// Takes a record into memory.
    pub(super) fn add(&mut self, record: &Record) {
        let day = date(record.ended);
        let fits = |group: &&mut Group| group.day == day && group.octets.len() < GROUP_OCTETS;
        if self.waiting.back_mut().filter(fits).is_none() {
            self.waiting.push_back(Group {
                day,
                octets: Vec::new(),
                records: 0,
            });
        }
        if let Some(group) = self.waiting.back_mut() {
            group.octets.extend_from_slice(&record.line);
            group.octets.push(b'\n');
            group.records += record.line.split(|&octet| octet == b'\n').count() as u64;
            self.waiting_octets += record.line.len() + 1;
        }
    }

    /// Writes what waits and synchronises what is due.
    pub(super) fn work(&mut self, now: Instant) {
        if self.retry_at.is_none_or(|at| at <= now) {
            match self.write(now) {
                Ok(()) => {
                    if self.retry_at.take().is_some() {
                        tracing::info!("call records are written again");
                    }
                }
                Err(error) => self.failed(now, "write", &error),
            }
        }
        if self.unsynchronised.is_some_and(|since| now >= since + SYNC_EVERY)
            && let Err(error) = self.synchronise()
        {
            self.failed(now, "synchronise", &error);
        }
        self.counters
            .cdr_waiting
            .store(self.waiting.iter().map(|group| group.records).sum(), Ordering::Relaxed);
    }

    /// When [`CdrWriter::work`] has something to do next.
    pub(super) fn due(&self) -> Option<Instant> {
        let synchronise = self.unsynchronised.map(|since| since + SYNC_EVERY);
        let retry = self.retry_at.filter(|_| !self.waiting.is_empty());
        synchronise.into_iter().chain(retry).min()
    }

    /// The last chance: writes and synchronises all.
    pub(super) fn finish(&mut self, now: Instant) {
        self.retry_at = None;
        self.work(now);
        if let Err(error) = self.synchronise() {
            self.failed(now, "synchronise", &error);
        }
        let lost: u64 = self.waiting.iter().map(|group| group.records).sum();
        if lost > 0 {
            tracing::error!(records = lost, "call records could not be written before the end");
        }
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        while let Some(group) = self.waiting.front() {
            if self.open.as_ref().is_none_or(|open| open.day != group.day) {
                let day = group.day;
                self.synchronise()?;
                self.open = None;
                self.open = Some(Open::new(&self.folder, day)?);
            }
            let (Some(group), Some(open)) = (self.waiting.front(), self.open.as_mut()) else {
                break;
            };
            if let Err(error) = open.append(&group.octets) {
                // Opened anew at the next try: the file may have been replaced by then.
                self.open = None;
                return Err(error);
            }
            self.unsynchronised.get_or_insert(now);
            self.counters.cdr_written.fetch_add(group.records, Ordering::Relaxed);
            self.waiting_octets -= group.octets.len();
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn synchronise(&mut self) -> io::Result<()> {
        if self.unsynchronised.take().is_some()
            && let Some(open) = &self.open
        {
            open.file.sync_data()?;
        }
        Ok(())
    }

    fn failed(&mut self, now: Instant, what: &str, error: &io::Error) {
        self.counters.cdr_errors.fetch_add(1, Ordering::Relaxed);
        if self.retry_at.is_none() {
            let folder = self.folder.display();
            tracing::error!(%folder, %error, "cannot {what} call records: kept in memory and tried again each second");
        }
        self.retry_at = Some(now + RETRY_AFTER);
    }
}

impl Open {
    fn new(folder: &Path, day: Date) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(format!("{day}.jsonl"));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        let mut good = file.metadata()?.len();
        if good > 0 {
            // A crash may have cut the last line. Half a record tells nobody anything, and would spoil
            // the file for whoever reads lines.
            let mut tail = Vec::new();
            let start = good.saturating_sub(LONGEST_LINE);
            file.seek(SeekFrom::Start(start))?;
            Read::by_ref(&mut file).take(LONGEST_LINE).read_to_end(&mut tail)?;
            let whole = tail.iter().rposition(|&octet| octet == b'\n').map_or(0, |end| end + 1);
            let cut = tail.len() - whole;
            if cut > 0 {
                tracing::warn!(path = %path.display(), octets = cut, "the last call record was cut by a crash and is removed");
                good = start + whole as u64;
                file.set_len(good)?;
            }
        } else {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { day, file, good })
    }

    /// Appends whole lines, or leaves the file as it was.
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(octets) {
            let _ = self.file.set_len(self.good);
            return Err(error);
        }
        self.good += octets.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const DAY: Wall = Wall(1_735_689_600_000);
    const FILE: &str = "cdr/2025-01-01.jsonl";

    fn writer(data: &Path) -> CdrWriter {
        CdrWriter::new(data, Arc::new(Counters::default()))
    }

    fn add(writer: &mut CdrWriter, line: &str) {
        writer.add(&Record {
            ended: DAY,
            line: line.into(),
        });
    }

    /// `/dev/full` answers every write with "no space left on device".
    #[test]
    fn a_full_disk_is_waited_out() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("cdr")).unwrap();
        symlink("/dev/full", data.path().join(FILE)).unwrap();
        let mut cdr = writer(data.path());
        let start = Instant::now();
        add(&mut cdr, "one");
        cdr.work(start);
        assert_eq!(cdr.counters.cdr_errors.load(Ordering::Relaxed), 1);
        assert_eq!(cdr.due(), Some(start + RETRY_AFTER));
        add(&mut cdr, "two");
        cdr.work(start + RETRY_AFTER / 2);
        assert_eq!(
            cdr.counters.cdr_errors.load(Ordering::Relaxed),
            1,
            "not tried before its time"
        );
        cdr.work(start + RETRY_AFTER);
        assert_eq!(cdr.counters.cdr_errors.load(Ordering::Relaxed), 2);
        assert_eq!(cdr.counters.cdr_waiting.load(Ordering::Relaxed), 2);
        fs::remove_file(data.path().join(FILE)).unwrap();
        cdr.work(start + RETRY_AFTER * 2);
        assert_eq!(fs::read_to_string(data.path().join(FILE)).unwrap(), "one\ntwo\n");
        assert_eq!(cdr.counters.cdr_waiting.load(Ordering::Relaxed), 0);
        assert_eq!(cdr.counters.cdr_written.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn memory_is_bounded_while_the_disk_refuses() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("cdr"), "a file where the folder should be").unwrap();
        let mut cdr = writer(data.path());
        let line = "x".repeat(100_000);
        let mut taken = 0;
        while cdr.accepts() {
            add(&mut cdr, &line);
            cdr.work(Instant::now());
            taken += 1;
        }
        assert!(taken * line.len() <= WAITING_OCTETS + line.len());
    }

    #[test]
    fn a_line_that_a_crash_cut_is_removed() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("cdr")).unwrap();
        fs::write(data.path().join(FILE), "whole\ncu").unwrap();
        let none = tempfile::tempdir().unwrap();
        fs::create_dir(none.path().join("cdr")).unwrap();
        fs::write(none.path().join(FILE), "cut").unwrap();
        let mut only = writer(none.path());
        add(&mut only, "first");
        only.finish(Instant::now());
        assert_eq!(fs::read_to_string(none.path().join(FILE)).unwrap(), "first\n");
        let mut cdr = writer(data.path());
        add(&mut cdr, "next");
        cdr.finish(Instant::now());
        assert_eq!(fs::read_to_string(data.path().join(FILE)).unwrap(), "whole\nnext\n");
    }

    #[test]
    fn it_is_synchronised_within_a_second() {
        let data = tempfile::tempdir().unwrap();
        let mut cdr = writer(data.path());
        let start = Instant::now();
        add(&mut cdr, "one");
        cdr.work(start);
        assert!(cdr.due().is_some_and(|due| due < start + Duration::from_secs(1)));
        cdr.work(start + SYNC_EVERY);
        assert_eq!(cdr.due(), None);
    }
}
