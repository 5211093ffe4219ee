//! A task's cgroup, under version 1 (hybrid too) or version 2.
//!
//! # Invariants
//! - What a limit is set to and what can be read back are in the units of the task's fields:
//!   bytes, nanoseconds of CPU per second, processes. `None` is unlimited.
//! - Which version this host has is read from its mounts, never assumed.

mod devices;
mod files;
mod hierarchies;
mod home;
mod limit_files;
mod supported;
mod v1;
mod v2;

pub use devices::DeviceRule;
pub use hierarchies::Hierarchies;
pub use home::Home;
pub use limit_files::held;

use keel_engine::Limit;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A task's cgroup: `keel-KEY/ID12` in each hierarchy that matters.
#[derive(Debug, Clone)]
pub enum Cgroup {
    /// Controllers under version 1, with or without a unified hierarchy beside them.
    V1(v1::Tree),
    /// All under version 2.
    V2(v2::Tree),
}

impl Cgroup {
    /// The cgroup at `relative` (see [`crate::root::layout::Layout::cgroup`]), which need not exist.
    pub fn at(relative: &str) -> io::Result<Self> {
        Self::on(&Hierarchies::read()?, relative)
    }

    /// The same for hierarchies that are known already.
    pub fn on(hierarchies: &Hierarchies, relative: &str) -> io::Result<Self> {
        let relative = relative.trim_start_matches('/');
        let below = |mount: &Path| mount.join(relative);
        let unified = hierarchies
            .unified
            .as_ref()
            .map(|mount| v2::Tree { mount: mount.clone(), path: below(mount) });
        if hierarchies.v1.is_empty() {
            let none =
                "no cgroup file system is mounted (try: mount -t cgroup2 cgroup /sys/fs/cgroup)";
            return unified.map(Self::V2).ok_or_else(|| io::Error::other(none));
        }
        let controllers = hierarchies.v1.iter();
        let controllers = controllers.map(|(name, mount)| (name.clone(), below(mount))).collect();
        Ok(Self::V1(v1::Tree { controllers, unified }))
    }

    /// Makes it in each hierarchy, parents included. Once is enough.
    pub fn create(&self) -> io::Result<()> {
        match self {
            Self::V1(tree) => tree.create(),
            Self::V2(tree) => tree.create(),
        }
    }

    /// The version 2 folder that a process can be born in.
    pub fn birthplace(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::V1(tree) => tree.unified.as_ref().map(v2::Tree::open).transpose(),
            Self::V2(tree) => tree.open().map(Some),
        }
    }

    /// Puts this very process into it, where its birth has not already.
    pub fn join(&self, born_inside: bool) -> io::Result<()> {
        match self {
            Self::V1(tree) => tree.join(born_inside),
            Self::V2(_) if born_inside => Ok(()),
            Self::V2(tree) => tree.join(),
        }
    }

    /// Lets the processes inside use these devices alone.
    pub fn set_devices(&self, rules: &[DeviceRule]) -> io::Result<()> {
        match self {
            Self::V1(tree) => tree.set_devices(rules),
            Self::V2(tree) => tree.set_devices(rules),
        }
    }

    /// Memory in use, in bytes.
    pub fn memory_usage(&self) -> io::Result<u64> {
        match self {
            Self::V1(tree) => tree.memory_usage(),
            Self::V2(tree) => tree.memory_usage(),
        }
    }

    /// CPU time used, in nanoseconds.
    pub fn cpu_usage(&self) -> io::Result<u64> {
        match self {
            Self::V1(tree) => tree.cpu_usage(),
            Self::V2(tree) => tree.cpu_usage(),
        }
    }

    /// How many of its processes the kernel killed for memory, ever.
    pub fn oom_kills(&self) -> io::Result<u64> {
        match self {
            Self::V1(tree) => tree.oom_kills(),
            Self::V2(tree) => tree.oom_kills(),
        }
    }

    /// The processes inside, as the host sees them. None where it does not exist.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        match self {
            Self::V1(tree) => tree.processes(),
            Self::V2(tree) => tree.processes(),
        }
    }

    /// Names of the cgroups directly inside, of any hierarchy.
    pub fn children(&self) -> io::Result<BTreeSet<String>> {
        let mut folders: Vec<&Path> = Vec::new();
        match self {
            Self::V1(tree) => {
                folders.extend(tree.controllers.values().map(PathBuf::as_path));
                folders.extend(tree.unified.as_ref().map(|tree| tree.path.as_path()));
            }
            Self::V2(tree) => folders.push(&tree.path),
        }
        let names = folders.into_iter().map(files::children).collect::<io::Result<Vec<_>>>()?;
        Ok(names.into_iter().flatten().collect())
    }

    /// Kills all processes inside and waits until they are gone.
    pub fn kill(&self) -> io::Result<()> {
        // Nothing new can be born while the rest is killed.
        let _ = self.set(Limit::Pids, Some(0));
        let unified = match self {
            Self::V1(tree) => tree.unified.as_ref(),
            Self::V2(tree) => Some(tree),
        };
        if let Some(tree) = unified {
            tree.kill_all();
        }
        files::kill_each(|| self.processes())
    }

    /// Kills all that is in it and in those below it, and removes them all.
    pub fn clear(&self) -> io::Result<()> {
        let mut folders: Vec<&Path> = Vec::new();
        match self {
            Self::V1(tree) => {
                // It has every process, so that nothing is left to do in the others.
                folders.extend(tree.unified.as_ref().map(|tree| tree.path.as_path()));
                folders.extend(tree.controllers.values().map(PathBuf::as_path));
            }
            Self::V2(tree) => folders.push(&tree.path),
        }
        for folder in folders {
            files::kill_each(|| files::processes_below(folder))?;
            files::remove(folder)?;
        }
        Ok(())
    }

    /// Removes it, killing what is still inside; one that is not there is fine.
    pub fn remove(&self) -> io::Result<()> {
        if !self.processes()?.is_empty() {
            self.kill()?;
        }
        match self {
            Self::V1(tree) => tree.remove(),
            Self::V2(tree) => tree.remove(),
        }
    }
}
