//! What runs does not depend on who started it: the controller dies, the machine goes down.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use support::{Host, signal, until};

const STACK: &str = "services:
  web:
    image: nginx:1
    restart: unless-stopped
    ports: ['8090:80']
    healthcheck: { test: [CMD, curl, -sf, 'http://127.0.0.1/'], interval: 200ms }
  crasher:
    image: busybox:1
    restart: always
    command: [sh, -c, 'echo begins; sleep 1; exit 3']
  asker:
    image: busybox:1
    init: true
    command: sleep 1000000
  inside:
    image: busybox:1
    init: true
    network_mode: service:web
    command: sleep 1000000
  once:
    image: busybox:1
    command: 'true'
";

fn pids(host: &Host) -> Vec<(Value, Value)> {
    let stays = |row: &Value| row["service"] == "web" || row["service"] == "asker";
    host.ps()
        .into_iter()
        .filter(stays)
        .map(|row| (row["name"].clone(), row["pid"].clone()))
        .collect()
}

fn begins(host: &Host) -> usize {
    host.keel(&["logs", "life-crasher-1"]).stdout.matches("begins").count()
}

#[test]
fn a_killed_controller_is_not_missed_and_the_next_one_adopts() {
    let host = Host::new();
    host.write("life/compose.yaml", STACK);
    let serve = host.serve(&["life"]);
    host.until_well("life-web-1");
    host.until_well("life-asker-1");
    let before = pids(&host);
    serve.kill();
    assert!(host.get("http://127.0.0.1:8090/").is_some(), "ports go on");
    let runs = begins(&host);
    until(
        "restart policies and logs go on",
        || (begins(&host) > runs).then_some(()),
        || host.overview(),
    );
    let asked = host.keel(&["exec", "life-asker-1", "nslookup", "web"]);
    assert_eq!(asked.code, 0, "names go on: {}{}", asked.stdout, asked.stderr);
    let row = host.container("life-web-1").unwrap();
    let inside = row["pid"].as_u64().unwrap();
    host.sh(&format!(
        "nsenter -t {inside} -m -- /bin/busybox mv /usr/share/nginx/html/index.html /tmp/"
    ));
    let sick = || host.container("life-web-1").filter(|row| row["health"] == "unhealthy");
    until("health checks go on", sick, || host.overview());
    host.sh(&format!(
        "nsenter -t {inside} -m -- /bin/busybox mv /tmp/index.html /usr/share/nginx/html/"
    ));

    let serve = host.serve(&["life"]);
    host.until_well("life-web-1");
    let settled = || host.status("life").filter(|row| row["sync"] == "InSync");
    until("it is adopted", settled, || host.overview());
    assert_eq!(pids(&host), before, "adopted, not restarted: {}", serve.said());
    drop(serve);
    host.keel(&["down", "-v", "life"]).ok();
    host.finish();
}

#[test]
fn a_killed_shim_costs_only_supervision_and_is_replaced() {
    let host = Host::new();
    host.write("life/compose.yaml", STACK);
    let serve = host.serve(&["life"]);
    let web = host.until_well("life-web-1");
    let id = web["id"].as_str().unwrap();
    let state = host.root().join("tasks").join(id).join("state");
    let shim = || {
        let state: Value = serde_json::from_slice(&fs::read(&state).ok()?).ok()?;
        state["shim"]["pid"].as_u64()
    };
    let old = shim().unwrap();
    signal(u32::try_from(old).unwrap(), "KILL");
    let repaired = || shim().filter(|pid| *pid != old);
    until("another shim takes over", repaired, || format!("{}\n{}", serve.said(), host.overview()));
    let after = host.until_well("life-web-1");
    assert_eq!(
        (&after["id"], &after["pid"]),
        (&web["id"], &web["pid"]),
        "the container never noticed"
    );
    assert!(host.get("http://127.0.0.1:8090/").is_some());
    drop(serve);
    host.keel(&["down", "-v", "life"]).ok();
    host.finish();
}

#[test]
fn after_a_reboot_everything_starts_again_without_registry_or_source() {
    let mut host = Host::new();
    host.write("life/compose.yaml", STACK);
    let serve = host.serve(&["life"]);
    host.until_well("life-web-1");
    host.until_well("life-asker-1");
    host.keel(&["stop", "life-asker-1"]).ok();
    serve.kill();
    host.reboot();
    host.stop_registry();
    fs::remove_dir_all(host.path("life")).unwrap();
    fs::create_dir(host.path("empty")).unwrap();
    let serve = host.serve(&["empty"]);
    host.until_well("life-web-1");
    assert!(host.until_get("http://127.0.0.1:8090/").contains("nginx"));
    let namespace = |name| {
        let pid = host.container(name)?["pid"].as_u64()?;
        fs::read_link(format!("/proc/{pid}/ns/net")).ok()
    };
    let joined = || {
        let web = namespace("life-web-1")?;
        (namespace("life-inside-1")? == web).then_some(())
    };
    until("what shares a network has the new one", joined, || host.overview());
    let asker = host.container("life-asker-1").unwrap();
    assert_eq!(asker["state"], "exited", "what a person stopped stays stopped: {}", serve.said());
    let drift = host.keel(&["drift"]);
    assert_eq!((drift.code, drift.stdout.trim()), (0, "no drift"), "{drift:?}");
    // What goes while the machine runs is drift still.
    host.sh("nft flush ruleset");
    assert_eq!(host.keel(&["drift"]).code, 2, "{}", host.overview());
    drop(serve);
    host.keel(&["down", "-v", "life"]).ok();
    host.finish();
}
