//! Two machines are one pool: the second joins with a token, and gets tasks of its own.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use support::pool::{Agent, Pool};
use support::{Host, until};

const STACK: &str = r#"
services:
  home:
    image: keel.local/hello
  every:
    image: keel.local/hello
    deploy: { mode: global }
  picky:
    image: keel.local/hello
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
"#;

#[test]
fn a_machine_joins_and_gets_tasks_of_its_own_and_keeps_them_without_its_agent() {
    let pool = Pool::new(STACK);
    let serve = pool.serve();
    let home = pool.until_running("web-home-1");
    let token = pool.token(&["--label", "zone=b"]);
    let join = ["--join", "10.77.0.1:7443", "--token", &token, "--name", "shed"];
    let agent = Agent::start(&pool.shed, &join);
    let picky = pool.until_running("web-picky-1");
    assert_eq!(picky["node"], "shed", "{}", agent.said());
    assert_eq!(pool.until_running("web-every-shed")["node"], "shed");
    assert_eq!(
        pool.running("web-home-1").unwrap()["id"],
        home["id"],
        "a newcomer attracts nothing"
    );

    // What is asked of the controller reaches the task, wherever it is.
    let version = pool.controller.keel(&["exec", "web-picky-1", "/keel", "--version"]).ok();
    assert!(version.stdout.starts_with("keel "), "{version:?}");
    assert!(pool.controller.keel(&["logs", "web-picky-1"]).ok().stdout.contains("listening"));
    let denied = pool.shed.keel(&["stop", "web-picky-1"]);
    assert!(denied.code == 1 && denied.stderr.contains("ask its controller"), "{denied:?}");

    assert_eq!(pool.address_of("shed"), "10.77.0.2", "that of its connection");
    drop(agent);
    pool.until_state("unknown");
    let seen = pool.controller.keel(&["status"]).stdout;
    assert!(seen.contains("waiting for node shed, silent for "), "{seen}");
    let agent = Agent::start(&pool.shed, &["--advertise", "192.0.2.8"]);
    pool.until_state("ready");
    let advertised = || (pool.address_of("shed") == "192.0.2.8").then_some(());
    until("its address is shown", advertised, || pool.address_of("shed"));
    let again = pool.until_running("web-picky-1");
    assert_eq!((&again["id"], &again["pid"]), (&picky["id"], &picky["pid"]), "{}", agent.said());

    // A controller that starts anew finds its node again.
    serve.kill();
    let serve = pool.serve();
    pool.until_state("ready");
    assert_eq!(pool.until_running("web-picky-1")["pid"], picky["pid"]);

    pool.controller.keel(&["down", "-v", "web"]).ok();
    let connected = pool.controller.keel(&["node", "rm", "shed"]);
    assert!(connected.code == 1 && connected.stderr.contains("is connected"), "{connected:?}");
    pool.controller.keel(&["node", "rm", "--force", "shed"]).ok();
    let (code, said) = agent.end();
    assert!(code == 1 && said.contains("was removed from the pool"), "{said}");
    drop(serve);
    pool.finish();
}

#[test]
fn who_may_not_join_is_told_why() {
    let pool = Pool::new(STACK);
    let none = pool.shed.keel(&["agent"]);
    assert!(none.code == 64 && none.stderr.contains("keel token create"), "{none:?}");
    let typo = pool.shed.keel(&["agent", "--join", "10.77.0.1:7443", "--token", "KEEL1-X"]);
    assert!(typo.code == 64 && typo.stderr.contains("copy the whole line"), "{typo:?}");
    let closed = pool.controller.keel(&["node", "ls"]);
    assert!(closed.code == 1 && closed.stderr.contains("keel serve"), "{closed:?}");

    let serve = pool.serve();
    let (spent, revoked) = (pool.token(&[]), pool.token(&[]));
    let id = revoked.split('-').nth(2).unwrap();
    pool.controller.keel(&["token", "rm", id]).ok();
    let join = |token: &str, name: &str| {
        let words = ["agent", "--join", "10.77.0.1:7443", "--token", token, "--name", name];
        pool.shed.keel(&words)
    };
    let refused = join(&revoked, "shed");
    assert!(refused.code == 1 && refused.stderr.contains("revoked"), "{refused:?}");
    let words = ["--join", "10.77.0.1:7443", "--token", &spent, "--name", "shed"];
    let agent = Agent::start(&pool.shed, &words);
    pool.until_state("ready");
    drop(agent);
    fs::remove_file(pool.shed.root().join("pool/node.pem")).unwrap();
    let refused = join(&spent, "other");
    assert!(refused.code == 1 && refused.stderr.contains("used"), "{refused:?}");
    serve.until_said("somebody else has it");
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop(serve);
    pool.finish();
}

