//! Several nodes: which a slot is on, and what becomes of it while its node is silent or gone.

use crate::world::{World, mount, stack};
use keel_engine::{MountSource, NodeName, ObservedImage, PullPolicy};
use keel_plan::drift::{Seen, report};
use keel_plan::standing::AskVerb;
use keel_plan::status::{Health, Sync, status};
use std::sync::Arc;

/// `web` here, and `db` with its data on `n2`.
fn spread() -> World {
    let mut world = stack().with_node("n2").with_node("n3").wants("web", "nginx:1");
    world = world.wants("db", "postgres:16").with_data("db");
    let data = world.desired.volumes["shop_data"].spec.clone();
    world.others.get_mut(&n2()).unwrap().volume(&data);
    world.converge()
}

fn n2() -> NodeName {
    "n2".into()
}

fn told(world: &World) -> Vec<String> {
    let plan = world.plan();
    let mut nodes: Vec<_> = plan.wishes().map(|wish| wish.node.to_string()).collect();
    nodes.dedup();
    nodes
}

#[test]
fn a_service_goes_where_its_data_is_and_the_rest_stays_here() {
    let world = spread();
    insta::assert_snapshot!(world.all(), @r"
    image nginx:1 on n1           hold: converged
    image postgres:16 on n2       hold: converged
    network shop_default on n1    hold: converged
    network shop_default on n2    hold: converged
    volume shop_data on n2        hold: converged
    db.1 on n2                    hold: converged
    web.1 on n1                   hold: converged
    ");
    assert_eq!(*world.standing.placed, [("db.1".to_owned(), n2())].into());
    let elsewhere = &world.others[&NodeName::from("n3")].seen;
    assert!(elsewhere.tasks.is_empty() && elsewhere.images.is_empty());
    assert!(elsewhere.networks.is_empty());
}

#[test]
fn an_image_that_is_on_one_node_only_keeps_its_service_there() {
    let mut world = stack().with_node("n2").wants("web", "built:1").edit("web", |web| {
        web.spec.pull_policy = PullPolicy::Never;
    });
    insta::assert_snapshot!(world.shown(), @"web.1: hold: image built:1 does not exist");
    world.others.get_mut(&n2()).unwrap().image("built:1");
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=built:1");
    assert_eq!(world.others[&n2()].seen.tasks.len(), 1);
    assert!(world.node.seen.images.is_empty(), "no other node is asked for it");
}

#[test]
fn an_image_is_pulled_by_each_node_that_runs_it() {
    let mut world = spread();
    world = world.push("db", "nginx:1", "r2");
    let plan = world.all();
    let images: Vec<_> = plan.lines().filter(|line| line.starts_with("image")).collect();
    insta::assert_snapshot!(images.join("\n"), @r"
    image nginx:1 on n1           hold: converged
    image nginx:1 on n2           pull: not present on this node
    ");
}

#[test]
fn a_silent_node_makes_its_own_tasks_unknown_and_fails_nothing_else() {
    let mut world = spread();
    world.silent.insert(n2(), true);
    // Long enough for anything that is waited for to be given up.
    world.tick(3_600_000);
    insta::assert_snapshot!(world.shown(), @r"
    db.1: hold: waits for node n2, which does not answer
    web.1: hold: converged
    ");
    let now = status(&world.inputs(&world.nodes()));
    assert_eq!((now.sync, now.health), (Sync::InSync, Health::Unknown));
    assert_eq!(now.services, [("db".to_owned(), (0, 1)), ("web".to_owned(), (1, 1))].into());
    insta::assert_snapshot!(keel_plan::text::of_notes(&now.notes).join("\n"), @r"
    waiting for node n2, silent for 0 s: it is unknown how db.1 is
    names on network shop_default resolve to tasks on the same node only: db (node n2), web (node n1)
    ");

    // A push reaches what can be reached; nobody is judged by silence.
    world = world.push("web", "nginx:2", "r2");
    for _ in 0..600 {
        world.step();
    }
    assert!(world.running().contains("shop-web-1=nginx:2"), "{}", world.all());
    assert!(world.standing.bad.is_empty() && told(&world).is_empty());
    world.silent.clear();
    let world = world.converge();
    assert_eq!(status(&world.inputs(&world.nodes())).health, Health::Healthy);
    assert_eq!(world.running(), "shop-db-1=postgres:16 shop-web-1=nginx:2");
}

/// The controller has begun anew, and the node has been silent since.
#[test]
fn what_was_sent_to_a_node_that_nobody_has_seen_since_is_not_started_elsewhere() {
    let mut world = spread();
    world.silent.insert(n2(), false);
    insta::assert_snapshot!(world.shown(), @r"
    db.1: hold: waits for node n2, which does not answer
    web.1: hold: converged
    ");
    let now = status(&world.inputs(&world.nodes()));
    assert_eq!((now.sync, now.health), (Sync::Unknown, Health::Unknown));
    for _ in 0..600 {
        world.step();
    }
    assert_eq!(world.node.seen.tasks.len(), 1, "{}", world.all());
    assert_eq!(*world.standing.placed, [("db.1".to_owned(), n2())].into());
}

#[test]
fn what_was_on_a_node_that_is_gone_is_placed_anew() {
    let mut world = spread();
    world.others.remove(&n2());
    insta::assert_snapshot!(world.shown(), @r"
    db.1: hold: waits for image postgres:16
    web.1: hold: converged
    ");
    let world = world.converge();
    assert_eq!(world.running(), "shop-db-1=postgres:16 shop-web-1=nginx:1");
    assert_eq!(*world.standing.placed, [].into());
}

#[test]
fn a_word_about_a_task_on_a_silent_node_waits_for_it() {
    let mut world = spread();
    let db = world.others[&n2()].seen.tasks[0].id.clone();
    world.standing.asks.insert(db, keel_plan::standing::Ask::of(AskVerb::Restart));
    world.silent.insert(n2(), true);
    world.step();
    assert!(told(&world).is_empty() && world.standing.asks.len() == 1, "{}", world.all());
    world.silent.clear();
    assert_eq!(told(&world), ["n2"]);
}

#[test]
fn a_stack_that_goes_leaves_what_is_on_a_silent_node_until_it_answers() {
    let mut world = spread();
    world.standing.removed = Some(keel_plan::standing::Removal { volumes: true });
    world.silent.insert(n2(), true);
    for _ in 0..60 {
        world.step();
    }
    assert!(world.node.seen.tasks.is_empty() && !world.plan().is_gone(), "{}", world.all());
    world.silent.clear();
    for _ in 0..60 {
        world.step();
    }
    assert!(world.plan().is_gone(), "{}", world.all());
    assert!(world.others[&n2()].seen.volumes.is_empty());
}

#[test]
fn drift_on_a_node_that_fell_silent_is_not_right_again() {
    let mut world = spread();
    let found = less_memory();
    let task = Arc::make_mut(&mut world.others.get_mut(&n2()).unwrap().seen.tasks[0]);
    task.findings = vec![found];
    let first = report(&world.inputs(&world.nodes()), &Seen::new());
    let row = &first.rows[0];
    assert_eq!((row.node.as_str(), row.task.as_str(), row.fixed), ("n2", "shop-db-1", false));
    world.silent.insert(n2(), true);
    let then = report(&world.inputs(&world.nodes()), &first.seen);
    assert_eq!(then.rows, first.rows);
    world.silent.clear();
    let task = Arc::make_mut(&mut world.others.get_mut(&n2()).unwrap().seen.tasks[0]);
    task.findings.clear();
    assert!(report(&world.inputs(&world.nodes()), &then.seen).rows[0].fixed);
}

fn less_memory() -> keel_engine::Finding {
    keel_engine::Finding {
        subject: keel_engine::FindingSubject::Task { id: None, slot: None },
        path: "mem_limit".into(),
        applied: keel_engine::Value::Bytes(64),
        observed: keel_engine::Value::Bytes(32),
        cause: None,
        fixed: false,
    }
}

/// Services that share a network namespace are in one place, whatever else would bind them.
#[test]
fn who_shares_a_namespace_goes_along() {
    let world = spread().wants("side", "logger:1").edit("side", |side| {
        side.spec.network_mode = keel_engine::NetworkMode::Service("db".into());
        side.spec.networks.clear();
        side.spec.volumes = vec![mount(MountSource::Anonymous)];
    });
    let world = world.converge();
    let names = |world: &World, node: &str| {
        let tasks = world.others[&NodeName::from(node)].seen.tasks.iter();
        let mut names: Vec<_> = tasks.map(|task| task.spec.container_name.clone()).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&world, "n2"), "shop-db-1 shop-side-1");
}

/// Another stack's port is in the way on its own node only.
#[test]
fn a_port_is_taken_on_one_node_and_free_on_another() {
    let other = stack().wants("web", "nginx:1").checked("web").converge();
    let mut taken = (*other.node.seen.tasks[0]).clone();
    taken.id = keel_engine::TaskId::from_seed("other");
    taken.place = keel_engine::Place::OneOff("other".into());
    taken.spec =
        Arc::new(keel_engine::TaskSpec { container_name: "other".into(), ..(*taken.spec).clone() });
    let image = ObservedImage { reference: "nginx:1".into(), ..ObservedImage::default() };
    let mut world = stack().with_node("n2").wants("web", "nginx:1").checked("web");
    world.others.get_mut(&n2()).unwrap().seen.tasks.push(Arc::new(taken.clone()));
    world.others.get_mut(&n2()).unwrap().seen.images.push(Arc::new(image));
    let world = world.converge();
    assert_eq!(world.running(), "other=nginx:1 shop-web-1=nginx:1");
}
