//! What people do with single containers is decided as a push is: what shares a network or asked to
//! follow goes along, an interrupted word is gone on with, and nothing of it is a change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use std::process::{Child, Stdio};
use support::{Host, Serve, signal, until};

/// `app` and `web` are in the network of `vpn`.
const SHARED: &str = "services:
  vpn:
    image: busybox:1
    init: true
    restart: always
    command: sleep 1000000
  app:
    image: busybox:1
    init: true
    network_mode: service:vpn
    command: sleep 1000000
  web:
    image: busybox:1
    restart: always
    network_mode: service:vpn
    command: [sh, -c, 'trap exit TERM; while :; do sleep 0.1; done']
";

/// The number of the network namespace of a container's process.
fn namespace(host: &Host, name: &str) -> Option<String> {
    let pid = host.container(name)?["pid"].as_u64()?;
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Waits until the others are in the network that a container has now, and that one leads somewhere.
#[track_caller]
fn until_joined(host: &Host, parent: &str, others: &[&str]) {
    let joined = || {
        let theirs = namespace(host, parent)?;
        let all = others.iter().all(|name| namespace(host, name).as_ref() == Some(&theirs));
        let linked = host.keel(&["exec", others[0], "ip", "addr"]).stdout.contains("eth0");
        (all && linked).then_some(())
    };
    until(&format!("{others:?} are in the network of {parent}"), joined, || host.overview());
}

fn shared(host: &Host) {
    host.write("stacks/shared/compose.yaml", SHARED);
}

#[test]
fn what_shares_a_network_has_the_live_one_after_every_word() {
    let host = Host::new();
    shared(&host);
    let serve = host.serve(&["stacks"]);
    let all = ["shared-app-1", "shared-web-1"];
    all.iter().for_each(|name| drop(host.until_well(name)));
    let words: &[&[&[&str]]] = &[
        &[&["restart", "-t", "1", "shared/vpn"]],
        &[&["stop", "-t", "1", "shared/vpn"], &["start", "shared-vpn-1"]],
        &[&["kill", "shared-vpn-1"], &["restart", "shared/vpn"]],
        &[&["restart", "-t", "1", "shared-app-1"]],
        &[&["rm", "-f", "shared-vpn-1"], &["up", "-d", "shared", "vpn"]],
        &[&["up", "-d", "--force-recreate", "shared", "vpn"]],
    ];
    for word in words {
        word.iter().for_each(|arguments| drop(host.keel(arguments).ok()));
        until_joined(&host, "shared-vpn-1", &all);
    }
    drop(serve);
    host.keel(&["down", "shared"]).ok();
    host.finish();
}

#[test]
fn without_a_daemon_the_word_itself_takes_them_along() {
    let host = Host::new();
    host.write("shared/compose.yaml", SHARED);
    host.keel(&["up", "-d", "./shared"]).ok();
    host.keel(&["stop", "-t", "1", "shared/vpn"]).ok();
    host.keel(&["start", "shared/vpn"]).ok();
    assert_eq!(namespace(&host, "shared-app-1"), namespace(&host, "shared-vpn-1"));
    host.keel(&["restart", "-t", "1", "shared/vpn"]).ok();
    assert_eq!(namespace(&host, "shared-app-1"), namespace(&host, "shared-vpn-1"));
    until_joined(&host, "shared-vpn-1", &["shared-app-1"]);
    host.keel(&["up", "-d", "--force-recreate", "./shared", "vpn"]).ok();
    until_joined(&host, "shared-vpn-1", &["shared-app-1"]);
    let far = ["run", "-d", "--name", "far", "--init", "--restart", "always"];
    let network = ["--network", "container:shared-vpn-1", "busybox:1", "sleep", "1000000"];
    host.keel(&[&far[..], &network].concat()).ok();
    host.keel(&["stop", "-t", "1", "shared/vpn"]).ok();
    host.keel(&["start", "shared/vpn"]).ok();
    until_joined(&host, "shared-vpn-1", &["shared-app-1", "far"]);
    host.keel(&["rm", "-f", "far"]).ok();
    host.keel(&["down", "shared"]).ok();
    host.finish();
}

/// Ends a container's processes as somebody with root on the host would.
fn kill_all(host: &Host, name: &str) {
    let row = host.container(name).unwrap();
    let state = host.root().join("tasks").join(row["id"].as_str().unwrap()).join("state");
    let state: Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
    let pids = ["shim", "process"].map(|who| state[who]["pid"].as_u64().unwrap());
    pids.iter().for_each(|pid| signal(u32::try_from(*pid).unwrap(), "KILL"));
    let is_dead = |pid: &u64| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    };
    until("both are dead", || pids.iter().all(is_dead).then_some(()), String::new);
}

