//! Nodes of a pool pull private images as the controller, and keep nothing of its credentials.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Command;
use support::pool::{Agent, Pool};
use support::{Host, until};

const REGISTRY: &str = "10.77.0.1:5000";
const PASSWORD: &str = "c0rrect-horse";
const NEXT: &str = "battery-st4ple";

/// A stack whose service runs on the other node.
fn stack(tag: u32) -> String {
    format!(
        "services:\n  far:\n    image: {REGISTRY}/library/busybox:{tag}\n    command: sleep 1000000\n    \
         deploy: {{ placement: {{ constraints: [ \"node.labels.zone == b\" ] }} }}\n"
    )
}

/// A controller with a private registry, and a node that is logged in nowhere.
fn pool(tag: u32) -> Pool {
    let (controller, shed) = (Host::with_users(PASSWORD), Host::bare().with_own_logins());
    for host in [&controller, &shed] {
        host.write(
            "keel.yaml",
            &format!("registries: {{ \"{REGISTRY}\": {{ insecure: true }} }}\n"),
        );
    }
    Pool::of(controller, shed, &stack(tag))
}

/// Waits until the stack's status says this.
#[track_caller]
fn until_told(pool: &Pool, words: &str) {
    let told = || pool.controller.keel(&["status", "web"]).stdout.contains(words).then_some(());
    let explain = || pool.controller.keel(&["status", "web"]).stdout + &pool.controller.overview();
    until(&format!("the status says `{words}`"), told, explain);
}

/// Waits until the service runs this tag.
#[track_caller]
fn until_runs(pool: &Pool, tag: u32, agent: &Agent) {
    let image = format!("{REGISTRY}/library/busybox:{tag}");
    let runs = || pool.running("web-far-1").filter(|row| row["image"] == *image).map(drop);
    until(&format!("{image} runs"), runs, || pool.controller.overview() + &agent.said());
}

/// Files below a folder, links followed, that have one of these words.
fn files_with(folder: &str, words: &[&str]) -> String {
    let mut grep = Command::new("grep");
    grep.args(["-rlaF", "--devices=skip"]);
    for word in words {
        grep.args(["-e", word]);
    }
    let found = grep.arg(folder).output().unwrap();
    assert!(found.status.code() != Some(2) || found.stdout.is_empty(), "{found:?}");
    String::from_utf8_lossy(&found.stdout).into_owned()
}

/// A user's password as registries are told it.
fn encoded(user: &str, password: &str) -> String {
    let script = format!("printf '%s' '{user}:{password}' | base64");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Nothing of a password is anywhere on a node, nor in what the controller keeps or says.
#[track_caller]
fn nothing_of(pool: &Pool, password: &str) {
    let encoded = encoded("ann", password);
    let words = [password, &encoded];
    let shed = pool.shed.path("").display().to_string();
    let secrets = pool.shed.root().join("secrets").display().to_string() + "/";
    let root = pool.controller.root().display().to_string();
    for folder in [shed, secrets, root] {
        assert_eq!(files_with(&folder, &words), "", "in {folder}");
    }
    let logs = fs::read_dir(pool.controller.path("")).unwrap().flatten();
    for log in logs.filter(|file| file.file_name().to_string_lossy().starts_with("serve-")) {
        let said = fs::read_to_string(log.path()).unwrap();
        assert!(words.iter().all(|word| !said.contains(word)), "{said}");
    }
    let asked: [&[&str]; 4] =
        [&["status", "web"], &["plan", "web"], &["history", "web"], &["inspect", "web-far-1"]];
    for words_of in asked {
        let called = pool.controller.keel(words_of);
        let said = called.stdout + &called.stderr;
        assert!(words.iter().all(|word| !said.contains(word)), "{words_of:?}: {said}");
    }
}

#[test]
fn a_node_pulls_a_private_image_as_the_controller_and_keeps_nothing_of_it() {
    let mut pool = pool(1);
    pool.shed.environment.push(("KEEL_LOG".into(), "trace".into()));
    let serve = pool.serve();
    let agent = pool.join();
    until_told(&pool, &format!("`keel login {REGISTRY}` on the controller stores credentials"));
    pool.controller.login(PASSWORD, &format!("-u ann --password-stdin {REGISTRY}")).ok();
    until_runs(&pool, 1, &agent);
    nothing_of(&pool, PASSWORD);
    assert!(!pool.shed.path("docker/config.json").exists());

    // Another password at the registry: the old one is refused, and the new one counts for the next pull.
    pool.controller.set_password(NEXT);
    pool.controller.write("stacks/web/compose.yaml", &stack(2));
    until_told(&pool, &format!("credentials that the controller has for {REGISTRY} are refused"));
    nothing_of(&pool, PASSWORD);
    // An agent that starts anew has nothing, and is lent it again.
    drop(agent);
    pool.controller.login(NEXT, &format!("-u ann --password-stdin {REGISTRY}")).ok();
    let agent = Agent::start(&pool.shed, &[]);
    until_runs(&pool, 2, &agent);
    nothing_of(&pool, NEXT);
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}

#[test]
fn a_nodes_own_login_counts_where_the_controller_has_none() {
    let pool = pool(1);
    pool.shed.write("docker/config.json", "{}");
    let serve = pool.serve();
    let login =
        |host: &Host| host.login(PASSWORD, &format!("-u ann --password-stdin {REGISTRY}")).ok();
    login(&pool.shed);
    let agent = pool.join();
    until_runs(&pool, 1, &agent);

    // The controller's comes first, also where it is the worse one; after its logout the node's own counts again.
    login(&pool.controller);
    let auth = encoded("ann", "outdated");
    let config = format!("{{\"auths\":{{\"{REGISTRY}\":{{\"auth\":\"{auth}\"}}}}}}");
    pool.controller.write("docker/config.json", &config);
    pool.controller.write("stacks/web/compose.yaml", &stack(2));
    until_told(&pool, &format!("credentials that the controller has for {REGISTRY} are refused"));
    pool.controller.keel(&["logout", REGISTRY]).ok();
    until_runs(&pool, 2, &agent);
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}
