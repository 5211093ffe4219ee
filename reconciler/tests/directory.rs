//! A served folder: what is written there runs, and nothing else is touched.

mod support;

use support::{World, status, until};

const WEB: &str = "services:\n  web:\n    image: nginx:1\n  db:\n    image: postgres:15\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_runs_and_an_edit_replaces_only_what_changed() {
    let world = World::new();
    world.write("stacks/blog/compose.yaml", WEB);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("blog-db-1", "postgres:15"), ("blog-web-1", "nginx:1")]).await;
    let db = world.task("blog-db-1").await;

    world.write("stacks/blog/compose.yaml", &WEB.replace("nginx:1", "nginx:2"));
    world.until_running(&[("blog-db-1", "postgres:15"), ("blog-web-1", "nginx:2")]).await;
    assert_eq!(world.task("blog-db-1").await.id, db.id, "the other service is left alone");

    until("the status says so", || async {
        let rows = status(&controller).await;
        rows.len() == 1 && rows[0].sync == "InSync" && rows[0].operation.state == "succeeded"
    })
    .await;
    controller.stop().await;
    world.until_running(&[("blog-db-1", "postgres:15"), ("blog-web-1", "nginx:2")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_changes_nothing_and_a_broken_edit_touches_nothing() {
    let world = World::new();
    world.write("stacks/blog/compose.yaml", WEB);
    world.write("stacks/wiki/compose.yaml", "services:\n  app:\n    image: wiki:1\n");
    let controller = world.serve_folder("stacks").await;
    let all = [("blog-db-1", "postgres:15"), ("blog-web-1", "nginx:1"), ("wiki-app-1", "wiki:1")];
    world.until_running(&all).await;
    let web = world.task("blog-web-1").await;

    world.write("stacks/blog/compose.yaml", &format!("# a comment\n{WEB}"));
    let before = status(&controller).await[0].revision.clone();
    world.write("stacks/blog/compose.yaml", &format!("{WEB}    replicaz: 3\n"));
    until("the mistake is told with its place", || async {
        let sources = controller.sources().await;
        let problems = sources[0].problems.concat();
        problems.contains("blog/compose.yaml:6:5") && problems.contains("replicaz: 3")
    })
    .await;
    world.write("stacks/wiki/compose.yaml", "services:\n  app:\n    image: wiki:2\n");
    let all = [("blog-db-1", "postgres:15"), ("blog-web-1", "nginx:1"), ("wiki-app-1", "wiki:2")];
    world.until_running(&all).await;
    assert_eq!(world.task("blog-web-1").await.id, web.id);
    assert!(!before.is_empty());

    world.write("stacks/blog/compose.yaml", WEB);
    until("the mistake is forgotten", || async {
        controller.sources().await[0].problems.is_empty()
    })
    .await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_folder_leaves_the_node_unless_it_is_too_much() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.write(
            &format!("stacks/{name}/compose.yaml"),
            "services:\n  s:\n    image: i:1\n    volumes: [data:/data]\nvolumes:\n  data:\n",
        );
    }
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("a-s-1", "i:1"), ("b-s-1", "i:1"), ("c-s-1", "i:1")]).await;

    std::fs::remove_dir_all(world.path("stacks/a")).unwrap();
    world.until_running(&[("b-s-1", "i:1"), ("c-s-1", "i:1")]).await;
    until("it is forgotten", || async { status(&controller).await.len() == 2 }).await;
    let volumes = world.seen().await.volumes;
    assert!(volumes.iter().any(|volume| volume.spec.name == "a_data"), "data stays");

    std::fs::remove_dir_all(world.path("stacks/b")).unwrap();
    std::fs::remove_dir_all(world.path("stacks/c")).unwrap();
    until("the rest is held", || async { controller.sources().await[0].held.is_some() }).await;
    // Half of two is not too much, so one of them may have gone before the other did.
    assert!(!world.running().await.is_empty());
    controller.confirm("default").await.unwrap();
    world.until_running(&[]).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_needs_no_source_and_restarts_nothing() {
    let world = World::new();
    world.write("stacks/blog/compose.yaml", WEB);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("blog-db-1", "postgres:15"), ("blog-web-1", "nginx:1")]).await;
    controller.stop().await;
    let web = world.task("blog-web-1").await;

    std::fs::rename(world.path("stacks"), world.path("away")).unwrap();
    world.fake.kill_from_outside(&world.task("blog-db-1").await.id, 9);
    world.advance(60_000);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("blog-db-1", "postgres:15"), ("blog-web-1", "nginx:1")]).await;
    until("the source's trouble is told", || async {
        let problems = controller.sources().await[0].problems.concat();
        problems.contains("cannot read") && problems.contains("No such file")
    })
    .await;
    let same = world.task("blog-web-1").await;
    assert_eq!((same.id, same.pid, same.started), (web.id, web.pid, web.started));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_twice_refuses_both() {
    let world = World::new();
    world.write("stacks/a/compose.yaml", "name: same\nservices:\n  s:\n    image: i:1\n");
    world.write("stacks/b/compose.yaml", "name: same\nservices:\n  s:\n    image: i:2\n");
    world.write("stacks/c/compose.yaml", "services:\n  s:\n    image: i:3\n");
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("c-s-1", "i:3")]).await;
    let problems = controller.sources().await[0].problems.clone();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains("several stacks are named `same`: a, b"), "{}", problems[0]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_interpolates_from_whoever_serves_it() {
    let world = World::new();
    let text = "services:\n  s:\n    image: i:1\n    environment: {WHO: \"${WHO}\"}\n";
    world.write("stacks/a/compose.yaml", text);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&[("a-s-1", "i:1")]).await;
    let task = world.task("a-s-1").await;
    assert_eq!(task.spec.environment["WHO"].as_deref(), Some("operator"));
    controller.stop().await;
}
