//! Reads back what is really there, and compares it with what was applied: drift.
//!
//! # Invariants
//! - Compared is with what this kernel would hold for the applied value.
//! - What cannot be read yields no finding: nothing is guessed.

mod inside;

use crate::Layout;
use crate::network::{self, Network, NetworkFinding};
use crate::networks::Stored;
use crate::record::{Process, State};
use crate::runtime::cgroup::{Cgroup, held_cpus, held_memory};
use crate::tasks::Records;
use crate::{clock, record};
use keel_engine::fields::{FIELDS, Field, Readback, Row};
use keel_engine::{
    EngineError, ExitCause, Finding, Goal, Level, ObservedTask, Phase, Result, StackName, TaskId,
    Value,
};
use std::collections::BTreeMap;

/// How long a process that was killed from outside is told of, once it runs again.
const TOLD: u64 = 24 * 60 * 60 * 1000;

/// What of a task differs from what was applied.
pub(crate) fn task(layout: &Layout, records: &Records, seen: &ObservedTask) -> Vec<Finding> {
    let mut findings: Vec<_> = killed(records, seen, clock::now()).into_iter().collect();
    let process = records.state.as_ref().and_then(|state| state.process.clone());
    let Some(process) = process.filter(|_| seen.phase == Phase::Running) else { return findings };
    let rows = FIELDS.iter().filter(|row| row.readback != Readback::Never);
    for row in rows {
        let task = Reading { layout, records, process: &process };
        let Some((applied, observed)) = task.row(row) else { continue };
        if applied != observed {
            findings.push(finding(row, applied, observed));
        }
    }
    findings
}

fn finding(row: &Row, applied: Value, observed: Value) -> Finding {
    Finding {
        level: Level::Task,
        stack: None,
        row: Some(row.field),
        field: row.name.to_owned(),
        applied,
        observed,
        cause: None,
        fixed: false,
    }
}

struct Reading<'a> {
    layout: &'a Layout,
    records: &'a Records,
    process: &'a Process,
}

impl Reading<'_> {
    /// What the kernel would hold and what it holds; `None` where that cannot be known.
    fn row(&self, row: &Row) -> Option<(Value, Value)> {
        let spec = &self.records.wish.spec;
        let number = |count: u64| Value::Number(i64::try_from(count).unwrap_or(i64::MAX));
        let limit = |value: Option<u64>, kind: fn(u64) -> Value| value.map_or(Value::Unset, kind);
        match row.field {
            Field::MemLimit => {
                let held = self.cgroup()?.memory().ok()?;
                Some((
                    limit(spec.mem_limit.map(held_memory), Value::Bytes),
                    limit(held, Value::Bytes),
                ))
            }
            Field::Cpus => {
                let held = self.cgroup()?.cpus().ok()?;
                Some((limit(spec.cpus.map(held_cpus), Value::Cpus), limit(held, Value::Cpus)))
            }
            Field::PidsLimit => {
                let held = self.cgroup()?.pids().ok()?;
                Some((
                    spec.pids_limit.map_or(Value::Unset, number),
                    held.map_or(Value::Unset, number),
                ))
            }
            Field::Sysctls => {
                let held = inside::sysctls(self.process, &spec.sysctls)?;
                Some((map(spec.sysctls.clone()), map(held)))
            }
            Field::Ulimits => self.ulimits(),
            Field::Image => self.image(),
            Field::Networks => Some(self.networks()),
            // The elements of the port tables are read for all tasks at once.
            Field::Ports => None,
            Field::ContainerName
            | Field::PullPolicy
            | Field::Command
            | Field::Entrypoint
            | Field::Environment
            | Field::WorkingDir
            | Field::User
            | Field::GroupAdd
            | Field::Hostname
            | Field::Tty
            | Field::StdinOpen
            | Field::Init
            | Field::ReadOnly
            | Field::Privileged
            | Field::CapAdd
            | Field::CapDrop
            | Field::SecurityOpt
            | Field::Devices
            | Field::ShmSize
            | Field::Tmpfs
            | Field::Volumes
            | Field::Configs
            | Field::Secrets
            | Field::NetworkMode
            | Field::Dns
            | Field::ExtraHosts
            | Field::Healthcheck
            | Field::Restart
            | Field::StopSignal
            | Field::StopGracePeriod
            | Field::Labels => None,
        }
    }

    fn cgroup(&self) -> Option<Cgroup> {
        let id = &self.records.wish.id;
        Cgroup::at(&format!("{}/{}", self.layout.cgroup(), id.short())).ok()
    }

    /// Against the specification of the run: a limit beyond what this host grants was cut there.
    fn ulimits(&self) -> Option<(Value, Value)> {
        let config = self.layout.task(&self.records.wish.id).config();
        let spec = record::load::<crate::runtime::oci::Spec>(&config).ok()??;
        let limits = spec.process.rlimits;
        let asked = &self.records.wish.spec.ulimits;
        let applied: BTreeMap<_, _> = limits
            .iter()
            .filter_map(|limit| {
                let name = limit.kind.trim_start_matches("RLIMIT_").to_lowercase();
                let shown = format!("{}:{}", inside::shown(limit.soft), inside::shown(limit.hard));
                asked.contains_key(&name).then_some((name, shown))
            })
            .collect();
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

    fn networks(&self) -> (Value, Value) {
        let endpoints = &self.records.work.endpoints;
        let shown = |endpoint: &record::Endpoint| format!("{} {}", endpoint.network, endpoint.ipv4);
        let applied = endpoints.iter().map(shown).collect();
        let there = endpoints.iter().filter(|endpoint| inside::has(self.process, endpoint));
        (list(applied), list(there.map(shown).collect()))
    }
}

