//! Configs, secrets and files reach the nodes that run a task which needs them, and no others.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Command;
use support::git::{self, Repo};
use support::pool::{Agent, Cable};
use support::{Host, until};

const SECRET: &str = "open-sesame-4711";
const CONFIG: &str = "greeting-of-the-barn";
const PAGE: &str = "page-of-the-barn";

const STACK: &str = "
services:
  far:
    image: keel.local/hello
    secrets: [ key ]
    configs: [ { source: greeting, target: /greeting } ]
    volumes: [ ./page:/page:ro ]
    deploy: { placement: { constraints: [ node.labels.at == barn ] } }
  every:
    image: keel.local/hello
    deploy: { mode: global }
secrets: { key: { file: ./key } }
configs: { greeting: { file: ./greeting } }
";

/// A further machine, the name that it joins as, and its agent.
struct Node {
    host: Host,
    cable: Cable,
    agent: Agent,
}

impl Node {
    fn join(controller: &Host, name: &str, net: u8) -> Self {
        let host = Host::bare();
        let cable = Cable::lay(controller, &host, net);
        let token = controller
            .keel(&["--quiet", "token", "create", "--label", &format!("at={name}")])
            .ok()
            .stdout
            .trim()
            .to_owned();
        let join = ["--join", &cable.controller(), "--token", &token, "--name", name];
        let agent = Agent::start(&host, &join);
        Self { host, cable, agent }
    }

    fn end(self) {
        drop(self.agent);
        self.cable.remove();
        self.host.finish();
    }

    /// Files of the machine, in memory too, that have this text.
    fn files_with(&self, text: &str) -> Vec<String> {
        let secrets = self.host.root().join("secrets").display().to_string() + "/";
        let mut grep = Command::new("grep");
        grep.args(["-rlaF", "--devices=skip", text]).arg(self.host.path("")).arg(secrets);
        let found = String::from_utf8(grep.output().unwrap().stdout).unwrap();
        found.lines().map(str::to_owned).collect()
    }
}

#[test]
fn what_a_task_needs_is_on_its_node_alone_and_secrets_go_with_it() {
    let controller = Host::bare();
    controller.write("keel.yaml", "listen: { agents: \"0.0.0.0:7443\" }\n");
    let files = [("compose.yaml", STACK), ("key", SECRET), ("greeting", CONFIG), ("page", PAGE)];
    // Files that are bound belong to the revision, and so go along, only from a repository.
    let mut repo = Repo::new(&controller);
    for (file, text) in files {
        repo.write(&format!("shop/{file}"), text);
    }
    repo.push("shop");
    let serve = git::serve(&controller, &repo);
    let barn = Node::join(&controller, "barn", 77);
    let shed = Node::join(&controller, "shed", 78);
    let pid = ["shop-far-1", "shop-every-barn", "shop-every-shed"]
        .map(|name| controller.until_well(name)["pid"].to_string());
    for (path, text) in [("run/secrets/key", SECRET), ("greeting", CONFIG), ("page", PAGE)] {
        let read = fs::read_to_string(format!("/proc/{}/root/{path}", pid[0]));
        assert_eq!(read.unwrap(), text, "{path}: {}", barn.agent.said());
        assert_eq!(shed.files_with(text), [""; 0], "on a node that runs nothing with it");
    }
    let at = barn.files_with(SECRET);
    let memory = barn.host.root().join("secrets").display().to_string();
    assert!(!at.is_empty() && at.iter().all(|file| file.starts_with(&memory)), "{at:?}");
    let kind = Command::new("stat").args(["-f", "-c", "%T", &format!("{memory}/")]).output();
    assert_eq!(String::from_utf8(kind.unwrap().stdout).unwrap().trim(), "tmpfs");

    // The task moves away, and the node that it leaves keeps neither.
    let moved = STACK.replace("node.labels.at == barn", "node.labels.at == shed");
    repo.write("shop/compose.yaml", &moved);
    repo.push("moved");
    let gone = || {
        let left = [SECRET, CONFIG].map(|text| barn.files_with(text)).concat();
        left.is_empty().then_some(())
    };
    until("they leave the node", gone, || controller.overview());
    assert!(!shed.files_with(SECRET).is_empty(), "{}", controller.overview());
    controller.keel(&["down", "-v", "shop"]).ok();
    until("they are nowhere", || shed.files_with(SECRET).is_empty().then_some(()), String::new);
    drop(serve);
    repo.stop();
    drop(repo);
    barn.end();
    shed.end();
    controller.finish();
}
