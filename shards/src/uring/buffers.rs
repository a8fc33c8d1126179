//! Receive buffers that the kernel picks from by itself (a provided buffer ring).
#![allow(unsafe_code)]

use crate::sys::Region;
use io_uring::types::BufRingEntry;
use io_uring::{IoUring, Submitter};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// A group of buffers of one size.
///
/// A buffer is either the kernel's (it was given back and [`publish`](Self::publish)ed) or ours
/// (a completion named it). While it is ours nobody else touches it.
pub(super) struct BufferRing {
    group: u16,
    count: u16,
    size: usize,
    stride: usize,
    tail: u16,
    entries: Region,
    memory: Region,
}

impl BufferRing {
    /// `count` buffers (a power of two, at most 32,768) of at least `size` octets, all given to
    /// the kernel.
    pub(super) fn new(ring: &IoUring, group: u16, count: u16, size: usize) -> io::Result<Self> {
        if !count.is_power_of_two() || count > 1 << 15 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // An odd number of cache lines: with a power of two the heads of all buffers would fall into
        // the same few sets of every cache.
        let lines = size.div_ceil(64);
        let skew = if lines > 64 { 16 } else { 0 };
        let stride = ((lines + skew) | 1) * 64;
        let entries = Region::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Region::new(usize::from(count) * stride)?;
        // SAFETY: the region holds `count` entries and lives until `retire` has taken the group
        // from the kernel, or for ever (see `retire`).
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(entries.base() as u64, count, group, 0)?;
        }
        let mut buffers = Self {
            group,
            count,
            size,
            stride,
            tail: 0,
            entries,
            memory,
        };
        for id in 0..count {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    pub(super) fn group(&self) -> u16 {
        self.group
    }

    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// A buffer that a completion named; `used` octets of it.
    pub(super) fn octets(&mut self, id: u16, used: usize) -> &mut [u8] {
        let id = usize::from(id % self.count);
        debug_assert!((id + 1) * self.stride <= self.memory.len());
        // SAFETY: inside the region by the line above; the buffer is ours since the completion
        // that named it, and the borrow of `self` keeps a second slice away.
        unsafe { std::slice::from_raw_parts_mut(self.memory.base().add(id * self.stride), used.min(self.stride)) }
    }

    /// Gives a buffer back; the kernel sees it after [`publish`](Self::publish).
    pub(super) fn give_back(&mut self, id: u16) {
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is below `count`, so the entry is inside the region; the kernel reads
        // only entries before the published tail, and this one is not before it. The first
        // entry's last field is the tail itself, which these setters do not touch.
        let entry = unsafe { &mut *self.entries.base().cast::<BufRingEntry>().add(place) };
        entry.set_addr(self.memory.base() as u64 + u64::from(id) * self.stride as u64);
        entry.set_len(self.size as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back.
    pub(super) fn publish(&self) {
        // SAFETY: the address of the tail inside the live region, aligned as the kernel's ABI
        // says; both sides access it atomically.
        let tail = unsafe {
            &*BufRingEntry::tail(self.entries.base().cast::<BufRingEntry>().cast_const()).cast::<AtomicU16>()
        };
        tail.store(self.tail, Ordering::Release);
    }

    /// Takes the group from the kernel, so that the memory may go. When the kernel does not let
    /// go, the memory is left to it for ever.
    pub(super) fn retire(self, submitter: &Submitter<'_>) {
        if submitter.unregister_buf_ring(self.group).is_err() {
            std::mem::forget(self);
        }
    }
}
