//! Facts about a node's machine, for whoever places and judges tasks. Sizes are in bytes.
//!
//! # Invariants
//! - A fact that a node does not report is unknown: it cannot tell, or it runs an older version. Nothing is
//!   concluded from an unknown fact.

use crate::Limit;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Component, Path};

/// What a node reports about its machine. Read when the engine starts, and again when something changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// The machine's host name.
    pub hostname: String,
    /// The operating system, in the words of images: `linux`.
    pub os: String,
    /// The processor's architecture, in the words of images: `amd64`, `arm64`.
    pub architecture: String,
    /// Its variant where there is one: `v7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// CPU time of all online processors: a billion nanoCPUs each. 0 is unknown.
    pub nano_cpus: u64,
    /// Installed memory. 0 is unknown.
    pub memory: u64,
    /// IP addresses without loopback, link-local addresses and those of its containers' networks.
    pub addresses: Vec<IpAddr>,
    /// Labels that the engine was configured with.
    pub labels: BTreeMap<String, String>,
    /// The version of cgroups that tasks run under.
    pub cgroup_version: Option<u8>,
    /// What the kernel can limit for a task.
    pub limits: Option<KernelLimits>,
    /// Its devices.
    pub devices: Option<HostDevices>,
}

impl HostFacts {
    /// Whether a device, or a folder of devices, exists at this path. `None` if unknown.
    #[must_use]
    pub fn has_device(&self, path: &str) -> Option<bool> {
        self.devices.as_ref()?.has(path)
    }

    /// Whether a task with this limit can start. `None` if unknown.
    #[must_use]
    pub fn can_limit(&self, limit: Limit) -> Option<bool> {
        // Version 2 has one value for the whole host: the task's own is ignored there, as docker does.
        if limit == Limit::Swappiness && self.cgroup_version == Some(2) {
            return Some(true);
        }
        let KernelLimits(limits) = self.limits.as_ref()?;
        Some(limits.contains(&KernelLimit::of(limit)))
    }
}

/// Something that a kernel can limit for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelLimit {
    /// Memory.
    Memory,
    /// Memory and swap together.
    Swap,
    /// How readily the kernel swaps.
    Swappiness,
    /// CPU time.
    Cpu,
    /// The set of processors.
    Cpuset,
    /// Processes.
    Pids,
    /// Block I/O.
    Blkio,
}

impl KernelLimit {
    /// What this limit of a task needs.
    #[must_use]
    pub fn of(limit: Limit) -> Self {
        match limit {
            Limit::Memory => Self::Memory,
            Limit::Swappiness => Self::Swappiness,
            Limit::Cpus => Self::Cpu,
            Limit::Pids => Self::Pids,
        }
    }
}

/// Everything that a kernel can limit. Names that only a later version knows are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KernelLimits(pub BTreeSet<KernelLimit>);

impl<'de> Deserialize<'de> for KernelLimits {
    fn deserialize<D: Deserializer<'de>>(stored: D) -> Result<Self, D::Error> {
        let words = Vec::<crate::Opaque>::deserialize(stored)?;
        let known = words.into_iter().filter_map(|word| KernelLimit::deserialize(word).ok());
        Ok(Self(known.collect()))
    }
}

/// The devices of a node, by the paths that a task can ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostDevices {
    /// Folders whose devices are all known: `/dev`.
    pub listed: BTreeSet<String>,
    /// Folders below those whose content is unknown: `/dev/pts`.
    pub unlisted: BTreeSet<String>,
    /// Absolute paths of devices, links to devices, and folders.
    pub paths: BTreeSet<String>,
}

impl HostDevices {
    /// Whether a device, or a folder of devices, exists at this path. `None` if unknown.
    #[must_use]
    pub fn has(&self, path: &str) -> Option<bool> {
        let path = plain(path)?;
        let is_in = |folder: &String| Path::new(&path).starts_with(folder);
        if self.paths.contains(&path) {
            return Some(true);
        }
        let is_known = self.listed.iter().any(is_in) && !self.unlisted.iter().any(is_in);
        is_known.then_some(false)
    }
}

/// An absolute path in its shortest form. `None` if only the node can tell where it leads.
fn plain(path: &str) -> Option<String> {
    let mut plain = String::new();
    for part in Path::new(path).components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => plain = format!("{plain}/{}", name.to_str()?),
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    path.starts_with('/').then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_device_is_there_or_not_or_nobody_knows() {
        let devices = HostDevices {
            listed: words(&["/dev"]),
            unlisted: words(&["/dev/pts", "/dev/fd"]),
            paths: words(&["/dev/null", "/dev/snd", "/dev/snd/timer"]),
        };
        let cases = [
            ("/dev/null", Some(true)),
            ("/dev//null", Some(true)),
            ("/dev/./snd/", Some(true)),
            ("/dev/snd/timer", Some(true)),
            ("/dev/ttyUSB0", Some(false)),
            ("/dev/nullx", Some(false)),
            ("/dev/pts/0", None),
            ("/dev/fd/3", None),
            ("/dev/snd/../null", None),
            ("/srv/device", None),
            ("dev/null", None),
        ];
        for (path, expected) in cases {
            assert_eq!(devices.has(path), expected, "{path}");
        }
        assert_eq!(HostFacts::default().has_device("/dev/null"), None, "nothing was reported");
    }

    #[test]
    fn a_missing_limit_is_told_from_an_ignored_one() {
        let limits = Some(KernelLimits([KernelLimit::Memory, KernelLimit::Swappiness].into()));
        let v1 = HostFacts { cgroup_version: Some(1), limits, ..HostFacts::default() };
        let can = Limit::ALL.map(|limit| v1.can_limit(limit));
        assert_eq!(can, [Some(true), Some(true), Some(false), Some(false)]);
        let limits = Some(KernelLimits([KernelLimit::Memory].into()));
        let v2 = HostFacts { cgroup_version: Some(2), limits, ..HostFacts::default() };
        assert_eq!(v2.can_limit(Limit::Swappiness), Some(true));
        assert_eq!(HostFacts::default().can_limit(Limit::Memory), None, "nothing was reported");
    }

    #[test]
    fn facts_of_other_versions_are_read() {
        let read = |text: &str| serde_json::from_str::<HostFacts>(text).unwrap();
        assert_eq!(read("{}"), HostFacts::default());
        let later = read(r#"{"limits":["cpu","dreams"],"planet":"x"}"#);
        assert_eq!(later.limits, Some(KernelLimits([KernelLimit::Cpu].into())));
    }
}
