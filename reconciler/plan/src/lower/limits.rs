//! What the container may use up.

use keel_engine::{TaskSpec, Ulimit};
use keel_spec::service::Limits;

/// Docker's size of /dev/shm: what unset means.
const SHM: u64 = 64 << 20;

pub(super) fn lower(limits: &Limits, spec: &mut TaskSpec) {
    spec.mem_limit = limits.memory;
    spec.mem_swappiness = limits.swappiness;
    spec.cpus = limits.cpus.map(|cpus| cpus.0);
    spec.pids_limit = limits.pids;
    spec.shm_size = limits.shm_size.filter(|bytes| *bytes != SHM);
    let of = |limit: Option<u64>| limit.map_or(-1, |n| i64::try_from(n).unwrap_or(-1));
    spec.ulimits = limits
        .ulimits
        .iter()
        .map(|(name, limit)| {
            (name.to_lowercase(), Ulimit { soft: of(limit.soft), hard: of(limit.hard) })
        })
        .collect();
}
