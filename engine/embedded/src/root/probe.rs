//! What this machine lacks for running containers, each with its remedy.
//!
//! # Invariants
//! - [`lacks`] is pure: it judges [`Facts`]. What could not be found out is not called missing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Something that containers need and this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// What.
    pub feature: String,
    /// What to do about it.
    pub remedy: String,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.feature)
    }
}

/// What is known of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The effective user is root.
    pub root: bool,
    /// Kernel parts that the engine needs and that are neither built in, loaded nor loadable.
    pub missing_parts: BTreeSet<&'static str>,
    /// Namespaces that the kernel knows: `pid`, `mnt`, ….
    pub namespaces: BTreeSet<String>,
    /// cgroup controllers that are mounted and enabled.
    pub controllers: BTreeSet<String>,
    /// System call filters.
    pub seccomp: bool,
}

/// A part of the kernel that may be a module: its name, a symbol that it has when built in, and
/// its configuration option.
const PARTS: &[(&str, &str, &str)] = &[
    ("overlay", "ovl_fill_super", "CONFIG_OVERLAY_FS"),
    ("bridge", "br_dev_newlink", "CONFIG_BRIDGE"),
    ("veth", "veth_newlink", "CONFIG_VETH"),
    ("nf_tables", "nf_tables_newtable", "CONFIG_NF_TABLES"),
    ("nf_nat", "nf_nat_setup_info", "CONFIG_NF_NAT"),
    ("nf_conntrack", "nf_conntrack_in", "CONFIG_NF_CONNTRACK"),
];

/// Where a symbol's name begins in a line of `/proc/kallsyms`, behind its address and kind.
const SYMBOL: usize = 2 * size_of::<usize>() + 3;

const NAMESPACES: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "uts"];
const CONTROLLERS: &[&str] = &["cpu", "memory", "pids"];

/// Everything that this machine lacks, in the order in which it is best repaired.
#[must_use]
pub fn probe() -> Vec<Lack> {
    lacks(&Facts::gather())
}

/// The same, but for what takes long to find out: the parts of the kernel.
#[must_use]
pub fn essentials() -> Vec<Lack> {
    lacks(&Facts::gather_quick())
}

/// Judges the facts.
#[must_use]
pub fn lacks(facts: &Facts) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut lack = |feature: String, remedy: String| lacks.push(Lack { feature, remedy });
    if !facts.root {
        lack("root's rights".into(), "run it as root, for example with sudo".into());
    }
    for (name, _, option) in PARTS.iter().filter(|part| facts.missing_parts.contains(part.0)) {
        lack(
            format!("the kernel's {name}"),
            format!("run `modprobe {name}`, or use a kernel with {option}"),
        );
    }
    for name in NAMESPACES.iter().filter(|name| !facts.namespaces.contains(**name)) {
        lack(
            format!("{name} namespaces"),
            "use a kernel with CONFIG_NAMESPACES and its parts".into(),
        );
    }
    for name in CONTROLLERS.iter().filter(|name| !facts.controllers.contains(**name)) {
        lack(
            format!("the cgroup controller {name}"),
            format!(
                "mount it (`mount -t cgroup2 none /sys/fs/cgroup`), or boot without `cgroup_disable={name}`"
            ),
        );
    }
    if !facts.seccomp {
        lack("seccomp filters".into(), "use a kernel with CONFIG_SECCOMP_FILTER".into());
    }
    lacks
}

impl Facts {
    /// Looks at the machine.
    #[must_use]
    pub fn gather() -> Self {
        Self { missing_parts: missing_parts(), ..Self::gather_quick() }
    }

    fn gather_quick() -> Self {
        Self {
            root: nix::unistd::geteuid().is_root(),
            missing_parts: BTreeSet::new(),
            namespaces: entries(Path::new("/proc/self/ns")),
            controllers: controllers(),
            seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        }
    }
}

fn entries(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn missing_parts() -> BTreeSet<&'static str> {
    let mut missing: BTreeSet<_> = PARTS.iter().map(|part| part.0).collect();
    missing.retain(|name| !Path::new("/sys/module").join(name).exists());
    let modules = modules();
    missing.retain(|name| !modules.contains(*name));
    if missing.is_empty() {
        return missing;
    }
    // Built in, without a parameter that would give it a folder in /sys/module.
    let Ok(symbols) = fs::read_to_string("/proc/kallsyms") else { return BTreeSet::new() };
    for line in symbols.lines() {
        let symbol = line.get(SYMBOL..).unwrap_or_default().split_ascii_whitespace().next();
        if let Some(part) = PARTS.iter().find(|part| Some(part.1) == symbol) {
            missing.remove(part.0);
        }
        if missing.is_empty() {
            break;
        }
    }
    missing
}

/// Names of the modules that this kernel has on disk or built in.
fn modules() -> BTreeSet<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let folder = Path::new("/lib/modules").join(release.trim());
    let texts =
        ["modules.dep", "modules.builtin"].map(|name| fs::read_to_string(folder.join(name)));
    let name = |line: &str| {
        let file = line.split(':').next()?.rsplit('/').next()?;
        Some(file.split('.').next()?.replace('-', "_"))
    };
    texts.iter().flatten().flat_map(|text| text.lines().filter_map(name)).collect()
}

/// Version 2 names its controllers in one file; version 1 has a mount for each.
fn controllers() -> BTreeSet<String> {
    if let Ok(unified) = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        return unified.split_ascii_whitespace().map(str::to_owned).collect();
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let options = |line: &str| {
        let mut fields = line.split(' ').skip(2);
        (fields.next() == Some("cgroup")).then(|| fields.next().unwrap_or_default().to_owned())
    };
    let words = mounts.lines().filter_map(options).collect::<Vec<_>>().join(",");
    words.split(',').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Facts {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Facts {
            root: true,
            missing_parts: BTreeSet::new(),
            namespaces: owned(NAMESPACES),
            controllers: owned(CONTROLLERS),
            seccomp: true,
        }
    }

    #[test]
    fn each_lack_is_named() {
        type Take = fn(&mut Facts);
        let cases: [(&str, Take); 5] = [
            ("root's rights", |facts| facts.root = false),
            ("the kernel's veth", |facts| facts.missing_parts = ["veth"].into()),
            ("pid namespaces", |facts| facts.namespaces.retain(|name| name != "pid")),
            ("the cgroup controller memory", |facts| {
                facts.controllers.retain(|name| name != "memory")
            }),
            ("seccomp filters", |facts| facts.seccomp = false),
        ];
        assert_eq!(lacks(&all()), []);
        for (named, take) in cases {
            let mut facts = all();
            take(&mut facts);
            let found: Vec<_> = lacks(&facts).iter().map(Lack::to_string).collect();
            assert_eq!(found, [named]);
        }
    }

    #[test]
    fn the_machine_that_runs_this_has_what_it_needs() {
        let facts = Facts::gather();
        assert_eq!(facts.missing_parts, BTreeSet::new());
        assert!(facts.controllers.contains("memory"), "{facts:?}");
    }
}
