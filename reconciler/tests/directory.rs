//! A served folder: what is written there runs, and nothing else is touched.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_plan::status::Sync;
use keel_reconciler::config::{From, SourceConfig};
use keel_reconciler::operation::OperationState;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
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
        rows.len() == 1
            && rows[0].sync == Sync::InSync
            && rows[0].operation.state == Some(OperationState::Succeeded)
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

fn one(version: u32) -> String {
    format!("services:\n  s:\n    image: i:{version}\n")
}

/// Notifications only: the slow look comes too late for any of this.
fn watched(world: &World, name: &str) -> SourceConfig {
    let poll = Some(Duration::from_secs(3600));
    let (path, globs) = (world.path(name), vec![".".to_owned()]);
    SourceConfig::new("default", From::Directory { path, globs, poll })
}

#[tokio::test(flavor = "multi_thread")]
async fn editors_that_rename_are_followed_again_and_again() {
    let world = World::new();
    world.write("stacks/a/compose.yaml", &one(0));
    let controller = world.serve(vec![watched(&world, "stacks")]).await;
    world.until_running(&[("a-s-1", "i:0")]).await;
    let file = world.path("stacks/a/compose.yaml");
    for version in 1..4 {
        // As vim does: the old one aside, a new one, then the old one goes.
        let aside = world.path("stacks/a/compose.yaml~");
        std::fs::rename(&file, &aside).unwrap();
        world.write("stacks/a/compose.yaml", &one(version));
        std::fs::remove_file(aside).unwrap();
        world.until_running(&[("a-s-1", &format!("i:{version}"))]).await;
    }
    for version in 4..7 {
        // As others do: a new one beside it, moved over the old one.
        world.write("stacks/a/.compose.yaml.tmp", &one(version));
        std::fs::rename(world.path("stacks/a/.compose.yaml.tmp"), &file).unwrap();
        world.until_running(&[("a-s-1", &format!("i:{version}"))]).await;
    }
    controller.stop().await;
}

