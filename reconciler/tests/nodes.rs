//! Three nodes, one of which falls silent: what is told of it, and that nothing else waits or fails.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_engine::{Assignment, Depth, Engine, Phase, Presence, VolumeSpec};
use keel_plan::status::{Health, Sync};
use keel_reconciler::Controller;
use keel_reconciler::ask::{ContainerRow, TaskAsk, TaskVerb};
use keel_reconciler::operation::OperationState;
use keel_reconciler::rows::{PsAsk, PullAsk, RemoveAsk, SyncAsk};
use keel_testing::fake::Fake;
use std::sync::Arc;
use support::{World, stack, status, told, until};

const SHOP: &str = "name: shop\nservices:\n  web:\n    image: web:1\n  db:\n    image: db:1\n    volumes: [data:/data]\nvolumes:\n  data: {}\n";

/// Data that was on node `two` before: the database belongs there.
async fn data_on(node: &Fake) {
    let labels = [("com.docker.compose.project".to_owned(), "shop".to_owned())].into();
    let (name, driver) = ("shop_data".to_owned(), "local".to_owned());
    let spec = VolumeSpec { name, driver, labels, ..VolumeSpec::default() };
    node.assign(&[Assignment::Volume { spec, wanted: Presence::Present }]).await.unwrap();
}

async fn running(node: &Fake) -> Vec<String> {
    let seen = node.observe(Depth::State).await.unwrap();
    let runs = seen.all_tasks().filter(|task| task.phase == Phase::Running);
    runs.map(|task| format!("{}={}", task.spec.container_name, task.spec.image)).collect()
}

/// `shop` on nodes `here` and `two`; nothing on `three`.
async fn spread() -> (World, Arc<Fake>, Arc<Fake>, Controller) {
    let (world, two) = World::new().with_node("two");
    let (world, three) = world.with_node("three");
    data_on(&two).await;
    world.write("stacks/shop/compose.yaml", SHOP);
    let controller = world.serve_folder("stacks").await;
    until_health(&controller, Health::Healthy).await;
    (world, two, three, controller)
}

async fn until_health(controller: &Controller, health: Health) {
    until(&health.to_string(), || async {
        let rows = status(controller).await;
        rows.iter()
            .any(|row| row.health == health && row.operation.state != Some(OperationState::Running))
    })
    .await;
}

async fn ps(controller: &Controller) -> Vec<ContainerRow> {
    let mut rows = controller.ps(PsAsk { all: true, ..PsAsk::default() }).await.unwrap();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

#[tokio::test]
async fn each_node_is_told_what_is_its_own() {
    let (world, two, three, controller) = spread().await;
    assert_eq!(running(&world.fake).await, ["shop-web-1=web:1"]);
    assert_eq!(running(&two).await, ["shop-db-1=db:1"]);
    let idle = three.observe(Depth::State).await.unwrap();
    assert!(idle.tasks.is_empty() && idle.networks.is_empty() && idle.images.is_empty());
    // Whoever makes room asked everywhere, at the start.
    let (before, two_before) = (three.turns(), two.turns());
    controller.plan(vec![]).await.unwrap();
    told(controller.sync(SyncAsk::default())).await;
    assert!(two.turns() > two_before);
    assert_eq!(three.turns(), before, "nobody needs a turn at a node that has nothing to do");

    let nodes: Vec<_> = ps(&controller).await.into_iter().map(|row| (row.name, row.node)).collect();
    let expected = [("shop-db-1", "two"), ("shop-web-1", "here")];
    assert_eq!(nodes, expected.map(|(name, node)| (name.to_owned(), node.to_owned())));
    let networks = controller.networks().await.unwrap();
    let on: Vec<_> = networks.iter().map(|row| row.node.as_str()).collect();
    assert_eq!(on, ["here", "two"]);
    let volumes = controller.volumes().await.unwrap();
    assert_eq!(volumes.iter().map(|row| row.node.as_str()).collect::<Vec<_>>(), ["two"]);
    let images: Vec<_> = controller
        .images()
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.reference, row.node))
        .collect();
    let expected = [("web:1", "here"), ("db:1", "two")];
    assert_eq!(images, expected.map(|(name, node)| (name.to_owned(), node.to_owned())));
    let usage = controller.disk_usage().await.unwrap();
    let of = |node: &str| usage.iter().filter(|row| row.node == node).count();
    assert_eq!((of("here"), of("two"), of("three")), (4, 3, 3));
    controller.stop().await;
}

