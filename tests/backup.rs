//! A controller is backed up and restored on another machine, also while the old one is alive.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use support::{Host, until};

const STACK: &str = r#"
services:
  web:
    image: keel.local/hello
    secrets: [ word ]
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
secrets: { word: { file: word } }
"#;

/// It may run once alone.
const LONE: &str = "services: { lone: { image: keel.local/hello, x-keel: { exclusive: true } } }\n";

/// `keel agent` in the background.
struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let log = host.path("agent.log");
        let file = File::create(&log).unwrap();
        let mut call = host.command(env!("CARGO_BIN_EXE_keel"));
        call.arg("agent").args(arguments).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: call.spawn().unwrap(), log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    fn until_said(&self, text: &str) {
        let said = || self.said().contains(text).then_some(());
        until(&format!("the agent says `{text}`"), said, || self.said());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A cable from each of two controllers to the third machine.
fn connect(old: &Host, new: &Host, node: &Host) {
    for (number, controller) in [(0, old), (1, new)] {
        let (one, other) = (&controller.name, &node.name);
        for line in [
            format!(
                "-n {one} link add cable{number} type veth peer name far{number} netns {other}"
            ),
            format!("-n {one} addr add 10.77.{number}.1/24 dev cable{number}"),
            format!("-n {other} addr add 10.77.{number}.2/24 dev far{number}"),
            format!("-n {one} link set cable{number} up"),
            format!("-n {other} link set far{number} up"),
        ] {
            let done = Command::new("ip").args(line.split(' ')).output().unwrap();
            assert!(done.status.success(), "ip {line}: {done:?}");
        }
        let listen = format!("listen: {{ agents: \"10.77.{number}.1:7443\" }}\n");
        controller.write("keel.yaml", &listen);
    }
}

/// The row of the node, as a controller shows it.
fn row(controller: &Host) -> Option<Value> {
    let rows = controller.keel(&["node", "ls", "--format", "json"]).json();
    rows.as_array()?.iter().find(|row| row["name"] == "shed").cloned()
}

#[track_caller]
fn until_state(controller: &Host, state: &str) -> Value {
    let there = || row(controller).filter(|row| row["state"] == state);
    until(&format!("shed is {state}"), there, || format!("{:?}", row(controller)))
}

#[track_caller]
fn until_running(controller: &Host) -> Value {
    let running = || controller.container("hello-web-1").filter(|row| row["state"] == "running");
    until("the task runs", running, || controller.overview())
}

#[test]
fn a_pool_goes_on_with_the_restored_controller_and_its_nodes_refuse_the_old_one_for_ever() {
    let (old, new, node) = (Host::bare(), Host::bare(), Host::bare());
    connect(&old, &new, &node);
    old.write("hello/compose.yaml", STACK);
    old.write("hello/word", "between us");
    old.write("stacks/README", "there is none yet");
    new.write("stacks/README", "there is none yet");
    let serving = old.serve(&["stacks"]);
    let token = old.keel(&["--quiet", "token", "create", "--label", "zone=b"]).ok().stdout;
    let join = ["--join", "10.77.0.1:7443", "--token", token.trim(), "--name", "shed"];
    let agent = Agent::start(&node, &join);
    until_state(&old, "ready");
    // The node has joined; the controller has not heard of it yet, maybe.
    let up = || old.keel_in(&old.path("hello"), &["up", "-d"]);
    until("the stack is up", || (up().code == 0).then_some(()), || format!("{:?}", up()));
    let before = until_running(&old);

    let file = new.path("keel.backup");
    let shown = file.to_str().unwrap();
    old.keel(&["backup", shown]).ok();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    new.keel(&["restore", shown]).ok();
    let secrets = content(&new.root().join("secrets"));
    assert!(secrets.iter().any(|(_, content)| content == b"between us"), "{secrets:?}");

    // The old one is alive, and has nothing to say any more where the new one was seen.
    let restored = new.serve(&["stacks"]);
    // What the old one may have told the node after the backup, the new one does not know.
    new.write("alone/compose.yaml", LONE);
    new.keel_in(&new.path("alone"), &["up", "-d"]).ok();
    let status = || new.keel(&["status", "alone"]).stdout;
    let waits = || status().contains("waits for node shed").then_some(());
    until("status says what is waited for", waits, status);
    assert!(new.container("alone-lone-1").is_none(), "{}", new.overview());
    drop(agent);
    let agent = Agent::start(&node, &["--join", "10.77.1.1:7443"]);
    until_state(&new, "ready");
    let runs = || new.container("alone-lone-1").filter(|row| row["state"] == "running");
    until("what may run once alone runs", runs, || new.overview());
    let after = until_running(&new);
    assert_eq!((&after["id"], &after["pid"]), (&before["id"], &before["pid"]), "{}", agent.said());
    let again = new.keel(&["restart", "hello-web-1"]);
    assert_eq!(again.code, 0, "{again:?}");
    drop(agent);
    let agent = Agent::start(&node, &["--join", "10.77.0.1:7443"]);
    agent.until_said("the pool was restored or taken over elsewhere");
    let refused = until_state(&old, "unknown");
    let until_why = || row(&old).filter(|row| row["why"].to_string().contains("epoch 1 of"));
    until("the old one says why", until_why, || refused.to_string());
    let denied = old.keel(&["stop", "hello-web-1"]);
    assert_ne!(denied.code, 0, "{denied:?}");
    drop(agent);

    let agent = Agent::start(&node, &["--join", "10.77.1.1:7443"]);
    until_state(&new, "ready");
    // The controller asks a node that is back what runs on it before it changes anything there.
    until_running(&new);
    new.keel(&["down", "-v", "hello"]).ok();
    new.keel(&["down", "alone"]).ok();
    drop((agent, serving, restored));
    for (number, host) in [old, new].into_iter().enumerate() {
        let link = ["-n", &host.name, "link", "del", &format!("cable{number}")];
        Command::new("ip").args(link).status().unwrap();
        host.finish();
    }
    node.finish();
}

/// Everything below a folder, with its content.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(content(&path)),
            path => all.push((path.clone(), fs::read(path).unwrap_or_default())),
        }
    }
    all.sort();
    all
}

