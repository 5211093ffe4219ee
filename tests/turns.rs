//! Several commands at one root: each drives in its turns, and a `keel serve` takes over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::process::{Child, Stdio};
use support::{Host, until};

/// `app` waits until somebody says that `db` is well.
const SLOW: &str = "services:
  db:
    image: busybox:1
    init: true
    command: sleep 1000000
    healthcheck: { test: [CMD, test, -e, /well], interval: 200ms, start_period: 10m }
  app:
    image: busybox:1
    init: true
    command: sleep 1000000
    depends_on: { db: { condition: service_healthy } }
";
const OTHER: &str = "services:
  web: { image: 'busybox:1', init: true, command: sleep 1000000 }
";

/// `keel` in the background, ended with the test.
struct Waiting(Child);

impl Waiting {
    fn keel(host: &Host, arguments: &[&str]) -> Self {
        let mut command = host.command(env!("CARGO_BIN_EXE_keel"));
        command.args(arguments).stdout(Stdio::null());
        command.stderr(fs::File::create(host.path("waiting.log")).unwrap());
        Self(command.spawn().unwrap())
    }

    fn waits(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn code(&mut self, host: &Host) -> Option<i32> {
        let said = || fs::read_to_string(host.path("waiting.log")).unwrap() + &host.overview();
        until("the command's end", || self.0.try_wait().unwrap(), said).code()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.waits() {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

fn awaits_health(host: &Host, arguments: &[&str]) -> Waiting {
    host.write("slow/compose.yaml", SLOW);
    host.write("other/compose.yaml", OTHER);
    let up = Waiting::keel(host, arguments);
    let starting = || host.container("slow-db-1").filter(|row| row["health"] == "starting");
    until("db runs", starting, || host.overview());
    up
}

#[test]
fn while_one_command_awaits_health_others_have_their_turns() {
    let host = Host::new();
    let mut up = awaits_health(&host, &["up", "-d", "./slow"]);
    host.keel(&["up", "-d", "./other"]).ok();
    host.until_well("other-web-1");
    host.keel(&["restart", "-t", "1", "other/web"]).ok();
    host.keel(&["stop", "-t", "1", "other/web"]).ok();
    assert_eq!(host.container("other-web-1").unwrap()["state"], "exited");
    assert_eq!(host.keel(&["run", "--rm", "busybox:1", "echo", "done"]).ok().stdout, "done\n");
    host.keel(&["down", "other"]).ok();
    assert!(up.waits(), "nobody said that db is well");
    let said = || fs::read_to_string(host.path("waiting.log")).unwrap();
    let why = "Service app.1  Waiting: waits for db to be healthy";
    until("it says what it waits for", || said().contains(why).then_some(()), said);
    host.keel(&["exec", "slow-db-1", "touch", "/well"]).ok();
    assert_eq!(up.code(&host), Some(0));
    assert_eq!(said().matches(why).count(), 1, "{}", said());
    host.until_well("slow-app-1");
    host.keel(&["down", "slow"]).ok();
    host.finish();
}

#[test]
fn a_serve_that_comes_does_the_rest() {
    let host = Host::new();
    let mut apply = awaits_health(&host, &["apply", "./slow"]);
    host.write("served/mine/compose.yaml", OTHER);
    let serve = host.serve(&["served"]);
    host.until_well("mine-web-1");
    let holder = fs::read_to_string(host.root().join("lock")).unwrap();
    assert!(holder.contains(&format!("\"pid\":{}", serve.pid())), "{holder}");
    assert!(apply.waits(), "it still wants to know how it ends");
    host.keel(&["exec", "slow-db-1", "touch", "/well"]).ok();
    assert_eq!(apply.code(&host), Some(0));
    host.until_well("slow-app-1");
    for stack in ["slow", "mine"] {
        host.keel(&["down", stack]).ok();
    }
    serve.interrupt();
    host.finish();
}
