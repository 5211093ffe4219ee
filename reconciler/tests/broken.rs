//! Sources that break: each kind says so in its own words, leaves what runs as it is, holds up no
//! other source, and recovers by itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_reconciler::Controller;
use keel_reconciler::config::{Follow, From, GitConfig, SourceConfig};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::git::{Repo, Server, git};
use support::sshd::free_port;
use support::{World, until, until_words};

fn stack(version: u32) -> String {
    format!("services:\n  web:\n    image: nginx:{version}\n")
}

fn source(name: &str, url: &str) -> SourceConfig {
    let config = GitConfig {
        follow: Follow::Branch(Some("main".to_owned())),
        paths: vec!["stacks/*".to_owned()],
        poll: Duration::from_millis(100),
        ..GitConfig::new(url)
    };
    SourceConfig::new(name, From::Git(Box::new(config)))
}

/// What the source of this name complains of.
async fn told(controller: &Controller, name: &str) -> String {
    let rows = controller.sources().await;
    let row = rows.iter().find(|row| row.name == name).unwrap();
    row.problems.concat() + row.held.as_deref().unwrap_or_default()
}

async fn until_told(controller: &Controller, name: &str, words: &str) {
    until_words(words, || told(controller, name)).await;
}

/// Two sources on one controller: one that is broken, and one that goes on.
struct Pair {
    world: World,
    broken: Repo,
    sound: Repo,
    /// What each of them is at.
    at: (u32, u32),
}

impl Pair {
    fn new() -> Self {
        let (broken, sound) = (Repo::new(), Repo::new());
        broken.write("stacks/broken/compose.yaml", &stack(1));
        sound.write("stacks/sound/compose.yaml", &stack(1));
        broken.push();
        sound.push();
        Self { world: World::new(), broken, sound, at: (1, 1) }
    }

    async fn serve(&self, url: &str) -> Controller {
        let other = source("sound", self.sound.bare().to_str().unwrap());
        let controller = self.world.serve(vec![source("broken", url), other]).await;
        self.settled().await;
        controller
    }

    async fn settled(&self) {
        let (broken, sound) = (format!("nginx:{}", self.at.0), format!("nginx:{}", self.at.1));
        let expected = [("broken-web-1", broken.as_str()), ("sound-web-1", sound.as_str())];
        self.world.until_running(&expected).await;
    }

    /// While one is broken: it says so, its stack stays, and the other's pushes run.
    async fn goes_on(&mut self, controller: &Controller, words: &str) {
        until_told(controller, "broken", words).await;
        self.at.1 += 1;
        self.sound.write("stacks/sound/compose.yaml", &stack(self.at.1));
        self.sound.push();
        self.settled().await;
        assert_eq!(told(controller, "sound").await, "");
    }

