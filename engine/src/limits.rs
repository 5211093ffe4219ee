//! The limits of a task's cgroup. A new one is a variant here, a field of [`TaskSpec`] with its row, and the
//! files of each version of cgroups that hold it.

use crate::{TaskSpec, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One limit. In the order in which they are set: memory alone comes before what refers to it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Memory in bytes; swap as much again, as docker grants it.
    Memory,
    /// How readily the kernel swaps: 0 to 100. Only version 1 of cgroups has it for each.
    Swappiness,
    /// Processor time in nanoseconds per second.
    Cpus,
    /// Processes.
    Pids,
}

/// Limits that are set; what is missing is unlimited, or as the cgroup above has it.
pub type Limits = BTreeMap<Limit, u64>;

impl Limit {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Swappiness, Self::Cpus, Self::Pids];

    /// What a task asks for.
    #[must_use]
    pub fn of(self, task: &TaskSpec) -> Option<u64> {
        match self {
            Self::Memory => task.mem_limit,
            Self::Swappiness => task.mem_swappiness,
            Self::Cpus => task.cpus,
            Self::Pids => task.pids_limit,
        }
    }

    /// A number of it, as people are shown it.
    #[must_use]
    pub fn value(self, number: Option<u64>) -> Value {
        let count = |number| Value::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let shown = match self {
            Self::Memory => Value::Bytes,
            Self::Cpus => Value::Cpus,
            Self::Swappiness | Self::Pids => count,
        };
        number.map_or(Value::Unset, shown)
    }
}

/// What is limited.
impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Swappiness => "swapping",
            Self::Cpus => "CPU time",
            Self::Pids => "processes",
        })
    }
}

/// All that a task asks for.
#[must_use]
pub fn limits_of(task: &TaskSpec) -> Limits {
    Limit::ALL.into_iter().filter_map(|limit| Some((limit, limit.of(task)?))).collect()
}
