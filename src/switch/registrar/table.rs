//! Bindings in memory: one entry an AOR, one run of octets an entry.
//!
//! There is no timer for each binding. Expiry is looked at when a record is used, and a cursor
//! walks over the table to free what nobody asks for: a walk over 37,000 entries costs less than a
//! millisecond in ten seconds, and it saves the timer's memory.

use super::record;
use hashbrown::HashTable;
use shards::Buf;
use std::hash::{BuildHasher, RandomState};

/// AOR to record.
#[derive(Debug)]
pub struct Table {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    hasher: RandomState,
    bindings: usize,
    cursor: usize,
}

/// `[key length u16][key][record]`; no memory when the place is free.
#[derive(Debug, Default)]
struct Entry(Buf);

impl Entry {
    fn split(&self) -> (&[u8], &[u8]) {
        let Some((length, rest)) = self.0.split_first_chunk::<2>() else { return (&[], &[]) };
        rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).unwrap_or((&[], &[]))
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(hasher: RandomState) -> Self {
        Self { index: HashTable::new(), entries: Vec::new(), free: Vec::new(), hasher, bindings: 0, cursor: 0 }
    }

    fn find(&self, aor: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(aor);
        self.index.find(hash, |&at| self.entries.get(at as usize).is_some_and(|entry| entry.split().0 == aor)).copied()
    }

    /// The record of an AOR; empty when it has none.
    #[must_use]
    pub fn get(&self, aor: &[u8]) -> &[u8] {
        self.find(aor).and_then(|at| self.entries.get(at as usize)).map_or(&[], |entry| entry.split().1)
    }

    /// Puts an AOR's record in place of what was there; an empty record removes it.
    pub fn set(&mut self, aor: &[u8], record: &[u8]) {
        let Ok(key_len) = u16::try_from(aor.len()) else { return };
        let found = self.find(aor);
        let before = found.and_then(|at| self.entries.get(at as usize)).map_or(0, |entry| record::contacts(entry.split().1).count());
        self.bindings = self.bindings - before + record::contacts(record).count();
        if record.is_empty() {
            if let Some(at) = found {
                self.remove(at);
            }
            return;
        }
        let mut octets = Buf::with_capacity(2 + aor.len() + record.len());
        octets.extend_from_slice(&key_len.to_le_bytes());
        octets.extend_from_slice(aor);
        octets.extend_from_slice(record);
        let at = found.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.entries.push(Entry::default());
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.0 = octets;
        }
        if found.is_none() {
            let Self { index, entries, hasher, .. } = self;
            let rehash = |&at: &u32| entries.get(at as usize).map_or(0, |entry| hasher.hash_one(entry.split().0));
            index.insert_unique(hasher.hash_one(aor), at, rehash);
        }
    }

    fn remove(&mut self, at: u32) {
        let Some(entry) = self.entries.get(at as usize) else { return };
        let hash = self.hasher.hash_one(entry.split().0);
        if let Ok(occupied) = self.index.find_entry(hash, |&other| other == at) {
            occupied.remove();
            self.free.push(at);
            if let Some(entry) = self.entries.get_mut(at as usize) {
                entry.0 = Buf::new();
            }
        }
    }

    /// How many bindings there are, expired ones that were not met yet included.
    #[must_use]
    pub fn bindings(&self) -> usize {
        self.bindings
    }

    /// How many AORs have a record.
    #[must_use]
    pub fn aors(&self) -> usize {
        self.index.len()
    }

    /// All AORs and records.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(Entry::split).filter(|(aor, _)| !aor.is_empty())
    }

    /// Walks on over `share` of the table (1/`share` of all places, at least one) and calls `visit`
    /// for each record.
    pub fn walk(&mut self, share: usize, mut visit: impl FnMut(&[u8], &[u8])) {
        let places = self.entries.len();
        for _ in 0..places.div_ceil(share.max(1)) {
            self.cursor = if self.cursor + 1 < places { self.cursor + 1 } else { 0 };
            if let Some(entry) = self.entries.get(self.cursor) {
                let (aor, record) = entry.split();
                if !aor.is_empty() {
                    visit(aor, record);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::tests::sample;

    fn one(uri: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        assert!(record::push(&mut record, &sample(uri)));
        record
    }

    #[test]
    fn set_get_replace_remove() {
        let mut table = Table::new(RandomState::new());
        for n in 0..1000 {
            table.set(format!("{n}@h").as_bytes(), &one(format!("sip:{n}@x").as_bytes()));
        }
        assert_eq!((table.bindings(), table.aors()), (1000, 1000));
        let mut two = one(b"sip:a@x");
        two.extend(one(b"sip:b@x"));
        table.set(b"7@h", &two);
        assert_eq!((table.bindings(), table.get(b"7@h")), (1001, &two[..]));
        for n in 0..1000 {
            table.set(format!("{n}@h").as_bytes(), &[]);
        }
        assert_eq!((table.bindings(), table.aors(), table.get(b"7@h")), (0, 0, &[][..]));
        table.set(b"again@h", &two);
        assert_eq!(table.entries.len(), 1000);
    }

    #[test]
    fn a_walk_visits_all() {
        let mut table = Table::new(RandomState::new());
        for n in 0..100 {
            table.set(format!("{n}@h").as_bytes(), &one(b"sip:x@x"));
        }
        let mut seen = std::collections::HashSet::new();
        for _ in 0..40 {
            table.walk(40, |aor, _| {
                seen.insert(aor.to_vec());
            });
        }
        assert_eq!(seen.len(), 100);
    }
}
