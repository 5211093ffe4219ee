//! Reads back what is really there, and compares it with what was applied: drift.
//!
//! # Invariants
//! - Compared is with what this kernel would hold for the applied value.
//! - What cannot be read yields no finding: nothing is guessed.

mod attachments;
pub(crate) mod inside;

pub(crate) use attachments::is_joined;

use crate::Layout;
use crate::network::stored::Stored;
use crate::network::{self, Network, NetworkFinding, Scope};
use crate::root::record::{Process, ShimState};
use crate::runtime::cgroup::{self, Cgroup};
use crate::task::records::Records;
use crate::{clock, resolver, root::record};
use keel_engine::fields::{Cost, FIELDS, FieldRow, Reader};
use keel_engine::{
    EngineError, ExitCause, FieldPath, Finding, FindingCause, FindingSubject, Goal, Limit,
    MountSource, NetworkMode, NetworkSpec, ObservedTask, Phase, Result, StackName, TaskAssignment,
    TaskId, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a process that was killed from outside is told of, once it runs again.
const TOLD: u64 = 24 * 60 * 60 * 1000;

/// What of a task differs from what was applied.
pub(crate) fn task(layout: &Layout, records: &Records, seen: &ObservedTask) -> Vec<Finding> {
    let mut findings: Vec<_> = killed(records, seen, clock::now()).into_iter().collect();
    let process = records.state.as_ref().and_then(|state| state.process.clone());
    let Some(process) = process.filter(|_| seen.phase == Phase::Running) else { return findings };
    // What is being changed in place is a change on its way, and no drift.
    let changes = records.work.generation < records.wish.generation;
    let settled = |row: &&FieldRow| !changes || row.cost() != Cost::InPlace;
    let task = Reading { layout, records, process: &process, apart: seen.apart };
    for row in FIELDS.iter().filter(settled) {
        let Some(reader) = row.readback.reader() else { continue };
        let Some((applied, observed)) = task.read(reader) else { continue };
        findings.extend(differences(subject(&records.wish), row, applied, observed));
    }
    let differing = attachments::differing(&process, &records.work.endpoints, &records.wish.spec);
    findings.extend(
        differing.into_iter().map(|(path, applied, observed)| {
            finding(subject(&records.wish), path, applied, observed)
        }),
    );
    findings
}

/// Of a map, each key that differs.
fn differences(
    subject: FindingSubject,
    row: &FieldRow,
    applied: Value,
    observed: Value,
) -> Vec<Finding> {
    let (Value::Map(was), Value::Map(is)) = (&applied, &observed) else {
        let path = FieldPath::Row(row.field);
        let differs = (applied != observed).then(|| finding(subject, path, applied, observed));
        return differs.into_iter().collect();
    };
    let keys: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    let of = |map: &BTreeMap<String, String>, key| {
        map.get(key).map_or(Value::Unset, |value: &String| Value::Text(value.clone()))
    };
    keys.into_iter()
        .filter(|key| was.get(*key) != is.get(*key))
        .map(|key| {
            let path = FieldPath::Key(row.field, key.clone());
            finding(subject.clone(), path, of(was, key), of(is, key))
        })
        .collect()
}

fn finding(subject: FindingSubject, path: FieldPath, applied: Value, observed: Value) -> Finding {
    Finding { subject, path, applied, observed, cause: None, fixed: false }
}

/// A task as what differs.
fn subject(wish: &TaskAssignment) -> FindingSubject {
    FindingSubject::Task { id: Some(wish.id.clone()), slot: wish.place.slot().cloned() }
}

struct Reading<'a> {
    layout: &'a Layout,
    records: &'a Records,
    process: &'a Process,
    /// It shares the namespace of a task that has another one by now.
    apart: bool,
}