#[tokio::test]
async fn a_silent_node_is_unknown_and_the_rest_goes_on() {
    let (world, two, _three, controller) = spread().await;
    two.silence(true);
    until_health(&controller, Health::Unknown).await;
    let row = &status(&controller).await[0];
    assert_eq!(row.sync, Sync::InSync);
    assert_eq!(row.services, [("db".to_owned(), (0, 1)), ("web".to_owned(), (1, 1))].into());
    let note = &row.notes[0];
    assert!(note.starts_with("waiting for node two, silent for "), "{note}");
    assert!(note.ends_with(": it is unknown how db.1 is"), "{note}");
    let rows = ps(&controller).await;
    let said: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.state.word())).collect();
    assert_eq!(said, [("shop-db-1", "unknown"), ("shop-web-1", "running")]);
    assert_eq!((rows[0].pid, rows[0].message.as_deref()), (None, Some("node two does not answer")));

    // A push with a config, another stack and a person's pull do not wait for it.
    let configured = "web:2\n    configs: [page]";
    let shop = SHOP.replace("web:1", configured) + "configs:\n  page: { content: hello }\n";
    world.write("stacks/shop/compose.yaml", &shop);
    world.write("stacks/blog/compose.yaml", "name: blog\nservices:\n  web:\n    image: blog:1\n");
    until("the others go on", || async {
        running(&world.fake).await == ["blog-web-1=blog:1", "shop-web-1=web:2"]
            || running(&world.fake).await == ["shop-web-1=web:2", "blog-web-1=blog:1"]
    })
    .await;
    let pull = PullAsk { references: vec!["tool:1".to_owned()] };
    assert_eq!(told(controller.pull(pull)).await.1, keel_reconciler::ask::Outcome::Done);

    // What is on it cannot be changed now, and that is said.
    let stop = TaskAsk {
        targets: vec!["shop-db-1".to_owned()],
        verb: TaskVerb::Stop,
        timeout: None,
        again: false,
    };
    let refused = controller.tasks(stop).await.unwrap_err().to_string();
    assert!(refused.contains("shop-db-1 is on node two, which does not answer"), "{refused}");
    let remove = RemoveAsk { names: vec!["shop_data".to_owned()], force: false };
    let refused = controller.remove_volumes(remove).await.unwrap_err().to_string();
    assert!(refused.contains("shop_data is on node two, which does not answer"), "{refused}");

    // It answers again: nobody has to say so.
    two.silence(false);
    until_health(&controller, Health::Healthy).await;
    assert_eq!(running(&two).await, ["shop-db-1=db:1"], "it went on all the time");
    controller.stop().await;
}

/// The controller begins anew while the node is silent: what was sent there is not started elsewhere.
#[tokio::test]
async fn what_a_silent_node_has_is_remembered() {
    let (world, two, _three, controller) = spread().await;
    controller.stop().await;
    two.silence(true);
    let controller = world.serve_folder("stacks").await;
    until_health(&controller, Health::Unknown).await;
    let row = &status(&controller).await[0];
    assert_eq!((row.stack.as_str(), row.sync), ("shop", Sync::Unknown));
    assert_eq!(running(&world.fake).await, ["shop-web-1=web:1"]);
    two.silence(false);
    until_health(&controller, Health::Healthy).await;
    assert_eq!(running(&world.fake).await, ["shop-web-1=web:1"]);
    let plan = controller.desired(&stack("shop")).await.unwrap();
    assert!(plan.is_some());
    controller.stop().await;
}

/// Without any node there is nothing to go by, and that is an error with its cause.
#[tokio::test]
async fn where_no_node_answers_that_is_said() {
    let world = World::new();
    world.write("stacks/shop/compose.yaml", SHOP);
    let controller = world.serve_folder("stacks").await;
    until_health(&controller, Health::Healthy).await;
    world.fake.silence(true);
    let refused = controller.ps(PsAsk::default()).await.unwrap_err().to_string();
    assert!(refused.contains("no route to host"), "{refused}");
    controller.stop().await;
}
