//! How a Git server knows us: tokens and passwords over HTTP, keys and host keys over ssh.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_reconciler::Controller;
use keel_reconciler::config::{Auth, From, GitConfig, SourceConfig};
use std::path::Path;
use std::time::Duration;
use support::git::{Repo, Server};
use support::sshd::{free_port, keygen, sshd};
use support::{World, until, until_words};

const WEB: &str = "services:\n  web:\n    image: nginx:1\n";

fn source(url: &str, auth: Auth) -> SourceConfig {
    let config = GitConfig {
        paths: vec!["stacks/*".to_owned()],
        poll: Duration::from_millis(100),
        auth: Some(auth),
        ..GitConfig::new(url)
    };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

async fn until_told(controller: &Controller, words: &str) {
    until_words(words, || async { controller.sources().await[0].problems.concat() }).await;
}

/// No file below holds this text.
fn assert_nowhere(folder: &Path, text: &str) {
    let found =
        std::process::Command::new("grep").args(["-rl", text]).arg(folder).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "files that hold `{text}`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_repository_and_a_new_one_counts_at_once() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    let server = Server::start(repo.root(), Some("secret")).await;
    let file = repo.root().join("token");
    std::fs::write(&file, "wr0ng-one\n").unwrap();
    let auth = Auth::Token { file: file.clone(), username: Some("me".into()) };
    let url = format!("http://127.0.0.1:{}/home.git", server.port);
    let controller = world.serve(vec![source(&url, auth)]).await;
    until_told(&controller, "the server refuses these credentials").await;
    until_told(&controller, &format!("hint: has the token in `{}` expired", file.display())).await;
    std::fs::remove_file(&file).unwrap();
    until_told(&controller, &format!("cannot read `{}`", file.display())).await;
    std::fs::write(&file, "secret\n").unwrap();
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    until("no trouble is left", || async { controller.sources().await[0].problems.is_empty() })
        .await;
    controller.stop().await;
    assert_nowhere(&world.path("root"), "wr0ng-one");
    assert_nowhere(&world.path("root"), "secret");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_password_open_a_repository() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    let server = Server::start(repo.root(), Some("secret")).await;
    let file = repo.root().join("password");
    std::fs::write(&file, "secret").unwrap();
    let auth = Auth::Password { username: "me".into(), file };
    let url = format!("http://127.0.0.1:{}/home.git", server.port);
    let controller = world.serve(vec![source(&url, auth)]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    controller.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_a_repository_whose_host_key_is_known() {
    let (world, repo, port) = (World::new(), Repo::new(), free_port());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    let _server = sshd(repo.root(), port);
    let at = |name: &str| repo.root().join(name);
    keygen(&at("stranger"));
    // A name with a blank: `ssh` splits options at them.
    let hosts = at("known hosts");
    let url = format!("ssh://127.0.0.1:{port}{}", repo.bare().display());
    let auth = |key: &str| Auth::Ssh { key: Some(at(key)), known_hosts: Some(hosts.clone()) };
    let known = |key: &str| {
        let key = std::fs::read_to_string(at(key)).unwrap();
        std::fs::write(&hosts, format!("[127.0.0.1]:{port} {key}")).unwrap();
    };

    std::fs::write(&hosts, "").unwrap();
    let controller = world.serve(vec![source(&url, auth("user"))]).await;
    until_told(&controller, "the host key of `127.0.0.1` is not known: refused").await;
    until_told(&controller, &format!("`ssh-keyscan -p {port} 127.0.0.1` prints it")).await;
    known("stranger.pub");
    until_told(&controller, "the host key of `127.0.0.1` is not the one that is known").await;
    assert_eq!(world.running().await, []);
    known("host.pub");
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    controller.stop().await;

    let controller = world.serve(vec![source(&url, auth("stranger"))]).await;
    until_told(&controller, "the server does not let this key in").await;
    controller.stop().await;
    let controller = world.serve(vec![source(&format!("{url}x"), auth("user"))]).await;
    until_told(&controller, "there is no Git repository at that address").await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_ends_nowhere_is_given_up() {
    let (world, repo, port) = (World::new(), Repo::new(), free_port());
    repo.push();
    let _server = sshd(repo.root(), port);
    let at = |name: &str| repo.root().join(name);
    // A server whose disk hangs.
    let key = std::fs::read_to_string(at("authorized")).unwrap();
    std::fs::write(at("authorized"), format!("command=\"cat >/dev/null\" {key}")).unwrap();
    let key = std::fs::read_to_string(at("host.pub")).unwrap();
    std::fs::write(at("hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
    let auth = Auth::Ssh { key: Some(at("user")), known_hosts: Some(at("hosts")) };
    let url = format!("ssh://127.0.0.1:{port}{}", repo.bare().display());
    let controller = world.serve(vec![source(&url, auth)]).await;
    until_told(&controller, "the server does not answer in time").await;
    controller.stop().await;
}
