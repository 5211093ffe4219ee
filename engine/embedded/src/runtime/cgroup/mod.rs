//! A task's cgroup, under version 1, 2, or both (hybrid).

use std::io;

/// A task's cgroup: `keel-KEY/ID12` in each hierarchy.
#[derive(Debug, Clone)]
pub struct Cgroup {}

impl Cgroup {
    /// The cgroup at `relative` (see [`crate::layout::Layout::cgroup`]), which need not exist.
    pub fn at(_relative: &str) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Makes it in each hierarchy, parents included. Once is enough.
    pub fn create(&self) -> io::Result<()> {
        Ok(())
    }

    /// Sets the memory limit in bytes; `None` is unlimited. Swap is limited to as much again.
    pub fn set_memory(&self, _limit: Option<u64>) -> io::Result<()> {
        Ok(())
    }

    /// Sets the CPU limit in nanoseconds per second.
    pub fn set_cpus(&self, _limit: Option<u64>) -> io::Result<()> {
        Ok(())
    }

    /// Sets the process limit.
    pub fn set_pids(&self, _limit: Option<u64>) -> io::Result<()> {
        Ok(())
    }

    /// The memory limit that is in force.
    pub fn memory(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// The CPU limit that is in force, in nanoseconds per second.
    pub fn cpus(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// The process limit that is in force.
    pub fn pids(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Memory in use, in bytes.
    pub fn memory_usage(&self) -> io::Result<u64> {
        Ok(0)
    }

    /// CPU time used, in nanoseconds.
    pub fn cpu_usage(&self) -> io::Result<u64> {
        Ok(0)
    }

    /// The processes inside, as the host sees them.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        Ok(Vec::new())
    }

    /// Kills all processes inside and waits until they are gone.
    pub fn kill(&self) -> io::Result<()> {
        Ok(())
    }

    /// Removes it; one that is not there is fine.
    pub fn remove(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What this kernel would hold for a memory limit: whole pages.
#[must_use]
pub fn held_memory(limit: u64) -> u64 {
    limit & !4095
}

/// What this kernel would hold for a CPU limit: whole microseconds in 100 ms.
#[must_use]
pub fn held_cpus(limit: u64) -> u64 {
    limit / 10_000 * 10_000
}
