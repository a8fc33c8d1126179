//! What a program wants sent, collected for one batch.
//!
//! Datagrams are written straight into one arena; the back-end hands the arena's memory to the
//! kernel in one submission at the end of the batch, so there is no further copy.

use crate::media::Slot;
use crate::program::ListenerId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which socket a datagram leaves from, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// From a signalling listener.
    Listener(ListenerId, SocketAddr),
    /// From a media slot.
    Media(Slot, SocketAddr),
}

/// One datagram: a range of the arena.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// Where to.
    pub target: Target,
    /// First octet in the arena.
    pub start: u32,
    /// One past the last octet.
    pub end: u32,
}

/// Collected output of one batch. Nothing is allocated once it has grown to the busiest batch.
#[derive(Debug, Default)]
pub struct Outbox {
    arena: Vec<u8>,
    datagrams: Vec<Datagram>,
    fetches: Vec<Slot>,
    log: Vec<u8>,
    log_taken: u64,
    log_mark: Arc<AtomicU64>,
}

impl Outbox {
    /// Queues a datagram whose octets `write` appends to the arena.
    pub fn datagram_with(&mut self, target: Target, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.arena.len();
        write(&mut self.arena);
        debug_assert!(self.arena.len() >= start, "a writer may only append");
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(self.arena.len())) else {
            self.arena.truncate(start);
            return;
        };
        self.datagrams.push(Datagram { target, start, end });
    }

    /// Queues a datagram by copying `bytes`.
    pub fn datagram(&mut self, target: Target, bytes: &[u8]) {
        self.datagram_with(target, |arena| arena.extend_from_slice(bytes));
    }

    /// Reads what waits in a media slot's socket, up to about 30 packets: they come with the next batch. Only
    /// where the plan says [`fetched_media`](crate::Plan::fetched_media).
    pub fn fetch(&mut self, slot: Slot) {
        self.fetches.push(slot);
    }

    /// Appends to the shard's log; returns the log offset after the record. The program hears
    /// through [`crate::Program::written`] when that offset has reached the operating system.
    pub fn log_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        write(&mut self.log);
        let end = self.log_end();
        self.log_mark.store(end, Ordering::Relaxed);
        end
    }

    /// The log offset after all that was appended so far.
    #[must_use]
    pub fn log_end(&self) -> u64 {
        self.log_taken + self.log.len() as u64
    }

    /// For back-ends: always shows [`log_end`](Self::log_end), also while a program holds the
    /// outbox (so that a switch of files knows what came before it).
    #[must_use]
    pub fn log_mark(&self) -> Arc<AtomicU64> {
        self.log_mark.clone()
    }

    /// For back-ends: log octets not yet taken.
    #[must_use]
    pub fn log_pending(&self) -> &[u8] {
        &self.log
    }

    /// For back-ends: swaps the pending log octets with an empty buffer; returns the log offset
    /// after them.
    pub fn take_log(&mut self, into: &mut Vec<u8>) -> u64 {
        into.clear();
        std::mem::swap(&mut self.log, into);
        self.log_taken += into.len() as u64;
        self.log_taken
    }

    /// For back-ends: the datagrams of this batch, in order.
    #[must_use]
    pub fn datagrams(&self) -> &[Datagram] {
        &self.datagrams
    }

    /// For back-ends: the octets of one datagram.
    #[must_use]
    pub fn octets(&self, datagram: &Datagram) -> &[u8] {
        self.arena
            .get(datagram.start as usize..datagram.end as usize)
            .unwrap_or(&[])
    }

    /// For back-ends: the media slots to read, in order.
    #[must_use]
    pub fn fetches(&self) -> &[Slot] {
        &self.fetches
    }

    /// For back-ends: forgets the datagrams and the slots to read, keeps the memory.
    pub fn clear_datagrams(&mut self) {
        self.arena.clear();
        self.datagrams.clear();
        self.fetches.clear();
    }
}
