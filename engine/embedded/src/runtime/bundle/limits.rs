//! How much a task may use: its cgroup's limits, and its process's.

use super::{BundleError, HostFacts};
use keel_engine::TaskSpec;
use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
    LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder, PosixRlimit,
    PosixRlimitBuilder, PosixRlimitType,
};

/// The cgroup's limits. Only what is set is named.
pub fn resources(task: &TaskSpec, host: &HostFacts) -> LinuxResources {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let mut resources = LinuxResourcesBuilder::default().devices(devices(task, host));
    if let Some(limit) = task.mem_limit {
        let memory = LinuxMemoryBuilder::default();
        let memory = memory.limit(signed(limit)).swap(signed(limit.saturating_mul(2)));
        resources = resources.memory(memory.build().expect("every part has a default"));
    }
    if let Some(nanos) = task.cpus {
        let cpu = LinuxCpuBuilder::default().period(100_000_u64).quota(signed(nanos / 10_000));
        resources = resources.cpu(cpu.build().expect("every part has a default"));
    }
    if let Some(limit) = task.pids_limit {
        let pids = LinuxPidsBuilder::default().limit(signed(limit));
        resources = resources.pids(pids.build().expect("the limit is set"));
    }
    resources.build().expect("every part has a default")
}

/// null, zero, full, random, urandom, tty, console, ptmx.
const USUAL: [(i64, i64); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
/// Terminals of a devpts.
const PTS: i64 = 136;

/// Nothing but what every container has, and what is named. Making a node is harmless.
fn devices(task: &TaskSpec, host: &HostFacts) -> Vec<LinuxDeviceCgroup> {
    if task.privileged {
        return vec![rule(LinuxDeviceType::A, None, None, "rwm")];
    }
    let (character, block) = (LinuxDeviceType::C, LinuxDeviceType::B);
    let making = [rule(character, None, None, "m"), rule(block, None, None, "m")];
    let usual = USUAL.map(|(major, minor)| rule(character, Some(major), Some(minor), "rwm"));
    let named = host.devices.iter().map(|node| {
        let kind = if node.block { block } else { character };
        rule(kind, Some(node.major.into()), Some(node.minor.into()), &node.access)
    });
    let terminals = rule(character, Some(PTS), None, "rwm");
    making.into_iter().chain(usual).chain([terminals]).chain(named).collect()
}

fn rule(
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(true).typ(kind).access(access);
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build().expect("every part has a default")
}

#[rustfmt::skip]
const RLIMITS: [(&str, PosixRlimitType); 16] = [
    ("as", PosixRlimitType::RlimitAs),
    ("core", PosixRlimitType::RlimitCore),
    ("cpu", PosixRlimitType::RlimitCpu),
    ("data", PosixRlimitType::RlimitData),
    ("fsize", PosixRlimitType::RlimitFsize),
    ("locks", PosixRlimitType::RlimitLocks),
    ("memlock", PosixRlimitType::RlimitMemlock),
    ("msgqueue", PosixRlimitType::RlimitMsgqueue),
    ("nice", PosixRlimitType::RlimitNice),
    ("nofile", PosixRlimitType::RlimitNofile),
    ("nproc", PosixRlimitType::RlimitNproc),
    ("rss", PosixRlimitType::RlimitRss),
    ("rtprio", PosixRlimitType::RlimitRtprio),
    ("rttime", PosixRlimitType::RlimitRttime),
    ("sigpending", PosixRlimitType::RlimitSigpending),
    ("stack", PosixRlimitType::RlimitStack),
];

/// The process's limits, clamped to what may be granted.
pub fn rlimits(
    task: &TaskSpec,
    host: &HostFacts,
    warnings: &mut Vec<String>,
) -> Result<Vec<PosixRlimit>, BundleError> {
    let mut limits = Vec::new();
    for (name, asked) in &task.ulimits {
        let known = RLIMITS.iter().find(|(known, _)| known == name);
        let (_, kind) = known.ok_or_else(|| BundleError::Ulimit(name.clone()))?;
        let ceiling = host.hard_limits.get(name).copied().unwrap_or(u64::MAX);
        let hard = clamp(name, "hard", asked.hard, ceiling, warnings);
        let soft = u64::try_from(asked.soft).unwrap_or(u64::MAX).min(hard);
        let limit = PosixRlimitBuilder::default().typ(*kind).hard(hard).soft(soft);
        limits.push(limit.build().expect("type and values are set"));
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
