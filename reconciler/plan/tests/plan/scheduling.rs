//! Which node takes which task, and what is said where none does.

use crate::members::{GIB, MIB};
use crate::world::{World, mount, stack};
use keel_engine::Availability::{Active, Drain, Pause};
use keel_engine::{Failure, FailureKind, MountSource, NodeName, ObservedImage};
use keel_plan::status::{Health, status};
use std::sync::Arc;

fn three() -> World {
    stack().with_members(&["n1", "n2", "n3"])
}

#[test]
fn tasks_are_spread_over_the_nodes() {
    let world = three().wants("web", "nginx:1").times("web", 6).converge();
    assert_eq!(world.counts(), [2, 2, 2], "{}", world.whereabouts());
    let world = world.wants("api", "nginx:1").times("api", 3).converge();
    assert_eq!(world.counts(), [3, 3, 3], "{}", world.whereabouts());
}

/// Tasks that are alone of their service are not piled up on the first node.
#[test]
fn single_tasks_are_spread_too() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let world = names.iter().fold(three(), |world, name| world.wants(name, "nginx:1")).converge();
    assert_eq!(world.counts(), [2, 2, 2], "{}", world.whereabouts());
}

#[test]
fn nothing_is_placed_on_a_node_that_is_no_member() {
    let world = stack().with_member("n1").with_node("n2").wants("web", "nginx:1").times("web", 4);
    assert_eq!(world.converge().counts(), [4, 0]);
}

#[test]
fn preferences_spread_level_by_level() {
    let mut world = stack().with_members(&["n1", "n2", "n3", "n4"]);
    for (node, zone, rack) in [("n1", "a", "1"), ("n2", "a", "2"), ("n3", "b", "1")] {
        world = world.label(node, "zone", zone).label(node, "rack", rack);
    }
    let world = world.wants("web", "nginx:1").times("web", 6);
    let world =
        world.placed("web", |place| place.spread = vec!["zone".into(), "rack".into()]).converge();
    // Two in each zone, and where there are two racks one in each; no label is a zone of its own.
    assert_eq!(world.counts(), [1, 1, 2, 2], "{}", world.whereabouts());
}

