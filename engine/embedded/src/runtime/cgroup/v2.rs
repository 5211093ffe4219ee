//! Version 2: one folder.

use super::{DeviceRule, PERIOD, devices, files, nanos};
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

    pub(super) fn set_memory(&self, limit: Option<u64>) -> io::Result<()> {
        let limit = text(limit);
        self.set("memory", "memory.max", &limit)?;
        files::write_if_there(&self.path, "memory.swap.max", &limit)
    }

    pub(super) fn set_quota(&self, quota: Option<u64>) -> io::Result<()> {
        self.set("cpu", "cpu.max", &format!("{} {PERIOD}", text(quota)))
    }

    pub(super) fn set_pids(&self, limit: Option<u64>) -> io::Result<()> {
        self.set("pids", "pids.max", &text(limit))
    }

    /// Without the controller, unlimited is what there is.
    fn set(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        match files::write(&self.path, file, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.exists() => {
                if value.starts_with("max") {
                    return Ok(());
                }
                Err(io::Error::other(format!(
                    "the cgroup controller {controller} is not handed down to {}, so the limit \
                     {value} cannot be kept",
                    self.path.display()
                )))
            }
            other => other,
        }
    }

    pub(super) fn set_devices(&self, rules: &[DeviceRule]) -> io::Result<()> {
        let program = sys::load_device_program(&devices::program(rules))?;
        sys::attach_device_program(self.open()?.as_fd(), program.as_fd())
    }

    pub(super) fn memory(&self) -> io::Result<Option<u64>> {
        files::limit(&self.path, "memory.max")
    }

    pub(super) fn cpus(&self) -> io::Result<Option<u64>> {
        let text = files::read(&self.path, "cpu.max")?;
        let (quota, period) = text.split_once(' ').unwrap_or((&text, "100000"));
        if quota == "max" {
            return Ok(None);
        }
        Ok(Some(nanos(files::parse(quota)?) / files::parse(period)?.max(1) * PERIOD))
    }

    pub(super) fn pids(&self) -> io::Result<Option<u64>> {
        files::limit(&self.path, "pids.max")
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

fn text(limit: Option<u64>) -> String {
    limit.map_or("max".to_owned(), |limit| limit.to_string())
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
