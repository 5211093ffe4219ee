//! How much a task may use: its cgroup's limits, and its process's.

use super::error::BundleError;
use super::inputs::HostFacts;
use crate::runtime::oci::{DeviceAccess, DeviceKind, Resources, Rlimit};
use keel_engine::{TaskSpec, limits_of};

/// The cgroup's limits. Only what is set is named.
pub fn resources(task: &TaskSpec, host: &HostFacts) -> Resources {
    Resources { devices: devices(task, host), limits: limits_of(task) }
}

/// null, zero, full, random, urandom, tty, console, ptmx.
const USUAL: [(i64, i64); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
/// Terminals of a devpts.
const PTS: i64 = 136;

/// Nothing but what every container has, and what is named. Making a node is harmless.
fn devices(task: &TaskSpec, host: &HostFacts) -> Vec<DeviceAccess> {
    if task.privileged {
        return vec![rule(DeviceKind::A, None, None, "rwm")];
    }
    let (character, block) = (DeviceKind::C, DeviceKind::B);
    let making = [rule(character, None, None, "m"), rule(block, None, None, "m")];
    let usual = USUAL.map(|(major, minor)| rule(character, Some(major), Some(minor), "rwm"));
    let named = host.devices.iter().map(|node| {
        let kind = if node.block { block } else { character };
        rule(kind, Some(node.major.into()), Some(node.minor.into()), &node.access)
    });
    let terminals = rule(character, Some(PTS), None, "rwm");
    making.into_iter().chain(usual).chain([terminals]).chain(named).collect()
}

fn rule(kind: DeviceKind, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceAccess {
    DeviceAccess { allow: true, kind, major, minor, access: Some(access.to_owned()) }
}

const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The process's limits, clamped to what may be granted.
pub fn rlimits(
    task: &TaskSpec,
    host: &HostFacts,
    warnings: &mut Vec<String>,
) -> Result<Vec<Rlimit>, BundleError> {
    let mut limits = Vec::new();
    for (name, asked) in &task.ulimits {
        if !RLIMITS.contains(&name.as_str()) {
            return Err(BundleError::Ulimit(name.clone()));
        }
        let ceiling = host.hard_limits.get(name).copied().unwrap_or(u64::MAX);
        let hard = clamp(name, "hard", asked.hard, ceiling, warnings);
        let soft = u64::try_from(asked.soft).unwrap_or(u64::MAX).min(hard);
        limits.push(Rlimit { kind: format!("RLIMIT_{}", name.to_uppercase()), hard, soft });
    }
    Ok(limits)
}

fn clamp(name: &str, which: &str, asked: i64, ceiling: u64, warnings: &mut Vec<String>) -> u64 {
    let value = u64::try_from(asked).unwrap_or(u64::MAX);
    if value > ceiling {
        warnings.push(format!(
            "ulimit {name}: the {which} limit {asked} is above this host's {ceiling}, which is \
             used instead"
        ));
    }
    value.min(ceiling)
}
