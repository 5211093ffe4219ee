//! A branch of a real repository, over files and over HTTP: what is pushed there runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_reconciler::Controller;
use keel_reconciler::config::{Follow, From, GitConfig, SourceConfig};
use keel_testing::waiting::Deadline;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::git::{Repo, Server};
use support::{World, until, until_words};

const WEB: &str = "services:\n  web:\n    image: nginx:1\n";

fn source(url: &str, path: &str) -> SourceConfig {
    let config = GitConfig {
        follow: Follow::Branch(Some("main".to_owned())),
        paths: vec![path.to_owned()],
        poll: Duration::from_millis(100),
        ..GitConfig::new(url)
    };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

async fn problems(controller: &Controller) -> String {
    controller.sources().await[0].problems.concat()
}

/// Waits until the source's problems contain this.
async fn until_told(controller: &Controller, words: &str) {
    until_words(words, || problems(controller)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_runs_and_a_force_push_is_followed() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.write("readme.md", "not a stack\n");
    let first = repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    assert_eq!(world.task("blog-web-1").await.revision, first);

    repo.write("stacks/blog/compose.yaml", &WEB.replace("nginx:1", "nginx:2"));
    repo.write("stacks/wiki/compose.yaml", "services:\n  app:\n    image: wiki:1\n");
    repo.push();
    world.until_running(&[("blog-web-1", "nginx:2"), ("wiki-app-1", "wiki:1")]).await;

    repo.write("stacks/blog/compose.yaml", &WEB.replace("nginx:1", "nginx:3"));
    let forced = repo.push_by_force();
    world.until_running(&[("blog-web-1", "nginx:3"), ("wiki-app-1", "wiki:1")]).await;
    until("the source names it", || async { controller.sources().await[0].revision == forced })
        .await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stack_is_refused_with_its_place_and_revision() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    repo.write("stacks/blog/compose.yaml", &format!("{WEB}    imagge: x\n"));
    let broken = repo.push();
    until_told(&controller, &format!("stacks/blog/compose.yaml:4:5 at revision {}", &broken[..12]))
        .await;
    assert_eq!(world.running().await, [("blog-web-1".into(), "nginx:1".into())]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_leave_the_repository_are_refused_and_others_are_followed() {
    let (world, repo) = (World::new(), Repo::new());
    let with = |more: &str| format!("{WEB}    {more}\n");
    repo.write("shared.yaml", WEB);
    for name in ["inside", "file", "config", "bind", "env"] {
        repo.write(&format!("stacks/{name}/readme.md",), "");
    }
    repo.link("../../shared.yaml", "stacks/inside/compose.yaml");
    repo.link("/etc/passwd", "stacks/file/compose.yaml");
    let config = "configs: [c]\nconfigs: { c: { file: ./here } }";
    for (name, more) in
        [("config", config), ("bind", "volumes: ['./here:/there:ro']"), ("env", "env_file: ./here")]
    {
        repo.write(&format!("stacks/{name}/compose.yaml"), &with(more));
        repo.link("../../../../../../../../../../etc/passwd", &format!("stacks/{name}/here"));
    }
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("inside-web-1", "nginx:1")]).await;
    let said = problems(&controller).await;
    for place in ["config/compose.yaml:5:23", "bind/compose.yaml:4:15"] {
        assert!(said.contains(place), "{said}");
    }
    assert_eq!(said.matches("`./here` leaves the repository").count(), 2, "{said}");
    assert_eq!(said.matches("it is a link that leaves the repository").count(), 2, "{said}");
    assert!(!said.contains("root:"), "{said}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_branch_is_held_until_somebody_confirms() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/a/compose.yaml", WEB);
    repo.write("stacks/b/compose.yaml", WEB);
    repo.write("readme.md", "stays\n");
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("a-web-1", "nginx:1"), ("b-web-1", "nginx:1")]).await;
    repo.remove("stacks");
    repo.push();
    until("it is held", || async { controller.sources().await[0].held.is_some() }).await;
    assert_eq!(world.running().await.len(), 2);
    controller.confirm("home").await.unwrap();
    world.until_running(&[]).await;
    assert!(controller.confirm("home").await.is_err(), "nothing is held any more");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_can_be_one_stack_named_after_itself() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("compose.yaml", WEB);
    repo.write(".env", "");
    repo.push();
    let url = format!("file://{}", repo.bare().display());
    let controller = world.serve(vec![source(&url, ".")]).await;
    world.until_running(&[("home-web-1", "nginx:1")]).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_rightly_lacks_is_read_from_data_and_the_environment_is_not() {
    let (world, repo) = (World::new(), Repo::new());
    let text = "services:\n  s:\n    image: i:1\n    environment: {WHO: \"${WHO:-nobody}\"}\n";
    repo.write("stacks/a/compose.yaml", text);
    repo.write("stacks/b/compose.yaml", text);
    repo.push();
    world.write("root/data/home/stacks/b/.env", "WHO=data\n");
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("a-s-1", "i:1"), ("b-s-1", "i:1")]).await;
    let who = async |name| world.task(name).await.spec.environment["WHO"].clone();
    assert_eq!(who("a-s-1").await.as_deref(), Some("nobody"));
    assert_eq!(who("b-s-1").await.as_deref(), Some("data"));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_http_runs_and_goes_on_when_the_server_is_away() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    let server = Server::start(repo.root(), None).await;
    let url = format!("http://127.0.0.1:{}/home.git", server.port);
    let controller = world.serve(vec![source(&url, "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    // More commits than one round of negotiation tells.
    for number in 0..40 {
        repo.write("number", &number.to_string());
        repo.push();
    }
    repo.write("stacks/blog/compose.yaml", &WEB.replace("nginx:1", "nginx:2"));
    repo.push();
    world.until_running(&[("blog-web-1", "nginx:2")]).await;
    server.stop().await;
    until_told(&controller, "the server cannot be reached: Connection refused").await;
    assert_eq!(world.running().await, [("blog-web-1".into(), "nginx:2".into())]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_url_and_are_never_shown() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    let server = Server::start(repo.root(), Some("secret")).await;
    let cases = [
        ("", "the server asks for credentials"),
        ("me:wrong@", "the server refuses these credentials"),
    ];
    for (who, told) in cases {
        let url = format!("http://{who}127.0.0.1:{}/home.git", server.port);
        let controller = world.serve(vec![source(&url, "stacks/*")]).await;
        until_told(&controller, told).await;
        assert!(!problems(&controller).await.contains("wrong"));
        controller.stop().await;
    }
    let url = format!("http://me:secret@127.0.0.1:{}/home.git", server.port);
    let controller = world.serve(vec![source(&url, "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    assert!(!controller.sources().await[0].location.contains("secret"));
    controller.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn troubles_are_told_in_own_words() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    std::fs::create_dir(repo.root().join("plain")).unwrap();
    let server = Server::start(repo.root(), None).await;
    let at = |name: &str| repo.root().join(name).display().to_string();
    let http = |name: &str| format!("http://127.0.0.1:{}/{name}", server.port);
    let cases = [
        (at("away.git"), "there is no Git repository at that address"),
        (at("plain"), "there is no Git repository at that address"),
        (http("away.git"), "there is no Git repository at that address"),
        ("git://example.org/a".to_owned(), "this is not the address of a repository"),
        ("http://127.0.0.1:1/a.git".to_owned(), "the server cannot be reached"),
    ];
    for (url, told) in cases {
        let controller = world.serve(vec![source(&url, "stacks/*")]).await;
        until_told(&controller, told).await;
        controller.stop().await;
    }
    let mut other = source(&at("home.git"), "stacks/*");
    if let From::Git(config) = &mut other.from {
        config.follow = Follow::Branch(Some("trunk".into()));
    }
    let controller = world.serve(vec![other]).await;
    until_told(&controller, "has no branch `trunk`\n\nhint: it has main").await;
    controller.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_rightly_lacks_is_read_from_the_data_folder_which_an_error_names() {
    let (world, repo) = (World::new(), Repo::new());
    let text = format!(
        "{WEB}    env_file: web.env\n    secrets: [key]\nsecrets:\n  key:\n    file: ../key.txt\n"
    );
    repo.write("stacks/blog/compose.yaml", &text);
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    for (named, name) in
        [("blog/web.env", "data/home/stacks/blog/web.env"), ("key", "data/home/stacks/key.txt")]
    {
        let place = world.path(&format!("root/{name}"));
        until_told(&controller, &format!("`{}`", place.display())).await;
        let told = problems(&controller).await;
        assert!(told.contains("stacks/blog/compose.yaml:") && told.contains(named), "{told}");
        world.write(&format!("root/{name}"), "A=b\n");
    }
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    assert_eq!(world.task("blog-web-1").await.spec.environment["A"].as_deref(), Some("b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_clone_is_made_anew() {
    let (world, repo) = (World::new(), Repo::new());
    let at = |version: &str| WEB.replace("nginx:1", &format!("nginx:{version}"));
    repo.write("stacks/blog/compose.yaml", &at("0"));
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:0")]).await;
    let clone = world.path("root/sources/home/repo");
    let empty: fn(&Path) = |file| std::fs::write(file, "").unwrap();
    let garble: fn(&Path) = |file| std::fs::write(file, "not what it was").unwrap();
    let remove: fn(&Path) = |file| std::fs::remove_file(file).unwrap();
    let cases =
        [("objects", empty), ("objects", garble), ("objects", remove), ("", garble), ("", remove)];
    for (turn, (part, harm)) in cases.into_iter().enumerate() {
        let version = (turn + 1).to_string();
        for file in files_below(&clone.join(part)) {
            harm(&file);
        }
        repo.write("stacks/blog/compose.yaml", &at(&version));
        repo.push();
        world.until_running(&[("blog-web-1", &format!("nginx:{version}"))]).await;
    }
    controller.stop().await;
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tasks_write_to_is_seeded_from_the_revision() {
    let (world, repo) = (World::new(), Repo::new());
    let mounts = "    volumes: ['./conf.d:/conf.d', './one.conf:/one.conf']\n";
    repo.write("stacks/blog/compose.yaml", &format!("{WEB}{mounts}"));
    repo.write("stacks/blog/conf.d/a.conf", "1");
    repo.write("stacks/blog/one.conf", "1");
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    let data = |name: &str| {
        std::fs::read_to_string(world.path("root/data/home/stacks/blog").join(name)).ok()
    };
    assert_eq!((data("conf.d/a.conf"), data("one.conf")), (Some("1".into()), Some("1".into())));
    world.write("root/data/home/stacks/blog/one.conf", "mine");
    repo.write("stacks/blog/conf.d/a.conf", "2");
    repo.write("stacks/blog/one.conf", "2");
    repo.push();
    until_told(&controller, "`stacks/blog/one.conf` was changed both").await;
    assert_eq!((data("conf.d/a.conf"), data("one.conf")), (Some("2".into()), Some("mine".into())));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_is_an_empty_folder_and_links_stay_links() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.link("../stacks", "stacks/loop");
    repo.submodule("stacks/sub");
    let commit = repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    let stacks = world.path("root/sources/home/checkouts").join(commit).join("home/stacks");
    assert!(stacks.join("sub").is_dir());
    assert_eq!(std::fs::read_link(stacks.join("loop")).unwrap(), Path::new("../stacks"));
    controller.stop().await;
}

fn following(url: &str, follow: Follow) -> SourceConfig {
    let (paths, poll) = (vec!["stacks/*".to_owned()], Duration::from_millis(100));
    let config = GitConfig { follow, paths, poll, ..GitConfig::new(url) };
    SourceConfig::new("home", From::Git(Box::new(config)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_may_change_a_range_of_tags_a_tag_a_commit() {
    let (world, repo) = (World::new(), Repo::new());
    let bare = repo.bare().display().to_string();
    let version = |version: &str, tag: &[&str]| {
        repo.write(
            "stacks/blog/compose.yaml",
            &WEB.replace("nginx:1", &format!("nginx:{version}")),
        );
        let commit = repo.push();
        if !tag.is_empty() {
            repo.tag(tag);
        }
        commit
    };
    let controller = world.serve(vec![following(&bare, Follow::Tag("~1.2".into()))]).await;
    until_told(&controller, "has no tag `~1.2`").await;
    version("a", &["v1.2.0"]);
    version("b", &[]);
    world.until_running(&[("blog-web-1", "nginx:a")]).await;
    // An annotated one is an object of its own.
    version("c", &["-a", "-m", "words", "v1.2.10"]);
    version("d", &["v1.3.0"]);
    world.until_running(&[("blog-web-1", "nginx:c")]).await;
    let kept = version("e", &["v1.2.9"]);
    version("f", &["stable"]);
    controller.stop().await;
    assert_eq!(world.running().await, [("blog-web-1".into(), "nginx:c".into())]);

    let controller = world.serve(vec![following(&bare, Follow::Tag("stable".into()))]).await;
    world.until_running(&[("blog-web-1", "nginx:f")]).await;
    controller.stop().await;

    let controller = world.serve(vec![following(&bare, Follow::Commit(kept.clone()))]).await;
    world.until_running(&[("blog-web-1", "nginx:e")]).await;
    assert_eq!(controller.sources().await[0].revision, kept);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_without_news_asks_once_where_the_branch_is() {
    let (world, repo) = (World::new(), Repo::new());
    repo.write("stacks/blog/compose.yaml", WEB);
    repo.push();
    let server = Server::start(repo.root(), None).await;
    let url = format!("http://127.0.0.1:{}/home.git", server.port);
    let controller = world.serve(vec![source(&url, "stacks/*")]).await;
    world.until_running(&[("blog-web-1", "nginx:1")]).await;
    server.asked();
    let mut asked = Vec::new();
    let deadline = Deadline::start();
    while asked.len() < 5 {
        deadline.check("five polls");
        asked.extend(server.asked());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(asked.iter().all(|one| one == "GET /home.git/info/refs"), "{asked:?}");
    controller.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_file_that_is_nowhere_is_refused_until_it_is_there() {
    let (world, repo) = (World::new(), Repo::new());
    let mount =
        "    volumes:\n      - ./nginx.conf:/etc/nginx/nginx.conf:ro\n      - ./html:/html\n";
    repo.write("stacks/blog/compose.yaml", &format!("{WEB}{mount}"));
    repo.write("stacks/other/compose.yaml", WEB);
    repo.push();
    let controller = world.serve(vec![source(repo.bare().to_str().unwrap(), "stacks/*")]).await;
    world.until_running(&[("other-web-1", "nginx:1")]).await;
    let data = world.path("root/data/home/stacks/blog/nginx.conf");
    until_told(&controller, "stacks/blog/compose.yaml:5:9").await;
    let told = "`./nginx.conf` is neither in the revision nor at";
    until_told(&controller, &format!("{told} `{}`", data.display())).await;
    assert!(!data.exists());
    support::write(&data, "of this host");
    world.until_running(&[("blog-web-1", "nginx:1"), ("other-web-1", "nginx:1")]).await;
    until("nothing is told", || async { problems(&controller).await.is_empty() }).await;
    controller.stop().await;
}
