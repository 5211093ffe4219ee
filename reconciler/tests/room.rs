//! What goes for want of room, and that what a rollback needs is still there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_engine::{Digest, StackName};
use keel_plan::status::Sync;
use keel_reconciler::Controller;
use keel_reconciler::ask::Outcome;
use keel_reconciler::config::{Follow, From, GitConfig, SourceConfig};
use keel_reconciler::operation::OperationState;
use keel_reconciler::rows::{PruneAsk, PullAsk, RollbackAsk};
use std::path::PathBuf;
use std::time::Duration;
use support::git::Repo;
use support::{World, stack, status, told, until};

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;

fn source(repo: &Repo) -> SourceConfig {
    let config = GitConfig {
        follow: Follow::Branch(Some("main".to_owned())),
        poll: Duration::from_millis(50),
        ..GitConfig::new(repo.bare().to_str().unwrap())
    };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

/// A stack whose image, config and mounted file are of this version.
fn write(repo: &Repo, version: usize) {
    let text = format!(
        "name: blog\nservices:\n  web:\n    image: app:{version}\n    configs: [own]\n    \
         volumes: [\"./page:/page:ro\"]\nconfigs:\n  own:\n    file: ./own.conf\n"
    );
    repo.write("compose.yaml", &text);
    repo.write("own.conf", &config(version));
    repo.write("page", &format!("page {version}"));
}

fn config(version: usize) -> String {
    format!("version = {version}\n")
}

async fn until_good(controller: &Controller, commit: &str) {
    until("it settles", || async {
        status(controller).await.iter().any(|row| {
            row.revision == commit
                && row.operation.state == Some(OperationState::Succeeded)
                && row.sync == Sync::InSync
        })
    })
    .await;
}

/// A controller, and the commits of these versions: all were good, one after the other.
async fn pushed(world: &World, repo: &Repo, versions: usize) -> (Controller, Vec<String>) {
    let (mut controller, mut commits) = (None, Vec::new());
    for version in 1..=versions {
        write(repo, version);
        commits.push(repo.push());
        if controller.is_none() {
            controller = Some(world.serve(vec![source(repo)]).await);
        }
        until_good(controller.as_ref().unwrap(), commits.last().unwrap()).await;
    }
    (controller.unwrap(), commits)
}

/// Which versions' images are on the node, by their numbers.
async fn images(world: &World) -> Vec<usize> {
    let seen = world.seen().await;
    let version = |name: &String| name.strip_prefix("app:")?.parse().ok();
    let mut found: Vec<_> =
        seen.images.iter().filter_map(|image| version(&image.reference)).collect();
    found.sort_unstable();
    found
}

fn contents(world: &World, versions: usize) -> Vec<usize> {
    let there =
        |version: &usize| world.fake.content(&Digest::of(config(*version).as_bytes())).is_some();
    (1..=versions).filter(there).collect()
}

/// Waits until room was made: it takes away what a dead process was at.
async fn until_looked(world: &World) {
    let left = world.path("root/sources/home/checkouts/.left.new");
    until("it looks", || async { !left.exists() }).await;
}

fn leave(world: &World) {
    std::fs::create_dir(world.path("root/sources/home/checkouts/.left.new")).unwrap();
}

fn checkouts(world: &World) -> usize {
    let folder: PathBuf = world.path("root/sources/home/checkouts");
    std::fs::read_dir(folder).unwrap().count()
}

fn back(stack: &StackName, revision: &str) -> RollbackAsk {
    RollbackAsk {
        stack: stack.clone(),
        revision: Some(revision.to_owned()),
        by: "ann@shop".to_owned(),
        detach: false,
        again: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_later_only_what_can_be_come_back_to_is_left_and_it_can() {
    let (world, repo) = (World::new(), Repo::new());
    let (controller, commits) = pushed(&world, &repo, 9).await;
    let own = PullAsk { references: vec!["tool:1".to_owned(), "app:2".to_owned()] };
    assert_eq!(told(controller.pull(own)).await.1, Outcome::Done);
    until("old checkouts go at once", || async { checkouts(&world) == 3 }).await;
    assert_eq!(images(&world).await, Vec::from_iter(1..=9), "it is not a day yet");
    controller.stop().await;

    world.advance(DAY + HOUR);
    drop(repo);
    let controller = world.serve(vec![]).await;
    until("the rest goes", || async { images(&world).await == [2, 6, 7, 8, 9] }).await;
    until("it is told", || async { controller.cleared().is_some() }).await;
    let cleared = controller.cleared().unwrap();
    assert_eq!(cleared.images, ["app:1", "app:3", "app:4", "app:5"], "a person pulled app:2");
    assert_eq!((cleared.contents, cleared.trouble), (5, None));
    assert_eq!(contents(&world, 9), [6, 7, 8, 9]);
    assert!(world.seen().await.images.iter().any(|image| image.reference == "tool:1"));

    let blog = stack("blog");
    for version in [6, 7, 8, 9] {
        let commit = &commits[version - 1];
        let (_, outcome, notes) = told(controller.rollback(back(&blog, commit))).await;
        assert_eq!(outcome, Outcome::Done, "{notes:?}");
        let task = world.task("blog-web-1").await;
        assert_eq!((&task.spec.image, &task.revision), (&format!("app:{version}"), commit));
        let page = world.fake.tree_file(&task.spec.volumes[0].source.tree().unwrap(), "");
        assert_eq!(page, Some(format!("page {version}").into_bytes()), "the node has it still");
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_waits_for_no_day() {
    let (world, repo) = (World::new(), Repo::new());
    world.fake.fill(84);
    let (controller, _) = pushed(&world, &repo, 6).await;
    controller.stop().await;
    leave(&world);
    let controller = world.serve(vec![]).await;
    until_looked(&world).await;
    controller.stop().await;
    let controller = world.serve(vec![source(&repo)]).await;
    assert_eq!(images(&world).await, Vec::from_iter(1..=6));
    world.fake.fill(85);
    // A pull's end is a reason to look how full the disk is.
    write(&repo, 7);
    until_good(&controller, &repo.push()).await;
    until("the oldest go", || async { images(&world).await == [4, 5, 6, 7] }).await;
    assert_eq!(contents(&world, 7), Vec::from_iter(1..=7), "they are small, and wait for a day");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_stacks_and_sources_that_are_gone_goes() {
    let (world, repo) = (World::new(), Repo::new());
    let (controller, _) = pushed(&world, &repo, 2).await;
    let clone = world.path("root/sources/home/repo");
    controller.stop().await;
    world.advance(DAY + HOUR);
    leave(&world);
    let controller = world.serve(vec![]).await;
    until_looked(&world).await;
    assert!(clone.exists(), "its stack is still there");

    let down =
        keel_reconciler::ask::DownAsk { stack: stack("blog"), volumes: false, by_path: false };
    controller.stop().await;
    let command = world.command().await;
    assert_eq!(told(command.down(down)).await.1, Outcome::Done);
    command.stop().await;
    world.advance(DAY + HOUR);
    let controller = world.serve(vec![]).await;
    until("all goes", || async { images(&world).await.is_empty() && !clone.exists() }).await;
    assert_eq!((contents(&world, 2), checkouts(&world)), (vec![], 0));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_makes_room_at_once_and_a_rollback_still_works() {
    let (world, repo) = (World::new(), Repo::new());
    let (controller, commits) = pushed(&world, &repo, 6).await;
    let own = PullAsk { references: vec!["tool:1".to_owned()] };
    assert_eq!(told(controller.pull(own)).await.1, Outcome::Done);
    let spec = keel_engine::TaskSpec { image: "once:1".to_owned(), ..Default::default() };
    world.fake.behave("once:1", keel_testing::fake::Behaviour::Ends(0));
    let run = keel_reconciler::ask::RunAsk {
        name: "once".to_owned(),
        spec,
        auto_remove: false,
        attach: false,
        contents: Default::default(),
    };
    let once = controller.run(run).await.unwrap().id;

    // What was good is noted right after it is told that the last push has settled.
    until("tool:1, app:1 and app:2 may go", || async {
        let rows = controller.disk_usage().await.unwrap();
        let images = rows.iter().find(|row| row.kind == "Images").unwrap();
        (images.total, images.size, images.reclaimable) == (7, 7, 3)
    })
    .await;
    let rows = controller.disk_usage().await.unwrap();
    let row = |kind: &str| rows.iter().find(|row| row.kind == kind).unwrap();
    assert_eq!((row("Containers").total, row("Containers").reclaimable), (2, 1));

    let ask = PruneAsk::default();
    let pruned = controller.prune(PruneAsk { images_only: true, ..ask }).await.unwrap();
    assert_eq!(
        (pruned.containers, pruned.cleared.images),
        (vec![], vec!["app:1".into(), "app:2".into()])
    );
    let pruned = controller.prune(PruneAsk { all: true, ..ask }).await.unwrap();
    assert_eq!(pruned.containers, [once.to_string()]);
    assert_eq!(pruned.cleared.images, ["tool:1"]);
    assert_eq!(contents(&world, 6), Vec::from_iter(1..=6), "those wait for a day");
    assert!(world.seen().await.networks.iter().any(|network| network.spec.name == "blog_default"));
    let (_, outcome, notes) = told(controller.rollback(back(&stack("blog"), &commits[2]))).await;
    assert_eq!(outcome, Outcome::Done, "{notes:?}");
    controller.stop().await;
}
