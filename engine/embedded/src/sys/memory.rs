//! What the allocator keeps.
#![expect(unsafe_code, reason = "wraps a call of the C library's; see the module's header")]

/// How many threads allocate side by side before they share.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;

/// Has threads share what they have freed: glibc gives each an arena of its own, eight for a processor,
/// and what is free in one is of no use to the others. To be called before there are threads. Elsewhere
/// than with glibc nothing is to be done.
pub fn share_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}
