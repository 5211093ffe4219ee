//! How each limit is set and read back, under either version: all that is to be said about one is here.
//!
//! Files and units: "cgroup-v1/memory", "scheduler/sched-bwc" and "cgroup-v2" of the kernel's documentation.

use super::{Cgroup, files, v1, v2};
use keel_engine::{Limit, Limits};
use std::io;

/// Microseconds over which CPU time is limited.
const PERIOD: u64 = 100_000;

const SWAPPINESS: &str = "memory.swappiness";

/// At this and above the kernel means unlimited (pages rounded down from 2^63).
const UNLIMITED: u64 = i64::MAX as u64 / 65_536 * 65_536;

impl Cgroup {
    /// Sets all limits as they are named here, those that are missing to none; says which could not be.
    pub fn apply(&self, limits: &Limits) -> Result<(), (Limit, io::Error)> {
        let mut all = Limit::ALL.into_iter();
        all.try_for_each(|limit| {
            self.set(limit, limits.get(&limit).copied()).map_err(|error| (limit, error))
        })
    }

    /// Sets one limit.
    pub fn set(&self, limit: Limit, value: Option<u64>) -> io::Result<()> {
        match self {
            Self::V1(tree) => tree.set(limit, value),
            Self::V2(tree) => tree.set(limit, value),
        }
    }

    /// What is in force where nothing is asked for; `None`: no limit.
    pub fn usual(&self, limit: Limit) -> io::Result<Option<u64>> {
        match (self, limit) {
            (Self::V1(tree), Limit::Swappiness) => tree.swappiness_above().map(Some),
            _ => Ok(None),
        }
    }

    /// The limit that is in force.
    pub fn get(&self, limit: Limit) -> io::Result<Option<u64>> {
        match self {
            Self::V1(tree) => tree.get(limit),
            Self::V2(tree) => tree.get(limit),
        }
    }
}

impl v1::Tree {
    pub(super) fn set(&self, limit: Limit, value: Option<u64>) -> io::Result<()> {
        match limit {
            Limit::Memory => self.set_memory(value),
            Limit::Swappiness => self.set_swappiness(value),
            Limit::Cpus => self.set_quota(value.map(quota)),
            Limit::Pids => self.set_pids(value),
        }
    }

    pub(super) fn get(&self, limit: Limit) -> io::Result<Option<u64>> {
        match limit {
            Limit::Memory => self.memory(),
            Limit::Swappiness => files::number(self.of("memory")?, SWAPPINESS).map(Some),
            Limit::Cpus => self.cpus(),
            Limit::Pids => files::limit(self.of("pids")?, "pids.max"),
        }
    }

    /// Memory and swap together may never be below memory alone, not even between two writes.
    fn set_memory(&self, limit: Option<u64>) -> io::Result<()> {
        let Ok(folder) = self.of("memory") else { return granted("memory", limit) };
        let both = limit.map_or("-1".to_owned(), |limit| limit.saturating_mul(2).to_string());
        let alone = limit.map_or("-1".to_owned(), |limit| limit.to_string());
        let raises = limit.is_none() || self.memory()?.is_some_and(|old| limit > Some(old));
        if raises {
            files::write_if_there(folder, "memory.memsw.limit_in_bytes", &both)?;
        }
        files::write(folder, "memory.limit_in_bytes", &alone)?;
        files::write_if_there(folder, "memory.memsw.limit_in_bytes", &both)
    }

    fn set_quota(&self, quota: Option<u64>) -> io::Result<()> {
        let Ok(folder) = self.of("cpu") else { return granted("cpu", quota) };
        files::write(folder, "cpu.cfs_period_us", &PERIOD.to_string())?;
        let quota = quota.map_or("-1".to_owned(), |quota| quota.to_string());
        files::write(folder, "cpu.cfs_quota_us", &quota)
    }

    fn set_pids(&self, limit: Option<u64>) -> io::Result<()> {
        let Ok(folder) = self.of("pids") else { return granted("pids", limit) };
        files::write(folder, "pids.max", &limit.map_or("max".to_owned(), |max| max.to_string()))
    }

    fn memory(&self) -> io::Result<Option<u64>> {
        let limit = files::number(self.of("memory")?, "memory.limit_in_bytes")?;
        Ok((limit < UNLIMITED).then_some(limit))
    }

