//! Services on every node, and jobs.

use crate::world::{World, stack};
use keel_engine::Availability::{Active, Drain, Pause};
use keel_engine::RestartPolicy;
use keel_plan::placement::Mode;
use keel_plan::status::status;

fn mode(world: World, service: &str, mode: Mode) -> World {
    world.placed(service, |place| place.mode = mode)
}

fn agents() -> World {
    let world = stack().with_members(&["n1", "n2"]).wants("agent", "agent:1");
    mode(world, "agent", Mode::Global).converge()
}

#[test]
fn a_global_service_runs_on_every_node_and_on_those_that_join() {
    let world = agents();
    assert_eq!(world.whereabouts(), "n1: agent.n1; n2: agent.n2");
    assert_eq!(world.running(), "shop-agent-n1=agent:1 shop-agent-n2=agent:1");
    let world = world.with_member("n3").converge();
    assert_eq!(world.whereabouts(), "n1: agent.n1; n2: agent.n2; n3: agent.n3");
    let now = status(&world.inputs(&world.nodes()));
    assert_eq!(now.services["agent"], (3, 3));
    let world = world.lose("n3").converge();
    assert_eq!(world.whereabouts(), "n1: agent.n1; n2: agent.n2");
}

#[test]
fn it_leaves_a_drained_node_and_one_that_it_may_not_be_on() {
    let world = agents().set("n2", Drain);
    assert!(
        world.shown().contains("agent.n2: remove: its node runs no task of it any more (drained)")
    );
    let world = world.steps(30);
    assert_eq!(world.whereabouts(), "n1: agent.n1");
    let world = world.set("n2", Active).converge();
    assert_eq!(world.whereabouts(), "n1: agent.n1; n2: agent.n2");
    let world =
        world.label("n1", "zone", "a").constrained("agent", "node.labels.zone == a").steps(30);
    assert_eq!(world.whereabouts(), "n1: agent.n1");
}

#[test]
fn a_paused_node_keeps_its_agent_and_gets_no_first_one() {
    let world = agents().set("n2", Pause).with_member("n3").set("n3", Pause).steps(30);
    assert_eq!(world.whereabouts(), "n1: agent.n1; n2: agent.n2");
}

#[test]
fn on_a_silent_node_it_is_unknown() {
    let mut world = agents();
    world.silent.insert("n2".into(), true);
    let world = world.push("agent", "agent:2", "r2").steps(30);
    assert_eq!(world.running(), "shop-agent-n1=agent:2 shop-agent-n2=agent:1");
    assert!(world.shown().contains("agent.n2: hold: waits for node n2, which does not answer"));
}

#[test]
fn a_node_without_room_is_the_only_one_that_lacks_it() {
    let world =
        stack().with_members(&["n1", "n2"]).sized("n2", 4, 1 << 20).wants("agent", "agent:1");
    let world = mode(world, "agent", Mode::Global).reserves("agent", 64 << 20).steps(30);
    insta::assert_snapshot!(world.shown(), @r"
    agent.n1: hold: converged
    agent.n2: hold: no node can run it (n2: short of memory by 63MiB)
    ");
}

/// A commit that changes the mode: what serves goes once the new slots do.
#[test]
fn other_slots_take_over_before_the_old_ones_go() {
    let world =
        stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 3).converge();
    let mut world = mode(world, "web", Mode::Global);
    let mut least = 9;
    for _ in 0..60 {
        world.step();
        least = least.min(world.counts().iter().sum::<usize>());
    }
    assert_eq!((least, world.whereabouts().as_str()), (2, "n1: web.n1; n2: web.n2"));
    let world = mode(world, "web", Mode::Replicated).converge();
    assert_eq!(world.running().matches("shop-web-").count(), 3);
    assert!(!world.whereabouts().contains("web.n1"), "{}", world.whereabouts());
}

fn job(kind: Mode, replicas: u32) -> World {
    let world =
        stack().with_members(&["n1", "n2"]).wants("report", "job:1").times("report", replicas);
    let world =
        world.edit("report", |report| report.spec.restart = RestartPolicy::OnFailure { max: 0 });
    mode(world, "report", kind)
}

/// Tasks that were made for the slots of the job, ended ones that are gone included.
fn made(world: &World) -> usize {
    let nodes = std::iter::once(&world.node).chain(world.others.values());
    nodes.map(|node| node.seen.tasks.len()).sum()
}

#[test]
fn each_slot_of_a_job_is_done_once() {
    let world = job(Mode::ReplicatedJob, 3).converge();
    assert_eq!(world.standing.completed.len(), 3);
    insta::assert_snapshot!(world.shown(), @r"
    report.1: hold: its job is done
    report.2: hold: its job is done
    report.3: hold: its job is done
    ");
    // Its node is gone: what is done is done.
    let ended = made(&world);
    let world = world.lose("n2").steps(30);
    assert!(made(&world) < ended && world.running().is_empty(), "{}", world.whereabouts());
    let now = status(&world.inputs(&world.nodes()));
    assert_eq!(now.services["report"], (3, 3));
    // Another specification is another job.
    let world = world.push("report", "job:2", "r2").converge();
    let done: Vec<_> = world.node.seen.tasks.iter().map(|task| task.spec.image.as_str()).collect();
    assert_eq!(done, ["job:2"; 3]);
}

#[test]
fn a_slot_that_is_not_done_begins_anew_elsewhere() {
    let world =
        job(Mode::ReplicatedJob, 2).edit("report", |report| report.spec.image = "long:1".into());
    let world = world.steps(20);
    assert_eq!(world.counts(), [1, 1], "{}", world.whereabouts());
    assert!(world.standing.completed.is_empty());
    let world = world.lose("n2").steps(20);
    assert_eq!(world.counts(), [2]);
}

#[test]
fn a_global_job_is_done_once_on_each_node_also_on_one_that_joins() {
    let world = job(Mode::GlobalJob, 1).steps(20);
    assert_eq!(world.whereabouts(), "n1: report.n1; n2: report.n2");
    let world = world.with_member("n3").steps(20);
    assert_eq!(world.standing.completed.len(), 3);
    let tasks = world.others[&keel_engine::NodeName::from("n3")].seen.tasks.len();
    assert_eq!(tasks, 1);
    let ids = world.node.seen.tasks[0].id.clone();
    let world = world.steps(30);
    assert_eq!(world.node.seen.tasks[0].id, ids, "not again");
}
