//! What the mesh is made of. Built with `--cfg loom`, the same names are loom's stand-ins, so that
//! the models in `mesh::models` run the protocol's own code; otherwise they cost nothing.

#[cfg(not(loom))]
pub(crate) use crossbeam::queue::ArrayQueue;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, fence};

/// Stands for crossbeam's queue, which loom cannot look into: a ticket for each place and a flag
/// for each value, as there. A value is published by a release store and taken behind an acquire
/// load; that is all the ordering that the mesh may rely on.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct ArrayQueue<T> {
    places: Vec<(AtomicBool, std::sync::Mutex<Option<T>>)>,
    tail: loom::sync::atomic::AtomicUsize,
    head: loom::sync::atomic::AtomicUsize,
}

#[cfg(loom)]
impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            places: (0..capacity)
                .map(|_| (AtomicBool::new(false), std::sync::Mutex::new(None)))
                .collect(),
            tail: loom::sync::atomic::AtomicUsize::new(0),
            head: loom::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Places are used once: a model that pushes more than the capacity sees a full queue.
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        use std::sync::atomic::Ordering::{Relaxed, Release};
        let ticket = self.tail.fetch_add(1, Relaxed);
        let Some((full, place)) = self.places.get(ticket) else {
            return Err(value);
        };
        *place.lock().expect("not poisoned") = Some(value);
        full.store(true, Release);
        Ok(())
    }

    /// For one consumer.
    pub(crate) fn pop(&self) -> Option<T> {
        use std::sync::atomic::Ordering::{Acquire, Relaxed};
        let head = self.head.load(Relaxed);
        let (full, place) = self.places.get(head)?;
        if !full.load(Acquire) {
            return None;
        }
        self.head.store(head + 1, Relaxed);
        place.lock().expect("not poisoned").take()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        use std::sync::atomic::Ordering::Relaxed;
        let tail = self.tail.load(Relaxed).min(self.places.len());
        tail.saturating_sub(self.head.load(Relaxed))
    }
}

/// The descriptor that a consumer sleeps on.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Descriptor(std::fs::File);

#[cfg(not(loom))]
impl Descriptor {
    pub(crate) fn new(descriptor: std::os::fd::OwnedFd) -> Self {
        Self(descriptor.into())
    }

    /// Makes it readable.
    pub(crate) fn strike(&self) {
        use std::io::Write;
        // When the descriptor takes no more it is readable already, which is all that counts.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    pub(crate) fn raw(&self) -> std::os::fd::RawFd {
        use std::os::fd::AsRawFd;
        self.0.as_raw_fd()
    }
}

/// In a model the descriptor is a count under a lock, and sleeping on it waits until it is
/// readable. The lock is the kernel's: what was written before a strike is seen by who wakes by it.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Descriptor {
    struck: loom::sync::Mutex<bool>,
    waker: loom::sync::Condvar,
}

#[cfg(loom)]
impl Descriptor {
    pub(crate) fn new(_: std::os::fd::OwnedFd) -> Self {
        Self::model()
    }

    pub(crate) fn model() -> Self {
        Self {
            struck: loom::sync::Mutex::new(false),
            waker: loom::sync::Condvar::new(),
        }
    }

    pub(crate) fn strike(&self) {
        *self.struck.lock().expect("not poisoned") = true;
        self.waker.notify_one();
    }

    pub(crate) fn raw(&self) -> std::os::fd::RawFd {
        -1
    }

    /// Sleeps until it was struck. A sleeper that nobody wakes is a deadlock, which loom reports.
    pub(crate) fn sleep(&self) {
        let mut struck = self.struck.lock().expect("not poisoned");
        while !*struck {
            struck = self.waker.wait(struck).expect("not poisoned");
        }
        *struck = false;
    }
}
