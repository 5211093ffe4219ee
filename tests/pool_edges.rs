//! What is at the edges of a pool's life: nodes that leave in time or not, hear badly, and have wrong clocks.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::fs;
use std::process::Child;
use support::pool::{Agent, Pool};
use support::{Host, until};

const PINNED: &str = r#"
services:
  every:
    image: keel.local/hello
    deploy: { mode: global }
  picky:
    image: keel.local/hello
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
"#;

#[test]
fn a_drain_with_a_time_limit_waits_and_names_what_stays() {
    let pool = Pool::new(PINNED);
    let serve = pool.serve();
    let agent = pool.join();
    pool.until_running("web-picky-1");
    pool.until_running("web-every-shed");
    let late = pool.controller.keel(&["node", "drain", "--timeout", "3s", "shed"]);
    assert_eq!(late.code, 1, "{late:?}");
    assert!(late.stderr.contains("web-picky-1 is still on node shed"), "{late:?}");
    assert!(late.stderr.contains("node shed is not empty yet; the drain continues"), "{late:?}");
    let shown = pool.controller.keel(&["node", "inspect", "shed"]).ok().json();
    assert_eq!(shown[0]["availability"], "drain");
    let words = ["node", "drain", "--force", "--timeout", "60s", "shed"];
    let done = pool.controller.keel(&words).ok();
    assert_eq!(done.stderr, "", "{done:?}");
    let runs = |rows: Vec<serde_json::Value>| rows.iter().any(|row| row["state"] == "running");
    assert!(!runs(pool.shed.ps()), "{:?}", pool.shed.ps());
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}

/// What comes back from the controller is late while a file exists.
struct Lag {
    child: Child,
    flag: std::path::PathBuf,
}

impl Lag {
    fn new(host: &Host, controller: &str) -> Self {
        let flag = host.path("lag");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/lagging.py");
        let mut call = host.command("python3");
        let child = call.args([script, "7444", controller]).arg(&flag).spawn().unwrap();
        Self { child, flag }
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const LATE: &str = r#"
services:
  late:
    image: keel.local/hello
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
"#;

#[test]
fn a_node_that_is_heard_and_does_not_hear_gets_nothing_new_and_keeps_what_it_has() {
    let pool = Pool::new(PINNED);
    let config = fs::read_to_string(pool.controller.path("keel.yaml")).unwrap();
    pool.controller.write("keel.yaml", &(config + "pool: { down-after: 60s }\n"));
    let serve = pool.serve();
    let lag = Lag::new(&pool.shed, &pool.cable.controller());
    let token = pool.token(&["--label", "zone=b"]);
    let words = ["--join", "127.0.0.1:7444", "--token", &token, "--name", "shed"];
    let agent = Agent::start(&pool.shed, &words);
    let picky = pool.until_running("web-picky-1");

    fs::write(&lag.flag, "").unwrap();
    pool.until_state("degraded");
    let listed = pool.controller.keel(&["node", "ls"]).ok();
    assert!(listed.stdout.contains("Degraded"), "{listed:?}");
    assert!(
        listed.stderr.contains("node shed: the node is heard, but does not receive"),
        "{listed:?}"
    );
    pool.controller.write("stacks/late/compose.yaml", LATE);
    let said = || pool.controller.keel(&["status", "late"]).stdout;
    let reason = "degraded: it does not receive what is sent to it";
    until("the reason is shown", || said().contains(reason).then_some(()), said);
    assert_eq!(pool.until_running("web-picky-1")["pid"], picky["pid"], "what runs, runs on");

    fs::remove_file(&lag.flag).unwrap();
    pool.until_state("ready");
    assert_eq!(pool.until_running("late-late-1")["node"], "shed", "{}", agent.said());
    assert_eq!(pool.until_running("web-picky-1")["pid"], picky["pid"]);
    for stack in ["web", "late"] {
        pool.controller.keel(&["down", "-v", stack]).ok();
    }
    drop((agent, lag, serve));
    pool.finish();
}

const KEEPS: &str = r#"
services:
  picky:
    image: keel.local/hello
    volumes: [ "data:/data" ]
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
volumes: { data: {} }
"#;

/// What runs on a machine, as that itself sees it.
fn running(host: &Host) -> Vec<String> {
    let rows = host.ps().into_iter().filter(|row| row["state"] == "running");
    rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_node_brings_along_is_stopped_and_what_was_taken_away_goes_when_it_is_back() {
    let pool = Pool::new(LATE);
    let config = fs::read_to_string(pool.controller.path("keel.yaml")).unwrap();
    pool.controller.write("keel.yaml", &(config + "pool: { down-after: 10s }\n"));
    pool.shed.keel(&["run", "-d", "--name", "mine", "keel.local/hello"]).ok();
    let serve = pool.serve();
    let agent = pool.join();
    pool.until_running("web-late-1");
    let backup = pool.controller.path("backup").display().to_string();
    pool.controller.keel(&["backup", &backup]).ok();
    pool.controller.write("stacks/keeps/compose.yaml", KEEPS);
    pool.until_running("keeps-picky-1");

    // `down` while the node is down: its container goes as soon as it answers.
    pool.cable.pull();
    pool.until_state("down");
    pool.controller.keel(&["down", "web"]);
    assert!(running(&pool.shed).contains(&"web-late-1".to_owned()));
    pool.cable.plug();
    let gone = || (!pool.shed.ps().iter().any(|row| row["name"] == "web-late-1")).then_some(());
    until("what was taken away is gone", gone, || format!("{:?}", pool.shed.ps()));
    assert!(running(&pool.shed).contains(&"keeps-picky-1".to_owned()));

    // A controller that does not know a stack any more.
    serve.kill();
    pool.controller.keel(&["restore", "--force", &backup]).ok();
    fs::remove_dir_all(pool.controller.path("stacks/keeps")).unwrap();
    let serve = pool.serve();
    serve.until_said("container keeps-picky-1 belongs to stack keeps, which is not on record here");
    let shown = || pool.controller.keel(&["node", "inspect", "shed"]).ok().json();
    let told = || shown()[0]["warnings"].to_string().contains("keeps-picky-1").then_some(());
    until("`node inspect` names it", told, || shown().to_string());
    let runs = |name: &str| running(&pool.shed).contains(&name.to_owned());
    assert!(runs("keeps-picky-1"), "it has some time: {:?}", running(&pool.shed));
    let stopped = || (!runs("keeps-picky-1")).then_some(());
    until("it is stopped", stopped, || format!("{:?}\n{}", pool.shed.ps(), serve.said()));
    assert!(runs("mine"), "what a person ran is left alone");
    let all = pool.shed.keel(&["ps", "-a", "--format", "json"]).json();
    let is_left = |row: &Value| row["name"] == "keeps-picky-1" && row["state"] == "exited";
    assert!(all.as_array().unwrap().iter().any(is_left), "{all}");
    let volumes = pool.shed.keel(&["volume", "ls", "-q"]).ok().stdout;
    assert!(volumes.contains("keeps_data"), "{volumes}");
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop(agent);
    pool.shed.keel(&["rm", "-fv", "mine", "keeps-picky-1"]).ok();
    pool.shed.keel(&["volume", "rm", "keeps_data"]).ok();
    pool.shed.keel(&["network", "rm", "keeps_default"]).ok();
    drop(serve);
    pool.finish();
}