const VAULT: &str = r#"
services:
  far:
    image: keel.local/hello
    secrets: [ key ]
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
  near:
    image: keel.local/hello
    secrets: [ own ]
    deploy: { placement: { constraints: [ "node.labels.zone != b" ] } }
secrets:
  key: { file: ./key }
  own: { file: ./own }
"#;

/// What a container reads at a path of its own.
fn within(container: &Value, path: &str) -> String {
    fs::read_to_string(format!("/proc/{}/root{path}", container["pid"])).unwrap_or_default()
}

/// What is kept of configs and secrets on a host.
fn contents(host: &Host) -> Vec<String> {
    let folder = fs::read_dir(host.root().join("secrets")).into_iter().flatten().flatten();
    folder.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect()
}

#[test]
fn a_secret_reaches_the_node_that_runs_a_task_with_it_and_stays_in_memory_there() {
    let pool = Pool::new(STACK);
    for (file, text) in [("compose.yaml", VAULT), ("key", "open sesame"), ("own", "my own")] {
        pool.controller.write(&format!("stacks/vault/{file}"), text);
    }
    let serve = pool.serve();
    pool.until_running("vault-near-1");
    let token = pool.token(&["--label", "zone=b"]);
    let words = ["--join", "10.77.0.1:7443", "--token", &token, "--name", "shed"];
    let agent = Agent::start(&pool.shed, &words);
    let far = pool.until_running("vault-far-1");
    assert_eq!(within(&far, "/run/secrets/key"), "open sesame", "{}", agent.said());
    assert_eq!(contents(&pool.shed), ["open sesame"], "and nothing of other services");
    let at = pool.shed.root().join("secrets").canonicalize().unwrap();
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(&at).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&kind.stdout).trim(), "tmpfs", "{}", at.display());

    drop(agent);
    pool.shed.reboot();
    assert_eq!(contents(&pool.shed), [""; 0]);
    let agent = Agent::start(&pool.shed, &[]);
    let again = || pool.running("vault-far-1").filter(|row| row["pid"] != far["pid"]);
    let again = until("it runs again", again, || pool.controller.overview() + &agent.said());
    assert_eq!(within(&again, "/run/secrets/key"), "open sesame", "after a reboot");

    let without: String = VAULT.replace("secrets: [ key ]\n", "\n");
    pool.controller.write("stacks/vault/compose.yaml", &without);
    let gone = || contents(&pool.shed).is_empty().then_some(());
    until("the secret leaves the node", gone, || format!("{:?}", contents(&pool.shed)));
    for stack in ["web", "vault"] {
        pool.controller.keel(&["down", "-v", stack]).ok();
    }
    drop((agent, serve));
    pool.finish();
}

const MOVABLE: &str = "services:\n  web:\n    image: keel.local/hello\n    deploy: { placement: { preferences: [ { spread: node.labels.zone } ] } }\n";

#[test]
fn the_controllers_own_node_has_labels_and_is_drained_like_any_other() {
    let pool = Pool::new(STACK);
    pool.controller.write("stacks/web/compose.yaml", MOVABLE);
    let serve = pool.serve();
    let own = pool.until_running("web-web-1")["node"].as_str().unwrap().to_owned();
    let token = pool.token(&[]);
    let words = ["--join", "10.77.0.1:7443", "--token", &token, "--name", "shed"];
    let agent = Agent::start(&pool.shed, &words);
    pool.until_state("ready");
    pool.controller.keel(&["node", "label", &own, "zone=a"]).ok();
    pool.controller.keel(&["node", "drain", &own]).ok();
    let moved = || {
        let rows = pool.controller.ps();
        (rows.len() == 1 && rows[0]["node"] == "shed" && rows[0]["state"] == "running")
            .then_some(())
    };
    until("the task has moved", moved, || pool.controller.overview() + &agent.said());
    let shown = pool.controller.keel(&["node", "inspect", &own]).ok().json();
    assert_eq!(
        (&shown[0]["labels"]["zone"], &shown[0]["availability"]),
        (&"a".into(), &"drain".into())
    );
    let gone = pool.controller.keel(&["node", "rm", "--force", &own]);
    assert!(gone.code == 1 && gone.stderr.contains("the controller's own node"), "{gone:?}");
    // It is on record: a controller that starts anew knows it.
    serve.kill();
    let serve = pool.serve();
    pool.until_state("ready");
    assert_eq!(pool.until_running("web-web-1")["node"], "shed");
    let shown = pool.controller.keel(&["node", "inspect", &own]).ok().json();
    assert_eq!(shown[0]["availability"], "drain");
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}

const SPREAD: &str = r#"
x-keel: { settle: 100ms }
services:
  front:
    image: keel.local/hello
    deploy: { replicas: 4 }
  db:
    image: keel.local/hello
    volumes: [ "data:/data" ]
  single:
    image: keel.local/hello
    x-keel: { exclusive: true }
  every:
    image: keel.local/hello
    deploy: { mode: global }