/// Swaps a link as deploy scripts do: whoever looks finds the one or the other.
fn swap(world: &World, target: &str, link: &str) {
    let fresh = world.path("fresh-link");
    std::os::unix::fs::symlink(target, &fresh).unwrap();
    std::fs::rename(fresh, world.path(link)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_swapped_are_followed() {
    let world = World::new();
    for version in 0..5 {
        world.write(&format!("releases/{version}/a/compose.yaml"), &one(version));
    }
    // The folder that is served is a link, and what it leads to may change too.
    swap(&world, "releases/0", "stacks");
    let controller = world.serve(vec![watched(&world, "stacks")]).await;
    world.until_running(&[("a-s-1", "i:0")]).await;
    swap(&world, "releases/1", "stacks");
    world.until_running(&[("a-s-1", "i:1")]).await;
    swap(&world, "releases/2", "stacks");
    world.until_running(&[("a-s-1", "i:2")]).await;
    world.write("releases/2/a/compose.yaml", &one(20));
    world.until_running(&[("a-s-1", "i:20")]).await;
    // A stack in it is a link.
    std::fs::remove_dir_all(world.path("releases/2/a")).unwrap();
    swap(&world, "../3/a", "releases/2/a");
    world.until_running(&[("a-s-1", "i:3")]).await;
    swap(&world, "../4/a", "releases/2/a");
    world.until_running(&[("a-s-1", "i:4")]).await;
    controller.stop().await;
}

/// An overlay that tells nobody of what happens in the folder below it.
struct Overlay(PathBuf);

impl Overlay {
    fn mount(world: &World, lower: &str, at: &str) -> Self {
        let (lower, at) = (world.path(lower), world.path(at));
        let empty = world.path("empty");
        std::fs::create_dir_all(&at).unwrap();
        std::fs::create_dir_all(&empty).unwrap();
        let options = format!("lowerdir={}:{}", lower.display(), empty.display());
        let done =
            Command::new("mount").args(["-t", "overlay", "-o", &options, "none"]).arg(&at).status();
        assert!(done.unwrap().success());
        Self(at)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_without_notifications_is_looked_at_by_and_by() {
    let world = World::new();
    world.write("below/a/compose.yaml", &one(1));
    let _mount = Overlay::mount(&world, "below", "stacks");
    let poll = |poll| {
        let (path, globs) = (world.path("stacks"), vec![".".to_owned()]);
        SourceConfig::new("default", From::Directory { path, globs, poll: Some(poll) })
    };
    // That it does not tell is what this test stands on.
    let controller = world.serve(vec![poll(Duration::from_secs(3600))]).await;
    world.until_running(&[("a-s-1", "i:1")]).await;
    world.write("below/a/compose.yaml", &one(2));
    let told = until_or(Duration::from_secs(1), || async {
        world.running().await == [("a-s-1".into(), "i:2".into())]
    });
    assert!(!told.await, "this file system tells");
    controller.stop().await;

    let controller = world.serve(vec![poll(Duration::from_millis(200))]).await;
    world.until_running(&[("a-s-1", "i:2")]).await;
    world.write("below/a/compose.yaml", &one(3));
    world.until_running(&[("a-s-1", "i:3")]).await;
    controller.stop().await;
}

/// Whether it came to hold in this time.
async fn until_or<F: Future<Output = bool>>(limit: Duration, holds: impl Fn() -> F) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if holds().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_empty_is_followed() {
    let world = World::new();
    std::fs::create_dir_all(world.path("stacks/before")).unwrap();
    let controller = world.serve(vec![watched(&world, "stacks")]).await;
    world.write("stacks/before/compose.yaml", &one(1));
    world.until_running(&[("before-s-1", "i:1")]).await;
    // Whoever makes a folder takes their time to write a file there. That the folder was seen shows in nothing else.
    std::fs::create_dir_all(world.path("stacks/later")).unwrap();
    world.write("stacks/before/compose.yaml", &one(2));
    world.until_running(&[("before-s-1", "i:2")]).await;
    world.write("stacks/later/compose.yaml", &one(3));
    world.until_running(&[("before-s-1", "i:2"), ("later-s-1", "i:3")]).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn globs_of_a_folder_find_new_stacks_below_it() {
    let world = World::new();
    world.write("stacks/web/a/compose.yaml", &one(1));
    world.write("stacks/other/x/compose.yaml", &one(9));
    let globs = vec!["web/*".to_owned(), "db".to_owned()];
    let (path, poll) = (world.path("stacks"), Some(Duration::from_secs(3600)));
    let from = From::Directory { path, globs, poll };
    let controller = world.serve(vec![SourceConfig::new("default", from)]).await;
    world.until_running(&[("a-s-1", "i:1")]).await;
    world.write("stacks/db/compose.yaml", &one(2));
    world.until_running(&[("a-s-1", "i:1"), ("db-s-1", "i:2")]).await;
    world.write("stacks/web/b/compose.yaml", &one(3));
    world.until_running(&[("a-s-1", "i:1"), ("b-s-1", "i:3"), ("db-s-1", "i:2")]).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_that_comes_back_at_once_is_not_lost() {
    let world = World::new();
    let names = ["a", "b", "c"];
    let written = |name: &str| world.write(&format!("stacks/{name}/compose.yaml"), &one(1));
    names.iter().for_each(|name| written(name));
    // Nothing but hints: no later look saves what one has lost.
    let controller = world.serve(vec![watched(&world, "stacks")]).await;
    let all = ["a-s-1", "b-s-1", "c-s-1"].map(|name| (name, "i:1"));
    world.until_running(&all).await;
    for round in 0..60 {
        std::fs::remove_dir_all(world.path("stacks/b")).unwrap();
        controller.hint_source("default").unwrap();
        let going = async || {
            let rows = status(&controller).await;
            let gone = rows.iter().all(|row| row.stack != "b");
            gone || world.running().await.len() == 2
        };
        until("it goes", going).await;
        // Anywhere between its last task's end and its being forgotten.
        for _ in 0..round * 4 {
            tokio::task::yield_now().await;
        }
        written("b");
        controller.hint_source("default").unwrap();
        world.until_running(&all).await;
    }
    controller.stop().await;
}
