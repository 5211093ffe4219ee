//! Descriptors for a child process, beyond its standard three.
#![expect(unsafe_code, reason = "wraps kernel calls; see the header of `sys`")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Gives the child `fd` under this number.
pub(crate) fn give(command: &mut Command, fd: OwnedFd, number: i32) {
    let place = move || {
        let own = fd.as_raw_fd();
        // Where it already has that number, it only has to survive the start of the program.
        let done = match own == number {
            // SAFETY: `own` is open; F_SETFD takes an integer and touches no memory.
            true => unsafe { libc::fcntl(own, libc::F_SETFD, 0) },
            // SAFETY: `own` is open, and whatever the child had under `number` is not its.
            false => unsafe { libc::dup2(own, number) },
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // JUSTIFICATION: std has no safe way to hand a child more than three descriptors.
    // SAFETY: between fork and exec only `fcntl` and `dup2` are called, which are
    // async-signal-safe, and nothing is allocated or locked.
    unsafe { command.pre_exec(place) };
}
