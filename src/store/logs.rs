//! The binding log files: their names, and the slots in which the next ones wait.

use crate::store::error::StoreError;
use crossbeam::queue::ArrayQueue;
use shards::{LogFile, ShardId};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A log file. Ordered by serial: the order of every key's history (see the module's text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogName {
    pub(super) serial: u64,
    pub(super) shard: ShardId,
}

impl LogName {
    fn file(self) -> String {
        format!("{}-{}.log", self.shard, self.serial)
    }

    fn parse(file: &str) -> Option<Self> {
        let (shard, serial) = file.strip_suffix(".log")?.split_once('-')?;
        let name = Self {
            serial: serial.parse().ok()?,
            shard: shard.parse().ok()?,
        };
        // Only names that we write: not "+1-2.log" or "01-2.log".
        (name.file() == file).then_some(name)
    }
}

/// The folder of the logs, shared by the shards (slots) and the writer (files).
pub(super) struct Logs {
    folder: PathBuf,
    /// One prepared file a shard.
    slots: Vec<ArrayQueue<LogFile>>,
    /// The next serial, of all shards: one counter is what makes the order right.
    next: AtomicU64,
}

/// Damaged logs that are kept for a look; older ones are deleted.
const DAMAGED_KEPT: usize = 4;

impl Logs {
    /// Deletes the files that are retired, and prepares the first file of each shard. Also gives the
    /// files that former runs left.
    pub(super) fn open(
        data: &Path,
        shards: usize,
        retired: &BTreeSet<u64>,
    ) -> Result<(Self, BTreeSet<LogName>), StoreError> {
        let folder = data.join("bindings");
        let io = |what| {
            let path = folder.clone();
            move |source| StoreError::Io { what, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(io("make"))?;
        let slots = (0..shards).map(|_| ArrayQueue::new(1)).collect();
        let mut logs = Self {
            folder: folder.clone(),
            slots,
            next: AtomicU64::new(1),
        };
        let files = logs.files().map_err(io("read"))?;
        let last = files
            .iter()
            .map(|name| name.serial)
            .chain(retired.iter().copied())
            .max()
            .unwrap_or(0);
        logs.next = AtomicU64::new(last + 1);
        for name in files.iter().filter(|name| retired.contains(&name.serial)) {
            logs.delete(*name).map_err(io("delete a retired log in"))?;
        }
        // The deletions must be on disk before the database forgets which serials are retired.
        logs.sync_folder().map_err(io("synchronise"))?;
        logs.prepare()?;
        let former = files
            .into_iter()
            .filter(|name| !retired.contains(&name.serial))
            .collect();
        Ok((logs, former))
    }

    /// All files of the folder, in the order of their serials.
    pub(super) fn files(&self) -> io::Result<Vec<LogName>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            names.extend(entry?.file_name().to_str().and_then(LogName::parse));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Takes the prepared file of a shard; no I/O.
    pub(super) fn take(&self, shard: ShardId) -> Option<LogFile> {
        self.slots.get(usize::from(shard))?.pop()
    }

    /// Fills the empty slots.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        for (slot, shard) in self.slots.iter().zip(0..) {
            if slot.is_empty() {
                // Only the writer (and the start before it) fills slots, so this one is still empty.
                let _ = slot.push(self.make(shard)?);
            }
        }
        Ok(())
    }

    /// Makes a new file, durable as a name in the folder.
    pub(super) fn make(&self, shard: ShardId) -> Result<LogFile, StoreError> {
        let serial = self.next.fetch_add(1, Ordering::AcqRel);
        let path = self.path(LogName { serial, shard });
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = file.and_then(|file| self.sync_folder().map(|()| file));
        let file = file.map_err(|source| StoreError::Io {
            what: "make",
            path,
            source,
        })?;
        Ok(LogFile {
            serial,
            file: Some(file),
        })
    }

    pub(super) fn read(&self, name: LogName) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(name))
    }

    pub(super) fn octets(&self, name: LogName) -> u64 {
        std::fs::metadata(self.path(name)).map_or(0, |meta| meta.len())
    }

    /// Deletes a file; one that is gone already is no error.
    pub(super) fn delete(&self, name: LogName) -> io::Result<()> {
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts a file aside whose end was not understood, as `.damaged`; keeps the last few.
    pub(super) fn put_aside(&self, name: LogName) -> io::Result<()> {
        let path = self.path(name);
        std::fs::rename(&path, path.with_extension("damaged"))?;
        let mut aside = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "damaged") {
                let age = path.metadata().and_then(|meta| meta.modified())?;
                aside.push((age, path));
            }
        }
        aside.sort();
        let surplus = aside.len().saturating_sub(DAMAGED_KEPT);
        aside
            .iter()
            .take(surplus)
            .try_for_each(|(_, path)| std::fs::remove_file(path))
    }

    /// Deletes prepared files that nobody took.
    pub(super) fn discard_prepared(&self) {
        for (slot, shard) in self.slots.iter().zip(0..) {
            while let Some(LogFile { serial, .. }) = slot.pop() {
                let _ = self.delete(LogName { serial, shard });
            }
        }
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, name: LogName) -> PathBuf {
        self.folder.join(name.file())
    }
}