    fn cpus(&self) -> io::Result<Option<u64>> {
        let folder = self.of("cpu")?;
        let quota = files::read(folder, "cpu.cfs_quota_us")?;
        if quota == "-1" {
            return Ok(None);
        }
        let period = files::number(folder, "cpu.cfs_period_us")?.max(1);
        Ok(Some(nanos(files::parse(&quota)?) / period * PERIOD))
    }

    fn set_swappiness(&self, value: Option<u64>) -> io::Result<()> {
        let Ok(folder) = self.of("memory") else { return granted("memory", value) };
        let wanted = value.map_or_else(|| self.swappiness_above(), Ok)?;
        if files::number(folder, SWAPPINESS)? == wanted {
            return Ok(());
        }
        files::write(folder, SWAPPINESS, &wanted.to_string())
    }

    /// A cgroup begins with what the one above it has.
    fn swappiness_above(&self) -> io::Result<u64> {
        let folder = self.of("memory")?;
        files::number(folder.parent().unwrap_or(folder), SWAPPINESS)
    }
}

/// Without the controller, unlimited is what there is.
fn granted(controller: &str, limit: Option<u64>) -> io::Result<()> {
    match limit {
        None => Ok(()),
        Some(limit) => Err(io::Error::other(format!(
            "this host has no cgroup controller {controller}, so the limit {limit} cannot be kept"
        ))),
    }
}

impl v2::Tree {
    /// How readily it swaps cannot be said of one cgroup here: as with docker, that goes unheeded.
    pub(super) fn set(&self, limit: Limit, value: Option<u64>) -> io::Result<()> {
        match limit {
            Limit::Memory => self.set_memory(value),
            Limit::Swappiness => Ok(()),
            Limit::Cpus => self.set_quota(value.map(quota)),
            Limit::Pids => self.write("pids", "pids.max", &text(value)),
        }
    }

    pub(super) fn get(&self, limit: Limit) -> io::Result<Option<u64>> {
        match limit {
            Limit::Memory => files::limit(&self.path, "memory.max"),
            Limit::Swappiness => Err(io::ErrorKind::Unsupported.into()),
            Limit::Cpus => self.cpus(),
            Limit::Pids => files::limit(&self.path, "pids.max"),
        }
    }

    fn set_memory(&self, limit: Option<u64>) -> io::Result<()> {
        let limit = text(limit);
        self.write("memory", "memory.max", &limit)?;
        files::write_if_there(&self.path, "memory.swap.max", &limit)
    }

    fn set_quota(&self, quota: Option<u64>) -> io::Result<()> {
        self.write("cpu", "cpu.max", &format!("{} {PERIOD}", text(quota)))
    }

    /// Without the controller, unlimited is what there is.
    fn write(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        match files::write(&self.path, file, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.exists() => {
                if value.starts_with("max") {
                    return Ok(());
                }
                Err(io::Error::other(format!(
                    "the cgroup controller {controller} is not handed down to {}, so the limit \
                     {value} cannot be kept",
                    self.path.display()
                )))
            }
            other => other,
        }
    }

    fn cpus(&self) -> io::Result<Option<u64>> {
        let text = files::read(&self.path, "cpu.max")?;
        let (quota, period) = text.split_once(' ').unwrap_or((&text, "100000"));
        if quota == "max" {
            return Ok(None);
        }
        Ok(Some(nanos(files::parse(quota)?) / files::parse(period)?.max(1) * PERIOD))
    }
}

fn text(limit: Option<u64>) -> String {
    limit.map_or("max".to_owned(), |limit| limit.to_string())
}

/// What this kernel would hold for a limit: memory in whole pages; processor time in whole microseconds of each
/// 100 ms, at least 1 ms.
#[must_use]
pub fn held(limit: Limit, value: u64) -> u64 {
    match limit {
        Limit::Memory => {
            let page = rustix::param::page_size() as u64;
            value / page * page
        }
        Limit::Cpus => nanos(quota(value)),
        Limit::Swappiness | Limit::Pids => value,
    }
}

fn quota(nanos: u64) -> u64 {
    (nanos / (1_000_000_000 / PERIOD)).max(1_000)
}

fn nanos(quota: u64) -> u64 {
    quota * (1_000_000_000 / PERIOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_held_as_the_kernel_rounds_them() {
        assert_eq!(held(Limit::Memory, 67_108_865), 67_108_864);
        assert_eq!(held(Limit::Cpus, 1_500_000_000), 1_500_000_000);
        assert_eq!(held(Limit::Cpus, 1_500_000_001), 1_500_000_000);
        assert_eq!(held(Limit::Cpus, 1), 10_000_000);
    }
}
