//! Revisions that no node there is can run, and data whose node is not known yet.

use crate::members::GIB;
use crate::world::{World, stack};
use keel_engine::Availability;
use keel_plan::status::status;
use keel_plan::text::of_notes;

const PATIENCE: u64 = 10 * 60_000;

/// Two nodes with a service that is good, and a revision with one more, which asks for nodes with an SSD.
fn picky(before: impl FnOnce(World) -> World) -> World {
    let world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").converge();
    let world = before(world).push("web", "nginx:2", "r2");
    world.wants("api", "api:1").constrained("api", "node.labels.disk == ssd")
}

fn notes(world: &World) -> String {
    let nodes = world.nodes();
    of_notes(&status(&world.inputs(&nodes)).notes).join("\n")
}

#[test]
fn what_fits_no_node_fails_its_revision_after_ten_minutes() {
    let mut world = picky(|world| world).steps(60);
    assert_eq!(world.running(), "shop-web-1=nginx:2");
    assert!(world.standing.bad.is_empty(), "somebody may label a node yet");
    world.tick(PATIENCE);
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1", "what was good comes back");
    let notes = notes(&world);
    assert!(notes.contains("revision r2 failed: api.1 fits no node there is ("), "{notes}");
    assert!(notes.contains("not matching `node.labels.disk == ssd`"), "{notes}");
}

#[test]
fn more_than_the_biggest_node_has_is_a_failure_too() {
    let mut world =
        picky(|world| world.label("n2", "disk", "ssd")).reserves("api", 8 * GIB).steps(60);
    world.tick(PATIENCE);
    let notes = notes(&world.converge());
    assert!(notes.contains("short of memory by 4GiB"), "{notes}");
    assert!(notes.contains("api.1 fits no node there is ("), "{notes}");
}

#[test]
fn a_node_that_could_run_it_and_does_not_now_is_waited_for() {
    let ssd = |world: World| world.label("n2", "disk", "ssd");
    let drained = picky(|world| ssd(world).set("n2", Availability::Drain));
    let mut silent = picky(ssd);
    silent.silent.insert("n2".into(), true);
    let full = picky(|world| {
        let big = ssd(world).wants("big", "big:1").reserves("big", 3 * GIB);
        big.constrained("big", "node.labels.disk == ssd").converge()
    });
    for (why, world) in
        [("drained", drained), ("silent", silent), ("full", full.reserves("api", 2 * GIB))]
    {
        let mut world = world.steps(30);
        world.tick(3 * PATIENCE);
        let world = world.steps(30);
        assert!(world.standing.bad.is_empty(), "{why}: {}", world.all());
        assert!(!world.running().contains("api:1"), "{why}: {}", world.running());
    }
}

#[test]
fn what_was_placed_before_fails_no_revision_that_left_it_alone() {
    let world = stack().with_members(&["n1", "n2"]).label("n2", "disk", "ssd");
    let world = world.wants("web", "nginx:1").wants("api", "api:1");
    let world = world.constrained("api", "node.labels.disk == ssd").converge();
    let mut world = world.lose("n2").push("web", "nginx:2", "r2").steps(60);
    world.tick(3 * PATIENCE);
    let world = world.steps(30);
    assert!(world.standing.bad.is_empty(), "{}", world.all());
    assert_eq!(world.running(), "shop-web-1=nginx:2");
}

#[test]
fn a_volume_is_made_where_its_task_is_and_nowhere_before() {
    for world in [stack(), stack().with_members(&["n1", "n2"])] {
        let world = world.with_members(&["n1"]).wants("db", "pg:1").with_data("db");
        let world = world.constrained("db", "node.labels.disk == ssd").steps(20);
        let volumes = |world: &World| -> Vec<usize> {
            let nodes = std::iter::once(&world.node).chain(world.others.values());
            nodes.map(|node| node.seen.volumes.len()).collect()
        };
        assert_eq!(volumes(&world).iter().sum::<usize>(), 0, "{}", world.all());
        let last = if world.others.is_empty() { "n1" } else { "n2" };
        let world = world.label(last, "disk", "ssd").converge();
        assert_eq!(world.whereabouts(), format!("{last}: db.1"));
        assert_eq!(volumes(&world).iter().sum::<usize>(), 1);
        assert_eq!(volumes(&world).last(), Some(&1));
    }
}
