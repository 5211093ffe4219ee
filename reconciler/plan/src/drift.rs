//! What differs between what was applied and what is, as rows for a report.

use crate::Inputs;
use crate::desired::{Desired, DesiredService, DriftPolicy, Origin, Origins, locate};
use keel_engine::fields::{Field, attachment_value, row_of};
use keel_engine::{
    ExitCause, FieldPath, Finding, FindingCause, FindingField, FindingSubject, Goal, Level,
    NodeName, Nodes, Observation, ObservedTask, Phase, Slot, StackName, Value, digest_of,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftRow {
    /// Stable for the same field of the same thing.
    pub id: String,
    /// The stack; empty for the node's own.
    pub stack: String,
    /// The service.
    pub service: String,
    /// The container's name.
    pub task: String,
    /// Where.
    pub node: String,
    /// What kind of thing.
    pub level: Level,
    /// The field path.
    pub field: FindingField,
    /// What the revision says.
    pub desired: Value,
    /// Where it says so.
    pub at: Option<Origin>,
    /// What was applied.
    pub applied: Value,
    /// What is.
    pub observed: Value,
    /// Since when it is known; milliseconds.
    pub first_seen: u64,
    /// What is known of how it came.
    pub cause: Option<FindingCause>,
    /// What happens to it.
    pub policy: DriftPolicy,
    /// It is right again; shown for 24 hours, and not counted.
    pub fixed: bool,
}

/// What was seen before, by row id. Kept with the stack's records.
pub type Seen = BTreeMap<String, SeenRow>;

/// A row that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRow {
    /// As it was last seen.
    pub row: DriftRow,
    /// Since when it is right again.
    #[serde(default)]
    pub fixed: Option<u64>,
}

/// The rows of a stack, and what is to be remembered for the next time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By service, task, field.
    pub rows: Vec<DriftRow>,
    /// To be handed in next time.
    pub seen: Seen,
}

/// What is right again is shown for so long.
const SHOWN: u64 = 24 * 60 * 60_000;

/// The findings of an observation made with [`keel_engine::Depth::Fields`].
#[must_use]
pub fn report(inputs: &Inputs<'_>, seen: &Seen) -> Report {
    let inputs = &crate::with_pin(inputs);
    let mut report = Report::default();
    for (node, observation) in inputs.nodes.all_known() {
        let at = At { node, is_home: *node == inputs.nodes.home };
        for (slot, task) in observation.tasks_of(inputs.stack) {
            for finding in findings(task) {
                let row = row_of_task(inputs, at, task, slot, &finding);
                report.add(row, finding.fixed, seen, inputs.now);
            }
        }
        let stack = Some(inputs.stack);
        for finding in observation.findings.iter().filter(|f| f.stack() == stack) {
            report.add(row_of_stack(inputs, at, finding), finding.fixed, seen, inputs.now);
        }
    }
    report.keep_what_was_fixed(seen, inputs.nodes, inputs.now);
    let key = |row: &DriftRow| {
        (row.service.clone(), row.task.clone(), row.field.to_string(), row.id.clone())
    };
    report.rows.sort_by_cached_key(key);
    report
}

/// The findings that are no stack's: of containers that belong to none, of networks that a person
/// made, of stacks that nobody knows any more.
#[must_use]
pub fn report_of_nodes(nodes: &Nodes, known: &[StackName], seen: &Seen, now: u64) -> Report {
    let mut report = Report::default();
    for (node, observation) in nodes.all_known() {
        let at = At { node, is_home: *node == nodes.home };
        report.add_of_node(at, observation, known, seen, now);
    }
    report.keep_what_was_fixed(seen, nodes, now);
    report
        .rows
        .sort_by_cached_key(|row| (row.stack.clone(), row.task.clone(), row.field.to_string()));
    report
}

/// Where a finding was made. What the controller's own node has is named without it: so were rows named
/// before there were others.
#[derive(Clone, Copy)]
struct At<'a> {
    node: &'a NodeName,
    is_home: bool,
}

/// A row of what nobody asked for in a file.
fn row(at: At<'_>, finding: &Finding, of: &[&str]) -> DriftRow {
    let node: &[&str] = if at.is_home { &[] } else { &[at.node.as_str()] };
    let field = finding.field();
    DriftRow {
        id: id(&[of, node, &[field.to_string().as_str()]].concat()),
        stack: String::new(),
        service: String::new(),
        task: String::new(),
        node: at.node.to_string(),
        level: finding.level(),
        field,
        desired: finding.applied.clone(),
        at: None,
        applied: finding.applied.clone(),
        observed: finding.observed.clone(),
        first_seen: 0,
        cause: finding.cause.clone(),
        policy: DriftPolicy::Report,
        fixed: false,
    }
}