impl Reading<'_> {
    /// What the kernel would hold and what it holds; `None` where that cannot be known.
    fn read(&self, reader: Reader) -> Option<(Value, Value)> {
        match reader {
            Reader::Limit(limit) => self.limit(limit),
            Reader::Sysctls => self.sysctls(),
            Reader::Ulimits => self.ulimits(),
            Reader::Layers => self.image(),
            Reader::Mounts => self.volumes(),
            Reader::Namespace => Some(self.namespace()),
            // Each field of theirs is a finding of its own.
            Reader::Attachments => None,
            // Their elements are read for all tasks at once.
            Reader::PortTables => None,
        }
    }

    fn limit(&self, limit: Limit) -> Option<(Value, Value)> {
        let own = self.cgroup()?;
        let asked = limit.of(&self.records.wish.spec).map(|value| cgroup::held(limit, value));
        let applied = asked.map_or_else(|| own.usual(limit), |asked| Ok(Some(asked))).ok()?;
        Some((limit.value(applied), limit.value(own.get(limit).ok()?)))
    }

    fn sysctls(&self) -> Option<(Value, Value)> {
        let wanted = &self.records.wish.spec.sysctls;
        Some((map(wanted.clone()), map(inside::sysctls(self.process, wanted)?)))
    }

    fn cgroup(&self) -> Option<Cgroup> {
        let id = &self.records.wish.id;
        Cgroup::at(&format!("{}/{}", self.layout.cgroup(), id.short())).ok()
    }

    /// Against the specification of the run: a limit beyond what this host grants was cut there.
    fn ulimits(&self) -> Option<(Value, Value)> {
        if self.records.wish.spec.ulimits.is_empty() {
            return Some((Value::Unset, Value::Unset));
        }
        let shown = |(name, soft, hard): &(String, u64, u64)| {
            (name.clone(), format!("{}:{}", inside::shown(*soft), inside::shown(*hard)))
        };
        let applied: BTreeMap<_, _> =
            limits_of_run(self.layout, &self.records.wish)?.iter().map(shown).collect();
        let mut held = inside::limits(self.process)?;
        held.retain(|name, _| applied.contains_key(name));
        Some((map(applied), map(held)))
    }

    /// The layers that the root is made of.
    fn image(&self) -> Option<(Value, Value)> {
        let work = &self.records.work;
        let digest = work.digest.as_ref()?.to_string();
        let whole = work.layers.iter().all(|layer| layer.is_dir());
        let observed = if whole { digest.clone() } else { "layers missing".to_owned() };
        Some((Value::Text(digest), Value::Text(observed)))
    }

    /// Whose network namespace it is in.
    fn namespace(&self) -> (Value, Value) {
        let applied = match &self.records.wish.spec.network_mode {
            NetworkMode::Service(name) => format!("service:{name}"),
            NetworkMode::Container(name) => format!("container:{name}"),
            NetworkMode::Networks | NetworkMode::Host | NetworkMode::None => {
                return (Value::Unset, Value::Unset);
            }
        };
        let observed =
            if self.apart { format!("{applied}, as it was before") } else { applied.clone() };
        (Value::Text(applied), Value::Text(observed))
    }

    /// Those whose folder is there still.
    fn volumes(&self) -> Option<(Value, Value)> {
        let volumes = volumes_of(self.records);
        if volumes.is_empty() {
            return Some((Value::Unset, Value::Unset));
        }
        let gone = inside::gone_mounts(self.process)?;
        let (applied, observed): (Vec<_>, Vec<_>) = volumes
            .into_iter()
            .map(|(target, name)| {
                let lost = gone.contains(&target);
                let shown = format!("{name}:{target}");
                (shown.clone(), if lost { format!("{shown} (deleted)") } else { shown })
            })
            .unzip();
        Some((list(applied), list(observed)))
    }
}

/// The volumes that a task has, with a name of their own or without: target and name.
fn volumes_of(records: &Records) -> BTreeMap<String, String> {
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    let named = records.wish.spec.volumes.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some((plain(&mount.target), name.clone())),
        _ => None,
    });
    let anonymous = records.work.anonymous.iter();
    named.chain(anonymous.map(|(target, name)| (plain(target), name.clone()))).collect()
}