#[test]
fn a_constraint_that_no_node_meets_is_told_with_each_reason() {
    let world = three().label("n1", "zone", "a").set("n1", Drain).sized("n3", 4, GIB / 2);
    let world = world.sized("n2", 4, GIB / 2).wants("db", "postgres:16").reserves("db", GIB);
    insta::assert_snapshot!(world.all(), @r"
    image postgres:16       hold: converged
    network shop_default    create: it does not exist
    db.1                    hold: no node can run it (3 nodes: 1 drained, 2 short of memory by 512MiB)
    ");
    let world =
        world.constrained("db", "node.labels.zone == a").constrained("db", "node.role == worker");
    insta::assert_snapshot!(world.shown(), @"db.1: hold: no node can run it (3 nodes: 1 drained, 3 not matching `node.role == worker`, 2 not matching `node.labels.zone == a`, 2 short of memory by 512MiB)");
    let now = status(&world.inputs(&world.nodes()));
    assert_eq!(now.health, Health::Degraded);
    insta::assert_snapshot!(keel_plan::text::of_notes(&now.notes).join("\n"), @"db.1: no node can run it (3 nodes: 1 drained, 3 not matching `node.role == worker`, 2 not matching `node.labels.zone == a`, 2 short of memory by 512MiB)");
}

#[test]
fn one_node_alone_is_called_by_its_name() {
    let world = stack().with_member("n1").wants("db", "postgres:16");
    let world = world.constrained("db", "node.labels.x == 1");
    insta::assert_snapshot!(world.shown(), @"db.1: hold: no node can run it (n1: not matching `node.labels.x == 1`)");
    let world = world.label("n1", "x", "1").converge();
    assert_eq!(world.running(), "shop-db-1=postgres:16");
}

/// A reservation chooses among nodes, and on one host there is nothing to choose.
#[test]
fn a_reservation_holds_nothing_up_on_one_host() {
    let world = stack().with_member("n1").sized("n1", 1, 768 * MIB).wants("db", "postgres:16");
    let world =
        world.reserves("db", GIB).edit("db", |db| db.spec.reserved_cpus = Some(1_500_000_000));
    assert_eq!(world.converge().running(), "shop-db-1=postgres:16");
}

/// A node's own reserve is no task's.
#[test]
fn a_part_of_the_memory_is_kept_from_tasks() {
    let mut world = stack().with_members(&["n1", "n2"]).sized("n1", 1, GIB);
    world.facts("n1").reserve = None;
    world.facts("n2").availability = Pause;
    let world = world.wants("db", "postgres:16").reserves("db", 900 * MIB);
    let world = world.edit("db", |db| db.spec.reserved_cpus = Some(1_500_000_000));
    insta::assert_snapshot!(world.shown(), @"db.1: hold: no node can run it (2 nodes: 1 paused, 1 short of CPU by 0.5, 1 short of memory by 4MiB)");
    let world = world.reserves("db", 890 * MIB).edit("db", |db| db.spec.reserved_cpus = None);
    assert!(world.shown().starts_with("db.1: hold: waits for image"), "{}", world.shown());
}

#[test]
fn the_biggest_is_placed_first() {
    let world = stack().with_members(&["n1", "n2"]).sized("n1", 4, 3 * GIB).sized("n2", 4, 3 * GIB);
    let world = ["a", "b"]
        .iter()
        .fold(world, |world, name| world.wants(name, "nginx:1").reserves(name, GIB));
    let world = world.wants("z", "nginx:1").reserves("z", 3 * GIB).times("b", 2).converge();
    assert_eq!(world.running().matches("shop-").count(), 4, "{}", world.whereabouts());
}

/// One that could go anywhere leaves the only place of another one free.
#[test]
fn who_has_the_least_choice_is_placed_first() {
    let world = stack().with_members(&["n1", "n2"]).sized("n1", 4, GIB).sized("n2", 4, GIB);
    let world = world.label("n2", "disk", "ssd").wants("a", "nginx:1").reserves("a", GIB);
    let world =
        world.wants("b", "nginx:1").reserves("b", GIB).constrained("b", "node.labels.disk == ssd");
    assert_eq!(world.converge().whereabouts(), "n1: a.1; n2: b.1");
}

#[test]
fn a_node_takes_no_more_of_a_service_than_it_may() {
    let world = three().wants("web", "nginx:1").times("web", 4);
    let mut world = world.placed("web", |place| place.max_per_node = Some(1)).steps(9);
    assert_eq!(world.counts(), [1, 1, 1]);
    insta::assert_snapshot!(world.shown(), @r"
    web.1: hold: waits for web to be available
    web.2: hold: waits for web to be available
    web.3: hold: waits for web to be available
    web.4: hold: no node can run it (3 nodes: 3 running 1 task of it, the maximum)
    ");
    world = world.push("web", "nginx:2", "r2").with_member("n4").converge();
    assert_eq!(world.running().matches("nginx:2").count(), 4, "replacing one is no second one");
}

#[test]
fn a_port_is_published_once_on_a_node() {
    let world = ["a", "b", "c"].iter().fold(stack().with_members(&["n1", "n2"]), |world, name| {
        world.wants(name, "nginx:1").publishes(name, 80)
    });
    let world = world.steps(9);
    assert_eq!(world.counts(), [1, 1]);
    let shown = world.shown();
    let held: Vec<_> = shown.lines().filter(|line| line.contains("no node")).collect();
    assert_eq!(held.len(), 1, "{shown}");
    assert!(
        held[0].ends_with("no node can run it (2 nodes: 2 with port 80:80/tcp in use)"),
        "{shown}"
    );
    // Another address is another port.
    let other = |service: &mut keel_plan::desired::DesiredService| {
        service.spec.ports[0].host_ip = Some("127.0.0.2".parse().unwrap());
    };
    let one = |service: &mut keel_plan::desired::DesiredService| {
        service.spec.ports[0].host_ip = Some("127.0.0.1".parse().unwrap());
    };
    let world = world.edit("a", one).edit("b", one).edit("c", other).converge();
    assert_eq!(world.running().matches("nginx").count(), 3, "{}", world.whereabouts());
}

#[test]
fn an_image_that_is_not_for_the_nodes_machine_goes_elsewhere() {
    let mut world = three().wants("web", "arm:1").times("web", 2);
    for node in ["n1", "n3"] {
        let kind = FailureKind::NoPlatform;
        let failure = Some(Failure { kind, text: "no image for linux/amd64".into() });
        let image =
            ObservedImage { reference: "arm:1".into(), failure, ..ObservedImage::default() };
        world.at(node).seen.images.push(Arc::new(image));
    }
    assert_eq!(world.converge().whereabouts(), "n2: web.1 web.2");
}

#[test]
fn a_node_that_joins_gets_what_is_new() {
    let world =
        stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 4).converge();
    let before = world.whereabouts();
    let world = world.with_member("n3").steps(30);
    assert_eq!(world.whereabouts(), before);
    let world = world.wants("api", "nginx:1").converge();
    assert_eq!(world.whereabouts(), before + "; n3: api.1");
}

#[test]
fn a_replacement_stays_on_its_node() {
    let world = three().wants("web", "nginx:1").times("web", 3).converge();
    let before = world.whereabouts();
    let world = world.wants("api", "nginx:1").times("api", 6).converge();
    let world = world.push("web", "nginx:2", "r2").converge();
    let web =
        |text: &str| text.split(' ').filter(|word| !word.starts_with("api")).collect::<String>();
    assert_eq!(web(&world.whereabouts()).replace(';', ""), web(&before).replace(';', ""));
}

#[test]
fn a_paused_node_gets_nothing_new_and_keeps_what_it_has() {
    let world = three().wants("web", "nginx:1").times("web", 3).converge();
    let before = world.whereabouts();
    let world = world.set("n3", Pause).steps(20);
    assert_eq!(world.whereabouts(), before);
    assert!(!world.shown().contains("paused"), "nothing is wrong with it: {}", world.shown());
    let world = world.push("web", "nginx:2", "r2").steps(60);
    assert_eq!(world.running().matches("nginx:2").count(), 2);
    assert!(
        world.shown().contains("node n3 is paused, so nothing new starts there"),
        "{}",
        world.shown()
    );
    let world = world.set("n3", Active).converge();
    assert_eq!(world.running().matches("nginx:2").count(), 3);
}

fn data(name: &str) -> MountSource {
    MountSource::Volume { name: name.into(), nocopy: false, subpath: None }
}

#[test]
fn services_that_share_a_new_volume_share_a_node() {
    let mut world = three().wants("app", "nginx:1").with_data("app");
    for name in ["backup", "web"] {
        world = world
            .wants(name, "nginx:1")
            .edit(name, |s| s.spec.volumes = vec![mount(data("shop_data"))]);
    }
    let world = world.converge();
    assert_eq!(
        world.counts().iter().filter(|count| **count == 3).count(),
        1,
        "{}",
        world.whereabouts()
    );
}

#[test]
fn a_volume_on_the_network_binds_nothing() {
    let mut world = three().wants("app", "nginx:1").with_data("app").times("app", 3);
    let volume = world.desired.volumes.get_mut("shop_data").unwrap();
    volume.spec.driver_opts.insert("type".into(), "nfs".into());
    assert_eq!(world.converge().counts(), [1, 1, 1]);
    // Nor does a mount that says that it is shared.
    let world = three().wants("app", "nginx:1").with_data("app").times("app", 3);
    let world = world.edit("app", |app| app.spec.volumes[0].shared = true);
    assert_eq!(world.converge().counts(), [1, 1, 1]);
}

/// A path that a task wrote to is where it was, also after the task is gone.
#[test]
fn a_path_of_the_host_binds_to_the_node_that_was_chosen_first() {
    let source = MountSource::Bind { path: "/srv/data".into(), create: true };
    let world =
        three().wants("app", "nginx:1").edit("app", |app| app.spec.volumes = vec![mount(source)]);
    let mut world = world.converge();
    let before = world.whereabouts();
    let node = before.split(':').next().unwrap().to_owned();
    world.at(&node).seen.tasks.clear();
    for (name, image) in [("a", "nginx:1"), ("b", "nginx:1"), ("c", "nginx:1")] {
        world = world.wants(name, image);
    }
    let world = world.steps(20);
    assert!(world.whereabouts().contains(&format!("{node}: ")) && world.running().contains("app"));
    let on_node = world.whereabouts();
    let on_node = on_node.split("; ").find(|line| line.starts_with(&node)).unwrap().to_owned();
    assert!(on_node.contains("app.1"), "{on_node}");
    // It does not go with its node's other tasks.
    let world = world.set(&node, Drain).steps(60);
    let shown = world.shown();
    assert!(shown.contains(&format!("app.1: hold: stays on node {node} (drained)")), "{shown}");
}

/// What is beside the Compose file is on the controller's own node alone.
#[test]
fn a_path_of_the_stacks_folder_is_at_home() {
    let world = three().wants("app", "nginx:1").times("app", 3);
    let world = world.placed("app", |place| place.home_path = Some("./conf".into()));
    assert_eq!(world.converge().counts(), [3, 0, 0]);
}

#[test]
fn five_failures_send_the_next_task_elsewhere() {
    let mut world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 2);
    // Three replicas would be on both nodes; where one crashes none is placed, and it leaves.
    world = world.times("web", 1).converge();
    let first = world.whereabouts().split(':').next().unwrap().to_owned();
    let other = if first == "n1" { "n2" } else { "n1" };
    let at = world.node.seen.at;
    let task = Arc::make_mut(&mut world.at(&first).seen.tasks[0]);
    (task.restarts, task.started) = (5, Some(at));
    // Much runs on the other node, so that it would be the second choice.
    for name in ["x", "y"] {
        let id = format!("node.hostname == {other}");
        Arc::make_mut(&mut world.at(other).seen.host).hostname = other.into();
        world = world.wants(name, "nginx:1").constrained(name, &id);
    }
    let world = world.times("web", 3).converge();
    let web = |node: &str| {
        let all = world.whereabouts();
        let line = all.split("; ").find(|line| line.starts_with(node));
        line.map_or(0, |line| line.matches("web.").count())
    };
    assert_eq!((web(&first), web(other)), (0, 3), "{}", world.whereabouts());
}

