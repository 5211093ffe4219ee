//! When a task leaves its node: drain, a constraint that is no longer met, less room than before. And how.

use crate::members::GIB;
use crate::world::{World, stack};
use keel_engine::Assignment;
use keel_engine::Availability::{Active, Drain};
use keel_plan::desired::Order;
use keel_plan::status::{Health, status};

fn two() -> World {
    stack().with_members(&["n1", "n2"])
}

/// The fewest tasks that ran at any time while passes were made.
fn least(world: &mut World, steps: usize) -> usize {
    let mut least = usize::MAX;
    for _ in 0..steps {
        world.step();
        least = least.min(world.counts().iter().sum());
    }
    least
}

#[test]
fn a_drained_node_gives_its_tasks_away_once_others_run() {
    let world = two().wants("web", "nginx:1").checked("web").times("web", 4).converge();
    let mut world = world.set("n2", Drain);
    let first = world.shown();
    let moves: Vec<_> = first.lines().filter(|line| line.contains("moves")).collect();
    assert_eq!(moves.len(), 1, "one at a time: {first}");
    assert!(moves[0].ends_with("replace: moves from node n2 (drained)"), "{first}");
    assert_eq!(least(&mut world, 120), 4, "each runs elsewhere before it goes");
    assert_eq!(world.whereabouts(), "n1: web.1 web.2 web.3 web.4");
    let world = world.set("n2", Active).steps(30);
    assert_eq!(world.whereabouts(), "n1: web.1 web.2 web.3 web.4", "nothing comes back by itself");
}

#[test]
fn a_service_without_a_check_is_not_stopped_first_either() {
    let world = two().wants("web", "nginx:1").times("web", 2).converge();
    let mut world = world.set("n2", Drain);
    assert_eq!(least(&mut world, 60), 2);
    let world = two().wants("web", "nginx:1").times("web", 2);
    let mut world =
        world.edit("web", |web| web.order = Some(Order::StopFirst)).converge().set("n2", Drain);
    assert_eq!(least(&mut world, 60), 1, "as its file says");
    assert_eq!(world.counts(), [2, 0]);
}

/// Nothing that serves is given up for one that does not.
#[test]
fn one_that_does_not_get_well_elsewhere_replaces_nothing() {
    let mut world = two().wants("web", "nginx:1").checked("web").times("web", 2).converge();
    world.node.seen.at += 1;
    let sick = |world: &mut World| {
        for task in &mut world.node.seen.tasks {
            if task.started.is_some_and(|at| at > 1_000_000)
                && task.place.slot().is_some_and(|s| s.slot == "2")
            {
                std::sync::Arc::make_mut(task).health = keel_engine::Health::Unhealthy;
            }
        }
    };
    let on_two = world.whereabouts().contains("n2: web.2");
    assert!(on_two, "{}", world.whereabouts());
    world = world.set("n2", Drain);
    for _ in 0..60 {
        world.step();
        sick(&mut world);
    }
    let n2 = &world.others[&keel_engine::NodeName::from("n2")];
    let serves = n2.seen.tasks.iter().any(|task| task.phase == keel_engine::Phase::Running);
    assert!(serves, "{}", world.all());
}

#[test]
fn without_another_node_a_task_stays_and_says_so() {
    let world = two().label("n1", "disk", "ssd").wants("db", "postgres:16");
    let world =
        world.constrained("db", "node.labels.disk == ssd").converge().set("n1", Drain).steps(60);
    assert_eq!(world.whereabouts(), "n1: db.1");
    insta::assert_snapshot!(world.shown(), @"db.1: hold: stays on node n1 (drained): no other node can run it (n2: not matching `node.labels.disk == ssd`)");
    let now = status(&world.inputs(&world.nodes()));
    assert_eq!(now.health, Health::Healthy);
    insta::assert_snapshot!(keel_plan::text::of_notes(&now.notes).join("\n"), @"db.1: stays on node n1 (drained): no other node can run it (n2: not matching `node.labels.disk == ssd`)");
    // Nothing new is made of it there.
    let world = world.push("db", "postgres:17", "r2").steps(30);
    assert_eq!(world.running(), "shop-db-1=postgres:16");
    let world = world.set("n1", Active).converge();
    assert_eq!(world.running(), "shop-db-1=postgres:17");
}

