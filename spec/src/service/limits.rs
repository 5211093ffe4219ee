//! What the container may use up.

use std::collections::BTreeMap;
use std::fmt;

/// Limits of one container. `mem_limit` and `deploy.resources.limits.memory` are one value here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes; absent: none.
    pub memory: Option<u64>,
    /// CPU time; absent: none.
    pub cpus: Option<NanoCpus>,
    /// Processes; absent: none.
    pub pids: Option<u64>,
    /// Size of `/dev/shm` in bytes; absent: the engine's default.
    pub shm_size: Option<u64>,
    /// `ulimits` by name.
    pub ulimits: BTreeMap<String, Ulimit>,
}

/// CPU time in billionths of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoCpus(pub u64);

/// As Compose writes it: `0.5`, `2`.
impl fmt::Display for NanoCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{part:09}").trim_end_matches('0'))
    }
}

/// One resource limit of the process; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// What the process starts with.
    pub soft: Option<u64>,
    /// How far it may raise that.
    pub hard: Option<u64>,
}
