//! A node falls silent, is given up, and comes back: cables are pulled, the controller is killed meanwhile.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use support::pool::{Agent, Cable};
use support::{Host, Serve, until};

const CONFIG: &str = "listen: { agents: \"0.0.0.0:7443\" }\npool: { down-after: 10s }\n";

/// Three machines, each of the two others at a cable of its own.
struct Pool {
    controller: Host,
    serve: Option<Serve>,
    others: BTreeMap<&'static str, Other>,
}

struct Other {
    host: Host,
    cable: Cable,
    agent: Agent,
}

impl Pool {
    fn new(stack: &str) -> Self {
        let controller = Host::bare();
        controller.write("keel.yaml", CONFIG);
        controller.write("stacks/shop/compose.yaml", stack);
        let mut pool = Self { controller, serve: None, others: BTreeMap::new() };
        pool.serve();
        for (name, net) in [("barn", 77), ("shed", 78)] {
            pool.join(name, net);
        }
        for name in ["barn", "shed"] {
            pool.until_state(name, "ready");
        }
        pool
    }

    fn join(&mut self, name: &'static str, net: u8) {
        let host = Host::bare();
        let cable = Cable::lay(&self.controller, &host, net);
        let words = ["--quiet", "token", "create", "--label", "far=yes"];
        let token = self.controller.keel(&words).ok().stdout.trim().to_owned();
        let join = ["--join", &cable.controller(), "--token", &token, "--name", name];
        let agent = Agent::start(&host, &join);
        self.others.insert(name, Other { host, cable, agent });
    }

    fn serve(&mut self) {
        self.serve = Some(self.controller.serve(&["stacks"]));
    }

    fn kill_controller(&mut self) {
        self.serve.take().unwrap().kill();
    }

    fn nodes(&self) -> Value {
        self.controller.keel(&["node", "ls", "--format", "json"]).json()
    }

    #[track_caller]
    fn until_state(&self, name: &str, state: &str) {
        let there = || {
            let nodes = self.nodes();
            let node = nodes.as_array()?.iter().find(|row| row["name"] == name)?.clone();
            (node["state"] == state).then_some(())
        };
        until(&format!("{name} is {state}"), there, || self.nodes().to_string());
    }

    /// Containers that run, as the controller sees them: each with its node and process.
    fn running(&self) -> BTreeMap<String, (String, u64)> {
        let rows = self.controller.ps().into_iter().filter(|row| row["state"] == "running");
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        rows.map(|row| (text(&row, "name"), (text(&row, "node"), row["pid"].as_u64().unwrap_or(0))))
            .collect()
    }

    #[track_caller]
    fn until_running(&self, many: usize, how: &str) -> BTreeMap<String, (String, u64)> {
        let there = || Some(self.running()).filter(|running| running.len() == many);
        until(&format!("{many} containers run {how}"), there, || self.controller.overview())
    }

