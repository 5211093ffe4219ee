//! What a revision, a kernel or somebody's hand does to running tasks, and what comes of it.

mod support;

use keel_engine::{FieldPath, Finding, FindingSubject, Health, Value, fields::Field};
use keel_plan::status::Health as StackHealth;
use keel_reconciler::ask::Outcome;
use keel_reconciler::operation::OperationState;
use keel_reconciler::rows::SyncAsk;
use keel_testing::fake::Behaviour;
use keel_testing::waiting::Deadline;
use std::time::Duration;
use support::{World, stack, status, told, until};

const CHECKED: &str = "\
services:
  web:
    image: nginx:1
    mem_limit: 64m
    healthcheck: {test: [CMD, check], interval: 1s, retries: 1, timeout: 1s}
";

fn finding() -> Finding {
    Finding {
        subject: FindingSubject::Task { id: None, slot: None },
        path: FieldPath::Row(Field::MemLimit),
        applied: Value::Bytes(64 << 20),
        observed: Value::Bytes(32 << 20),
        cause: None,
        fixed: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_with_its_place_and_since_when() {
    let world = World::new();
    world.write("hello/compose.yaml", CHECKED);
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    assert_eq!(controller.drift(None).await.unwrap().findings, [], "nothing on an untouched stack");
    let web = world.task("hello-web-1").await;
    world.fake.drift(Some(&web.id), finding());
    let first = controller.drift(None).await.unwrap().findings;
    world.advance(60_000);
    let again = controller.drift(Some(&stack("hello"))).await.unwrap().findings;
    assert_eq!(first, again, "it is known since the first look");
    let row = &again[0];
    assert_eq!((row.stack.as_str(), row.service.as_str()), ("hello", "web"));
    assert_eq!((row.field.as_str(), row.policy.as_str()), ("mem_limit", "heal"));
    assert_eq!(row.desired, Value::Bytes(64 << 20));
    assert_eq!(row.at.as_ref().unwrap().line, 4);
    assert!(controller.drift(Some(&stack("nobody"))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_planned_and_healed_by_whoever_converges() {
    let world = World::new();
    world.write("hello/compose.yaml", CHECKED);
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    let web = world.task("hello-web-1").await;
    world.fake.drift(Some(&web.id), finding());
    let plan = controller.plan(vec![]).await.unwrap();
    let words: Vec<_> = plan.stacks[0].verdicts.iter().map(|row| row.text.as_str()).collect();
    assert!(words.iter().any(|text| text.starts_with("heal: ")), "{words:?}");
    assert_eq!(told(controller.converge(world.up("hello"))).await.1, Outcome::Done);
    assert!(world.task("hello-web-1").await.generation > web.generation, "it is applied again");
    assert_eq!(
        controller.drift(None).await.unwrap().findings.iter().filter(|f| !f.fixed).count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_healed_under_serve_unless_policy_says_report() {
    for (policy, healed) in [("heal", true), ("report", false)] {
        let world = World::new();
        let text = format!("x-keel: {{drift: {policy}}}\n{CHECKED}");
        world.write("stacks/hello/compose.yaml", &text);
        let first = world.serve_folder("stacks").await;
        world.until_running(&[("hello-web-1", "nginx:1")]).await;
        first.stop().await;
        let web = world.task("hello-web-1").await;
        world.fake.drift(Some(&web.id), finding());
        // A start looks for drift at once.
        let controller = world.serve_folder("stacks").await;
        until("the drift is known", || async { status(&controller).await[0].drift == 1 }).await;
        if healed {
            until("it is healed", || async {
                world.task("hello-web-1").await.generation > web.generation
            })
            .await;
            let left = controller.drift(None).await.unwrap().findings;
            assert!(left.iter().all(|row| row.fixed), "{left:?}");
        } else {
            told(controller.sync(SyncAsk::default())).await;
            assert_eq!(controller.drift(None).await.unwrap().findings[0].policy, "report");
            assert_eq!(world.task("hello-web-1").await.generation, web.generation);
        }
        assert_eq!(world.task("hello-web-1").await.id, web.id);
        controller.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_does_not_get_healthy_is_rolled_back_and_said_to_have_failed() {
    let world = World::new();
    world.write("hello/compose.yaml", CHECKED);
    let controller = world.command().await;
    assert_eq!(told(controller.converge(world.up("hello"))).await.1, Outcome::Done);
    world.fake.behave("nginx:2", Behaviour::Sick);
    world.write("hello/compose.yaml", &CHECKED.replace("nginx:1", "nginx:2"));
    let converging = tokio::spawn(told(controller.converge(world.up("hello"))));
    // The time to get healthy goes by, as fast as the passes follow.
    let deadline = Deadline::start();
    while !converging.is_finished() {
        deadline.check("it converges");
        world.advance(5_000);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, outcome, notes) = converging.await.unwrap();
    assert_eq!(outcome, Outcome::Failed, "{notes:?}");
    world.until_running(&[("hello-web-1", "nginx:1")]).await;
    let row = status(&controller).await.remove(0);
    assert_eq!(row.operation.state, Some(OperationState::Failed), "{row:?}");
    let history = controller.history(&[]).await.unwrap();
    let states: Vec<_> = history.iter().map(|row| row.state).collect();
    assert_eq!(states.first(), Some(&OperationState::Succeeded), "{history:?}");
    assert!(states.contains(&OperationState::Failed), "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_bad_gets_another_try_when_a_person_says_retry() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", CHECKED);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("hello-web-1", "nginx:1")]).await;
    until("it is good", || async { status(&controller).await[0].health == StackHealth::Healthy })
        .await;
    world.fake.behave("nginx:2", Behaviour::Sick);
    world.write("stacks/hello/compose.yaml", &CHECKED.replace("nginx:1", "nginx:2"));
    let syncing = tokio::spawn(told(controller.sync(SyncAsk::default())));
    let deadline = Deadline::start();
    while !syncing.is_finished() {
        deadline.check("it syncs");
        world.advance(5_000);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(syncing.await.unwrap().1, Outcome::Failed);
    world.until_running(&[("hello-web-1", "nginx:1")]).await;
    told(controller.sync(SyncAsk::default())).await;
    world.until_running(&[("hello-web-1", "nginx:1")]).await;
    world.fake.behave("nginx:2", Behaviour::default());
    let retry = SyncAsk { targets: vec!["hello".into()], retry: true, ..SyncAsk::default() };
    let (_, outcome, notes) = told(controller.sync(retry)).await;
    assert_eq!((outcome, notes), (Outcome::Done, vec![]));
    world.until_running(&[("hello-web-1", "nginx:2")]).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_detached_does_not_wait_for_health() {
    let world = World::new();
    world.write("hello/compose.yaml", CHECKED);
    world.fake.behave("nginx:1", Behaviour::Slow);
    let controller = world.command().await;
    let mut ask = world.up("hello");
    ask.detach = true;
    assert_eq!(told(controller.converge(ask)).await.1, Outcome::Done);
    assert_eq!(world.task("hello-web-1").await.health, Health::Starting);
}

#[tokio::test(flavor = "multi_thread")]
async fn up_attached_waits_for_health() {
    let world = World::new();
    world.write("hello/compose.yaml", CHECKED);
    world.fake.behave("nginx:1", Behaviour::Slow);
    let controller = world.command().await;
    let attached = tokio::spawn(told(controller.converge(world.up("hello"))));
    world.until_running(&[("hello-web-1", "nginx:1")]).await;
    assert!(!attached.is_finished());
    world.fake.set_health(&world.task("hello-web-1").await.id, Health::Healthy);
    let (steps, outcome, _) = attached.await.unwrap();
    assert_eq!(outcome, Outcome::Done);
    assert!(steps.iter().any(|step| step == "Container hello-web-1  Healthy"), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_killed_runs_again() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", CHECKED);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("hello-web-1", "nginx:1")]).await;
    until("its rollout is over", || async {
        status(&controller).await[0].health == StackHealth::Healthy
    })
    .await;
    let web = world.task("hello-web-1").await;
    world.fake.kill_from_outside(&web.id, 9);
    world.advance(60_000);
    world.until_running(&[("hello-web-1", "nginx:1")]).await;
    assert_eq!(world.task("hello-web-1").await.id, web.id);
    controller.stop().await;
}
