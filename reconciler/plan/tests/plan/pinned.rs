//! A person came back to a revision: it stays, whatever the source says, until they resume.

use crate::world::{World, stack};
use keel_engine::RestartPolicy;
use keel_plan::standing::Pinned;
use keel_plan::status::status;
use keel_plan::text::of_notes;

fn pin(world: &mut World, desired: &keel_plan::desired::Desired) {
    let images = Default::default();
    let pinned = Pinned { desired: desired.clone(), images, by: "ann@shop".into(), since: 1 };
    world.standing.pinned = Some(Box::new(pinned));
}

#[test]
fn what_a_person_came_back_to_stays_until_they_resume() {
    let world = stack().wants("web", "nginx:1").converge();
    let good = world.desired.clone();
    let mut world = world.push("web", "nginx:2", "r2").converge();
    pin(&mut world, &good);
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1");
    let told = status(&world.inputs(&world.nodes()));
    assert_eq!(of_notes(&told.notes), ["rolled back to r1 by ann@shop"]);
    assert_eq!(
        (told.sync.to_string(), told.health.to_string()),
        ("OutOfSync".into(), "Healthy".into())
    );
    let mut world = world.push("web", "nginx:3", "r3").converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1", "a push does not end it");
    world.standing.pinned = None;
    assert_eq!(world.converge().running(), "shop-web-1=nginx:3");
}

#[test]
fn a_rollback_runs_no_job_again() {
    let world = stack().wants("migrate", "job:1").wants("web", "nginx:1");
    let world = world.edit("migrate", |s| s.spec.restart = RestartPolicy::No).converge();
    let good = world.desired.clone();
    let mut world = world.push("migrate", "job:2", "r2").push("web", "nginx:2", "r2").converge();
    pin(&mut world, &good);
    let mut world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1");
    assert!(world.story().contains("migrate.1: hold: its job is done"));
    let jobs = world.node.seen.tasks.iter().filter(|task| task.spec.image == "job:1").count();
    assert_eq!(jobs, 0, "the first one is gone, and none came again");
}

#[test]
fn a_rollback_that_fails_leaves_what_ran_and_says_so() {
    let world = stack().wants("web", "nginx:1").converge();
    let mut bad = world.desired.clone();
    let other = stack().wants("web", "crash");
    (bad.services, bad.hash) = (other.desired.services.clone(), other.desired.hash);
    let mut world = world;
    pin(&mut world, &bad);
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1");
    let notes = of_notes(&status(&world.inputs(&world.nodes())).notes);
    assert_eq!(notes[0], "revision r1 failed: web.1 exited (1) 3 times", "{notes:?}");
}