    /// What runs on a machine, as that itself sees it.
    fn on(&self, name: &str) -> Vec<String> {
        let rows = self.others[name].host.ps().into_iter().filter(|row| row["state"] == "running");
        rows.map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[track_caller]
    fn until_on(&self, name: &str, many: usize) {
        let there = || (self.on(name).len() == many).then_some(());
        until(&format!("{many} containers run on {name}"), there, || {
            format!("{:?}\n{}", self.on(name), self.controller.overview())
        });
    }

    fn status(&self) -> String {
        self.controller.keel(&["status"]).stdout
    }

    #[track_caller]
    fn finish(mut self) {
        self.controller.keel(&["down", "-v", "shop"]).ok();
        let gone = || self.others.keys().all(|name| self.on(name).is_empty()).then_some(());
        until("nothing runs any more", gone, || self.controller.overview());
        drop(self.serve.take());
        for (_, Other { host, cable, agent }) in self.others {
            drop(agent);
            cable.remove();
            host.finish();
        }
        self.controller.finish();
    }
}

#[test]
fn replicas_of_a_lost_node_run_elsewhere_and_exactly_the_wanted_number_is_left_when_it_is_back() {
    let stack = "services:\n  web:\n    image: keel.local/hello\n    deploy: { replicas: 6 }\n";
    let mut pool = Pool::new(stack);
    pool.until_running(6, "on one machine");
    // Nothing moves to a newcomer: more replicas do.
    pool.controller.write("stacks/shop/compose.yaml", &stack.replace('6', "12"));
    let all = pool.until_running(12, "on three machines");
    let shed: Vec<_> = all.iter().filter(|(_, (node, _))| node == "shed").collect();
    assert!(!shed.is_empty(), "{all:?}");
    let before: BTreeMap<_, _> =
        all.clone().into_iter().filter(|(_, (node, _))| node != "shed").collect();

    pool.others["shed"].cable.pull();
    pool.until_state("shed", "unknown");
    let told = pool.status();
    assert!(told.contains("waiting for node shed, silent for "), "{told}");
    assert!(!told.to_lowercase().contains("failed"), "{told}");
    // A controller that is killed meanwhile gives it a full time of its own.
    pool.kill_controller();
    pool.serve();
    pool.until_state("shed", "down");
    let after = pool.until_running(12, "without the machine that is down");
    assert!(after.values().all(|(node, _)| node != "shed"), "{after:?}");
    for (name, there) in &before {
        assert_eq!(&after[name], there, "{name} was right");
    }
    assert_eq!(pool.on("shed").len(), shed.len(), "what is cut off goes on running");

    pool.kill_controller();
    pool.serve();
    pool.others["shed"].cable.plug();
    pool.until_state("shed", "ready");
    pool.until_on("shed", 0);
    assert_eq!(pool.until_running(12, "and no more"), after, "none is restarted that was right");
    pool.finish();
}

#[test]
fn data_waits_for_its_node_until_a_person_says_that_the_machine_is_gone() {
    let first = "services: { idle: { image: keel.local/hello } }\n";
    let stack = r#"
services:
  db:
    image: keel.local/hello
    volumes: [ "data:/data" ]
    deploy: { placement: { constraints: [ "node.labels.far == yes" ] } }
  lone:
    image: keel.local/hello
    x-keel: { exclusive: true }
    deploy: { placement: { constraints: [ "node.labels.far == yes" ] } }
volumes: { data: {} }
"#;
    let mut pool = Pool::new(first);
    pool.until_running(1, "before there is a choice");
    pool.controller.write("stacks/shop/compose.yaml", stack);
    let there =
        || Some(pool.running()).filter(|all| all.contains_key("shop-db-1") && all.len() == 2);
    let before = until("both run on the other machines", there, || pool.controller.overview());
    let lost = before["shop-db-1"].0.clone();
    let kept = if lost == "shed" { "barn" } else { "shed" };
    let many = before.values().filter(|(node, _)| *node == lost).count();
    let alive = pool.controller.keel(&["node", "confirm-dead", &lost]);
    assert!(alive.code == 1 && alive.stderr.contains("is connected"), "{alive:?}");

    pool.others[lost.as_str()].cable.pull();
    pool.until_state(&lost, "down");
    let command = format!("keel node confirm-dead {lost}");
    let named = || pool.status().contains(&command).then_some(());
    until("status names the command", named, || pool.status());
    assert_eq!(pool.running().len(), 2 - many, "no twin");

    pool.controller.keel(&["node", "confirm-dead", &lost]).ok();
    let after = pool.until_running(2, "on the machine that is left");
    assert!(after.values().all(|(node, _)| node == kept), "{after:?}");
    pool.kill_controller();
    pool.serve();
    pool.others[lost.as_str()].cable.plug();
    pool.until_state(&lost, "ready");
    pool.until_on(&lost, 0);
    assert_eq!(pool.until_running(2, "as before"), after);
    let volumes = pool.others[lost.as_str()].host.keel(&["volume", "ls", "--format", "json"]).ok();
    assert!(volumes.stdout.contains("shop_data"), "its data is kept: {}", volumes.stdout);
    pool.finish();
}
