//! Octet buffers that are used again.
//!
//! A [`Buf`] is an owned, growable run of octets. When it is dropped its memory goes back to a
//! free list of the thread that drops it, so that code in steady state allocates nothing.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;

/// An owned buffer whose memory is pooled per thread, by size class.
pub struct Buf {
    octets: Vec<u8>,
}

thread_local! {
    static FREE: RefCell<Vec<Vec<Vec<u8>>>> = const { RefCell::new(Vec::new()) };
}

/// Capacities in octets; a request gets the smallest class that holds it.
const CLASSES: [usize; 16] = [
    64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1536, 2048, 4096, 16384, 65536,
];
/// How many octets of each class a thread keeps at most: enough for the ups and downs of a busy
/// shard. Messages that cross the mesh are made in one thread and dropped in another, so that one of
/// the pools fills up to this bound when the traffic is one-sided.
const KEEP_OCTETS: usize = 1 << 20;

impl Buf {
    /// A buffer with nothing in it and no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { octets: Vec::new() }
    }

    /// An empty buffer that holds `capacity` octets without growing.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let Some(class) = CLASSES.iter().position(|&size| size >= capacity) else {
            return Self {
                octets: Vec::with_capacity(capacity),
            };
        };
        let pooled = FREE
            .try_with(|free| free.borrow_mut().get_mut(class).and_then(Vec::pop))
            .ok()
            .flatten();
        Self {
            octets: pooled.unwrap_or_else(|| Vec::with_capacity(CLASSES[class])),
        }
    }

    /// A buffer that holds a copy of `octets`.
    #[must_use]
    pub fn copy_of(octets: &[u8]) -> Self {
        let mut buf = Self::with_capacity(octets.len());
        buf.octets.extend_from_slice(octets);
        buf
    }

    /// Appends.
    pub fn extend_from_slice(&mut self, octets: &[u8]) {
        if self.octets.capacity() - self.octets.len() < octets.len() {
            let mut larger = Self::with_capacity((self.octets.len() + octets.len()).next_power_of_two());
            larger.octets.extend_from_slice(&self.octets);
            *self = larger;
        }
        self.octets.extend_from_slice(octets);
    }

    /// Empties, keeps the memory.
    pub fn clear(&mut self) {
        self.octets.clear();
    }

    /// How much memory it holds, in octets.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.octets.capacity()
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        let capacity = self.octets.capacity();
        if capacity == 0 {
            return;
        }
        let Ok(class) = CLASSES.binary_search(&capacity) else {
            return;
        };
        let mut octets = std::mem::take(&mut self.octets);
        octets.clear();
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.is_empty() {
                free.resize_with(CLASSES.len(), Vec::new);
            }
            if let Some(list) = free.get_mut(class)
                && list.len() * capacity < KEEP_OCTETS
            {
                list.push(octets);
            }
        });
    }
}

impl Deref for Buf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.octets
    }
}

impl Default for Buf {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Buf {
    fn clone(&self) -> Self {
        Self::copy_of(self)
    }
}

impl From<&[u8]> for Buf {
    fn from(octets: &[u8]) -> Self {
        Self::copy_of(octets)
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({:?})", String::from_utf8_lossy(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let first = Buf::copy_of(&[7; 300]);
        let place = first.as_ptr();
        drop(first);
        let second = Buf::copy_of(&[8; 310]);
        assert_eq!(second.as_ptr(), place);
        assert_eq!(&second[..], &[8; 310]);
    }

    #[test]
    fn grows_across_classes() {
        let mut buf = Buf::new();
        for i in 0..100_000u32 {
            buf.extend_from_slice(&[i as u8]);
        }
        assert_eq!(buf.len(), 100_000);
        assert!(buf.iter().enumerate().all(|(i, &octet)| octet == i as u8));
    }
}