#[test]
fn a_network_that_was_lost_with_its_owner_is_drift_and_heals() {
    let host = Host::new();
    shared(&host);
    let serve = host.serve(&["stacks"]);
    let all = ["shared-app-1", "shared-web-1"];
    all.iter().for_each(|name| drop(host.until_well(name)));
    // With its supervisor goes the namespace; the policy brings another.
    kill_all(&host, "shared-vpn-1");
    until_joined(&host, "shared-vpn-1", &all);
    serve.kill();
    // Nobody looks meanwhile: the drift is told, and healed by the next that comes.
    kill_all(&host, "shared-vpn-1");
    host.keel(&["start", "--boot"]).ok();
    host.until_well("shared-vpn-1");
    let drift = host.keel(&["drift", "shared"]);
    assert!(drift.code == 2 && drift.stdout.contains("network_mode"), "{}", drift.stdout);
    let serve = host.serve(&["stacks"]);
    until_joined(&host, "shared-vpn-1", &all);
    drop(serve);
    host.keel(&["down", "shared"]).ok();
    host.finish();
}

const FOLLOWING: &str = "services:
  db:
    image: busybox:1
    init: true
    restart: always
    command: sleep 1000000
  api:
    image: busybox:1
    init: true
    command: sleep 1000000
    depends_on: { db: { condition: service_started, restart: true } }
  web:
    image: busybox:1
    init: true
    command: sleep 1000000
    depends_on: [api]
";

fn pid(host: &Host, name: &str) -> u64 {
    host.until_well(name)["pid"].as_u64().unwrap()
}

#[test]
fn who_asked_to_follow_a_restart_does_with_a_daemon_or_without() {
    for served in [false, true] {
        let host = Host::new();
        host.write("stacks/fol/compose.yaml", FOLLOWING);
        let serve = served.then(|| host.serve(&["stacks"]));
        if !served {
            host.keel(&["up", "-d", "./stacks/fol"]).ok();
        }
        let pids = || ["fol-db-1", "fol-api-1", "fol-web-1"].map(|name| pid(&host, name));
        let before = pids();
        host.keel(&["restart", "-t", "1", "fol/db"]).ok();
        let after = pids();
        assert!(after[0] != before[0] && after[1] != before[1], "{before:?} {after:?}");
        assert_eq!(after[2], before[2], "it did not ask");
        // Its own policy restarts it: that is nobody's decision.
        signal(u32::try_from(after[0]).unwrap(), "KILL");
        let again = || host.container("fol-db-1").filter(|row| row["pid"] != after[0]);
        until("db runs again", again, || host.overview());
        assert_eq!(pid(&host, "fol-api-1"), after[1]);
        let text = host.keel(&["history", "fol", "--format", "json"]).ok().stdout;
        assert!(text.contains("asked for by `keel restart`"), "{text}");
        drop(serve);
        host.keel(&["down", "fol"]).ok();
        host.finish();
    }
}

#[test]
fn a_time_to_end_of_its_own_is_no_change() {
    let host = Host::new();
    host.write("stacks/fol/compose.yaml", FOLLOWING);
    let serve = host.serve(&["stacks"]);
    host.until_well("fol-web-1");
    for arguments in [
        &["stop", "-t", "30", "fol/db"][..],
        &["start", "fol/db"],
        &["restart", "-t", "7", "fol/db", "fol-web-1"],
        &["stop", "-t", "0", "fol/api"],
    ] {
        host.keel(arguments).ok();
        let plan = host.keel(&["plan", "fol"]);
        assert!(!plan.stdout.contains("stop_grace_period"), "{arguments:?}: {}", plan.stdout);
        assert_eq!(host.status("fol").unwrap()["sync"], "InSync", "{arguments:?}");
    }
    host.keel(&["start", "fol/api"]).ok();
    let settled = || (host.keel(&["plan", "fol"]).code == 0).then_some(());
    until("nothing is to be done", settled, || host.keel(&["plan", "fol"]).stdout);
    drop(serve);
    host.keel(&["down", "fol"]).ok();
    host.finish();
}

/// Ends when it is told so by a file; SIGTERM is not heard.
const STUBBORN: &str = "services:
  one:
    image: busybox:1
    stop_grace_period: 4s
    command: [sh, -c, 'trap : TERM; while :; do sleep 0.1; done']
  two:
    image: busybox:1
    stop_grace_period: 4s
    command: [sh, -c, 'trap : TERM; while :; do sleep 0.1; done']
  joined:
    image: busybox:1
    network_mode: service:one
    stop_grace_period: 4s
    command: [sh, -c, 'trap : TERM; while :; do sleep 0.1; done']
