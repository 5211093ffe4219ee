//! What `keel net` and shims leave for each other in tasks' folders, and how one process wakes another.

use crate::TaskDir;
use crate::root::record::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// A sign in a task's folder: by which `keel net`, for which shim.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Marker {
    pub(super) server: Option<Process>,
    pub(super) shim: Option<Process>,
}

/// The file that tells a draining shim that nothing leads to its task any more.
#[must_use]
pub(crate) fn drained_path(task: &TaskDir) -> PathBuf {
    task.0.join("drained")
}

pub(super) fn names_path(task: &TaskDir) -> PathBuf {
    task.0.join("names")
}

/// Signals a process, if it still is that one.
pub(super) fn tell(process: &Process, signal: Signal) -> io::Result<()> {
    if !process.lives() {
        return Ok(());
    }
    Ok(kill(Pid::from_raw(process.pid.cast_signed()), signal)?)
}
