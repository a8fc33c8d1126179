//! The map of ports: written here as memory, read by the program at the device.
#![allow(unsafe_code)]

use super::bpf::map;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
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
    base: NonNull<u8>,
    entries: u32,
}

// SAFETY: the memory belongs to this value and is written by atomics only.
unsafe impl Send for Ports {}
// SAFETY: as above.
unsafe impl Sync for Ports {}

impl Ports {
    pub(super) fn new(addresses: usize) -> io::Result<Self> {
        let entries = (addresses as u32) << 16;
        let map = map(MAP_TYPE_ARRAY, entries, MMAPABLE)?;
        // SAFETY: a new mapping at an address of the kernel's choice, of the map's own size.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                entries as usize * APART,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("memory at address 0"))?;
        Ok(Self { map, base, entries })
    }

    /// For the program.
    pub(super) fn descriptor(&self) -> RawFd {
        self.map.as_raw_fd()
    }

    /// Shows the program whose a place is.
    pub(super) fn set(&self, place: u32, value: u32) {
        if place < self.entries {
            // SAFETY: within the mapping and aligned; the kernel's program reads it as one word.
            let word: &AtomicU32 = unsafe { &*self.base.as_ptr().add(place as usize * APART).cast() };
            word.store(value, Ordering::Release);
        }
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.entries as usize * APART) };
    }
}
