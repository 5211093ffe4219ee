//! What the container may use up.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::decode::Field;
use crate::item::Type;
use crate::scalar::{self, NanoCpus};

/// Limits of one container. `mem_limit` and `deploy.resources.limits.memory` are one value here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes; absent: none.
    pub memory: Option<u64>,
    /// How readily the kernel swaps, 0 to 100; absent: as the host has it.
    pub swappiness: Option<u64>,
    /// CPU time; absent: none.
    pub cpus: Option<NanoCpus>,
    /// Processes; absent: none.
    pub pids: Option<u64>,
    /// Size of `/dev/shm` in bytes; absent: the engine's default.
    pub shm_size: Option<u64>,
    /// `ulimits` by name.
    pub ulimits: BTreeMap<String, Ulimit>,
}

/// One resource limit of the process; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// What the process starts with.
    pub soft: Option<u64>,
    /// How far it may raise that.
    pub hard: Option<u64>,
}

impl Limits {
    /// Reads the limits, from the service's own keys and from `deploy.resources.limits`.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let deployed = |key: &str| {
            let resources = service.get("deploy")?.get("resources")?;
            resources.get("limits")?.get(key)
        };
        let ulimits = service.get("ulimits").map(|field| ulimits(&field)).unwrap_or_default();
        Self {
            memory: agreed(service, "mem_limit", deployed("memory"), memory).filter(|n| *n > 0),
            swappiness: service.get("mem_swappiness").and_then(|field| swappiness(&field)),
            cpus: agreed(service, "cpus", deployed("cpus"), cpus).filter(|cpus| cpus.0 > 0),
            pids: agreed(service, "pids_limit", deployed("pids"), pids).flatten(),
            shm_size: service.get("shm_size").and_then(|field| field.bytes()),
            ulimits,
        }
    }
}

/// `deploy` takes sizes as text only: a number there is a unit that was forgotten.
pub(super) fn memory(field: &Field<'_>) -> Option<u64> {
    let number = field.item.as_scalar().is_some_and(|scalar| scalar.ty() == Type::Int);
    if number && field.path.starts_with("deploy.") {
        return field.wrong("a size with its unit, such as `512m`");
    }
    field.bytes()
}

fn swappiness(field: &Field<'_>) -> Option<u64> {
    let percent = |text: &str| text.parse().ok().filter(|percent| *percent <= 100);
    field.parsed("a number from 0 to 100", percent)
}

pub(super) fn cpus(field: &Field<'_>) -> Option<NanoCpus> {
    field.parsed("a number of CPUs such as `0.5`", scalar::cpus)
}

/// `Some(None)` is without limit.
fn pids(field: &Field<'_>) -> Option<Option<u64>> {
    let number = field.parsed("a number of processes, or -1", |text| text.parse::<i64>().ok())?;
    Some(u64::try_from(number).ok().filter(|number| *number > 0))
}

/// One limit that two keys may give. Where both do, they must agree.
fn agreed<T: PartialEq>(
    service: &Field<'_>,
    key: &str,
    deployed: Option<Field<'_>>,
    read: impl Fn(&Field<'_>) -> Option<T>,
) -> Option<T> {
    let own = service.get(key);
    let Some(field) = deployed else { return read(&own?) };
    let value = read(&field)?;
    service.scope.origin(key, field.place());
    let Some(own) = own else { return Some(value) };
    if read(&own)? != value {
        let message = format!("{} and `{}` say different things", own.name(), field.path);
        own.refuse(Code::Conflict, message);
    }
    Some(value)
}

fn ulimits(field: &Field<'_>) -> BTreeMap<String, Ulimit> {
    let one = |(name, field): (&str, Field<'_>)| Some((name.to_owned(), ulimit(&field)?));
    field.entries().into_iter().filter_map(one).collect()
}

fn ulimit(field: &Field<'_>) -> Option<Ulimit> {
    if field.item.text().is_some() {
        let both = limit(field)?;
        return Some(Ulimit { soft: both, hard: both });
    }
    match (field.get("soft"), field.get("hard")) {
        (Some(soft), Some(hard)) => {
            field.mark();
            Some(Ulimit { soft: limit(&soft)?, hard: limit(&hard)? })
        }
        (None, _) => field.lacks("soft", "a number, or a mapping"),
        (_, None) => field.lacks("hard", "a number, or a mapping"),
    }
}

fn limit(field: &Field<'_>) -> Option<Option<u64>> {
    let wanted = "a number, or -1 for no limit";
    field.parsed(wanted, |text| match text {
        "-1" | "unlimited" => Some(None),
        text => text.parse().ok().map(Some),
    })
}
