//! Tasks that fail again and again on one node, and services that no node may run.

use crate::world::{World, stack};
use keel_engine::{NodeName, Phase};
use keel_names::constraint::Constraint;
use keel_plan::placement::Mode;
use keel_plan::status::status;
use keel_plan::text::of_notes;
use std::sync::Arc;

/// Two nodes, one task of `web` on the controller's own.
fn pair() -> World {
    let mut world = stack().with_node("n2").wants("web", "nginx:1");
    world.pool.members.insert("n2".into(), Default::default());
    world.others.get_mut(&NodeName::from("n2")).unwrap().image("nginx:1");
    std::sync::Arc::make_mut(&mut world.standing.chosen).insert("web.1".into(), "n1".into());
    let world = world.converge();
    assert_eq!(on(&world), "n1=Running");
    world
}

/// Where the tasks are, and what they do.
fn on(world: &World) -> String {
    let all = std::iter::once(&world.node).chain(world.others.values());
    let tasks = all.flat_map(|node| node.seen.tasks.iter().map(|task| (&node.seen.node, task)));
    let each: Vec<_> = tasks.map(|(node, task)| format!("{node}={:?}", task.phase)).collect();
    each.join(" ")
}

/// Every task on this node has just failed so often.
fn fails(world: &mut World, node: &str, times: u32) {
    let name = NodeName::from(node);
    let node = world.others.get_mut(&name).unwrap_or(&mut world.node);
    let now = node.seen.at;
    for task in &mut node.seen.tasks {
        let task = Arc::make_mut(task);
        (task.phase, task.restarts, task.finished) = (Phase::Backoff, times - 1, Some(now));
    }
}

#[test]
fn a_task_that_fails_again_and_again_goes_elsewhere_once() {
    let mut world = pair();
    fails(&mut world, "n1", 4);
    assert!(!world.shown().contains("moves"), "{}", world.shown());
    fails(&mut world, "n1", 5);
    insta::assert_snapshot!(world.shown(), @"web.1: replace: moves from node n1 (where it failed 5 times)");
    let mut world = world.converge();
    assert_eq!(on(&world), "n2=Running");
    // There, too: it stays, however often that was.
    fails(&mut world, "n2", 50);
    assert!(!world.shown().contains("moves"), "{}", world.shown());
    // After a while it may try elsewhere again.
    world.tick(10 * 60_000);
    fails(&mut world, "n2", 51);
    assert!(world.shown().contains("moves from node n2"), "{}", world.shown());
}

#[test]
fn what_is_bound_to_its_node_or_has_no_other_stays() {
    let mut alone = stack().wants("web", "nginx:1").converge();
    fails(&mut alone, "n1", 9);
    assert!(!alone.shown().contains("moves"), "{}", alone.shown());

    let mut bound = pair().with_data("web").converge();
    let at = if bound.node.seen.tasks.is_empty() { "n2" } else { "n1" };
    fails(&mut bound, at, 9);
    assert!(!bound.shown().contains("moves"), "{}", bound.shown());

    let mut drained = pair();
    drained.pool.members.get_mut(&"n2".into()).unwrap().availability =
        keel_engine::Availability::Drain;
    fails(&mut drained, "n1", 9);
    assert!(!drained.shown().contains("moves"), "{}", drained.shown());
}

#[test]
fn a_service_for_each_node_says_why_no_node_runs_it() {
    let world = stack().wants("agent", "agent:1").edit("agent", |agent| {
        agent.placement.mode = Mode::Global;
        agent.placement.constraints = vec![Constraint::parse("node.labels.disk == ssd").unwrap()];
    });
    let nodes = world.nodes();
    let notes = of_notes(&status(&world.inputs(&nodes)).notes).join("\n");
    insta::assert_snapshot!(notes, @"agent runs on every eligible node, but no node is eligible (n1: not matching `node.labels.disk == ssd`)");
}
