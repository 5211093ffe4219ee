//! Words for why no node takes a task.

use crate::why::{NodeRefusal, Refusal};
use keel_engine::{NodeName, Value};
use std::collections::BTreeMap;

/// No node takes it.
pub(super) fn of_no_place(nodes: &[NodeRefusal]) -> String {
    format!("no node can run it{}", in_brackets(nodes))
}

/// It should leave its node, and no other takes it.
pub(super) fn of_cannot_move(node: &NodeName, because: &Refusal, others: &[NodeRefusal]) -> String {
    if *because == Refusal::Paused {
        return format!("node {node} is paused, so nothing new starts there");
    }
    let because = of_refusal(because);
    match others {
        [] => format!("stays on node {node} ({because}): there is no other node for it"),
        others => {
            format!(
                "stays on node {node} ({because}): no other node can run it{}",
                in_brackets(others)
            )
        }
    }
}

/// ` (n1: drained)`, ` (3 nodes: 1 drained, 2 short of memory by 512MiB)`.
pub(super) fn in_brackets(nodes: &[NodeRefusal]) -> String {
    match nodes {
        [] => String::new(),
        [one] => {
            let because: Vec<_> = one.because.iter().map(of_refusal).collect();
            format!(" ({}: {})", one.node, because.join(", "))
        }
        several => format!(" ({} nodes: {})", several.len(), counted(several).join(", ")),
    }
}

/// What keeps it from nodes, each with how many it keeps it from.
fn counted(nodes: &[NodeRefusal]) -> Vec<String> {
    let mut groups: BTreeMap<Refusal, Vec<u64>> = BTreeMap::new();
    for refusal in nodes.iter().flat_map(|node| &node.because) {
        let (kind, short) = without_amount(refusal);
        groups.entry(kind).or_default().push(short);
    }
    groups.into_iter().map(|(kind, amounts)| of_group(kind, &amounts)).collect()
}

fn of_group(kind: Refusal, amounts: &[u64]) -> String {
    let least = amounts.iter().copied().min().unwrap_or(0);
    let differ = amounts.iter().any(|amount| *amount != least);
    let words = of_refusal(&match kind {
        Refusal::Cpus { .. } => Refusal::Cpus { short: least },
        Refusal::Memory { .. } => Refusal::Memory { short: least },
        other => other,
    });
    format!("{} {words}{}", amounts.len(), if differ { " or more" } else { "" })
}

/// Nodes lack different amounts of the same thing.
fn without_amount(refusal: &Refusal) -> (Refusal, u64) {
    match refusal {
        Refusal::Cpus { short } => (Refusal::Cpus { short: 0 }, *short),
        Refusal::Memory { short } => (Refusal::Memory { short: 0 }, *short),
        other => (other.clone(), 0),
    }
}

/// What one node is.
pub(super) fn of_refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Silent => "not answering".into(),
        Refusal::Returning => "stopping tasks that were replaced while it was down".into(),
        Refusal::NotMember => "not a member of the pool".into(),
        Refusal::Drained => "drained".into(),
        Refusal::Paused => "paused".into(),
        Refusal::Uneven { tasks, least } => {
            format!("running {tasks} tasks of it, while another runs {least}")
        }
        Refusal::Failing { times } => format!("where it failed {times} times"),
        Refusal::OneWay => "degraded: it does not receive what is sent to it".into(),
        Refusal::DataElsewhere { volume, node } => {
            format!("without volume {volume}, which is on node {node}")
        }
        Refusal::PathElsewhere { path, node } => format!("without {path}, which is on node {node}"),
        Refusal::ImageElsewhere { image } => {
            format!("without image {image}, which no registry provides")
        }
        Refusal::Constraint { constraint } => format!("not matching `{constraint}`"),
        Refusal::Platform { image } => format!("of a platform without image {image}"),
        Refusal::Port { port } => format!("with port {port} in use"),
        Refusal::MaxPerNode { max: 1 } => "running 1 task of it, the maximum".into(),
        Refusal::MaxPerNode { max } => format!("running {max} tasks of it, the maximum"),
        Refusal::Cpus { short } => format!("short of CPU by {}", Value::Cpus(*short)),
        Refusal::Memory { short } => format!("short of memory by {}", Value::Bytes(*short)),
    }
}
