//! The end of a process that is somebody else's child.

use crate::root::record::Process;
use crate::sys::ready::register;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Waits for a process to end; for ever where there is none, or where it cannot be told.
pub(crate) async fn end_of(process: Option<Process>) {
    let Some(process) = process else { return std::future::pending().await };
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let Some(Ok(fd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK)) else { return };
    if !process.lives() {
        return;
    }
    match register(fd) {
        Ok(fd) => drop(fd.readable().await),
        Err(_) => std::future::pending().await,
    }
}