    /// Mended, it follows again, without a word from anybody.
    async fn recovers(&mut self, controller: &Controller) {
        self.at.0 += 1;
        self.broken.write("stacks/broken/compose.yaml", &stack(self.at.0));
        self.broken.push();
        self.settled().await;
        until("nothing is left to tell", || async { told(controller, "broken").await.is_empty() })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_away_silent_or_closed() {
    let mut pair = Pair::new();
    let server = Server::start(pair.broken.root(), None).await;
    let (port, url) = (server.port, format!("http://127.0.0.1:{}/home.git", server.port));
    let controller = pair.serve(&url).await;
    for (status, words) in [
        (401, "the server asks for credentials"),
        (403, "the server forbids it"),
        (404, "there is no Git repository at that address"),
        (500, "the server answers 500"),
        (1, "the server does not answer in time"),
    ] {
        server.refuse(status);
        pair.goes_on(&controller, words).await;
        server.refuse(0);
        pair.recovers(&controller).await;
    }
    server.stop().await;
    pair.goes_on(&controller, "the server cannot be reached: Connection refused").await;
    let server = Server::start_at(port, pair.broken.root(), None).await;
    pair.recovers(&controller).await;
    // One that hangs does not hold up the end, either.
    server.refuse(1);
    until("somebody waits for it", || async { server.silent() > 0 }).await;
    let began = Instant::now();
    controller.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_that_are_gone_or_none() {
    let mut pair = Pair::new();
    let bare = pair.broken.bare();
    let away = pair.broken.root().join("away.git");
    let controller = pair.serve(bare.to_str().unwrap()).await;

    std::fs::rename(&bare, &away).unwrap();
    pair.goes_on(&controller, "there is no Git repository at that address").await;
    std::fs::create_dir(&bare).unwrap();
    pair.goes_on(&controller, "there is no Git repository at that address").await;
    std::fs::remove_dir(&bare).unwrap();
    std::fs::rename(&away, &bare).unwrap();
    pair.recovers(&controller).await;

    git(&bare, &["update-ref", "-d", "refs/heads/main"]);
    pair.goes_on(&controller, "has no branch `main`").await;
    pair.recovers(&controller).await;

    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/main"]);
    pair.broken.remove("stacks/broken");
    pair.broken.push();
    pair.goes_on(&controller, "it names no stack").await;
    pair.recovers(&controller).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_clone_is_cloned_anew() {
    let mut pair = Pair::new();
    let controller = pair.serve(pair.broken.bare().to_str().unwrap()).await;
    let clone = pair.world.path("root/sources/broken/repo");
    std::fs::remove_dir_all(clone.join("objects")).unwrap();
    std::fs::write(clone.join("objects"), "no folder").unwrap();
    pair.recovers(&controller).await;
    controller.stop().await;
}

/// A file system of few bytes; gone at its end.
struct Small(PathBuf);

impl Small {
    fn mount(path: &Path, size: &str) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "keel-test"])
            .arg(path)
            .status();
        assert!(done.unwrap().success());
        Self(path.to_owned())
    }

    fn grow(&self, size: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.0)
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_goes_on_once_there_is_room() {
    let mut pair = Pair::new();
    let disk = Small::mount(&pair.world.path("root/sources/broken"), "1m");
    let controller = pair.serve(pair.broken.bare().to_str().unwrap()).await;
    // What does not compress.
    let noise: Vec<u8> =
        (0u32..2_000_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(pair.broken.root().join("work/noise"), noise).unwrap();
    pair.broken.push();
    pair.goes_on(&controller, "No space left on device").await;
    assert!(told(&controller, "broken").await.contains("hint: the disk is full"));
    disk.grow("64m");
    pair.recovers(&controller).await;
    controller.stop().await;
}

/// A TLS server whose certificate nobody knows.
struct Tls(Child);

impl Tls {
    fn start(folder: &Path, port: u16) -> Self {
        let (key, certificate) = (folder.join("tls.key"), folder.join("tls.crt"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}"), "-key"])
            .arg(&key)
            .arg("-cert")
            .arg(&certificate)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_certificates_that_are_wrong_and_paths_that_match_nothing() {
    let (world, repo, port) = (World::new(), Repo::new(), free_port());
    repo.write("elsewhere/blog/compose.yaml", &stack(1));
    repo.push();
    let _server = Tls::start(repo.root(), port);
    let bare = repo.bare().display().to_string();
    let none = source("none", &bare);
    let missing = |name: &str, commit: &str| {
        let follow = Follow::Commit(commit.to_owned());
        let config = GitConfig { follow, ..GitConfig::new(&bare) };
        SourceConfig::new(name, From::Git(Box::new(config)))
    };
    let controller = world
        .serve(vec![
            source("dns", "http://no-such-host.invalid/home.git"),
            source("ssh-dns", "ssh://git@no-such-host.invalid/home.git"),
            source("tls", &format!("https://127.0.0.1:{port}/home.git")),
            none,
            missing("commit", &"1".repeat(40)),
        ])
        .await;
    for (name, words) in [
        ("dns", "look at this machine's DNS"),
        ("ssh-dns", "the server `no-such-host.invalid` has no address"),
        ("tls", "certificate"),
        ("none", "no Compose file in"),
        ("none", "hint: there are Compose files in elsewhere/blog: let `path` match them"),
        ("commit", &format!("has no commit {}", "1".repeat(40))),
    ] {
        until_told(&controller, name, words).await;
    }
    controller.stop().await;
}