";
const STUBBORNS: [&str; 3] = ["stub-one-1", "stub-two-1", "stub-joined-1"];

/// `keel` in the background.
struct Background(Child);

impl Background {
    fn keel(host: &Host, arguments: &[&str], log: &str) -> Self {
        let mut command = host.command(env!("CARGO_BIN_EXE_keel"));
        command.args(arguments).stdout(Stdio::null());
        command.stderr(fs::File::create(host.path(log)).unwrap());
        Self(command.spawn().unwrap())
    }

    fn end(mut self, name: &str) {
        signal(self.0.id(), name);
        self.0.wait().unwrap();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until_stopping(host: &Host, name: &str) {
    let draining = || host.container(name).filter(|row| row["state"] == "draining");
    until("it is being stopped", draining, || host.overview());
}

#[track_caller]
fn until_all_run_anew(host: &Host, before: &[u64; 3]) {
    let anew = || {
        let now = STUBBORNS.map(|name| {
            host.container(name).filter(|row| row["state"] == "running")?["pid"].as_u64()
        });
        now.iter().zip(before).all(|(now, was)| now.is_some_and(|now| now != *was)).then_some(())
    };
    until("each was restarted", anew, || host.overview());
}

#[test]
fn a_restart_that_is_interrupted_is_gone_on_with() {
    let host = Host::new();
    host.write("stub/compose.yaml", STUBBORN);
    host.keel(&["up", "-d", "./stub"]).ok();
    for by in ["INT", "KILL"] {
        let before = STUBBORNS.map(|name| pid(&host, name));
        let restart = Background::keel(&host, &["restart", "stub"], "restart.log");
        STUBBORNS.iter().for_each(|name| until_stopping(&host, name));
        restart.end(by);
        // Two have all that they need; whose network is another's waits for whoever comes next.
        let status = host.keel(&["status", "stub", "--format", "json"]).ok().stdout;
        assert!(!status.contains("stopped by a person"), "{by}: {status}");
        host.keel(&["start", "--boot"]).ok();
        until_all_run_anew(&host, &before);
    }
    host.keel(&["down", "stub"]).ok();
    host.finish();
}

#[test]
fn a_restart_outlives_the_daemon_and_a_stop_outranks_it() {
    let host = Host::new();
    host.write("stacks/stub/compose.yaml", STUBBORN);
    let serve: Serve = host.serve(&["stacks"]);
    let before = STUBBORNS.map(|name| pid(&host, name));
    let restart = Background::keel(&host, &["restart", "stub"], "restart.log");
    STUBBORNS.iter().for_each(|name| until_stopping(&host, name));
    serve.kill();
    drop(restart);
    let serve = host.serve(&["stacks"]);
    until_all_run_anew(&host, &before);
    // A stop in the middle of another one is the last word.
    let restart = Background::keel(&host, &["restart", "stub/two"], "restart.log");
    until_stopping(&host, "stub-two-1");
    host.keel(&["stop", "-t", "1", "stub/two"]).ok();
    drop(restart);
    assert_eq!(host.container("stub-two-1").unwrap()["state"], "exited");
    let latched = host.keel(&["status", "stub"]);
    assert!((latched.stdout + &latched.stderr).contains("stopped by a person"));
    drop(serve);
    host.keel(&["down", "stub"]).ok();
    host.finish();
}

/// A program of somebody else that listens on a port of the host.
struct Listener(Child);

impl Listener {
    fn on(host: &Host, port: u16) -> Self {
        let mut command = host.command("python3");
        command.args(["-m", "http.server", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let listener = Self(child.unwrap_or_else(|error| panic!("python3: {error}")));
        let local = format!(":{port:04X} ");
        let bound = || host.sh("cat /proc/net/tcp").contains(&local).then_some(());
        until("somebody has the port", bound, String::new);
        listener
    }

    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const WEB: &str = "services:
  web:
    image: busybox:1
    init: true
    ports: ['8095:80']
    environment: { VERSION: 'one' }
    command: sleep 1000000
";

#[test]
fn whatever_waits_for_a_port_says_so_once_and_who_has_it() {
    let host = Host::new();
    host.write("stacks/port/compose.yaml", WEB);
    host.keel(&["up", "-d", "./stacks/port"]).ok();
    host.keel(&["stop", "-t", "1", "port/web"]).ok();
    for arguments in [&["start", "port/web"][..], &["restart", "port/web"], &["up", "-d", "port"]] {
        let listener = Listener::on(&host, 8095);
        let mut waiting = Background::keel(&host, arguments, "waiting.log");
        let said = || fs::read_to_string(host.path("waiting.log")).unwrap();
        let holder =
            format!("port 8095/tcp on 0.0.0.0 is taken by python3 (pid {})", listener.0.id());
        until("it says what it waits for", || said().contains(&holder).then_some(()), said);
        listener.end();
        let ended = || waiting.0.try_wait().unwrap();
        assert!(until("it goes on", ended, said).success(), "{arguments:?}: {}", said());
        assert_eq!(said().matches(&holder).count(), 1, "once: {}", said());
        host.until_well("port-web-1");
        host.keel(&["stop", "-t", "1", "port/web"]).ok();
    }
    // For good: it is told, and stays asked.
    let listener = Listener::on(&host, 8095);
    let start = host.keel(&["start", "port/web"]);
    assert_eq!(start.code, 1, "{}", start.stderr);
    assert!(start.stderr.contains("does not start: port 8095/tcp"), "{}", start.stderr);
    let stop = host.keel(&["stop", "port/web"]).ok();
    assert!(!stop.stderr.contains("waits"), "it waits for nothing any more: {}", stop.stderr);
    assert_eq!(host.container("port-web-1").unwrap()["state"], "exited");
    assert_eq!(host.keel(&["start", "port/web"]).code, 1);
    let serve = host.serve(&["stacks"]);
    serve.until_said(&format!(
        "port-web-1: waits: port 8095/tcp on 0.0.0.0 is taken by python3 (pid {}",
        listener.0.id()
    ));
    let pid = listener.0.id();
    listener.end();
    host.until_well("port-web-1");
    // Who dies holds it for a moment longer than it is there to be named.
    let holder = format!("(pid {})", pid);
    assert_eq!(serve.said().matches(&holder).count(), 1, "{}", serve.said());
    drop(serve);
    host.keel(&["down", "port"]).ok();
    host.finish();
}

#[test]
fn what_only_waits_for_a_port_is_in_nobodys_way() {
    let host = Host::new();
    for stack in ["idle", "runs"] {
        host.write(&format!("{stack}/compose.yaml"), WEB);
    }
    host.keel(&["up", "-d", "./idle"]).ok();
    host.keel(&["stop", "-t", "1", "idle/web"]).ok();
    host.keel(&["up", "-d", "./runs"]).ok();
    let start = host.keel(&["start", "idle/web"]);
    assert!(start.code == 1 && start.stderr.contains("taken by runs/web"), "{}", start.stderr);
    for version in ["two", "three"] {
        host.write("runs/compose.yaml", &WEB.replace("one", version));
        host.keel(&["apply", "./runs"]).ok();
        assert!(host.keel(&["exec", "runs-web-1", "env"]).stdout.contains(version));
    }
    host.keel(&["restart", "-t", "1", "runs/web"]).ok();
    host.until_well("runs-web-1");
    let start = host.keel(&["start", "idle/web"]);
    assert!(start.stderr.contains("taken by runs/web"), "{}", start.stderr);
    // Nobody has it any more: the one that waits gets it.
    host.keel(&["down", "runs"]).ok();
    host.keel(&["start", "idle/web"]).ok();
    host.until_well("idle-web-1");
    host.keel(&["down", "idle"]).ok();
    host.finish();
}

#[test]
fn a_restart_begins_with_what_the_host_has_now() {
    let host = Host::new();
    let node = host.path("stick");
    let plug = |number: u32| {
        let _ = fs::remove_file(&node);
        host.sh(&format!("mknod {} c 1 {number}", node.display()));
    };
    plug(3);
    let stack = format!(
        "services:\n  one:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n    \
         devices: ['{}:/dev/stick']\n",
        node.display()
    );
    host.write("dev/compose.yaml", &stack);
    host.keel(&["up", "-d", "./dev"]).ok();
    let number = || host.keel(&["exec", "dev-one-1", "stat", "-c", "%T", "/dev/stick"]).ok().stdout;
    assert_eq!(number(), "3\n");
    plug(5);
    host.keel(&["restart", "-t", "1", "dev/one"]).ok();
    assert_eq!(number(), "5\n", "it was plugged in again");
    // What is not there any more: it cannot begin, which is said, and begins once it is there again.
    fs::remove_file(&node).unwrap();
    host.keel(&["restart", "-t", "1", "dev/one"]);
    plug(5);
    host.keel(&["restart", "-t", "1", "dev/one"]).ok();
    host.until_well("dev-one-1");
    host.keel(&["down", "dev"]).ok();
    host.finish();
}
