//! Files of a revision that tasks mount: nodes have them before the tasks do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_engine::{Assignment, Digest, Engine, Goal, MountSource, TaskAssignment, tree};
use keel_reconciler::config::{Follow, From, GitConfig, SourceConfig};
use keel_reconciler::operation::OperationState;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::git::Repo;
use support::{World, status, until};

fn source(repo: &Repo) -> SourceConfig {
    let config = GitConfig {
        follow: Follow::Branch(Some("main".to_owned())),
        poll: Duration::from_millis(50),
        ..GitConfig::new(repo.bare().to_str().unwrap())
    };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

fn compose(version: usize, mount: &str) -> String {
    format!(
        "name: blog\nservices:\n  web:\n    image: app:{version}\n    volumes: [\"{mount}:/m:ro\"]\n"
    )
}

/// What the task of this image has mounted, as the controller told the node.
async fn mounted(world: &World, version: usize) -> MountSource {
    world.until_running(&[("blog-web-1", &format!("app:{version}"))]).await;
    let image = format!("app:{version}");
    let seen = world.seen().await;
    let task = seen.tasks.iter().find(|task| task.spec.image == image).unwrap();
    task.spec.volumes[0].source.clone()
}

fn file(world: &World, source: &MountSource, path: &str) -> Option<String> {
    let content = world.fake.tree_file(&source.tree()?, path)?;
    Some(String::from_utf8(content).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_the_files_and_is_told_no_path_of_the_controllers() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("compose.yaml", &compose(1, "./site"));
    repo.write("site/deep/page", "page 1");
    repo.link("deep/page", "site/index");
    repo.push();
    let controller = world.serve(vec![source(&repo)]).await;
    let source = mounted(&world, 1).await;
    assert_eq!(source.checkout_path(), None);
    assert_eq!(file(&world, &source, "deep/page").as_deref(), Some("page 1"));
    let told = serde_json::to_string(&source).unwrap();
    assert!(!told.contains(world.path("").to_str().unwrap()), "{told}");
    let before = source;
    repo.write("compose.yaml", &compose(2, "./site"));
    repo.write("site/deep/page", "page 2");
    repo.push();
    let source = mounted(&world, 2).await;
    assert_eq!(file(&world, &source, "deep/page").as_deref(), Some("page 2"));
    assert_eq!(file(&world, &before, "deep/page").as_deref(), Some("page 1"), "for a rollback");
    controller.stop().await;
}

/// What the link says is what the task means, as ever; what it leads to is what is mounted.
#[tokio::test(flavor = "multi_thread")]
async fn a_mount_of_a_link_is_what_it_leads_to() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("compose.yaml", &compose(1, "./current"));
    repo.write("pages/real", "page 1");
    repo.link("pages/real", "current");
    repo.push();
    let controller = world.serve(vec![source(&repo)]).await;
    let source = mounted(&world, 1).await;
    assert_eq!(file(&world, &source, "").as_deref(), Some("page 1"));
    let MountSource::Revision { digest, .. } = &source else { panic!("{source:?}") };
    assert_eq!(*digest, tree::link_digest(Path::new("pages/real")));
    repo.write("compose.yaml", &compose(2, "./current"));
    repo.write("pages/real", "page 2");
    repo.push();
    let source = mounted(&world, 2).await;
    assert_eq!(file(&world, &source, "").as_deref(), Some("page 2"));
    controller.stop().await;
}

/// Records and tasks name the checkout: both are read, nothing is restarted, and what comes then does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_left_goes_on() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("compose.yaml", &compose(1, "./page"));
    repo.write("page", "page 1");
    let commit = repo.push();
    let controller = world.serve(vec![source(&repo)]).await;
    mounted(&world, 1).await;
    until("it is settled", || async {
        status(&controller)
            .await
            .iter()
            .any(|row| row.operation.state == Some(OperationState::Succeeded))
    })
    .await;
    controller.stop().await;
    let page = world.path("root/sources/home/checkouts").join(&commit).join("home/page");
    assert!(page.is_file(), "{page:?}");
    let page = page.to_str().unwrap();
    assert!(rewrite(&world.path("root/records"), page) > 0, "the record has the form");
    let task = world.task("blog-web-1").await;
    let mut wish = TaskAssignment::again(&task, Goal::Running, task.generation);
    let spec = Arc::make_mut(&mut wish.spec);
    let digest = tree::file_digest(false, Digest::of(b"page 1"));
    spec.volumes[0].source = MountSource::Revision { path: page.to_owned(), digest, tree: None };
    wish.generation += 1;
    world.fake.assign(&[Assignment::Task(Box::new(wish))]).await.unwrap();
    let before = world.task("blog-web-1").await;

    let controller = world.serve(vec![source(&repo)]).await;
    repo.write("readme.md", "nothing that it means");
    let second = repo.push();
    until("the next commit is read", || async { controller.sources().await[0].revision == second })
        .await;
    let after = world.task("blog-web-1").await;
    assert_eq!((&after.id, after.pid, &after.spec), (&before.id, before.pid, &before.spec));
    assert!(Path::new(page).is_file(), "its checkout stays");
    repo.write("compose.yaml", &compose(2, "./page"));
    repo.push();
    let source = mounted(&world, 2).await;
    assert_eq!(source.checkout_path(), None);
    assert_eq!(file(&world, &source, "").as_deref(), Some("page 1"), "of the same content");
    controller.stop().await;
}

/// Puts the path back that earlier versions wrote, and says where.
fn rewrite(folder: &Path, path: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let rewritten = entries.map(|entry| {
        let at = entry.path();
        if at.is_dir() {
            return rewrite(&at, path);
        }
        let Ok(text) = std::fs::read_to_string(&at) else { return 0 };
        let old = ["\"path\":", "\"path\": "].iter().fold(text.clone(), |text, key| {
            text.replace(&format!("{key}\"\""), &format!("{key}\"{path}\""))
        });
        if old != text {
            std::fs::write(&at, &old).unwrap();
        }
        usize::from(old != text)
    });
    rewritten.sum()
}
