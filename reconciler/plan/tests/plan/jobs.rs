//! What ends, and may.

use crate::world::stack;
use keel_engine::RestartPolicy;
use keel_plan::desired::Condition;
use keel_plan::placement::Mode;
use keel_plan::standing::AskVerb;

#[test]
fn a_job_runs_once_for_its_specification() {
    let world = stack().wants("migrate", "job:1").wants("app", "app:1");
    let world = world.edit("migrate", |s| s.spec.restart = RestartPolicy::No);
    let mut world = world.after("app", "migrate", Condition::Completed);
    insta::assert_snapshot!(world.story(), @r"
    --
    app.1: hold: waits for migrate to be completed
    migrate.1: hold: waits for image job:1
    --
    app.1: hold: waits for migrate to be completed
    migrate.1: start: not running
    --
    app.1: hold: waits for migrate to be completed
    migrate.1: hold: in progress: it is being prepared
    --
    app.1: hold: waits for migrate to be completed
    migrate.1: hold: waits for migrate to be available
    --
    app.1: start: not running
    migrate.1: hold: its job is done
    --
    app.1: hold: in progress: it is being prepared
    migrate.1: hold: its job is done
    --
    app.1: hold: waits for app to be available
    migrate.1: hold: its job is done
    --
    app.1: hold: converged
    migrate.1: hold: its job is done
    ");
    world.node.seen.tasks.retain(|task| task.spec.container_name != "shop-migrate-1");
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: converged
    migrate.1: hold: its job is done
    ");
    let mut world = world.push("migrate", "job:2", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    app.1: hold: converged
    migrate.1: hold: waits for image job:2
    --
    app.1: hold: converged
    migrate.1: start: not running
    --
    app.1: hold: converged
    migrate.1: hold: in progress: it is being prepared
    --
    app.1: hold: converged
    migrate.1: hold: waits for migrate to be available
    --
    app.1: hold: converged
    migrate.1: hold: its job is done
    ");
}

#[test]
fn coming_back_runs_no_job_again() {
    let world = stack().wants("migrate", "job:1").wants("app", "app:1");
    let world = world.edit("migrate", |s| s.spec.restart = RestartPolicy::No).converge();
    let world = world.push("migrate", "job:2", "r2").push("app", "crash", "r2").converge();
    assert_eq!(world.running(), "shop-app-1=app:1");
    insta::assert_snapshot!(world.shown(), @r"
    app.1: hold: revision r2 is known bad: app.1 exited (1) 3 times
    migrate.1: hold: its job is done
    ");
}

#[test]
fn coming_back_to_a_job_that_the_failed_revision_left_out_does_not_run_it_again() {
    let world = stack().wants("report", "job:1").wants("app", "app:1");
    let world = world.edit("report", |s| {
        s.spec.restart = RestartPolicy::No;
        s.placement.mode = Mode::ReplicatedJob;
    });
    let world = world.converge().without("report").push("app", "crash", "r2").converge();
    assert_eq!(world.running(), "shop-app-1=app:1");
    assert!(world.shown().contains("report.1: hold: its job is done"), "{}", world.shown());
}

#[test]
fn a_job_that_fails_is_not_run_again() {
    let world = stack().wants("migrate", "crash").edit("migrate", |s| {
        s.spec.restart = RestartPolicy::No;
    });
    let mut world = world.converge();
    insta::assert_snapshot!(world.shown(), @"migrate.1: hold: failed: exited (1) and its policy is `restart: no`");
    world.asks("shop-migrate-1", AskVerb::Restart);
    insta::assert_snapshot!(world.shown(), @"migrate.1: restart: asked for by `keel restart`");
}
