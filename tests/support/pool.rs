//! Machines of a pool, and the cables between them.

use super::{Host, Serve, until};
use serde_json::Value;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};

/// `keel agent` in the background.
pub struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Starts it.
    pub fn start(host: &Host, arguments: &[&str]) -> Self {
        let log = host.path("agent.log");
        let file = File::create(&log).expect("the test's own folder");
        let mut call = host.command(env!("CARGO_BIN_EXE_keel"));
        let other = file.try_clone().expect("an open file");
        call.arg("agent").args(arguments).stdout(other).stderr(file);
        Self { child: call.spawn().expect("keel is there"), log }
    }

    /// What it has printed so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it ends by itself, and what it said in all.
    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        let ended = || self.child.try_wait().ok().flatten().and_then(|status| status.code());
        let said = || fs::read_to_string(&self.log).unwrap_or_default();
        let code = until("the agent ends", ended, said);
        (code, self.said())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A cable from the controller to another machine: the controller has 10.NET.0.1, the other one 10.NET.0.2.
pub struct Cable {
    near: String,
    far: String,
    net: u8,
}

impl Cable {
    /// Lays it.
    #[track_caller]
    pub fn lay(controller: &Host, other: &Host, net: u8) -> Self {
        let (near, far) = (controller.name.clone(), other.name.clone());
        for line in [
            format!("-n {near} link add near{net} type veth peer name far{net} netns {far}"),
            format!("-n {near} addr add 10.{net}.0.1/24 dev near{net}"),
            format!("-n {far} addr add 10.{net}.0.2/24 dev far{net}"),
            format!("-n {near} link set near{net} up"),
            format!("-n {far} link set far{net} up"),
        ] {
            ip(&line);
        }
        Self { near, far, net }
    }

    /// Where an agent at its other end finds the controller.
    pub fn controller(&self) -> String {
        format!("10.{}.0.1:7443", self.net)
    }

    /// Pulls it.
    #[track_caller]
    pub fn pull(&self) {
        ip(&format!("-n {} link set far{} down", self.far, self.net));
    }

    /// Plugs it in again.
    #[track_caller]
    pub fn plug(&self) {
        ip(&format!("-n {} link set far{} up", self.far, self.net));
    }

    /// Takes it away.
    #[track_caller]
    pub fn remove(self) {
        ip(&format!("-n {} link del near{}", self.near, self.net));
    }
}

/// `ip`, with these words.
#[track_caller]
fn ip(line: &str) {
    let done = Command::new("ip").args(line.split(' ')).output().expect("ip runs");
    assert!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Two machines with a cable between them.
pub struct Pool {
    /// Runs `keel serve`.
    pub controller: Host,
    /// Runs `keel agent`.
    pub shed: Host,
    /// From one to the other.
    pub cable: Cable,
}

impl Pool {
    /// Machines without a registry, and a stack `web`.
    pub fn new(stack: &str) -> Self {
        Self::of(Host::bare(), Host::bare(), stack)
    }

    /// These two machines, and a stack `web`.
    pub fn of(controller: Host, shed: Host, stack: &str) -> Self {
        let cable = Cable::lay(&controller, &shed, 77);
        let own = fs::read_to_string(controller.path("keel.yaml")).expect("each host has one");
        controller.write("keel.yaml", &(own + "listen: { agents: \"10.77.0.1:7443\" }\n"));
        controller.write("stacks/web/compose.yaml", stack);
        Self { controller, shed, cable }
    }

    /// Starts `keel serve`.
    pub fn serve(&self) -> Serve {
        self.controller.serve(&["stacks"])
    }

    /// A new token.
    #[track_caller]
    pub fn token(&self, arguments: &[&str]) -> String {
        let words = [&["--quiet", "token", "create"], arguments].concat();
        self.controller.keel(&words).ok().stdout.trim().to_owned()
    }

    /// Lets the shed join as a node in zone b.
    #[track_caller]
    pub fn join(&self) -> Agent {
        let token = self.token(&["--label", "zone=b"]);
        Agent::start(
            &self.shed,
            &["--join", &self.cable.controller(), "--token", &token, "--name", "shed"],
        )
    }

    /// The row of a container that runs.
    pub fn running(&self, name: &str) -> Option<Value> {
        let rows = self.controller.ps();
        let found = |row: &&Value| row["name"] == name && row["state"] == "running";
        rows.iter().find(found).cloned()
    }

    /// Waits until a container runs; its row.
    #[track_caller]
    pub fn until_running(&self, name: &str) -> Value {
        until(&format!("{name} runs"), || self.running(name), || self.controller.overview())
    }

    /// Waits until the controller says this of the shed.
    #[track_caller]
    pub fn until_state(&self, state: &str) {
        let nodes = || self.controller.keel(&["node", "ls", "--format", "json"]);
        let there = || {
            // Whoever has just started may not answer yet.
            let rows: Value = serde_json::from_str(&nodes().stdout).ok()?;
            let shed = rows.as_array()?.iter().find(|row| row["name"] == "shed")?.clone();
            (shed["state"] == state).then_some(())
        };
        until(&format!("shed is {state}"), there, || format!("{:?}", nodes()));
    }

    /// Where others reach a node, as `node inspect` shows it.
    pub fn address_of(&self, node: &str) -> String {
        let shown = self.controller.keel(&["node", "inspect", node]).ok().json();
        shown[0]["addr"].as_str().expect("each node has one").to_owned()
    }

    /// Ends all, and checks that nothing is left.
    #[track_caller]
    pub fn finish(self) {
        self.cable.remove();
        self.controller.finish();
        self.shed.finish();
    }
}