#[test]
fn what_has_no_place_leaves_the_old_alone() {
    let world = stack().with_members(&["n1", "n2"]).wants("db", "postgres:16").reserves("db", GIB);
    let world = world.converge();
    let before = world.running();
    let world = world.push("db", "postgres:17", "r2").reserves("db", 5 * GIB).steps(60);
    assert_eq!(world.running(), before);
    insta::assert_snapshot!(world.shown(), @"db.1: hold: stays on node n2 (short of memory by 1GiB): no other node can run it (n1: short of memory by 1GiB)");
}

/// A node that was chosen is chosen again, though another one would be the first by now.
#[test]
fn a_choice_lasts_while_its_image_is_pulled() {
    let mut world = three().wants("web", "nginx:1");
    world.pass();
    let chosen = world.standing.chosen["web.1"].clone();
    let pulls = world.others.values().chain([&world.node]);
    let pulls: Vec<_> =
        pulls.filter(|n| !n.seen.images.is_empty()).map(|n| n.seen.node.clone()).collect();
    assert_eq!(pulls, std::slice::from_ref(&chosen));
    // Other stacks' tasks come there meanwhile.
    let mut busy = stack().with_member("n1").wants("x", "nginx:1").times("x", 5).converge();
    let tasks = std::mem::take(&mut busy.node.seen.tasks);
    for task in tasks {
        let mut task = (*task).clone();
        task.place = keel_engine::Place::OneOff("busy".into());
        world.at(chosen.as_str()).seen.tasks.push(Arc::new(task));
    }
    let world = world.steps(20);
    let node = |name: &NodeName| world.others.get(name).unwrap_or(&world.node);
    let web = node(&chosen).seen.tasks.iter().any(|t| t.spec.container_name == "shop-web-1");
    assert!(web, "{}", world.whereabouts());
}
