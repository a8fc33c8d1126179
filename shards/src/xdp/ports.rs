//! The map of ports: written here as memory, read by the program at the device.
#![allow(unsafe_code)]

use super::bpf::map;
use crate::sys::Region;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

// linux/bpf.h.
const MAP_TYPE_ARRAY: u32 = 2;
/// A map that can be written as memory.
const MMAPABLE: u32 = 1 << 10;
/// Values of an array are so many octets apart.
const APART: usize = 8;

/// Whose each port is, shared with the program.
#[derive(Debug)]
pub(super) struct Ports {
    map: OwnedFd,
    memory: Region,
    entries: u32,
}

// SAFETY: the memory belongs to this value and is written by atomics only.
unsafe impl Sync for Ports {}

impl Ports {
    pub(super) fn new(addresses: usize) -> io::Result<Self> {
        let entries = (addresses as u32) << 16;
        let map = map(MAP_TYPE_ARRAY, entries, MMAPABLE)?;
        let memory = Region::shared(&map, 0, entries as usize * APART)?;
        Ok(Self { map, memory, entries })
    }

    /// For the program.
    pub(super) fn descriptor(&self) -> RawFd {
        self.map.as_raw_fd()
    }

    /// Shows the program whose a place is.
    pub(super) fn set(&self, place: u32, value: u32) {
        if place < self.entries {
            // SAFETY: within the mapping and aligned; the kernel's program reads it as one word.
            let word: &AtomicU32 = unsafe { &*self.memory.base().add(place as usize * APART).cast() };
            word.store(value, Ordering::Release);
        }
    }
}