/// Targets of volumes whose folder was deleted under the running process.
pub(crate) fn lost_volumes(records: &Records, process: &Process) -> Vec<String> {
    let gone = inside::gone_mounts(process).unwrap_or_default();
    volumes_of(records).into_keys().filter(|target| gone.contains(target)).collect()
}

/// The limits that a task asked for as its run got them: name, soft, hard.
pub(crate) fn limits_of_run(
    layout: &Layout,
    wish: &TaskAssignment,
) -> Option<Vec<(String, u64, u64)>> {
    let config = layout.task(&wish.id).config();
    let spec = record::load::<crate::runtime::oci::Spec>(&config).ok()??;
    let named = spec.process.rlimits.into_iter().map(|limit| {
        (limit.kind.trim_start_matches("RLIMIT_").to_lowercase(), limit.soft, limit.hard)
    });
    Some(named.filter(|(name, ..)| wish.spec.ulimits.contains_key(name)).collect())
}

fn map(values: BTreeMap<String, String>) -> Value {
    if values.is_empty() { Value::Unset } else { Value::Map(values) }
}

fn list(values: Vec<String>) -> Value {
    if values.is_empty() { Value::Unset } else { Value::List(values) }
}

/// A process that somebody else killed: for a day, or until it runs again if that is later.
fn killed(records: &Records, seen: &ObservedTask, now: u64) -> Option<Finding> {
    let state: &ShimState = records.state.as_ref()?;
    let (at, signal) = state.killed?;
    let down = seen.phase != Phase::Running;
    let still = down && state.exit_cause == Some(ExitCause::KilledFromOutside);
    if records.killed_by_person() {
        return None;
    }
    if records.wish.goal >= Goal::Stopped || !(still || now.saturating_sub(at) < TOLD) {
        return None;
    }
    Some(Finding {
        subject: subject(&records.wish),
        path: FieldPath::Process,
        applied: Value::Text("running".into()),
        observed: Value::Text(if down { "killed" } else { "started again" }.into()),
        cause: Some(FindingCause::KilledFromOutside { signal: Some(signal) }),
        fixed: !down,
    })
}

/// What differs in bridges, firewall and port tables: those of a task by its id, the others go to
/// `rest`.
pub(crate) fn networks(
    layout: &Layout,
    stored: &[Arc<Stored>],
    scope: &Scope,
    rest: &mut Vec<Finding>,
) -> Result<BTreeMap<TaskId, Vec<Finding>>> {
    let of_this_boot: BTreeSet<&str> =
        stored.iter().filter(|one| one.is_of_this_boot()).map(|one| &*one.spec.name).collect();
    if of_this_boot.is_empty() {
        return Ok(BTreeMap::new());
    }
    let made: Vec<&Network> = stored.iter().filter_map(|stored| stored.made.as_ref()).collect();
    let mut found = network::check(layout, &made, scope)
        .and_then(|found| Ok([found, resolver::check(layout, scope)?].concat()))
        .map_err(|error| EngineError::failed("cannot read the networks back", error))?;
    let counts = |name: &String| of_this_boot.contains(name.as_str());
    found.retain(|found| found.network.as_ref().is_none_or(counts));
    let mut of_tasks: BTreeMap<TaskId, Vec<Finding>> = BTreeMap::new();
    for found in found {
        if found.tasks.is_empty() {
            rest.extend(of_stacks(stored, &found));
            continue;
        }
        for task in &found.tasks {
            let subject = FindingSubject::Task { id: Some(task.clone()), slot: None };
            let applied = Value::Text(found.expected.clone());
            let observed = Value::Text(found.observed.clone());
            let finding = finding(subject, found.what.clone(), applied, observed);
            of_tasks.entry(task.clone()).or_default().push(finding);
        }
    }
    Ok(of_tasks)
}

