//! Where a root's own processes live: shims and `keel net`, beside their tasks.
//!
//! Whoever starts them is in a unit, a session or a job of its own, and what is found there is ended
//! with it. So they go to a cgroup that nobody else ends. Only the unified hierarchy has one: it is
//! there that systemd looks for what belongs to whom.

use super::{Hierarchies, files};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// That cgroup.
#[derive(Debug)]
pub struct Home {
    mount: PathBuf,
    /// That of the whole root.
    root: PathBuf,
    path: PathBuf,
}

impl Home {
    /// Its name, which no task's cgroup has.
    pub const NAME: &str = "own";

    /// Below a root's cgroup ([`crate::root::layout::Layout::cgroup`]); `None` without a unified hierarchy.
    pub fn of(cgroup: &str) -> io::Result<Option<Self>> {
        let Some(mount) = Hierarchies::read()?.unified else { return Ok(None) };
        let root = mount.join(cgroup);
        Ok(Some(Self { path: root.join(Self::NAME), root, mount }))
    }

    /// Makes it, for a process to be born in.
    pub fn birthplace(&self) -> io::Result<OwnedFd> {
        fs::create_dir_all(&self.path)?;
        Ok(File::open(&self.path)?.into())
    }

    /// Moves this process, which has one thread, there.
    pub fn enter(&self) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        files::write(&self.path, "cgroup.procs", "0")
    }

    /// Moves another process there, with all of its threads.
    pub fn admit(&self, pid: u32) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        files::write(&self.path, "cgroup.procs", &pid.to_string())
    }

    /// Moves this process out, and takes away what is empty then: the last act of whoever outlives
    /// the last task.
    pub fn leave(&self) -> io::Result<()> {
        files::write(&self.mount, "cgroup.procs", "0")?;
        fs::remove_dir(&self.path)?;
        fs::remove_dir(&self.root)
    }
}
