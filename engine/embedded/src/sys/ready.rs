//! Descriptors whose readiness an async caller waits for.
#![expect(unsafe_code, reason = "wraps a registration; see the header of `sys`")]

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor, which is owned from now on.
pub(crate) fn register(fd: OwnedFd) -> io::Result<AsyncFd<File>> {
    // JUSTIFICATION: tokio's safe way takes only its own kinds of descriptors, neither a pidfd,
    // nor inotify, nor a terminal.
    // SAFETY: a `File` owns its descriptor, keeps it open until it is dropped, and is owned by the
    // registration.
    let registered = unsafe { AsyncFd::register(File::from(fd)) };
    registered.map_err(io::Error::from)
}
