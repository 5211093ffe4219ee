//! A hundred nodes, and what they report.

use keel_engine::{
    Assignment, Digest, Goal, Health, NodeName, NodeReport, Nodes, Observation, ObservedImage,
    ObservedTask, Phase, TaskAssignment,
};
use keel_plan::pool::{NodeFacts, Pool};
use keel_plan::verdict::Plan;
use std::sync::Arc;

pub const NODES: usize = 100;
pub const IMAGES: usize = 10;
const ZONES: [&str; 3] = ["a", "b", "c"];

/// Tasks began so long ago that they have settled.
const BEGAN: u64 = 900_000;

pub fn pool() -> Pool {
    Pool { members: (0..NODES).map(|number| (node(number), facts(number))).collect() }
}

fn node(number: usize) -> NodeName {
    NodeName::new(format!("node-{number:03}"))
}

fn facts(number: usize) -> NodeFacts {
    let zone = ("zone".to_owned(), ZONES[number % ZONES.len()].to_owned());
    NodeFacts { labels: [zone].into(), ..NodeFacts::default() }
}

/// Nodes that have every image, and no task.
pub fn empty() -> Nodes {
    let report = |name: NodeName| {
        let images = (0..IMAGES).map(image).collect();
        let mut seen = Observation { node: name.clone(), images, ..Observation::default() };
        let host = Arc::make_mut(&mut seen.host);
        (host.nano_cpus, host.memory) = (64_000_000_000, 256 << 30);
        seen.at = crate::stacks::NOW;
        (name, NodeReport::Known(Arc::new(seen)))
    };
    Nodes { home: node(0), reports: (0..NODES).map(node).map(report).collect() }
}

fn image(number: usize) -> Arc<ObservedImage> {
    let reference = format!("app:{number}");
    let digest = Some(Digest::of(reference.as_bytes()));
    Arc::new(ObservedImage { reference, digest, ..ObservedImage::default() })
}

/// The same nodes, once they have done what a plan asks of them.
pub fn after(mut nodes: Nodes, plan: &Plan) -> Nodes {
    for wish in plan.wishes() {
        let Assignment::Task(task) = &wish.what else { continue };
        if let Some(NodeReport::Known(seen)) = nodes.reports.get_mut(&wish.node) {
            Arc::make_mut(seen).tasks.push(Arc::new(running(task)));
        }
    }
    nodes
}

/// As nodes report them: in the order of ids.
pub fn in_order(mut nodes: Nodes) -> Nodes {
    for report in nodes.reports.values_mut() {
        if let NodeReport::Known(seen) = report {
            Arc::make_mut(seen).tasks.sort_by(|one, other| one.id.cmp(&other.id));
        }
    }
    nodes
}

/// The same nodes, of which one is given up.
pub fn without_one(nodes: &Nodes) -> Nodes {
    let (mut nodes, lost) = (nodes.clone(), node(NODES / 2));
    let report = nodes.reports.get_mut(&lost).expect("it is there");
    let last = report.seen().map(|seen| Arc::new(seen.clone()));
    let why = "no answer".to_owned();
    *report = NodeReport::Unknown { since: crate::stacks::NOW - 60_000, why, last, is_down: true };
    nodes
}

fn running(task: &TaskAssignment) -> ObservedTask {
    ObservedTask {
        id: task.id.clone(),
        place: task.place.clone(),
        generation: task.generation,
        goal: Goal::Running,
        spec: task.spec.clone(),
        digest: task.digest,
        joins: None,
        apart: false,
        revision: task.revision.clone(),
        origins: task.origins.clone(),
        auto_remove: false,
        phase: Phase::Running,
        message: None,
        attempts: 0,
        pid: Some(1),
        created: BEGAN,
        started: Some(BEGAN),
        finished: None,
        exit_code: None,
        exit_cause: None,
        restarts: 0,
        health: Health::None,
        health_since: None,
        health_output: None,
        health_limit: None,
        addresses: vec![],
        ports: vec![],
        findings: vec![],
    }
}
