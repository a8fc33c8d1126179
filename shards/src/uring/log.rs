//! The log writer: group commit with one write in flight.
//!
//! While a group is written, octets gather in the outbox. An isolated record is written at once;
//! under load groups start at most every two milliseconds, because a buffered write is handed to
//! a kernel worker and that costs nearly the same for one record as for a hundred.
//!
//! Measured with `examples/log_cost.rs` (ext4, 2 vCPU, Linux 6.18, records of 160 octets, CPU of
//! the process a group; others used the machine, so roughly):
//!
//! | records a group | `pwrite` in the shard | ring write | ring write, a record |
//! |---|---|---|---|
//! | 1 | 0.8 us | 5.8 us | 5.8 us |
//! | 10 | 1.7 us | 7.1 us | 0.7 us |
//! | 100 | 9.2 us | 14.6 us | 0.15 us |
//!
//! The ring write costs 5 us more a group, at most 0.07 % of a core at one group in 8 ms. It was
//! chosen because both now and then take milliseconds (the file system's own journal), and the
//! shard must not wait for that with its calls.
#![allow(unsafe_code)]

use super::ring::{Kind, Ring};
use crate::outbox::Outbox;
use crate::program::{LogFile, Written};
use crate::stats::LoopStats;
use crate::time::Time;
use io_uring::opcode;
use io_uring::types::{Fd, FsyncFlags};
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Groups start no faster than this.
const GATHER: Duration = Duration::from_millis(8);
/// What was written is synchronised this often.
const SYNC: Duration = Duration::from_secs(1);

struct Group {
    octets: Vec<u8>,
    done: usize,
    upto: u64,
    /// The program that logged it still runs.
    report: bool,
}

enum Item {
    Group(Group),
    Switch(File),
}

/// The files and groups of one shard's log.
pub(super) struct Log {
    file: Option<File>,
    offset: u64,
    queue: VecDeque<Item>,
    flight: Option<Group>,
    /// Switches asked for in this batch, with the log offset at which each one takes place.
    switches: Vec<(u64, File)>,
    mark: Arc<AtomicU64>,
    started: Option<Time>,
    /// Since when there are octets that are not synchronised.
    dirty: Option<Time>,
    syncing: bool,
    /// Former files, to be synchronised and closed.
    closing: VecDeque<File>,
    spare: Vec<Vec<u8>>,
    reports: Vec<Written>,
}

