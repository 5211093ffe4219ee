//! Submodules and files of Git LFS: what stacks need of them is there, or is told at its line.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_engine::MountSource;
use keel_reconciler::Controller;
use keel_reconciler::config::{Auth, From, GitConfig, SourceConfig};
use keel_testing::waiting::Deadline;
use std::path::Path;
use std::time::Duration;
use support::git::{Repo, Server};
use support::{World, until, until_words};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 123\n";

fn web(more: &str) -> String {
    format!("services:\n  web:\n    image: nginx:1\n{more}")
}

fn source(url: &str) -> SourceConfig {
    let config = GitConfig {
        paths: vec!["stacks/*".to_owned()],
        poll: Duration::from_millis(100),
        ..GitConfig::new(url)
    };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

fn with(config: SourceConfig, change: impl FnOnce(&mut GitConfig)) -> SourceConfig {
    let From::Git(mut git) = config.from else { panic!("it is a Git source") };
    change(&mut git);
    SourceConfig { from: From::Git(git), ..config }
}

async fn until_told(controller: &Controller, words: &str) {
    until_words(words, || async { controller.sources().await[0].problems.concat() }).await;
}

async fn until_silent(controller: &Controller) {
    until("nothing is told", || async { controller.sources().await[0].problems.is_empty() }).await;
}

/// The file that a container sees at its first mount.
async fn mounted(world: &World, task: &str, below: &str) -> String {
    let task = world.task(task).await;
    match &task.spec.volumes[0].source {
        MountSource::Bind { path, .. } => std::fs::read_to_string(Path::new(path).join(below))
            .unwrap_or_else(|error| error.to_string()),
        source => {
            let content = world.fake.tree_file(&source.tree().unwrap(), below);
            String::from_utf8(content.unwrap_or_default()).unwrap()
        }
    }
}

fn url(server: &Server, name: &str) -> String {
    format!("http://127.0.0.1:{}/{name}.git", server.port)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mounted_of_submodules_is_there_at_the_pinned_commit() {
    let (world, repo) = (World::new(), Repo::new());
    let (lib, inner) = (repo.beside("lib"), repo.beside("inner"));
    inner.write("deep.conf", "deep");
    let deep = inner.push();
    lib.write("app.conf", "one");
    lib.write("app.env", "FROM=lib\n");
    lib.link_to("nested", &deep, "../inner.git");
    let first = lib.push();
    lib.write("app.conf", "two");
    let second = lib.push();
    repo.link_to("vendor/lib", &first, "../lib.git");
    repo.link("../../vendor/lib", "stacks-link");
    repo.write("stacks/ro/compose.yaml", &web("    volumes: ['../../vendor:/v:ro']\n"));
    repo.write("stacks/rw/compose.yaml", &web("    volumes: ['../../vendor/lib/nested:/v']\n"));
    repo.write("stacks/env/compose.yaml", &web("    env_file: ../../vendor/lib/app.env\n"));
    repo.write("stacks/plain/compose.yaml", &web(""));
    repo.push();
    let server = Server::start(repo.root(), None).await;
    let controller = world.serve(vec![source(&url(&server, "home"))]).await;
    let all = ["env", "plain", "ro", "rw"].map(|name| (format!("{name}-web-1"), "nginx:1"));
    let all: Vec<_> = all.iter().map(|(name, image)| (name.as_str(), *image)).collect();
    world.until_running(&all).await;
    assert_eq!(mounted(&world, "ro-web-1", "lib/app.conf").await, "one");
    assert_eq!(mounted(&world, "ro-web-1", "lib/nested/deep.conf").await, "deep");
    assert_eq!(mounted(&world, "rw-web-1", "deep.conf").await, "deep");
    assert_eq!(world.task("env-web-1").await.spec.environment["FROM"].as_deref(), Some("lib"));
    until_silent(&controller).await;

    // The next commit of it is a change of what the stack mounts.
    repo.link_to("vendor/lib", &second, "../lib.git");
    repo.push();
    until("the new one is mounted", || async {
        mounted(&world, "ro-web-1", "lib/app.conf").await == "two"
    })
    .await;
    // What is known is asked for no more.
    server.asked();
    let mut asked = Vec::new();
    let deadline = Deadline::start();
    while asked.len() < 4 {
        deadline.check("four polls");
        asked.extend(server.asked());
        tokio::task::yield_now().await;
    }
    assert!(asked.iter().all(|line| line.contains("/home.git/")), "{asked:?}");
    controller.stop().await;
}

/// A commit with a submodule `x`, whose `.gitmodules` is a link: Git itself makes none.
fn behind_a_link(bare: &Path, submodule: &str) -> String {
    let repo = git2::Repository::open_bare(bare).unwrap();
    let text = repo.blob(b"[submodule \"x\"]\n\tpath = x\n\turl = ../lib.git\n").unwrap();
    let link = repo.blob(b"elsewhere").unwrap();
    let mut tree = repo.treebuilder(None).unwrap();
    tree.insert("elsewhere", text, 0o100_644).unwrap();
    tree.insert(".gitmodules", link, 0o120_000).unwrap();
    tree.insert("x", git2::Oid::from_str(submodule).unwrap(), 0o160_000).unwrap();
    let tree = repo.find_tree(tree.write().unwrap()).unwrap();
    let who = git2::Signature::now("t", "t@example.org").unwrap();
    repo.commit(Some("refs/heads/main"), &who, &who, "", &tree, &[]).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_fetched_holds_whoever_needs_it_alone() {
    let (world, repo) = (World::new(), Repo::new());
    let lib = repo.beside("lib");
    lib.write("app.conf", "one");
    let commit = lib.push();
    let gone = "1".repeat(40);
    repo.link_to("lib", &commit, "../away.git");
    repo.link_to("pushed", &gone, "../lib.git");
    repo.link_to("local", &commit, repo.bare().to_str().unwrap());
    repo.link_to("file", &commit, &format!("file://{}", lib.bare().display()));
    repo.link_to("option", &commit, "-u./payload");
    repo.link_to("ssh", &commit, "git@127.0.0.1:lib.git");
    for name in ["lib", "pushed", "local", "file", "option", "ssh"] {
        let mount = format!("    volumes:\n      - ../../{name}:/v:ro\n");
        repo.write(&format!("stacks/{name}/compose.yaml"), &web(&mount));
    }
    let config = "    configs: [c]\nconfigs: { c: { file: ../../lib/app.conf } }\n";
    repo.write("stacks/config/compose.yaml", &web(config));
    repo.write("stacks/env/compose.yaml", &web("    env_file: ../../lib/app.conf\n"));
    let optional = "    env_file: [{ path: ../../lib/x.env, required: false }]\n";
    repo.write("stacks/optional/compose.yaml", &web(optional));
    // What a link leads to is no word of this commit's.
    let linked = repo.beside("linked");
    repo.link_to("linked", &behind_a_link(&linked.bare(), &commit), "../linked.git");
    repo.write("stacks/linked/compose.yaml", &web("    volumes: ['../../linked/x:/v']\n"));
    repo.write("stacks/good/compose.yaml", &web(""));
    repo.push();
    let server = Server::start(repo.root(), None).await;
    let controller = world.serve(vec![source(&url(&server, "home"))]).await;
    world.until_running(&[("good-web-1", "nginx:1")]).await;
    for words in [
        "stacks/lib/compose.yaml:5:9",
        "the submodule `lib` is not here: cannot fetch",
        "stacks/config/compose.yaml:5:23",
        "stacks/env/compose.yaml:4:15",
        "stacks/optional/compose.yaml:4:24",
        "the submodule `pushed` is not here: http",
        "/lib.git has no commit 1111",
        "the submodule `linked/x` is not here: no `.gitmodules` says where it is",
        "the submodule `local` is not here: `",
        "is a path of this machine",
        "the submodule `file` is not here: `file://",
        "the submodule `option` is not here: `-u./payload`",
        "the submodule `ssh` is not here: `git@127.0.0.1:lib.git` is reached by ssh",
    ] {
        until_told(&controller, words).await;
    }
    // It comes to be, and the stacks with it.
    std::fs::rename(lib.bare(), lib.bare().with_file_name("away.git")).unwrap();
    repo.remove("stacks/pushed");
    for name in ["local", "file", "option", "ssh", "optional", "env", "linked"] {
        repo.remove(&format!("stacks/{name}"));
    }
    repo.push();
    world
        .until_running(&[
            ("config-web-1", "nginx:1"),
            ("good-web-1", "nginx:1"),
            ("lib-web-1", "nginx:1"),
        ])
        .await;
    assert_eq!(mounted(&world, "lib-web-1", "app.conf").await, "one");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_in_a_submodule_is_not_gone_when_that_is_away() {
    let (world, repo) = (World::new(), Repo::new());
    let (app, more) = (repo.beside("app"), repo.beside("more"));
    app.write("compose.yaml", &web(""));
    more.write("prod/compose.yaml", &web(""));
    repo.link_to("stacks/app", &app.push(), "../app.git");
    repo.link_to("vendor/more", &more.push(), "../more.git");
    repo.write("stacks/own/compose.yaml", &web(""));
    repo.push();
    let server = Server::start(repo.root(), None).await;
    let paths = ["stacks/*", "vendor/*/prod"].map(str::to_owned).to_vec();
    let config = with(source(&url(&server, "home")), |git| git.paths = paths);
    let controller = world.serve(vec![config]).await;
    let all = [("app-web-1", "nginx:1"), ("own-web-1", "nginx:1"), ("prod-web-1", "nginx:1")];
    world.until_running(&all).await;

    for (module, name) in [(&app, "stacks/app"), (&more, "vendor/more")] {
        module.write("readme.md", "more\n");
        let commit = module.push();
        repo.link_to(name, &commit, "../none.git");
    }
    repo.write("stacks/own/compose.yaml", &web("    labels: { new: one }\n"));
    repo.push();
    until_told(&controller, "the submodule `stacks/app` is not here").await;
    until_told(&controller, "the submodule `vendor/more` is not here").await;
    until("the other one is deployed", || async {
        world.task("own-web-1").await.spec.labels.contains_key("new")
    })
    .await;
    world.until_running(&all).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_sees_no_credentials() {
    let (world, repo, other) = (World::new(), Repo::new(), Repo::new());
    let (lib, foreign) = (repo.beside("lib"), other.beside("lib"));
    lib.write("f", "own");
    foreign.write("f", "foreign");
    let file = repo.root().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let server = Server::start(repo.root(), Some("secret")).await;
    let open = Server::start(other.root(), None).await;
    let closed = Server::start(other.root(), Some("secret")).await;
    repo.link_to("own", &lib.push(), "../lib.git");
    let commit = foreign.push();
    repo.link_to("open", &commit, &url(&open, "lib"));
    repo.link_to("closed", &commit, &url(&closed, "lib"));
    for name in ["own", "open", "closed"] {
        let mount = format!("    volumes: ['../../{name}:/v:ro']\n");
        repo.write(&format!("stacks/{name}/compose.yaml"), &web(&mount));
    }
    repo.push();
    let auth = Auth::Token { file, username: Some("me".into()) };
    let config = with(source(&url(&server, "home")), |git| git.auth = Some(auth));
    let controller = world.serve(vec![config]).await;
    world.until_running(&[("open-web-1", "nginx:1"), ("own-web-1", "nginx:1")]).await;
    assert_eq!(mounted(&world, "own-web-1", "f").await, "own");
    assert_eq!(mounted(&world, "open-web-1", "f").await, "foreign");
    until_told(&controller, "stacks/closed/compose.yaml:4:15").await;
    until_told(&controller, "hint: only the source's own server sees the source's credentials")
        .await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_keep_to_the_limits_of_the_source() {
    let (world, repo) = (World::new(), Repo::new());
    let lib = repo.beside("lib");
    // It names itself, one commit before: as deep as anybody likes.
    let mut commit = lib.push();
    for _ in 0..12 {
        lib.link_to("again", &commit, "../lib.git");
        commit = lib.push();
    }
    repo.link_to("deep", &commit, "../lib.git");
    let big = repo.beside("big");
    for number in 0..20 {
        // Nothing that could be packed smaller.
        let noise: String = (0..2000u64)
            .map(|n| {
                format!("{:x}", (n + number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7))
            })
            .collect();
        big.write(&format!("{number}"), &noise);
    }
    repo.link_to("big", &big.push(), "../big.git");
    for name in ["deep", "big"] {
        let mount = format!("    volumes: ['../../{name}:/v:ro']\n");
        repo.write(&format!("stacks/{name}/compose.yaml"), &web(&mount));
    }
    repo.write("stacks/good/compose.yaml", &web(""));
    repo.push();
    let server = Server::start(repo.root(), None).await;
    let config = with(source(&url(&server, "home")), |git| git.max_size = 200_000);
    let controller = world.serve(vec![config]).await;
    world.until_running(&[("good-web-1", "nginx:1")]).await;
    until_told(&controller, "it lies within 8 others, which is too deep").await;
    until_told(&controller, "the submodule `big` is not here: ").await;
    until_told(&controller, "more than 200000B").await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pointers_of_git_lfs_are_refused_where_they_are_needed() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("models/small.txt", "text");
    repo.write("models/a/big.bin", POINTER);
    repo.link("models/a/big.bin", "alias");
    let stacks = [
        ("file", "    volumes: ['../../models/a/big.bin:/m:ro']\n", "4:15"),
        ("writes", "    volumes: ['../../models/a/big.bin:/m']\n", "4:15"),
        ("folder", "    volumes:\n      - ../../models:/m\n", "5:9"),
        ("alias", "    volumes: ['../../alias:/m:ro']\n", "4:15"),
        ("secret", "    secrets: [s]\nsecrets: { s: { file: ../../models/a/big.bin } }\n", "5:23"),
        ("env", "    env_file: ../../models/a/big.bin\n", "4:15"),
    ];
    for (name, more, _) in stacks {
        repo.write(&format!("stacks/{name}/compose.yaml"), &web(more));
    }
    let good = "    volumes: ['../../models/small.txt:/m:ro']\n";
    repo.write("stacks/good/compose.yaml", &web(good));
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap())]).await;
    world.until_running(&[("good-web-1", "nginx:1")]).await;
    for (name, _, place) in stacks {
        until_told(&controller, &format!("stacks/{name}/compose.yaml:{place}")).await;
    }
    let told = controller.sources().await[0].problems.concat();
    let named = "`models/a/big.bin` is kept in Git LFS, which is not fetched";
    assert_eq!(told.matches(named).count(), stacks.len(), "{told}");
    repo.write("models/a/big.bin", "itself");
    repo.push();
    until_told_no_more(&controller, "Git LFS").await;
    controller.stop().await;
}

async fn until_told_no_more(controller: &Controller, words: &str) {
    until(words, || async { !controller.sources().await[0].problems.concat().contains(words) })
        .await;
}
