//! The four rings that an AF_XDP socket shares with the kernel, each with one producer and one
//! consumer (Documentation/networking/af_xdp.rst).
#![allow(unsafe_code)]

use crate::sys::Region;
use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

/// One ring of `T`.
#[derive(Debug)]
pub(super) struct Ring<T> {
    _memory: Region,
    producer: *const AtomicU32,
    consumer: *const AtomicU32,
    entries: *mut T,
    /// Where we are: of the two indices the one that is ours.
    ours: u32,
    /// The other one, as last seen.
    theirs: u32,
    size: u32,
    kind: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone; the kernel's part is by atomics.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    /// Maps the ring of `size` entries (a power of two) that is at `page`.
    pub(super) fn map(
        socket: &OwnedFd,
        page: libc::off_t,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        let len = offsets.desc as usize + size as usize * size_of::<T>();
        let memory = Region::shared(socket, page, len)?;
        let base = memory.base();
        // SAFETY: the kernel's offsets are within the mapping and aligned for what is there.
        let (producer, consumer, entries) = unsafe {
            (
                base.add(offsets.producer as usize).cast(),
                base.add(offsets.consumer as usize).cast(),
                base.add(offsets.desc as usize).cast(),
            )
        };
        Ok(Self {
            _memory: memory,
            producer,
            consumer,
            entries,
            ours: 0,
            theirs: 0,
            size,
            kind: PhantomData,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: within the mapping, which lives as long as `self`; shared by atomics only.
        unsafe { &*self.producer }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { &*self.consumer }
    }

    fn place(&self, index: u32) -> *mut T {
        // SAFETY: the index is masked to the ring's entries.
        unsafe { self.entries.add((index & (self.size - 1)) as usize) }
    }

    /// As producer: puts an entry, which the kernel sees at [`publish`](Self::publish); false when the
    /// ring is full.
    pub(super) fn put(&mut self, entry: T) -> bool {
        if self.ours.wrapping_sub(self.theirs) >= self.size {
            self.theirs = self.consumer().load(Ordering::Acquire);
            if self.ours.wrapping_sub(self.theirs) >= self.size {
                return false;
            }
        }
        // SAFETY: the kernel does not read this place until it is published.
        unsafe { self.place(self.ours).write(entry) };
        self.ours = self.ours.wrapping_add(1);
        true
    }

    /// As producer: shows the kernel what was put.
    pub(super) fn publish(&self) {
        self.producer().store(self.ours, Ordering::Release);
    }

    /// As producer: how many entries the kernel has still to take.
    pub(super) fn waiting(&mut self) -> u32 {
        self.theirs = self.consumer().load(Ordering::Acquire);
        self.ours.wrapping_sub(self.theirs)
    }

    /// As consumer: takes an entry, whose place is the kernel's again at [`release`](Self::release).
    pub(super) fn take(&mut self) -> Option<T> {
        if self.ours == self.theirs {
            self.theirs = self.producer().load(Ordering::Acquire);
            if self.ours == self.theirs {
                return None;
            }
        }
        // SAFETY: the kernel has published this place and does not write it before the release.
        let entry = unsafe { self.place(self.ours).read() };
        self.ours = self.ours.wrapping_add(1);
        Some(entry)
    }

    /// As consumer: gives the places of taken entries back.
    pub(super) fn release(&self) {
        self.consumer().store(self.ours, Ordering::Release);
    }

    /// As consumer: whether something waits.
    pub(super) fn is_empty(&mut self) -> bool {
        if self.ours == self.theirs {
            self.theirs = self.producer().load(Ordering::Acquire);
        }
        self.ours == self.theirs
    }
}