#[test]
fn what_is_no_backup_of_ours_changes_nothing_and_an_interrupted_restore_is_done_again() {
    let (host, other) = (Host::bare(), Host::bare());
    let nothing = host.keel(&["backup", "empty"]);
    assert!(nothing.code == 1 && nothing.stderr.contains("nothing to back up"), "{nothing:?}");
    host.write("hello/compose.yaml", "services: { web: { image: keel.local/hello } }\n");
    host.keel_in(&host.path("hello"), &["up", "-d"]).ok();
    host.keel(&["source", "create", "--bare", "home"]).ok();
    let file = host.path("keel.backup");
    let shown = file.to_str().unwrap().to_owned();
    host.keel(&["backup", &shown]).ok();
    let bytes = fs::read(&file).unwrap();

    let refused = |content: &[u8], why: &str| {
        fs::write(other.path("odd"), content).unwrap();
        let called = other.keel(&["restore", "odd"]);
        assert!(called.code == 1 && called.stderr.contains(why), "{why}: {called:?}");
        assert!(!other.root().join("records").join("stacks").exists(), "{why}");
    };
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    refused(&flipped, "damaged or incomplete");
    refused(&bytes[..bytes.len() - 1], "damaged or incomplete");
    refused(&bytes[..20], "damaged or incomplete");
    refused(&[b"keel-backup 9", &bytes[13..]].concat(), "form 9");
    refused(b"services: {}\n", "is not a backup");

    // As a restore leaves it that was killed while it exchanged the root's parts.
    other.keel(&["restore", &shown]).ok();
    assert!(other.root().join("repos/home.git/HEAD").exists());
    let whole = content(&other.root().join("records/stacks"));
    assert!(!whole.is_empty());
    fs::remove_dir_all(other.root().join("records/stacks")).unwrap();
    other.write("hello/compose.yaml", "services: { web: { image: keel.local/hello } }\n");
    other.write("root/restoring", &format!("keel restore {shown}\n"));
    for command in [&["ps"][..], &["serve", "hello"], &["backup", "x"]] {
        let called = other.keel(command);
        assert!(called.code == 1 && called.stderr.contains("was interrupted"), "{called:?}");
    }
    other.keel(&["restore", &shown]).ok();
    assert_eq!(content(&other.root().join("records/stacks")).len(), whole.len());

    let twice = other.keel(&["restore", &shown]);
    assert!(twice.code == 1 && twice.stderr.contains("--force"), "{twice:?}");
    other.keel(&["restore", "--force", &shown]).ok();
    other.keel(&["down", "hello"]).ok();
    host.keel(&["down", "hello"]).ok();
    host.finish();
    other.finish();
}