#[test]
fn data_stays_on_a_drained_node() {
    let world = two().wants("db", "postgres:16").with_data("db").converge();
    let node = world.whereabouts().split(':').next().unwrap().to_owned();
    let world = world.set(&node, Drain).steps(30);
    assert_eq!(world.whereabouts(), format!("{node}: db.1"));
    let other = if node == "n1" { "n2" } else { "n1" };
    let wanted = format!(
        "db.1: hold: stays on node {node} (drained): no other node can run it ({other}: without \
         volume shop_data, which is on node {node})\n"
    );
    assert_eq!(world.shown(), wanted);
}

#[test]
fn a_label_that_is_taken_away_moves_what_needs_it() {
    let world = two().label("n1", "zone", "a").label("n2", "zone", "a").wants("web", "nginx:1");
    let world =
        world.checked("web").times("web", 2).constrained("web", "node.labels.zone == a").converge();
    let mut world = world.label("n2", "zone", "b");
    assert!(world.shown().contains("moves from node n2 (not matching `node.labels.zone == a`)"));
    assert_eq!(least(&mut world, 60), 2, "started there first, not killed here first");
    assert_eq!(world.counts(), [2, 0]);
}

#[test]
fn a_constraint_that_the_node_meets_restarts_nothing() {
    let world =
        stack().with_members(&["n1"]).label("n1", "zone", "a").wants("web", "nginx:1").converge();
    let before = world.node.seen.tasks.clone();
    let world = world.constrained("web", "node.labels.zone == a").converge();
    assert_eq!(world.node.seen.tasks[0].id, before[0].id);
    assert_eq!(world.node.seen.tasks[0].started, before[0].started);
}

/// A node that does not report what it is, is not what a constraint asks for; nor is it not that.
#[test]
fn what_a_node_does_not_report_moves_nothing() {
    let mut world =
        two().wants("web", "nginx:1").constrained("web", "node.platform.arch == amd64").converge();
    world.node.seen.host = Default::default();
    world.at("n2").seen.host = Default::default();
    let before = world.whereabouts();
    let world = world.steps(30);
    assert_eq!(world.whereabouts(), before);
    let world = world.times("web", 2).steps(30);
    assert_eq!(world.whereabouts(), before, "{}", world.shown());
}

#[test]
fn the_biggest_leaves_a_node_that_shrank() {
    let world = two().label("n1", "x", "1");
    let sizes = [("big", 2), ("mid", 1), ("tiny", 1)];
    let world = sizes.iter().fold(world, |world, (name, size)| {
        world
            .wants(name, "nginx:1")
            .reserves(name, size * GIB)
            .constrained(name, "node.labels.x == 1")
    });
    let mut world = world.converge().label("n2", "x", "1").sized("n1", 4, 3 * GIB);
    world.step();
    let shown = world.shown();
    assert!(
        shown.contains("big.1: replace: moves from node n1 (short of memory by 1GiB)"),
        "{shown}"
    );
    assert_eq!(shown.matches("moves").count(), 1, "{shown}");
    assert_eq!(least(&mut world, 60), 3);
    assert_eq!(world.whereabouts(), "n1: mid.1 tiny.1; n2: big.1");
}

/// Room for one more is what a start before the stop needs.
#[test]
fn without_room_for_two_the_old_one_stops_first() {
    let world = |memory| {
        let world = stack().with_members(&["n1", "n2"]).sized("n1", 4, memory);
        let world = world.label("n1", "x", "1").wants("web", "nginx:1").checked("web");
        let world = world.constrained("web", "node.labels.x == 1").reserves("web", GIB).converge();
        world.push("web", "nginx:2", "r2")
    };
    let mut roomy = world(2 * GIB);
    assert_eq!(least(&mut roomy, 60), 1);
    let mut tight = world(GIB);
    assert_eq!(least(&mut tight, 60), 0);
    assert_eq!(tight.running(), "shop-web-1=nginx:2");
}

