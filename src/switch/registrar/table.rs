//! Bindings in memory: one entry an AOR, one run of octets an entry.
//!
//! There is no timer for each binding. Expiry is looked at when a record is used, and a cursor
//! walks over the table to free what nobody asks for: a walk over 37,000 entries costs less than a
//! millisecond in ten seconds, and it saves the timer's memory.

use super::record;
use crate::switch::keyed::Keyed;
use hashbrown::HashTable;
use shards::Buf;
use std::hash::{BuildHasher, Hasher};

/// AOR to record.
#[derive(Debug)]
pub struct Table {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    hasher: Keyed,
    bindings: usize,
    cursor: usize,
}

/// `[key length u16][key][record]`; no memory when the place is free.
#[derive(Debug, Default)]
struct Entry(Buf);

/// Where an AOR is in the table, or that it is not there; good until the table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    hash: u64,
    at: Option<u32>,
}

impl Entry {
    fn split(&self) -> (&[u8], &[u8]) {
        let Some((length, rest)) = self.0.split_first_chunk::<2>() else {
            return (&[], &[]);
        };
        rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
            .unwrap_or((&[], &[]))
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(hasher: Keyed) -> Self {
        Self {
            index: HashTable::new(),
            entries: Vec::new(),
            free: Vec::new(),
            hasher,
            bindings: 0,
            cursor: 0,
        }
    }

    /// Where an AOR is or would be.
    #[must_use]
    pub fn find(&self, aor: &[u8]) -> Place {
        let hash = hash(&self.hasher, aor);
        let is_it = |&at: &u32| {
            let entry = self.entries.get(at as usize);
            entry.is_some_and(|entry| entry.split().0 == aor)
        };
        Place {
            hash,
            at: self.index.find(hash, is_it).copied(),
        }
    }

    /// The record at a place; empty when there is none.
    #[must_use]
    pub fn at(&self, place: Place) -> &[u8] {
        place
            .at
            .and_then(|at| self.entries.get(at as usize))
            .map_or(&[], |entry| entry.split().1)
    }

    /// The record of an AOR; empty when it has none.
    #[must_use]
    pub fn get(&self, aor: &[u8]) -> &[u8] {
        self.at(self.find(aor))
    }

    /// Puts an AOR's record in place of what was there; an empty record removes it.
    pub fn set(&mut self, aor: &[u8], record: &[u8]) {
        self.put(self.find(aor), aor, record);
    }

    /// [`Table::set`] at the place that [`Table::find`] gave for this AOR; the table must not have
    /// changed since.
    pub fn put(&mut self, place: Place, aor: &[u8], record: &[u8]) {
        debug_assert_eq!(place, self.find(aor), "the table has changed");
        let Ok(key_len) = u16::try_from(aor.len()) else { return };
        let found = place.at;
        self.bindings = self.bindings - record::count(self.at(place)) + record::count(record);
        if record.is_empty() {
            if let Some(at) = found {
                self.remove(place.hash, at);
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
            let Self {
                index, entries, hasher, ..
            } = self;
            let rehash = |&at: &u32| {
                let entry = entries.get(at as usize);
                entry.map_or(0, |entry| hash(hasher, entry.split().0))
            };
            index.insert_unique(place.hash, at, rehash);
        }
    }

    fn remove(&mut self, hash: u64, at: u32) {
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

/// Of the octets alone: no length, since nothing comes after them.
fn hash(hasher: &Keyed, aor: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(aor);
    hasher.finish()
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
        let mut table = Table::new(Keyed::new([7; 32]));
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
        let mut table = Table::new(Keyed::new([7; 32]));
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
