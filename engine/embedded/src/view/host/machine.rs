//! The machine's name, processor, memory and limits.

use crate::runtime::cgroup::Hierarchies;
use keel_engine::{HostFacts, KernelLimits};
use keel_images::Platform;
use std::fs;

/// Everything but devices and addresses.
pub(super) fn read() -> HostFacts {
    let Platform { os, architecture, variant } = Platform::host();
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let hostname = nix::unistd::gethostname().unwrap_or_default();
    let hierarchies = Hierarchies::read().ok();
    HostFacts {
        hostname: hostname.to_string_lossy().into_owned(),
        os,
        architecture,
        variant,
        nano_cpus: processors(online.trim()).unwrap_or(0) * 1_000_000_000,
        memory: total_memory(&memory).unwrap_or(0),
        cgroup_version: hierarchies.as_ref().and_then(Hierarchies::version),
        limits: hierarchies.and_then(|all| all.kernel_limits().ok()).map(KernelLimits),
        ..HostFacts::default()
    }
}

/// How many processors a list has: `0-3,5`.
fn processors(list: &str) -> Option<u64> {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    list.split(',').map(count).sum()
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_by_their_ranges() {
        for (list, expected) in [
            ("0", Some(1)),
            ("0-3", Some(4)),
            ("0-1,3,6-7", Some(5)),
            ("", None),
            ("3-1", None),
            ("a", None),
        ] {
            assert_eq!(processors(list), expected, "{list}");
        }
    }

    #[test]
    fn memory_is_the_total() {
        let text = "MemFree:  1 kB\nMemTotal:       24684096 kB\n";
        assert_eq!(total_memory(text), Some(24_684_096 << 10));
        assert_eq!(total_memory("MemFree: 1 kB"), None);
    }

    #[test]
    fn this_machine_is_described() {
        let found = read();
        let cpus = std::thread::available_parallelism().unwrap().get() as u64;
        assert!(found.nano_cpus >= cpus * 1_000_000_000, "{found:?}");
        assert!(found.memory > 64 << 20, "{found:?}");
        assert_eq!(found.os, "linux");
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(found.hostname, name.trim());
        let KernelLimits(limits) = found.limits.as_ref().unwrap();
        assert!(limits.contains(&keel_engine::KernelLimit::Memory), "{found:?}");
    }
}
