//! What this kernel can limit for a task.

use super::Hierarchies;
use super::hierarchies::CPUSET;
use keel_engine::KernelLimit;
use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// A limit, the controller that has it under version 1, and a file that the controller then has at its top.
const V1: &[(KernelLimit, &str, Option<&str>)] = &[
    (KernelLimit::Memory, "memory", Some("memory.limit_in_bytes")),
    (KernelLimit::Swap, "memory", Some("memory.memsw.limit_in_bytes")),
    (KernelLimit::Swappiness, "memory", Some("memory.swappiness")),
    (KernelLimit::Cpu, "cpu", Some("cpu.cfs_quota_us")),
    (KernelLimit::Cpuset, CPUSET, None),
    (KernelLimit::Pids, "pids", None),
    (KernelLimit::Blkio, "blkio", None),
];

/// The same under version 2, where the top has no such files.
const V2: &[(KernelLimit, &str)] = &[
    (KernelLimit::Memory, "memory"),
    (KernelLimit::Cpu, "cpu"),
    (KernelLimit::Cpuset, CPUSET),
    (KernelLimit::Pids, "pids"),
    (KernelLimit::Blkio, "io"),
];

impl Hierarchies {
    /// The version that tasks live under, by the same rule as their cgroups; `None` where none is mounted.
    pub fn version(&self) -> Option<u8> {
        if self.v1.is_empty() { self.unified.as_ref().map(|_| 2) } else { Some(1) }
    }

    /// What can be limited. An error where that cannot be told.
    pub fn kernel_limits(&self) -> io::Result<BTreeSet<KernelLimit>> {
        if !self.v1.is_empty() {
            return Ok(self.limits_of_v1());
        }
        let top = self.unified.as_deref().ok_or(io::ErrorKind::NotFound)?;
        limits_of_v2(top)
    }

    fn limits_of_v1(&self) -> BTreeSet<KernelLimit> {
        let has = |controller: &str, file: Option<&str>| {
            let folder = self.v1.get(controller);
            folder.is_some_and(|top| file.is_none_or(|file| top.join(file).exists()))
        };
        let there = V1.iter().filter(|(_, controller, file)| has(controller, *file));
        there.map(|(limit, ..)| *limit).collect()
    }
}

fn limits_of_v2(top: &Path) -> io::Result<BTreeSet<KernelLimit>> {
    let text = fs::read_to_string(top.join("cgroup.controllers"))?;
    let names: BTreeSet<&str> = text.split_ascii_whitespace().collect();
    let there = V2.iter().filter(|(_, controller)| names.contains(controller));
    let mut limits: BTreeSet<_> = there.map(|(limit, _)| *limit).collect();
    // Only cgroups below the top show whether swap is counted.
    let mut below = fs::read_dir(top)?.flatten();
    if below.any(|entry| entry.path().join("memory.swap.max").exists()) {
        limits.insert(KernelLimit::Swap);
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_limits_what_its_controllers_have_files_for() {
        let host = tempfile::tempdir().unwrap();
        let v1 = ["memory", "pids"].map(|name| (name.to_owned(), host.path().join(name))).into();
        fs::create_dir(host.path().join("memory")).unwrap();
        for file in ["memory.limit_in_bytes", "memory.swappiness"] {
            fs::write(host.path().join("memory").join(file), "").unwrap();
        }
        let found = Hierarchies { v1, unified: Some(host.path().into()) };
        assert_eq!(found.version(), Some(1));
        let expected = [KernelLimit::Memory, KernelLimit::Swappiness, KernelLimit::Pids].into();
        assert_eq!(found.kernel_limits().unwrap(), expected);
    }

    #[test]
    fn version_2_limits_what_its_top_hands_down() {
        let host = tempfile::tempdir().unwrap();
        fs::write(host.path().join("cgroup.controllers"), "cpu io memory\n").unwrap();
        fs::create_dir(host.path().join("a.slice")).unwrap();
        fs::write(host.path().join("a.slice/memory.swap.max"), "max").unwrap();
        let found = Hierarchies { unified: Some(host.path().into()), ..Hierarchies::default() };
        assert_eq!(found.version(), Some(2));
        let expected =
            [KernelLimit::Memory, KernelLimit::Swap, KernelLimit::Cpu, KernelLimit::Blkio].into();
        assert_eq!(found.kernel_limits().unwrap(), expected);
        let none = Hierarchies::default();
        assert_eq!(none.version(), None);
        assert!(none.kernel_limits().is_err(), "nothing is mounted");
    }
}
