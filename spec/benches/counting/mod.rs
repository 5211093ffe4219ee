//! Counts what is allocated: how often, and how much at most at a time.
#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]
#![allow(dead_code, reason = "not every bench asks for both")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static BEFORE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
pub struct Counting;

// SAFETY: every call goes to `System` unchanged; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps to `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Begins to count anew.
pub fn reset() {
    let now = NOW.load(Relaxed);
    BEFORE.store(now, Relaxed);
    PEAK.store(now, Relaxed);
    COUNT.store(0, Relaxed);
}

/// The most that was allocated at a time since then, beside what there was.
pub fn peak() -> usize {
    PEAK.load(Relaxed).saturating_sub(BEFORE.load(Relaxed))
}

/// How many allocations there were since then.
pub fn count() -> usize {
    COUNT.load(Relaxed)
}