impl Log {
    pub(super) fn new(outbox: &Outbox) -> Self {
        Self {
            file: None,
            offset: 0,
            queue: VecDeque::new(),
            flight: None,
            switches: Vec::new(),
            mark: outbox.log_mark(),
            started: None,
            dirty: None,
            syncing: false,
            closing: VecDeque::new(),
            spare: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// [`crate::Host::log_switch`].
    pub(super) fn switch(&mut self, file: LogFile) {
        if let Some(file) = file.file {
            self.switches.push((self.mark.load(Ordering::Relaxed), file));
        }
    }

    /// A new program with a new outbox: what the former one logged is still written, but
    /// nobody hears of it.
    pub(super) fn restart(&mut self, outbox: &Outbox) {
        self.mark = outbox.log_mark();
        self.switches.clear();
        self.reports.clear();
        for item in &mut self.queue {
            if let Item::Group(group) = item {
                group.report = false;
            }
        }
        if let Some(group) = &mut self.flight {
            group.report = false;
        }
    }

    /// The next outcome that the program has not heard of.
    pub(super) fn report(&mut self) -> Option<Written> {
        if self.reports.is_empty() {
            None
        } else {
            Some(self.reports.remove(0))
        }
    }

    /// Whether outcomes wait.
    pub(super) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// When [`batch_end`](Self::batch_end) has to be called at the latest.
    pub(super) fn deadline(&self, outbox: &Outbox) -> Option<Time> {
        let gather = match (self.started, &self.flight) {
            (Some(started), None) if !outbox.log_pending().is_empty() => Some(started + GATHER),
            _ => None,
        };
        let sync = if self.syncing {
            None
        } else {
            self.dirty.map(|dirty| dirty + SYNC)
        };
        [gather, sync].into_iter().flatten().min()
    }

    /// Takes what the batch logged and starts what is due.
    pub(super) fn batch_end(&mut self, now: Time, ring: &mut Ring, outbox: &mut Outbox, stats: &LoopStats) {
        if !self.switches.is_empty() {
            self.split(outbox);
        }
        loop {
            if self.flight.is_some() {
                break;
            }
            match self.queue.pop_front() {
                Some(Item::Switch(file)) => self.take_over(file),
                Some(Item::Group(group)) => self.start(now, group, ring, stats),
                None => {
                    let due = self.started.is_none_or(|started| now >= started + GATHER);
                    if outbox.log_pending().is_empty() || !due {
                        break;
                    }
                    let mut octets = self.spare.pop().unwrap_or_default();
                    let upto = outbox.take_log(&mut octets);
                    self.start(
                        now,
                        Group {
                            octets,
                            done: 0,
                            upto,
                            report: true,
                        },
                        ring,
                        stats,
                    );
                }
            }
        }
        if !self.syncing && (!self.closing.is_empty() || self.dirty.is_some_and(|dirty| now >= dirty + SYNC)) {
            self.sync(ring);
        }
    }

    /// Cuts the pending octets at the switches and queues the pieces.
    fn split(&mut self, outbox: &mut Outbox) {
        let mut octets = self.spare.pop().unwrap_or_default();
        let upto = outbox.take_log(&mut octets);
        let base = upto - octets.len() as u64;
        let mut cut = 0;
        for (at, file) in self.switches.drain(..) {
            let end = usize::try_from(at.saturating_sub(base))
                .unwrap_or(cut)
                .clamp(cut, octets.len());
            if end > cut {
                let piece = octets[cut..end].to_vec();
                self.queue.push_back(Item::Group(Group {
                    octets: piece,
                    done: 0,
                    upto: at,
                    report: true,
                }));
            }
            cut = end;
            self.queue.push_back(Item::Switch(file));
        }
        octets.drain(..cut);
        if octets.is_empty() {
            self.spare.push(octets);
        } else {
            self.queue.push_back(Item::Group(Group {
                octets,
                done: 0,
                upto,
                report: true,
            }));
        }
    }

    fn take_over(&mut self, file: File) {
        self.offset = file.metadata().map_or(0, |metadata| metadata.len());
        if let Some(former) = self.file.replace(file) {
            self.closing.push_back(former);
            self.dirty = None;
        }
    }

    fn start(&mut self, now: Time, group: Group, ring: &mut Ring, stats: &LoopStats) {
        self.started = Some(now);
        if self.file.is_none() {
            self.finish(group, false, stats);
            return;
        }
        self.flight = Some(group);
        self.write(ring);
        self.dirty.get_or_insert(now);
    }

    fn write(&mut self, ring: &mut Ring) {
        let (Some(file), Some(group)) = (&self.file, &self.flight) else {
            return;
        };
        let rest = &group.octets[group.done..];
        let entry = opcode::Write::new(Fd(file.as_raw_fd()), rest.as_ptr(), rest.len() as u32)
            .offset(self.offset + group.done as u64)
            .build()
            .user_data(Kind::LogWrite.tag(0));
        // SAFETY: the octets stay in `flight`, unmoved, until the completion; `abandon` leaks
        // them if it never comes.
        unsafe { ring.push(&entry) };
    }

    /// A write ended with `result`.
    pub(super) fn written(&mut self, result: i32, ring: &mut Ring, stats: &LoopStats) {
        let Some(mut group) = self.flight.take() else { return };
        if result == -libc::EAGAIN || result == -libc::EINTR {
            self.flight = Some(group);
            self.write(ring);
            return;
        }
        let Some(octets) = usize::try_from(result).ok().filter(|&octets| octets > 0) else {
            if let Some(file) = &self.file {
                // A torn half of the group must not lie between good records.
                let _ = file.set_len(self.offset);
            }
            self.finish(group, false, stats);
            return;
        };
        group.done += octets;
        if group.done < group.octets.len() {
            self.flight = Some(group);
            self.write(ring);
            return;
        }
        self.offset += group.octets.len() as u64;
        self.finish(group, true, stats);
    }

    fn finish(&mut self, group: Group, ok: bool, stats: &LoopStats) {
        if ok {
            stats.log_groups.add(1);
            stats.log_octets.add(group.octets.len() as u64);
        } else {
            stats.log_failures.add(1);
        }
        if group.report {
            self.reports.push(Written { upto: group.upto, ok });
        }
        // A single huge group does not keep its memory.
        if group.octets.capacity() <= 1 << 20 && self.spare.len() < 4 {
            self.spare.push(group.octets);
        }
    }

    fn sync(&mut self, ring: &mut Ring) {
        let Some(file) = self.closing.front().or(self.file.as_ref()) else {
            return;
        };
        if self.closing.is_empty() {
            self.dirty = None;
        }
        let entry = opcode::Fsync::new(Fd(file.as_raw_fd()))
            .flags(FsyncFlags::DATASYNC)
            .build()
            .user_data(Kind::LogSync.tag(u32::from(!self.closing.is_empty())));
        // SAFETY: no memory is involved.
        unsafe { ring.push(&entry) };
        self.syncing = true;
    }

    /// A synchronisation ended; `former` when it was that of a former file.
    pub(super) fn synced(&mut self, result: i32, former: bool, stats: &LoopStats) {
        self.syncing = false;
        if former {
            self.closing.pop_front();
        }
        if result >= 0 {
            stats.log_syncs.add(1);
        } else {
            stats.log_failures.add(1);
        }
    }

    /// Whether a write or synchronisation is with the kernel, or octets wait for one.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some() || self.syncing || !self.queue.is_empty() || !self.switches.is_empty()
    }

    /// The end: everything was handed over; makes it safe on the disk.
    pub(super) fn close(&mut self) {
        for file in self.closing.drain(..).chain(self.file.take()) {
            if let Err(error) = file.sync_data() {
                tracing::error!(%error, "the log could not be synchronised");
            }
        }
    }

    /// The ring goes away with a write in flight: its octets stay with the kernel.
    pub(super) fn abandon(&mut self) {
        if let Some(group) = self.flight.take() {
            std::mem::forget(group.octets);
        }
        self.syncing = false;
    }
}
