//! `keel shim`: one per container; parent and subreaper. Copies logs, records the exit, restarts
//! by policy, probes health, and holds the task's network namespace through all runs.
//!
//! The engine speaks to it by records and signals: it writes `assignment` and `work`, then sends
//! SIGUSR1. The shim answers in `state`.

use crate::layout::Layout;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a shim is started: `keel shim TASKDIR ROOT [--netns PATH | --host-network] [--adopt]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The task's folder.
    pub dir: PathBuf,
    /// The root.
    pub root: PathBuf,
    /// Which network namespace.
    pub network: Network,
    /// A shim before this one died: take over the process that `state` names, if it lives.
    pub adopt: bool,
}

/// The network namespace that a shim holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A new one, with `lo` up.
    New,
    /// The host's.
    Host,
    /// This one: `/proc/PID/ns/net`.
    Join(PathBuf),
}

impl Launch {
    /// The command that starts it. The shim leaves session, directory and stdio by itself and goes
    /// on in the background: the command ends with 0 once `state` is written (the network
    /// namespace exists and can be plumbed at `/proc/SHIM/ns/net`), else with the reason on
    /// standard error.
    #[must_use]
    pub fn command(&self, keel: &Path) -> Command {
        let mut command = Command::new(keel);
        command.arg("shim").arg(&self.dir).arg(&self.root);
        match &self.network {
            Network::New => {}
            Network::Host => {
                command.arg("--host-network");
            }
            Network::Join(path) => {
                command.arg("--netns").arg(path);
            }
        }
        if self.adopt {
            command.arg("--adopt");
        }
        command
    }
}

/// Runs `shim`, `enter` or `init` if that is what the arguments (without the program's name) ask
/// for. To be called first thing in `main`, before anything is set up.
#[must_use]
pub fn dispatch(_arguments: &[OsString]) -> Option<i32> {
    None
}

/// Supervises one task until its process has ended for good. Joins or makes no network namespace
/// beyond a new one; [`dispatch`] reads the further arguments.
#[must_use]
pub fn main(_dir: &Path, _layout: &Layout) -> i32 {
    125
}
