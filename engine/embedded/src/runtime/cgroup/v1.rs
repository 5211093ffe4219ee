//! Version 1: a folder for each controller, and in a hybrid host one in the unified hierarchy.

use super::hierarchies::CPUSET;
use super::{DeviceRule, devices, files, v2};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A task's folders.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Folder by controller; two controllers may share one.
    pub controllers: BTreeMap<String, PathBuf>,
    /// The folder in the unified hierarchy: no controllers, but all processes at once.
    pub unified: Option<v2::Tree>,
}

impl Tree {
    fn folders(&self) -> BTreeSet<&Path> {
        self.controllers.values().map(PathBuf::as_path).collect()
    }

    pub(super) fn of(&self, controller: &str) -> io::Result<&Path> {
        let missing =
            || io::Error::other(format!("this host has no cgroup controller {controller}"));
        self.controllers.get(controller).map(PathBuf::as_path).ok_or_else(missing)
    }

    pub(super) fn create(&self) -> io::Result<()> {
        for folder in self.folders() {
            fs::create_dir_all(folder)?;
        }
        if let Some(folder) = self.controllers.get(CPUSET) {
            inherit_processors(folder)?;
        }
        self.unified.as_ref().map_or(Ok(()), |tree| fs::create_dir_all(&tree.path))
    }

    /// By itself, into `tasks`: another's move into `cgroup.procs` takes a lock for milliseconds.
    pub(super) fn join(&self, born_inside: bool) -> io::Result<()> {
        let processors = self.controllers.get(CPUSET).map(PathBuf::as_path);
        for folder in self.folders() {
            match files::write(folder, "tasks", "0") {
                // Of a task that an older keel started, which is in none.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && Some(folder) == processors => {}
                other => other?,
            }
        }
        match &self.unified {
            Some(tree) if !born_inside => tree.join(),
            _ => Ok(()),
        }
    }

    pub(super) fn set_devices(&self, rules: &[DeviceRule]) -> io::Result<()> {
        let folder = self.of("devices")?;
        files::write(folder, "devices.deny", "a")?;
        rules
            .iter()
            .try_for_each(|rule| files::write(folder, "devices.allow", &devices::line(rule)))
    }

    pub(super) fn memory_usage(&self) -> io::Result<u64> {
        files::number(self.of("memory")?, "memory.usage_in_bytes")
    }

    pub(super) fn cpu_usage(&self) -> io::Result<u64> {
        files::number(self.of("cpuacct")?, "cpuacct.usage")
    }

    pub(super) fn oom_kills(&self) -> io::Result<u64> {
        files::keyed(self.of("memory")?, "memory.oom_control", "oom_kill")
    }

    pub(super) fn processes(&self) -> io::Result<Vec<u32>> {
        self.folders().first().map_or(Ok(Vec::new()), |folder| files::processes(folder))
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        self.folders().into_iter().try_for_each(files::remove)?;
        self.unified.as_ref().map_or(Ok(()), v2::Tree::remove)
    }
}

/// A new cgroup has no processors, and nothing runs in it before it has some: all that the one above
/// it has.
fn inherit_processors(folder: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        inherit(folder, file)?;
    }
    Ok(())
}

fn inherit(folder: &Path, file: &str) -> io::Result<String> {
    let own = files::read(folder, file)?;
    let Some(above) = folder.parent().filter(|above| own.is_empty() && above.join(file).exists())
    else {
        return Ok(own);
    };
    let value = inherit(above, file)?;
    files::write(folder, file, &value)?;
    Ok(value)
}
