//! Attributes of mounts.
#![expect(unsafe_code, reason = "wraps kernel calls; see the module's header")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What [`change_mount`] changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountChange {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`; 0 leaves it.
    pub propagation: u64,
    /// Mounts below it too.
    pub recursive: bool,
}

/// Changes the attributes of the mount at `tree` (`mount_setattr(2)`).
pub fn change_mount(tree: BorrowedFd<'_>, change: MountChange) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    let deep = if change.recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = libc::AT_EMPTY_PATH | deep;
    let (path, size) = (c"".as_ptr(), size_of_val(&attr));
    // JUSTIFICATION: neither std nor rustix 1.1 offers this call.
    // SAFETY: `tree` is borrowed, so open; `path` is a C string literal; `attr` is initialised,
    // lives through the call and `size` is its own. The kernel keeps neither pointer.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), path, flags, &raw const attr, size)
    };
    super::check(done).map(drop)
}
