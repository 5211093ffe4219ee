//! Over ssh: a real `sshd` of the test's own, reached by the real `ssh` program.
//!
//! `ssh` takes its configuration from the user's home, which is not ours to change: the test runs
//! itself once more with an `ssh` first in PATH that only names another configuration.

mod support;

use keel_reconciler::config::{From, GitConfig, SourceConfig};
use std::process::Command;
use std::time::Duration;
use support::git::Repo;
use support::sshd::{free_port, sshd};
use support::{World, until};

const URL: &str = "KEEL_TEST_SSH_URL";

fn source(url: &str) -> SourceConfig {
    let (paths, poll) = (vec!["stacks/*".to_owned()], Duration::from_millis(100));
    let config = GitConfig { paths, poll, ..GitConfig::new(url) };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

#[test]
fn a_branch_is_followed_over_ssh() {
    let (repo, port) = (Repo::new(), free_port());
    repo.write("stacks/blog/compose.yaml", "services:\n  web:\n    image: nginx:1\n");
    repo.push();
    let _server = sshd(repo.root(), port);
    let path = format!("{}/bin:{}", repo.root().display(), std::env::var("PATH").unwrap());
    let url = format!("ssh://127.0.0.1:{port}{}", repo.bare().display());
    let inner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "follows_the_given_address", "--ignored", "--nocapture"])
        .env("PATH", path)
        .env(URL, url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inner.stdout);
    let complained = String::from_utf8_lossy(&inner.stderr);
    assert!(inner.status.success() && said.contains("1 passed"), "{said}{complained}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other half of the test above"]
async fn follows_the_given_address() {
    let world = World::new();
    let controller = world.serve(vec![source(&std::env::var(URL).unwrap())]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    // A second look goes over a second connection.
    let fetched = |row: &keel_reconciler::ask::SourceRow| row.fetched.clone();
    let first = fetched(&controller.sources().await[0]);
    world.advance(60_000);
    until("it looks again", || async { fetched(&controller.sources().await[0]) != first }).await;
    assert_eq!(controller.sources().await[0].problems, Vec::<String>::new());
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ssh_complains_of_is_told() {
    let world = World::new();
    let controller = world.serve(vec![source("ssh://127.0.0.1:1/a.git")]).await;
    until("the complaint", || async {
        let problems = controller.sources().await[0].problems.concat();
        problems.contains("Connection refused") && problems.contains("try `ssh")
    })
    .await;
    controller.stop().await;
}
