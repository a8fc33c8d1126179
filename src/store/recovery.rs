//! Giving the stored bindings back: the database, overlaid by the logs that are not in it yet.

use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::journal;
use crate::store::logs::Logs;
use crossbeam::channel::{Receiver, Sender};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// What [`crate::store::Store::load`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Bindings given.
    pub bindings: u64,
    /// Log files read.
    pub files: usize,
    /// Records read from them.
    pub records: u64,
    /// Octets at the ends of logs that were not understood: torn by a power loss, or damaged.
    pub ignored_octets: u64,
    /// How long it took.
    pub took: Duration,
}

/// What goes from the writer to the caller: bindings in bulk, so that reading and visiting overlap.
pub(super) enum Part {
    Bindings(Chunk),
    End(Result<Loaded, StoreError>),
}

/// Many bindings in one piece of memory.
#[derive(Default)]
pub(super) struct Chunk {
    octets: Vec<u8>,
    /// Where each key and each value ends.
    ends: Vec<(usize, usize)>,
}

const CHUNK_OCTETS: usize = 256 << 10;

/// In the writer: sends everything. An error in sending means that the caller has gone.
pub(super) fn send(database: &Database, logs: &Logs, parts: &Sender<Part>) {
    let result = collect(database, logs, parts);
    let _ = parts.send(Part::End(result));
}

/// In the caller: receives what [`send`] sends.
pub(super) fn visit_chunks(parts: &Receiver<Part>, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<Loaded, StoreError> {
    loop {
        match parts.recv().map_err(|_| StoreError::Closed)? {
            Part::Bindings(chunk) => chunk.visit(visit),
            Part::End(result) => return result,
        }
    }
}

fn collect(database: &Database, logs: &Logs, parts: &Sender<Part>) -> Result<Loaded, StoreError> {
    let start = Instant::now();
    let mut loaded = Loaded::default();
    let contents = read_logs(logs, &database.retired()?)?;
    // Last value of each key in the logs. Serial order over all shards is right for each key:
    // see the module's text.
    let mut overlay: HashMap<&[u8], &[u8]> = HashMap::new();
    for content in &contents {
        let mut records = journal::replay(content);
        for (key, value) in records.by_ref() {
            overlay.insert(key, value);
            loaded.records += 1;
        }
        loaded.ignored_octets += records.ignored() as u64;
        loaded.files += 1;
    }
    let mut chunk = Chunk::default();
    let mut give = |key: &[u8], value: &[u8]| {
        loaded.bindings += 1;
        chunk.push(key, value);
        if chunk.octets.len() >= CHUNK_OCTETS {
            let _ = parts.send(Part::Bindings(std::mem::take(&mut chunk)));
        }
    };
    database.bindings(|key, value| {
        if !overlay.contains_key(key) {
            give(key, value);
        }
    })?;
    overlay
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .for_each(|(key, value)| give(key, value));
    let _ = parts.send(Part::Bindings(chunk));
    loaded.took = start.elapsed();
    Ok(loaded)
}

fn read_logs(logs: &Logs, retired: &BTreeSet<u64>) -> Result<Vec<Vec<u8>>, StoreError> {
    let io = |source| StoreError::Io {
        what: "read a log in",
        path: "bindings".into(),
        source,
    };
    let files = logs.files().map_err(io)?;
    files
        .into_iter()
        .filter(|name| !retired.contains(&name.serial))
        .map(|name| logs.read(name).map_err(io))
        .collect()
}

impl Chunk {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.octets.extend_from_slice(key);
        let key_end = self.octets.len();
        self.octets.extend_from_slice(value);
        self.ends.push((key_end, self.octets.len()));
    }

    fn visit(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let mut start = 0;
        for (key_end, value_end) in &self.ends {
            visit(&self.octets[start..*key_end], &self.octets[*key_end..*value_end]);
            start = *value_end;
        }
    }
}