volumes: { data: {} }
"#;

/// The identities of the containers that run on a node, by name.
fn on(pool: &Pool, node: &str) -> BTreeMap<String, String> {
    let rows = pool.controller.ps().into_iter();
    let there = rows.filter(|row| row["node"] == node && row["state"] == "running");
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    there.map(|row| (word(&row["name"]), word(&row["id"]))).collect()
}

#[test]
fn tasks_move_to_a_newcomer_only_once_a_person_asks() {
    let pool = Pool::new(SPREAD);
    let serve = pool.serve();
    let own = pool.until_running("web-front-4")["node"].as_str().unwrap().to_owned();
    for name in ["web-db-1", "web-single-1"] {
        pool.until_running(name);
    }
    let keel = |words: &[&str]| pool.controller.keel(words);
    assert_eq!(keel(&["rebalance"]).ok().stdout, "nothing to move\n", "there is one node");

    let token = pool.token(&[]);
    let words = ["--join", "10.77.0.1:7443", "--token", &token, "--name", "shed"];
    let agent = Agent::start(&pool.shed, &words);
    pool.until_running("web-every-shed");
    let before = on(&pool, &own);
    assert_eq!((before.len(), on(&pool, "shed").len()), (7, 1), "{before:?}");

    let shown = keel(&["rebalance", "--dry-run", "web"]).ok().stdout;
    let why = format!("({own} is running 4 tasks of it, while another runs 0)");
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.ends_with(&why)), "{shown}");
    assert!(shown.starts_with(&format!("web: front.3 moves from node {own} to shed ")), "{shown}");
    let rows = keel(&["rebalance", "--dry-run", "--format", "json"]).ok().json();
    assert_eq!((&rows[1]["slot"], &rows[1]["to"]), (&"front.4".into(), &"shed".into()), "{rows}");
    assert_eq!(on(&pool, &own), before, "nothing has moved by that");

    let said = keel(&["rebalance"]).ok();
    assert!(said.stdout.starts_with(&shown), "{said:?}");
    let names = |node: &str| on(&pool, node).into_keys().collect::<Vec<_>>();
    assert_eq!(names("shed"), ["web-every-shed", "web-front-3", "web-front-4"], "{said:?}");
    let mut stayed = before;
    stayed.retain(|name, _| !["web-front-3", "web-front-4"].contains(&name.as_str()));
    assert_eq!(on(&pool, &own), stayed, "nothing else was touched");
    let history = keel(&["history", "web"]).ok().stdout;
    assert!(history.contains("rebalance by "), "{history}");
    assert_eq!(keel(&["rebalance"]).ok().stdout, "nothing to move\n");

    let unknown = keel(&["rebalance", "nix"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("no such stack: nix"), "{unknown:?}");
    keel(&["suspend", "web"]).ok();
    let suspended = keel(&["rebalance", "web"]);
    assert!(suspended.stderr.contains("stack web was suspended by "), "{suspended:?}");
    assert_eq!(suspended.code, 1, "{suspended:?}");
    keel(&["resume", "web"]).ok();
    keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}

const CHOOSY: &str = r#"
services:
  here:
    image: keel.local/hello
    platform: linux/ARCHITECTURE
  mainframe:
    image: keel.local/hello
    platform: linux/s390x
    volumes: [ "data:/data" ]
  every:
    image: keel.local/hello
    deploy: { mode: global, placement: { constraints: [ "node.labels.disk == ssd" ] } }
volumes: { data: {} }
"#;

#[test]
fn what_no_machine_may_run_says_so_and_makes_no_volume() {
    let host = Host::bare();
    host.write("stacks/shop/compose.yaml", &CHOOSY.replace("ARCHITECTURE", std::env::consts::ARCH));
    let serve = host.serve(&["stacks"]);
    host.until_well("shop-here-1");
    let told = || {
        let status = host.keel(&["status", "shop"]).stdout;
        let platform = "not matching `node.platform.arch == s390x`)";
        let lines: Vec<_> = status.lines().collect();
        let mut waits =
            lines.iter().filter(|line| line.contains("mainframe.1: no node can run it"));
        waits.any(|line| line.ends_with(platform)).then_some(status)
    };
    let status = until("the platform is named", told, || host.overview());
    let nowhere = "shop: every runs on every eligible node, but no node is eligible (";
    assert!(status.contains(nowhere) && status.contains("Degraded"), "{status}");
    let listed = host.keel(&["ps"]).ok().stdout;
    assert!(listed.contains(nowhere) && listed.contains("node.labels.disk == ssd"), "{listed}");
    let volumes = host.keel(&["volume", "ls", "-q"]).ok().stdout;
    assert_eq!(volumes, "", "its data would have to stay there");
    host.keel(&["down", "-v", "shop"]).ok();
    drop(serve);
    host.finish();
}