/// What belongs to one network is its stack's; what all share (the firewall, `keel net`) is a
/// finding of every stack that has a network here, since none of them is as it was applied.
fn of_stacks(stored: &[Arc<Stored>], found: &NetworkFinding) -> Vec<Finding> {
    let concerned = stored.iter().filter(|stored| match &found.network {
        Some(network) => stored.spec.name == *network,
        None => stored.made.is_some(),
    });
    let stacks: BTreeSet<_> = concerned.filter_map(|stored| stack_of(&stored.spec)).collect();
    let subject = |stack| match &found.network {
        Some(name) => FindingSubject::Network { name: name.clone(), stack },
        None => FindingSubject::Networks { stack },
    };
    let finding = |stack| {
        let applied = Value::Text(found.expected.clone());
        let observed = Value::Text(found.observed.clone());
        finding(subject(stack), found.what.clone(), applied, observed)
    };
    if stacks.is_empty() {
        return vec![finding(None)];
    }
    stacks.into_iter().map(|stack| finding(Some(stack))).collect()
}

/// The stack that a network belongs to.
pub(crate) fn stack_of(network: &NetworkSpec) -> Option<StackName> {
    StackName::new(network.labels.get(keel_engine::labels::PROJECT)?.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::record::Work;
    use crate::task::records::sample;

    #[test]
    fn what_all_networks_share_is_told_of_every_stack() {
        let stored = |name: &str, stack: Option<&str>| {
            let key = keel_engine::labels::PROJECT.to_owned();
            let labels = stack.map(|stack| (key, stack.to_owned())).into_iter().collect();
            let spec = NetworkSpec { name: name.into(), labels, ..NetworkSpec::default() };
            let made = Some(crate::network::Network {
                name: name.into(),
                link: Some("kl000000-000000".into()),
                ..crate::network::Network::default()
            });
            Arc::new(Stored { spec, made, ..Stored::default() })
        };
        let all = [
            stored("blog_default", Some("blog")),
            stored("blog_back", Some("blog")),
            stored("shop_default", Some("shop")),
            stored("mine", None),
        ];
        let cases = [
            (None, vec![Some("blog"), Some("shop")]),
            (Some("shop_default"), vec![Some("shop")]),
            (Some("mine"), vec![None]),
        ];
        for (network, expected) in cases {
            let found = NetworkFinding {
                network: network.map(str::to_owned),
                tasks: vec![],
                what: FieldPath::FirewallTable,
                expected: "present".into(),
                observed: "missing".into(),
            };
            let findings = of_stacks(&all, &found);
            let stacks: Vec<_> =
                findings.iter().map(|f| f.stack().map(StackName::as_str)).collect();
            assert_eq!(stacks, expected, "{network:?}");
        }
    }

    #[test]
    fn a_kill_from_outside_is_told_for_a_day() {
        let day = TOLD;
        // When it was killed, what it does now, the goal, what is told.
        let cases = [
            ("down", Phase::Exited, Goal::Running, day * 2, Some(false)),
            ("runs again", Phase::Running, Goal::Running, 1_000, Some(true)),
            ("ran again long ago", Phase::Running, Goal::Running, day, None),
            ("stopped since", Phase::Exited, Goal::Stopped, 1_000, None),
        ];
        for (name, phase, goal, age, fixed) in cases {
            let exit_cause = Some(ExitCause::KilledFromOutside);
            let state = ShimState { killed: Some((1_000, 9)), exit_cause, ..ShimState::default() };
            let wish = sample::wish(1, goal);
            let records = sample::records(wish, Work::default(), Some(state));
            let mut seen = sample::observed(&records.wish);
            seen.phase = phase;
            let found = killed(&records, &seen, 1_000 + age);
            assert_eq!(found.as_ref().map(|finding| finding.fixed), fixed, "{name}");
            if let Some(found) = found {
                let cause = found.cause.map(|cause| cause.to_string());
                assert_eq!(cause.as_deref(), Some("killed by SIGKILL from outside"));
            }
        }
    }
}
