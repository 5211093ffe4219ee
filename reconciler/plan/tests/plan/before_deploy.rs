//! Jobs before a deploy: once for each revision, before anything else of it.

use crate::world::{World, stack};
use keel_engine::{ExitCause, Goal, Phase, RestartPolicy};
use keel_plan::desired::Condition;
use keel_plan::standing::AskVerb;
use keel_plan::text::{of_failure, of_notes};
use keel_plan::verdict::Learned;

/// An app with a database, and a job that needs the database.
fn shop(job: &str) -> World {
    let world = stack().wants("db", "pg:1").with_data("db").checked("db");
    let world = world.wants("app", "app:1").wants("migrate", job).before_deploy("migrate");
    world.after("migrate", "db", Condition::Healthy)
}

fn jobs(world: &World) -> usize {
    let done = |learned: &&Learned| matches!(learned, Learned::Completed { .. });
    world.learned.iter().filter(done).count()
}

#[test]
fn everything_else_waits_for_the_job_and_the_job_for_what_it_needs() {
    let mut world = shop("job:1");
    insta::assert_snapshot!(world.story(), @r"
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: waits for image pg:1
    migrate.1: hold: waits for image app:1
    --
    app.1: hold: waits for migrate to be completed
    db.1: start: not running
    migrate.1: hold: waits for db to be healthy
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: in progress: it is being prepared
    migrate.1: hold: waits for db to be healthy
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: waits for db to be available
    migrate.1: hold: waits for db to be healthy
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: waits for db to be available
    migrate.1: start: before revision r1 is deployed
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: waits for db to be available
    migrate.1: hold: in progress: it is being prepared
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: waits for db to be available
    migrate.1: hold: in progress: it runs, and everything else waits for it
    --
    app.1: start: not running
    db.1: hold: waits for db to be available
    migrate.1: hold: its job is done
    --
    app.1: hold: in progress: it is being prepared
    db.1: hold: waits for db to be available
    migrate.1: hold: its job is done
    --
    app.1: hold: waits for app to be available
    db.1: hold: waits for db to be available
    migrate.1: hold: its job is done
    --
    app.1: hold: waits for app to be available
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: hold: converged
    db.1: hold: converged
    migrate.1: hold: its job is done
    ");
    assert_eq!(world.running(), "shop-app-1=app:1 shop-db-1=pg:1");
    let mut world = world.push("app", "app:2", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    app.1: hold: waits for image app:2
    db.1: hold: converged
    migrate.1: hold: waits for image app:2
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: start: before revision r2 is deployed
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: hold: in progress: it is being prepared
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: hold: in progress: it runs, and everything else waits for it
    --
    app.1: replace: image app:1 -> app:2 (compose.yaml:7:12)
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: hold: in progress: it is being prepared
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: replace: image app:1 -> app:2 (compose.yaml:7:12)
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: hold: in progress: its predecessor is being stopped
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: replace: image app:1 -> app:2 (compose.yaml:7:12)
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: hold: waits for app to be available
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: remove: its successor is available
    db.1: hold: converged
    migrate.1: hold: its job is done
    --
    app.1: hold: converged
    db.1: hold: converged
    migrate.1: hold: its job is done
    ");
    assert_eq!((jobs(&world), world.running().as_str()), (2, "shop-app-1=app:2 shop-db-1=pg:1"));
}

#[test]
fn once_for_each_meaning() {
    let mut world = shop("job:1").converge();
    world.desired.revision = "r2".into();
    let mut world = world.converge();
    assert_eq!(jobs(&world), 1, "another revision of the same meaning");
    world.node.seen.tasks.retain(|task| !task.spec.container_name.contains("migrate"));
    world.asked.resolve = true;
    let world = world.converge();
    assert_eq!(jobs(&world), 1, "its ended task is gone, and `keel up` of the same");
    let before = world.desired.clone();
    let world = world.push("app", "app:2", "r3").converge();
    assert_eq!(jobs(&world), 2, "another image of the app");
    let mut world = world.push("app", "crash", "r4").converge();
    assert_eq!((jobs(&world), world.running().contains("app:2")), (3, true), "it came back");
    world.desired = world.standing.good_desired.as_deref().unwrap().clone();
    let mut world = world.converge();
    assert_eq!(jobs(&world), 3, "back to what is good by a push runs none");
    world.desired = before;
    let mut world = world.converge();
    assert_eq!(jobs(&world), 4, "back to what was good before is another deploy");
    world.asked.recreate = true;
    assert_eq!(jobs(&world.converge()), 5, "a person's explicit word");
}

#[test]
fn a_tag_that_moved_is_another_deploy() {
    let mut world = shop("job:1").converge();
    let image = world.node.seen.images.iter_mut().find(|image| image.reference == "app:1");
    std::sync::Arc::make_mut(image.unwrap()).digest = Some(keel_engine::Digest::of(b"moved"));
    world.asked.resolve = true;
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: start: before revision r1 is deployed
    ");
    assert_eq!(jobs(&world.converge()), 2);
}

#[test]
fn a_job_that_fails_ends_the_rollout_and_touches_nothing() {
    let world = shop("job:1").converge();
    let app = world.node.seen.tasks.iter().find(|task| task.spec.image == "app:1").cloned();
    let mut world = world.push("app", "app:2", "r2").push("migrate", "crash", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    app.1: hold: waits for image app:2
    db.1: hold: converged
    migrate.1: hold: waits for image app:2
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: start: before revision r2 is deployed
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: hold: in progress: it is being prepared
    --
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: hold: in progress: it runs, and everything else waits for it
    --
    app.1: hold: revision r2 is known bad: migrate.1 exited (1) and its policy is `restart: no`
    db.1: hold: converged
    migrate.1: hold: revision r2 is known bad: migrate.1 exited (1) and its policy is `restart: no`
    ");
    let after = world.node.named("shop-app-1").clone();
    assert_eq!(Some((after.id, after.started)), app.map(|app| (app.id.clone(), app.started)));
    assert!(world.standing.bad.contains_key(&world.desired.hash));
    let status = keel_plan::status::status(&world.inputs(&world.nodes()));
    let why = "migrate.1 exited (1) and its policy is `restart: no`";
    assert_eq!(of_notes(&status.notes), [format!("revision r2 failed: {why}")]);
    assert_eq!(status.revision, "r1");
    // Not tried again by itself; a mending commit is, and a person's word.
    assert_eq!(world.node.named("shop-migrate-1").restarts, 0);
    let mended = world.push("migrate", "job:2", "r3").converge();
    assert_eq!(mended.running(), "shop-app-1=app:2 shop-db-1=pg:1");
}

#[test]
fn another_try_runs_a_failed_job_anew_and_a_done_one_not() {
    let retry = |world: &mut World| {
        world.standing.bad.clear();
        (world.standing.tried, world.standing.retry) = (None, true);
    };
    let mut world = shop("crash").converge();
    let first = world.node.named("shop-migrate-1").id.clone();
    retry(&mut world);
    let mut world = world.converge();
    assert_ne!(world.node.named("shop-migrate-1").id, first);
    let world = shop("job:1").converge().push("app", "crash", "r2");
    let mut world = world.converge();
    retry(&mut world);
    let world = world.converge();
    assert_eq!(jobs(&world), 2, "it was done for r2");
}

#[test]
fn the_first_revision_starts_nothing_before_its_job_is_done() {
    let mut world = shop("crash").converge();
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: failed: needs migrate.1 completed, which failed
    db.1: hold: converged
    migrate.1: hold: failed: exited (1) and its policy is `restart: no`
    ");
    assert_eq!(world.running(), "shop-db-1=pg:1");
    world.asks("shop-migrate-1", AskVerb::Restart);
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: waits for migrate to be completed
    db.1: hold: converged
    migrate.1: restart: asked for by `keel restart`
    ");
}

#[test]
fn a_newer_push_lets_the_job_under_way_end() {
    let world = shop("job:1").converge();
    let mut world = world.push("migrate", "slow", "r2").push("app", "app:2", "r2");
    (0..6).for_each(|_| _ = world.step());
    let slow = world.node.named("shop-migrate-1").clone();
    assert_eq!((&slow.phase, slow.spec.image.as_str()), (&Phase::Running, "slow"));
    let mut world = world.push("migrate", "job:3", "r3").push("app", "app:3", "r3");
    (0..30).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: in progress: waits for job migrate of revision r2 to end
    db.1: hold: converged
    migrate.1: hold: in progress: the job of revision r2 runs, and is left to end
    ");
    let task = world.node.seen.tasks.iter_mut().find(|task| task.id == slow.id).unwrap();
    let task = std::sync::Arc::make_mut(task);
    assert_eq!(task.goal, Goal::Running, "nobody ended it");
    (task.phase, task.exit_code, task.exit_cause) = (Phase::Exited, Some(0), Some(ExitCause::Own));
    let world = world.converge();
    assert_eq!(world.running(), "shop-app-1=app:3 shop-db-1=pg:1");
}

#[test]
fn a_service_that_left_while_its_job_runs_is_left_to_end() {
    let world = shop("job:1").converge();
    let mut world = world.push("migrate", "slow", "r2");
    (0..6).for_each(|_| _ = world.step());
    let mut world = world.without("migrate").push("app", "app:3", "r3");
    (0..9).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: in progress: waits for job migrate of revision r2 to end
    db.1: hold: converged
    migrate.1: hold: in progress: the job of revision r2 runs, and is left to end
    ");
    let task = world.node.named("shop-migrate-1");
    (task.phase, task.exit_code, task.exit_cause) = (Phase::Exited, Some(1), Some(ExitCause::Own));
    let world = world.converge();
    assert_eq!(world.running(), "shop-app-1=app:3 shop-db-1=pg:1");
}

#[test]
fn retries_are_the_policys_to_count() {
    let tried = |restart| {
        let world = shop("job:1").converge().push("app", "app:2", "r2");
        let mut world = world.push("migrate", "crash", "r2").edit("migrate", |job| {
            job.spec.restart = restart;
        });
        world = world.converge();
        let task = world.node.named("shop-migrate-1").clone();
        (task.restarts, task.phase, world.running())
    };
    let old = "shop-app-1=app:1 shop-db-1=pg:1".to_owned();
    let max = RestartPolicy::OnFailure { max: 5 };
    assert_eq!(tried(max), (5, Phase::Exited, old.clone()));
    let (restarts, phase, running) = tried(RestartPolicy::OnFailure { max: 0 });
    assert_eq!((phase, running), (Phase::Exited, old));
    assert!(restarts < 6, "one that fails for ever is ended: {restarts}");
}

#[test]
fn who_kills_a_job_does_not_mean_it_to_begin_anew() {
    for (cause, words) in [
        (ExitCause::KilledFromOutside, "was killed from outside"),
        (ExitCause::Stopped, "was killed by a person"),
    ] {
        let mut world = shop("job:1").converge().push("migrate", "slow", "r2");
        (0..6).for_each(|_| _ = world.step());
        let task = world.node.named("shop-migrate-1");
        (task.phase, task.exit_code, task.exit_cause) = (Phase::Exited, Some(137), Some(cause));
        let world = world.converge();
        let bad = &world.standing.bad[&world.desired.hash].cause;
        assert_eq!(of_failure(bad), format!("migrate.1 {words}"));
    }
}

#[test]
fn a_person_stops_one_run_of_a_job_and_not_those_of_later_deploys() {
    let mut world = shop("job:1").converge().push("migrate", "slow", "r2");
    (0..6).for_each(|_| _ = world.step());
    world.standing.stopped.insert("migrate.1".into());
    let world = world.converge();
    let bad = &world.standing.bad[&world.desired.hash].cause;
    assert_eq!(of_failure(bad), "migrate.1 was stopped by a person");
    let mut world = world.push("migrate", "job:3", "r3").push("app", "app:3", "r3").converge();
    assert_eq!((jobs(&world), world.running().as_str()), (2, "shop-app-1=app:3 shop-db-1=pg:1"));
    // One that is done is not undone by a stop.
    world.standing.stopped.insert("migrate.1".into());
    let world = world.converge();
    assert!(!world.standing.bad.contains_key(&world.desired.hash));
}

#[test]
fn a_run_that_nobody_saw_end_begins_again() {
    let mut world = shop("job:1").converge().push("migrate", "slow", "r2");
    (0..6).for_each(|_| _ = world.step());
    let id = world.node.named("shop-migrate-1").id.clone();
    let task = world.node.named("shop-migrate-1");
    (task.phase, task.exit_code, task.exit_cause) =
        (Phase::Exited, None, Some(ExitCause::Interrupted));
    (0..20).for_each(|_| _ = world.step());
    let task = world.node.named("shop-migrate-1");
    assert_eq!((&task.id, &task.phase), (&id, &Phase::Running));
}

#[test]
fn all_images_are_there_before_the_job_begins() {
    let mut world = shop("job:1").served().converge();
    world.node.unknown = vec!["later".into()];
    let mut world = world.push("app", "later", "r2").push("migrate", "job:2", "r2");
    (0..20).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: waits for image later: no such image
    db.1: hold: converged
    migrate.1: hold: waits for image later: no such image
    ");
    world.node.unknown.clear();
    assert_eq!(world.converge().running(), "shop-app-1=later shop-db-1=pg:1");
}

#[test]
fn a_removal_waits_for_the_job_too() {
    let world = shop("job:1").wants("old", "old:1").converge();
    let mut world = world.without("old").push("migrate", "slow", "r2");
    (0..9).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: converged
    db.1: hold: converged
    migrate.1: hold: in progress: it runs, and everything else waits for it
    old.1: hold: waits for migrate to be completed
    ");
}

#[test]
fn services_that_a_person_names_come_after_the_job() {
    let mut world = shop("job:1");
    world.asked.services = vec!["app".into()];
    let world = world.converge();
    assert_eq!((jobs(&world), world.running().as_str()), (1, "shop-app-1=app:1 shop-db-1=pg:1"));
}
