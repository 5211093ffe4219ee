//! Version 2: one folder.

use super::{DeviceRule, devices, files};
use crate::sys;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A task's folder.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The folder.
    pub path: PathBuf,
}

/// Controllers that a task needs.
const CONTROLLERS: &[&str] = &["cpu", "memory", "pids"];

impl Tree {
    /// Each parent hands the controllers down that its own parent hands to it.
    pub(super) fn create(&self) -> io::Result<()> {
        let parents: Vec<_> = self.path.ancestors().skip(1).collect();
        let parents = parents.iter().rev().filter(|parent| parent.starts_with(&self.mount));
        for parent in parents {
            fs::create_dir_all(parent)?;
            hand_down(parent)?;
        }
        fs::create_dir_all(&self.path)
    }

    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        File::open(&self.path).map(OwnedFd::from)
    }

    pub(super) fn join(&self) -> io::Result<()> {
        files::write(&self.path, "cgroup.procs", "0")
    }

    pub(super) fn set_devices(&self, rules: &[DeviceRule]) -> io::Result<()> {
        let program = sys::load_device_program(&devices::program(rules))?;
        sys::attach_device_program(self.open()?.as_fd(), program.as_fd())
    }

    pub(super) fn memory_usage(&self) -> io::Result<u64> {
        files::number(&self.path, "memory.current")
    }

    pub(super) fn cpu_usage(&self) -> io::Result<u64> {
        Ok(files::keyed(&self.path, "cpu.stat", "usage_usec")? * 1_000)
    }

    pub(super) fn oom_kills(&self) -> io::Result<u64> {
        files::keyed(&self.path, "memory.events", "oom_kill")
    }

    pub(super) fn processes(&self) -> io::Result<Vec<u32>> {
        files::processes(&self.path)
    }

    /// All at once where the kernel can (5.14); [`files::kill_each`] comes after it in any case.
    pub(super) fn kill_all(&self) {
        let _ = files::write(&self.path, "cgroup.kill", "1");
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        files::remove(&self.path)
    }
}

/// Each controller by itself: one that is missing keeps none of the others away. Whoever then
/// sets a limit hears which is missing.
fn hand_down(folder: &Path) -> io::Result<()> {
    let (there, given) = (
        files::read(folder, "cgroup.controllers")?,
        files::read(folder, "cgroup.subtree_control")?,
    );
    let has = |list: &str, name: &str| list.split(' ').any(|other| other == name);
    for name in CONTROLLERS {
        if has(&there, name) && !has(&given, name) {
            files::write(folder, "cgroup.subtree_control", &format!("+{name}"))?;
        }
    }
    Ok(())
}
