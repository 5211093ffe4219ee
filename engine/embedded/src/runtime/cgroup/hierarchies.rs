//! Where this host's cgroup hierarchies are mounted.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The hierarchies that matter to a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// Controllers under version 1, and where.
    pub v1: BTreeMap<String, PathBuf>,
    /// The version 2 hierarchy.
    pub unified: Option<PathBuf>,
}

/// Version 1 controllers that a task is put under. Nothing is limited by `cpuset`, but a JVM that does
/// not find it believes in none of the others.
const CONTROLLERS: &[&str] = &["blkio", "cpu", "cpuacct", CPUSET, "devices", "memory", "pids"];

/// Which processors are used, and whose memory.
pub const CPUSET: &str = "cpuset";

impl Hierarchies {
    /// This host's. Its mounts are read once: they stay where they are while a process lives, and that text has
    /// a line for each container.
    pub fn read() -> io::Result<Self> {
        static FOUND: OnceLock<Hierarchies> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found.clone());
        }
        let found = Self::parse(&std::fs::read_to_string("/proc/self/mountinfo")?);
        if found == Self::default() {
            return Ok(found);
        }
        Ok(FOUND.get_or_init(|| found).clone())
    }

    /// From the text of `/proc/PID/mountinfo`. Of several mounts of one hierarchy the first that
    /// shows all of it counts.
    #[must_use]
    pub fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            found.take(line);
        }
        found
    }

    /// `ID PARENT DEV ROOT POINT OPTIONS [TAGS…] - TYPE SOURCE SUPER`.
    fn take(&mut self, line: &str) -> Option<()> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        if root != "/" {
            return None;
        }
        match kind {
            "cgroup2" => {
                self.unified.get_or_insert_with(|| point.into());
            }
            "cgroup" => {
                for option in options.split(',').filter(|option| CONTROLLERS.contains(option)) {
                    self.v1.entry(option.to_owned()).or_insert_with(|| point.into());
                }
            }
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_told_apart() {
        let hybrid = "\
32 25 0:28 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755
33 32 0:29 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw
35 32 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
36 32 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
37 32 0:32 /docker/1 /mnt/memory rw - cgroup cgroup rw,memory";
        let found = Hierarchies::parse(hybrid);
        assert_eq!(found.unified, Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(found.v1["cpu"], found.v1["cpuacct"]);
        assert_eq!(found.v1["memory"], PathBuf::from("/sys/fs/cgroup/memory"));

        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let found = Hierarchies::parse(v2);
        assert!(found.v1.is_empty());
        assert_eq!(found.unified, Some("/sys/fs/cgroup".into()));
    }
}