/// Without the values of variables: they may be passwords.
fn hidden(row: DriftRow, finding: &Finding) -> DriftRow {
    if finding.row() != Some(Field::Environment) {
        return row;
    }
    let (desired, applied, observed) = (hide(row.desired), hide(row.applied), hide(row.observed));
    DriftRow { desired, applied, observed, ..row }
}

impl Report {
    fn add(&mut self, mut row: DriftRow, fixed: bool, seen: &Seen, now: u64) {
        let before = seen.get(&row.id);
        row.fixed = fixed;
        // One that came back is a new one.
        let same = before.filter(|before| before.fixed.is_none() || fixed);
        row.first_seen = same.map_or(now, |before| before.row.first_seen);
        let fixed = fixed.then(|| before.and_then(|before| before.fixed).unwrap_or(now));
        if fixed.is_some_and(|at| now.saturating_sub(at) >= SHOWN) {
            // Remembered as long as it is reported, so that its time does not begin again.
            self.seen.insert(row.id.clone(), SeenRow { row, fixed });
            return;
        }
        self.seen.insert(row.id.clone(), SeenRow { row: row.clone(), fixed });
        self.rows.push(row);
    }

    fn add_of_node(
        &mut self,
        at: At<'_>,
        observation: &Observation,
        known: &[StackName],
        seen: &Seen,
        now: u64,
    ) {
        let is_known = |stack: &StackName| known.contains(stack);
        let row = |finding: &Finding, stack: Option<&StackName>, task: &str| {
            let stack = stack.map(ToString::to_string).unwrap_or_default();
            let of = [stack.as_str(), task, &format!("{:?}", finding.level())];
            let row = row(at, finding, &of);
            DriftRow { stack: stack.clone(), task: task.to_owned(), ..row }
        };
        let tasks = observation.all_tasks();
        let is_own = |task: &ObservedTask| task.place.slot().is_some_and(|s| is_known(&s.stack));
        for task in tasks.filter(|task| !is_own(task)) {
            let stack = task.place.slot().map(|slot| &slot.stack);
            for finding in findings(task) {
                let row = row(&finding, stack, &task.spec.container_name);
                self.add(hidden(row, &finding), finding.fixed, seen, now);
            }
        }
        let findings = observation.findings.iter();
        for finding in findings.filter(|finding| !finding.stack().is_some_and(is_known)) {
            self.add(row(finding, finding.stack(), ""), finding.fixed, seen, now);
        }
    }

    /// What is no longer found is right again, unless its node is silent: then it is as it was.
    fn keep_what_was_fixed(&mut self, seen: &Seen, nodes: &Nodes, now: u64) {
        let silent =
            |row: &DriftRow| nodes.all_silent().any(|silent| silent.node.as_str() == row.node);
        for (id, before) in seen {
            let fixed = before.fixed.unwrap_or(now);
            if self.seen.contains_key(id) || now.saturating_sub(fixed) >= SHOWN {
                continue;
            }
            if before.fixed.is_none() && silent(&before.row) {
                self.seen.insert(id.clone(), before.clone());
                self.rows.push(before.row.clone());
                continue;
            }
            let row = DriftRow { fixed: true, ..before.row.clone() };
            self.seen.insert(id.clone(), SeenRow { row: row.clone(), fixed: Some(fixed) });
            self.rows.push(row);
        }
    }
}

/// What its node found; a death from outside counts even where nobody looked closely.
fn findings(task: &ObservedTask) -> Vec<Finding> {
    let dead = task.phase == Phase::Exited
        && task.goal == Goal::Running
        && task.exit_cause == Some(ExitCause::KilledFromOutside)
        && !task.findings.iter().any(|finding| finding.path == FieldPath::Process);
    task.findings.iter().cloned().chain(dead.then(|| killed(task))).collect()
}

