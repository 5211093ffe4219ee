//! Tasks that a node brings along, and that no stack on record accounts for: of a controller that a backup does not
//! know of, or of the time before the machine joined.
//!
//! # Invariants
//! - Only tasks in slots of stacks are meant: what `keel run` made belongs to a person.
//! - They are stopped, and nothing of them is removed: their data may be the only copy.
//! - On the controller's own node nothing is a stray: its records and its tasks are in one root.

use keel_engine::{
    Assignment, Goal, NodeName, Nodes, ObservedTask, StackName, TaskAssignment, TaskId, Wish,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A task that no stack on record accounts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Where it is.
    pub node: NodeName,
    /// Its container's name.
    pub name: String,
    /// Its stack, which is not on record.
    pub stack: StackName,
    /// Since when it is known to be one, by a clock that goes on for as long as the controller does; `None` while some
    /// source has not been read: the task may be that source's.
    pub since: Option<Duration>,
}

/// The strays that there are now, with what is remembered of those from the look before.
#[must_use]
pub fn strays(
    nodes: &Nodes,
    known: &BTreeSet<StackName>,
    all_read: bool,
    before: &BTreeMap<TaskId, Stray>,
    now: Duration,
) -> BTreeMap<TaskId, Stray> {
    let stray = |(node, task): (&NodeName, &ObservedTask)| {
        let stack = &task.place.slot()?.stack;
        let is_one = !known.contains(stack) && task.goal <= Goal::Running;
        let first = before.get(&task.id).and_then(|stray| stray.since).unwrap_or(now);
        let stray = Stray {
            node: node.clone(),
            name: task.spec.container_name.clone(),
            stack: stack.clone(),
            since: all_read.then_some(first),
        };
        is_one.then(|| (task.id.clone(), stray))
    };
    others(nodes).filter_map(stray).collect()
}

/// What is told to the nodes of those that are strays before this moment.
#[must_use]
pub fn stops(
    nodes: &Nodes,
    strays: &BTreeMap<TaskId, Stray>,
    before: Option<Duration>,
) -> Vec<Wish> {
    let is_over = |task: &ObservedTask| {
        let since = strays.get(&task.id).and_then(|stray| stray.since);
        since.zip(before).is_some_and(|(since, before)| since <= before)
    };
    let stop = |(node, task): (&NodeName, &ObservedTask)| {
        let stopped = TaskAssignment::again(task, Goal::Stopped, task.generation + 1);
        Wish { node: node.clone(), what: Assignment::Task(Box::new(stopped)) }
    };
    others(nodes).filter(|(_, task)| is_over(task)).map(stop).collect()
}

/// Tasks on nodes that answer, but for the controller's own.
fn others(nodes: &Nodes) -> impl Iterator<Item = (&NodeName, &ObservedTask)> {
    let others = nodes.all_known().filter(|(node, _)| **node != nodes.home);
    others.flat_map(|(node, seen)| seen.all_tasks().map(move |task| (node, task)))
}
