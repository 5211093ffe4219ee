//! Two controllers share an etcd: one leads, the other follows it at once, and what runs keeps running.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use support::{Host, Serve, signal, until};

const STACK: &str = "services: { web: { image: keel.local/hello } }\n";

/// A process in the background, with what it says.
struct Background {
    child: Child,
    log: PathBuf,
}

impl Background {
    fn start(mut call: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        call.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: call.spawn().unwrap(), log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Two controllers, and a node with etcd beside it that both have a cable to.
struct Trio {
    controllers: [Host; 2],
    node: Host,
    etcd: Background,
}

impl Trio {
    fn new() -> Self {
        let (controllers, node) = ([Host::bare(), Host::bare()], Host::bare());
        for (number, controller) in controllers.iter().enumerate() {
            let (one, other) = (&controller.name, &node.name);
            for line in [
                format!(
                    "-n {one} link add cable{number} type veth peer name far{number} netns {other}"
                ),
                format!("-n {one} addr add 10.78.{number}.1/24 dev cable{number}"),
                format!("-n {other} addr add 10.78.{number}.2/24 dev far{number}"),
                format!("-n {one} link set cable{number} up"),
                format!("-n {other} link set far{number} up"),
            ] {
                let done = Command::new("ip").args(line.split(' ')).output().unwrap();
                assert!(done.status.success(), "ip {line}: {done:?}");
            }
            let config = format!(
                "listen: {{ agents: \"10.78.{number}.1:7443\" }}\n\
                 store: {{ etcd: {{ endpoints: [\"http://10.78.{number}.2:2379\"] }} }}\n"
            );
            controller.write("keel.yaml", &config);
            controller.write("stacks/README", "there is none yet");
        }
        let etcd = etcd(&node);
        Self { controllers, node, etcd }
    }

    fn serve(&self, number: usize) -> Serve {
        self.controllers[number].serve(&["stacks"])
    }

    #[track_caller]
    fn running(&self, number: usize) -> Value {
        let controller = &self.controllers[number];
        let rows = || controller.keel(&["ps", "-a", "--format", "json"]);
        let running = || {
            let rows: Value = serde_json::from_str(&rows().stdout).ok()?;
            let found = rows.as_array()?.iter().find(|row| row["state"] == "running");
            found.cloned()
        };
        until("the task runs", running, || format!("{:?}", rows()))
    }
}

impl Trio {
    /// Ends all, and checks that nothing is left.
    #[track_caller]
    fn finish(self) {
        let Self { controllers, node, etcd } = self;
        drop(etcd);
        for (number, host) in controllers.into_iter().enumerate() {
            let link = ["-n", &host.name, "link", "del", &format!("cable{number}")];
            Command::new("ip").args(link).status().unwrap();
            host.finish();
        }
        node.finish();
    }

    /// A way between the controllers, past the node.
    fn route(&self) {
        self.node.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        for (number, controller) in self.controllers.iter().enumerate() {
            let other = 1 - number;
            controller.sh(&format!("ip route add 10.78.{other}.0/24 via 10.78.{number}.2"));
        }
    }

    /// What a person asks of the standby is answered by the controller that leads.
    fn check_relay(&self, row: &Value) {
        let standby = &self.controllers[1];
        let denied = standby.keel(&["ps"]);
        assert_eq!(denied.code, 1, "{denied:?}");
        for words in ["this controller is a standby", "leads", "10.78.0.1:7443"] {
            assert!(denied.stderr.contains(words), "{words}: {denied:?}");
        }
        self.route();
        assert_eq!(pid(&self.running(1)), pid(row));
        let name = row["name"].as_str().unwrap();
        let logs = |number: usize| self.controllers[number].keel(&["logs", name]).ok().stdout;
        assert!(!logs(0).is_empty() && logs(1) == logs(0), "{}", logs(1));
        let version = standby.keel(&["exec", name, "/keel", "--version"]).ok().stdout;
        assert!(version.starts_with("keel "), "{version}");
        standby.keel(&["node", "label", "shed", "zone=b"]).ok();
        let labeled = self.controllers[0].keel(&["node", "inspect", "shed"]).ok().stdout;
        assert!(labeled.contains("zone"), "{labeled}");
    }
}

fn etcd(node: &Host) -> Background {
    let mut call = node.command("etcd");
    call.args(["--data-dir", node.path("etcd").to_str().unwrap(), "--unsafe-no-fsync"]);
    call.args(["--listen-client-urls", "http://0.0.0.0:2379"]);
    call.args(["--advertise-client-urls", "http://10.78.0.2:2379"]);
    Background::start(call, node.path("etcd.log"))
}

fn pid(row: &Value) -> (String, u64) {
    (row["id"].to_string(), row["pid"].as_u64().unwrap_or_default())
}

#[test]
fn a_standby_follows_a_controller_that_dies_and_without_etcd_everything_keeps_running() {
    let mut trio = Trio::new();
    let first = trio.serve(0);
    first.until_said("this controller leads");
    let second = trio.serve(1);
    second.until_said("this controller is a standby");
    let token = trio.controllers[0].keel(&["--quiet", "token", "create"]).ok().stdout;
    let mut call = trio.node.command(env!("CARGO_BIN_EXE_keel"));
    call.args(["agent", "--join", "10.78.0.1:7443", "--token", token.trim(), "--name", "shed"]);
    let agent = Background::start(call, trio.node.path("agent.log"));
    trio.controllers[0].write("hello/compose.yaml", STACK);
    let folder = trio.controllers[0].path("hello");
    // The node may not have joined yet.
    let up = || trio.controllers[0].keel_in(&folder, &["up", "-d"]);
    until("the stack is up", || (up().code == 0).then_some(()), || format!("{:?}", up()));
    let row = trio.running(0);
    assert_eq!(row["node"], "shed", "a controller that shares its records runs no tasks itself");

    trio.check_relay(&row);
    first.kill();
    let began = std::time::Instant::now();
    second.until_said("this controller leads");
    assert!(began.elapsed().as_secs() < 10 * u64::from(keel_testing::waiting::patience()));
    assert_eq!(pid(&trio.running(1)), pid(&row), "{}", agent.said());

    // The first one is back, and follows.
    let first = trio.serve(0);
    first.until_said("this controller is a standby");

    // Nobody decides anything without etcd.
    let stop = &mut trio.etcd.child;
    stop.kill().unwrap();
    stop.wait().unwrap();
    second.until_said("this controller leads no more");
    let why = || {
        let called = trio.controllers[1].keel(&["status"]);
        called.stderr.contains("etcd does not answer").then_some(())
    };
    until("the controllers say why", why, || second.said());
    signal(u32::try_from(row["pid"].as_u64().unwrap()).unwrap(), "0");
    trio.etcd = etcd(&trio.node);
    let leads =
        |serve: &Serve, times| serve.said().matches("this controller leads\n").count() == times;
    let led = || {
        if leads(&first, 1) {
            return Some(0);
        }
        leads(&second, 2).then_some(1)
    };
    let leader = until("one of them leads again", led, || first.said() + &second.said());
    assert_eq!(pid(&trio.running(leader)), pid(&row), "{}", agent.said());

    // Both die: whoever comes first goes on.
    first.kill();
    second.kill();
    let last = trio.serve(1);
    last.until_said("this controller leads");
    assert_eq!(pid(&trio.running(1)), pid(&row), "{}", agent.said());
    trio.controllers[1].keel(&["down", "-v", "hello"]).ok();
    let busy = trio.controllers[0].keel(&["store", "migrate", "--to", "files"]);
    assert!(busy.code == 1 && busy.stderr.contains("`keel serve` on"), "{busy:?}");
    // One that is told to end gives the lead up at once.
    assert_eq!(last.interrupt().0, 0);
    for to in ["files", "files", "etcd"] {
        trio.controllers[1].keel(&["store", "migrate", "--to", to]).ok();
    }
    let authority = trio.controllers[1].root().join("records/pool/authority.json");
    let text = fs::read_to_string(authority).unwrap();
    assert!(text.contains("keel-authority 2") && text.contains(r#"{"key":{"file":"#), "{text}");
    drop(agent);
    trio.finish();
}

#[test]
fn a_standby_goes_on_with_a_rotation_and_leaves_the_lead_to_others_while_it_lacks_the_unlock_key() {
    let trio = Trio::new();
    let keys = [0, 1].map(|number| trio.controllers[number].path("unlock"));
    for (controller, key) in trio.controllers.iter().zip(&keys) {
        let config = fs::read_to_string(controller.path("keel.yaml")).unwrap();
        let pool = format!("pool: {{ unlock-key-file: {} }}\n", key.display());
        controller.write("keel.yaml", &(config + &pool));
    }
    let random = fs::read("/proc/sys/kernel/random/uuid").unwrap();
    fs::write(&keys[0], &random).unwrap();
    let first = trio.serve(0);
    first.until_said("this controller leads");
    let second = trio.serve(1);
    second.until_said("the pool is locked: cannot read the unlock key file");
    let authority = |number: usize| {
        trio.controllers[number].keel(&["ca", "show", "--format", "json"]).ok().json()
    };
    let node = |number: usize, state: &str| {
        let rows = || trio.controllers[number].keel(&["node", "ls", "--format", "json"]);
        let there = || {
            let rows: Value = serde_json::from_str(&rows().stdout).ok()?;
            let mut rows = rows.as_array()?.iter();
            rows.any(|row| row["name"] == "shed" && row["state"] == state).then_some(())
        };
        until(&format!("shed is {state}"), there, || format!("{:?}", rows()));
    };
    let agent = |words: &[&str]| {
        let mut call = trio.node.command(env!("CARGO_BIN_EXE_keel"));
        call.arg("agent").args(words);
        Background::start(call, trio.node.path("agent.log"))
    };
    let token = trio.controllers[0].keel(&["--quiet", "token", "create"]).ok().stdout;
    let words = ["--join", "10.78.0.1:7443", "--token", token.trim(), "--name", "shed"];
    let shed = agent(&words);
    node(0, "ready");
    drop(shed);
    node(0, "unknown");
    trio.controllers[0].keel(&["ca", "rotate"]).ok();
    let begun = authority(0);
    assert_eq!(
        (&begun["sealed"], &begun["rotation"]["waiting"][0]),
        (&"unlock-key".into(), &"shed".into())
    );
    first.kill();
    let locked = trio.controllers[1].keel(&["status"]);
    assert!(locked.code != 0 && locked.stderr.contains("the pool is locked"), "{locked:?}");
    assert!(!second.said().contains("this controller leads"), "{}", second.said());
    fs::write(&keys[1], &random).unwrap();
    second.until_said("this controller leads");
    let gone_on = || {
        let shown = trio.controllers[1].keel(&["ca", "show", "--format", "json"]);
        serde_json::from_str::<Value>(&shown.stdout).ok()
    };
    let shown = until("it answers", gone_on, || second.said());
    assert_eq!(shown["rotation"], begun["rotation"]);
    let shed = agent(&["--join", "10.78.1.1:7443"]);
    let done = || authority(1)["rotation"].is_null().then_some(());
    until("the node has renewed", done, || shed.said() + &second.said());
    assert_eq!(authority(1)["root"], begun["root"]);
    node(1, "ready");
    drop((shed, second));
    trio.finish();
}