/// The finding that a process was killed by somebody else.
pub(crate) fn killed(task: &ObservedTask) -> Finding {
    let code = task.exit_code.unwrap_or_default();
    Finding {
        subject: FindingSubject::Task {
            id: Some(task.id.clone()),
            slot: task.place.slot().cloned(),
        },
        path: FieldPath::Process,
        applied: Value::Text("running".into()),
        observed: Value::Text(format!("exited ({code})")),
        cause: Some(FindingCause::KilledFromOutside { signal: None }),
        fixed: false,
    }
}

fn row_of_task(
    inputs: &Inputs<'_>,
    at: At<'_>,
    task: &ObservedTask,
    slot: &Slot,
    finding: &Finding,
) -> DriftRow {
    let service = inputs.desired.and_then(|desired| desired.services.get(&slot.service));
    let stack_policy = inputs.desired.map(|desired| desired.policy.drift).unwrap_or_default();
    let applied: Option<Origins> = serde_json::from_value(task.origins.clone()).ok();
    let path = path_of(task, finding);
    let origin = applied
        .as_ref()
        .and_then(|origins| locate(origins, path.clone()))
        .or_else(|| service.and_then(|service| locate(&service.origins, path.clone())));
    let desired = service.map(|service| desired_value(service, finding)).unwrap_or_default();
    let row = DriftRow {
        stack: slot.stack.to_string(),
        service: slot.service.clone(),
        task: task.spec.container_name.clone(),
        desired,
        at: origin.cloned(),
        policy: service.and_then(|service| service.drift).unwrap_or(stack_policy),
        ..row(at, finding, &[slot.to_string().as_str()])
    };
    hidden(row, finding)
}

/// The path that its origin is known by. A published port is found by its address on the host, in the
/// list of ports.
fn path_of(task: &ObservedTask, finding: &Finding) -> FieldPath {
    let FieldPath::PublishedPort { host_ip, published, protocol } = &finding.path else {
        return finding.path.clone();
    };
    // No address is all of them.
    let address = |ip: &Option<IpAddr>| ip.filter(|ip| !ip.is_unspecified());
    let index = task.spec.ports.iter().position(|port| {
        (port.published, port.protocol) == (Some(*published), *protocol)
            && address(&port.host_ip) == address(host_ip)
    });
    index.map_or(FieldPath::Row(Field::Ports), |index| FieldPath::Item(Field::Ports, index))
}

fn row_of_stack(inputs: &Inputs<'_>, at: At<'_>, finding: &Finding) -> DriftRow {
    let desired = inputs.desired;
    let of = [inputs.stack.as_str(), &format!("{:?}", finding.level())];
    DriftRow {
        stack: inputs.stack.to_string(),
        at: desired.and_then(|desired| origin_in(desired, finding)).cloned(),
        policy: desired.map(|desired| desired.policy.drift).unwrap_or_default(),
        ..row(at, finding, &of)
    }
}

/// Where the revision names the thing. What all networks share is where the first of the stack's own is.
fn origin_in<'a>(desired: &'a Desired, finding: &Finding) -> Option<&'a Origin> {
    match &finding.subject {
        FindingSubject::Volume { name, .. } => desired.volumes.get(name)?.origin.as_ref(),
        FindingSubject::Network { name, .. } => desired.networks.get(name)?.origin.as_ref(),
        FindingSubject::Networks { .. } => {
            let mut own = desired.networks.values().filter(|network| !network.external);
            own.next()?.origin.as_ref()
        }
        FindingSubject::Task { .. } | FindingSubject::Node => None,
    }
}

/// What the revision says about the field, down to key and index.
fn desired_value(service: &DesiredService, finding: &Finding) -> Value {
    let Some(field) = finding.row() else { return finding.applied.clone() };
    let value = (row_of(field).get)(&service.spec);
    match (&value, &finding.path) {
        (_, FieldPath::Key(Field::Networks, key)) => attachment_value(&service.spec, key),
        (Value::Map(map), FieldPath::Key(_, key)) => {
            map.get(key).map_or(Value::Unset, |value| Value::Text(value.clone()))
        }
        (Value::List(list), FieldPath::Item(_, index)) => {
            list.get(*index).map_or(Value::Unset, |item| Value::Text(item.clone()))
        }
        _ => value,
    }
}

fn hide(value: Value) -> Value {
    match value {
        Value::Unset => Value::Unset,
        _ => Value::Text("(not shown)".into()),
    }
}

/// Short, and the same as long as the thing and its field are.
fn id(parts: &[&str]) -> String {
    digest_of(&parts).short().to_owned()
}
