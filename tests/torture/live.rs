//! Octets that this thread has allocated and not freed. A simulated world runs in one thread.
#![allow(unsafe_code, dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
}

struct Counter;

fn note(more: usize, less: usize) {
    let live = LIVE.get() + more as i64 - less as i64;
    LIVE.set(live);
    if live > MOST.get() {
        MOST.set(live);
    }
}

// SAFETY: everything is passed on to the system's allocator; counting touches constant
// thread-local cells, which need no allocation and have no destructor.
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counter = Counter;

/// Live octets of this thread.
pub fn live() -> i64 {
    LIVE.get()
}

/// The most that were live since [`forget`].
pub fn most() -> i64 {
    MOST.get()
}

/// Begins anew with [`most`].
pub fn forget() {
    MOST.set(LIVE.get());
}
