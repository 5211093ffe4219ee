//! Tasks that no stack on record accounts for, and nodes that are heard and do not hear.

use crate::world::stack;
use keel_engine::{Assignment, Goal, NodeName, Place, StackName};
use keel_plan::strays::{stops, strays};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn nobody() -> BTreeSet<StackName> {
    BTreeSet::new()
}

#[test]
fn strays_are_stopped_when_their_time_is_over_and_what_a_person_ran_is_not() {
    let mut world = stack().with_members(&["n1", "n2"]);
    world = world.wants("web", "nginx:1").times("web", 4).converge();
    let own = Arc::make_mut(&mut world.at("n2").seen.tasks[0]);
    own.place = Place::OneOff("mine".into());
    let nodes = world.nodes();
    let now = |seconds| Duration::from_secs(seconds);
    let found = strays(&nodes, &nobody(), true, &Default::default(), now(5));
    let all: Vec<_> = found.values().collect();
    assert_eq!(all.len(), 1, "none of the controller's own node: {all:?}");
    assert_eq!((all[0].node.as_str(), all[0].since), ("n2", Some(now(5))));
    let again = strays(&nodes, &nobody(), true, &found, now(60));
    assert_eq!(again, found, "it is known since the first look");
    assert_eq!(stops(&nodes, &found, now(64).checked_sub(MINUTE)), []);
    let stopped = stops(&nodes, &found, now(65).checked_sub(MINUTE));
    let [wish] = &stopped[..] else { panic!("{stopped:?}") };
    let Assignment::Task(task) = &wish.what else { panic!("{wish:?}") };
    assert_eq!((&wish.node, task.goal), (&NodeName::from("n2"), Goal::Stopped));
    assert!(!task.remove_volumes);
    // One that is told already is none any more.
    for task in &mut world.at("n2").seen.tasks {
        Arc::make_mut(task).goal = Goal::Stopped;
    }
    assert!(strays(&world.nodes(), &nobody(), true, &found, now(70)).is_empty());
}

#[test]
fn nothing_is_stopped_while_a_source_has_not_been_read_or_knows_the_stack() {
    let world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 2);
    let nodes = world.converge().nodes();
    let far = Duration::from_secs(9_000);
    let found = strays(&nodes, &nobody(), false, &Default::default(), Duration::ZERO);
    assert_eq!(found.len(), 1, "it is told all the same");
    assert_eq!(stops(&nodes, &found, Some(far)), []);
    let later = strays(&nodes, &nobody(), true, &found, far);
    assert_eq!(later.values().next().unwrap().since, Some(far), "its time begins then");
    let known = found.values().map(|stray| stray.stack.clone()).collect();
    assert!(strays(&nodes, &known, true, &found, far).is_empty());
}

#[test]
fn a_node_that_does_not_hear_keeps_its_tasks_and_gets_no_new_ones() {
    let mut world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 2);
    world = world.converge();
    let before = world.all();
    world.facts("n2").is_one_way = true;
    world = world.steps(10);
    assert_eq!(world.all(), before, "what runs, runs on");
    world = world.times("web", 6).steps(30);
    assert_eq!(world.counts(), [5, 1], "{}", world.all());
    world.facts("n2").is_one_way = false;
    world = world.times("web", 8).steps(30);
    assert_eq!(world.counts(), [5, 3], "{}", world.all());
}