#[test]
fn a_task_of_a_lost_node_is_placed_elsewhere() {
    let world = stack()
        .with_members(&["n1", "n2", "n3"])
        .wants("web", "nginx:1")
        .times("web", 6)
        .converge();
    let world = world.lose("n3").converge();
    assert_eq!(world.counts(), [3, 3], "{}", world.whereabouts());
}

#[test]
fn what_was_on_a_silent_node_is_not_started_elsewhere() {
    let mut world = two().wants("web", "nginx:1").times("web", 2).converge();
    world.silent.insert("n2".into(), true);
    let world = world.steps(30);
    assert_eq!(world.counts(), [1, 1]);
    let shown = world.shown();
    assert_eq!(shown.matches("waits for node n2, which does not answer").count(), 1, "{shown}");
    // What is new goes to nodes that answer.
    let world = world.times("web", 3).steps(30);
    assert_eq!(world.counts(), [2, 1], "{}", world.shown());
}

/// Many services at once would pull and start at once.
#[test]
fn five_slots_of_the_pool_move_at_a_time() {
    let names: Vec<String> = (0..9).map(|number| format!("s{number}")).collect();
    let world = names.iter().fold(two().label("n2", "x", "1"), |world, name| {
        world.wants(name, "nginx:1").constrained(name, "node.labels.x == 1")
    });
    let mut world = world.converge().label("n1", "x", "1").set("n2", Drain);
    let mut most = 0;
    for _ in 0..120 {
        let twice = world.counts().iter().sum::<usize>() - 9;
        most = most.max(twice);
        world.step();
    }
    assert_eq!((world.counts(), most), (vec![9, 0], 5), "{}", world.all());
}

#[test]
fn a_drain_by_force_stops_what_cannot_leave_until_the_node_is_active_again() {
    let world = two().wants("db", "postgres:16").with_data("db").converge();
    let node = world.whereabouts().split(':').next().unwrap().to_owned();
    let mut world = world.set(&node, Drain);
    world.facts(&node).is_emptied = true;
    let shown = world.shown();
    assert!(shown.contains("db.1: stop: nothing may run on its node (drained)"), "{shown}");
    let mut world = world.steps(60);
    assert_eq!(world.running(), "");
    assert!(
        world.shown().contains(&format!("stays on node {node} (drained)")),
        "{}",
        world.shown()
    );
    world.facts(&node).is_emptied = false;
    let world = world.set(&node, Active).steps(30);
    assert_eq!(world.running(), "shop-db-1=postgres:16");
}

/// A node that is drained spreads nothing that is unproven.
#[test]
fn what_leaves_a_node_in_a_rollout_goes_as_it_was_until_the_revision_has_proven_itself() {
    let two = keel_plan::pace::Pace { parallelism: 2, ..Default::default() };
    let world = stack().with_members(&["n1", "n2", "n3"]).wants("web", "nginx:1");
    let world = world.times("web", 3).edit("web", |web| web.update = two).converge();
    let first = world.whereabouts().split(": web.1").next().unwrap().to_owned();
    let drained = first.split_whitespace().next_back().unwrap().to_owned();
    let mut world = world.push("web", "nginx:2", "r2").set(&drained, Drain);
    let mut new = Vec::new();
    while new.is_empty() {
        let plan = world.plan();
        let wishes = plan.wishes().filter_map(|wish| match &wish.what {
            Assignment::Task(task) => Some((wish.node.as_str(), task.spec.image.as_str())),
            _ => None,
        });
        new = wishes.map(|(node, image)| format!("{image} on {node}")).collect();
        new.sort();
        world.step();
    }
    let as_before = new.iter().filter(|new| new.starts_with("nginx:1 on ")).count();
    assert_eq!((as_before, new.len()), (1, 2), "{new:?}");
    assert!(!new.contains(&format!("nginx:1 on {drained}")), "{new:?}");
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:2 shop-web-2=nginx:2 shop-web-3=nginx:2");
    assert!(!world.whereabouts().contains(&drained), "{}", world.whereabouts());
}