fn map(values: BTreeMap<String, String>) -> Value {
    if values.is_empty() { Value::Unset } else { Value::Map(values) }
}

fn list(values: Vec<String>) -> Value {
    if values.is_empty() { Value::Unset } else { Value::List(values) }
}

/// A process that somebody else killed: for a day, or until it runs again if that is later.
fn killed(records: &Records, seen: &ObservedTask, now: u64) -> Option<Finding> {
    let state: &State = records.state.as_ref()?;
    let (at, signal) = state.killed?;
    let down = seen.phase != Phase::Running;
    let still = down && state.exit_cause == Some(ExitCause::KilledFromOutside);
    if records.killed_by_person() {
        return None;
    }
    if records.wish.goal >= Goal::Stopped || !(still || now.saturating_sub(at) < TOLD) {
        return None;
    }
    let name = nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string());
    Some(Finding {
        level: Level::Task,
        stack: None,
        row: None,
        field: "process".into(),
        applied: Value::Text("running".into()),
        observed: Value::Text(if down { "killed" } else { "started again" }.into()),
        cause: Some(format!("killed by {name} from outside")),
        fixed: !down,
    })
}

/// What differs in bridges, firewall and port tables: those of a task by its id, the others go to
/// `rest`.
pub(crate) fn networks(
    layout: &Layout,
    stored: &[Stored],
    made: &[Network],
    rest: &mut Vec<Finding>,
) -> Result<BTreeMap<TaskId, Vec<Finding>>> {
    let found = network::check(layout, made)
        .map_err(|error| EngineError::failed("cannot read the networks back", error))?;
    let mut of_tasks: BTreeMap<TaskId, Vec<Finding>> = BTreeMap::new();
    for found in found {
        if found.tasks.is_empty() {
            rest.push(of_network(stored, found));
            continue;
        }
        for task in &found.tasks {
            let ports = keel_engine::fields::row_of(Field::Ports);
            let finding = Finding {
                field: found.what.clone(),
                ..finding(
                    ports,
                    Value::Text(found.expected.clone()),
                    Value::Text(found.observed.clone()),
                )
            };
            of_tasks.entry(task.clone()).or_default().push(finding);
        }
    }
    Ok(of_tasks)
}

fn of_network(stored: &[Stored], found: NetworkFinding) -> Finding {
    let network = stored.iter().find(|stored| Some(&stored.spec.name) == found.network.as_ref());
    let project = network.and_then(|n| n.spec.labels.get(keel_engine::labels::PROJECT).cloned());
    let what = match found.network {
        Some(network) => format!("{network}: {}", found.what),
        None => found.what,
    };
    Finding {
        level: Level::Network,
        stack: project.and_then(|project| StackName::new(project).ok()),
        row: None,
        field: what,
        applied: Value::Text(found.expected),
        observed: Value::Text(found.observed),
        cause: None,
        fixed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Work;
    use crate::tasks::sample;

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
            let state = State { killed: Some((1_000, 9)), exit_cause, ..State::default() };
            let wish = sample::wish(1, goal);
            let records = sample::records(wish, Work::default(), Some(state));
            let mut seen = sample::observed(&records.wish);
            seen.phase = phase;
            let found = killed(&records, &seen, 1_000 + age);
            assert_eq!(found.as_ref().map(|finding| finding.fixed), fixed, "{name}");
            if let Some(found) = found {
                assert_eq!(found.cause.as_deref(), Some("killed by SIGKILL from outside"));
            }
        }
    }
}
