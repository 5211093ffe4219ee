//! The loopback interface.
#![expect(unsafe_code, reason = "wraps kernel calls; see the module's header")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets `lo` up in the network namespace of this socket.
pub fn bring_loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `ifreq`: integers and a union of such.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo\0") {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // JUSTIFICATION: neither std, nix nor rustix offers this request.
    // SAFETY: `socket` is borrowed, so open; `request` is initialised and lives through the call.
    let done =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    super::check(done.into()).map(drop)
}
