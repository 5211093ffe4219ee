//! What a person is told of a pool to try. Pure.

use super::blueprint::{Blueprint, DEMO_PORT};
use super::caller::{Caller, quoted};
use super::places::Trial;
use crate::show::Table;

/// Where to look, and what to try.
pub fn guide(trial: &Trial, blueprint: &Blueprint, caller: &Caller) -> String {
    let controller = blueprint.controller().name;
    let last = blueprint.nodes().pop().map_or_else(String::new, |node| node.name);
    let ask = |words: &str| caller.ask(trial, &controller, words);
    let pool = |words: &str| caller.pool(trial, words);
    let log = caller.as_root(&format!("tail -f {}", quoted(&trial.log(&controller))));
    let mut parts = vec![
        nodes(blueprint),
        part("Look at it:", &[ask("node ls"), ask("status"), ask("ps")]),
        part("Watch what the controller does (Ctrl-C ends that):", &[log]),
    ];
    if last != controller {
        let cut = [pool(&format!("--kill {last}")), pool(&format!("--start {last}"))];
        let pulled = [pool(&format!("--unplug {last}")), pool(&format!("--plug {last}"))];
        parts.push(part("Cut a node's power, and start it again:", &cut));
        parts.push(part("Pull a node's cable, and plug it in again:", &pulled));
        let drain = [ask(&format!("node drain {last}")), ask(&format!("node activate {last}"))];
        parts.push(part("Move what runs on a node elsewhere, and use the node again:", &drain));
    }
    let file = trial.demo();
    let edit = format!("sed -i 's/replicas: [0-9]*/replicas: 5/' {}", quoted(&file));
    parts.push(part("Edit the stack; the controller follows:", &[caller.as_root(&edit)]));
    parts.push(part("Remove all of it:", &[pool("--remove")]));
    parts.join("\n")
}

fn nodes(blueprint: &Blueprint) -> String {
    let mut table = Table::new(["NODE", "RUNS", "ADDRESS", "DEMO"]);
    for (number, node) in blueprint.nodes().into_iter().enumerate() {
        let address = node.address.addr();
        let runs = if number == 0 { "keel serve" } else { "keel agent" };
        let url = format!("http://{address}:{DEMO_PORT}/");
        table.row([node.name, runs.to_owned(), address.to_string(), url]);
    }
    table.render()
}

fn part(title: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{title}\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_embedded::layout::DEFAULT_ROOT;
    use std::path::Path;

    fn shown(root: &str, called: &str, sudo: bool, nodes: u8) -> String {
        let subnet = "198.18.7.0/24".parse().unwrap();
        let blueprint = Blueprint { nodes, subnet, made_root: false };
        let caller = Caller::of(called.into(), Path::new("/opt/keel"), sudo);
        guide(&Trial::below(Path::new(root)), &blueprint, &caller)
    }

    #[test]
    fn an_installed_keel_is_called_by_its_name() {
        insta::assert_snapshot!(shown(DEFAULT_ROOT, "keel", false, 2), @r"
        NODE    RUNS         ADDRESS       DEMO
        node1   keel serve   198.18.7.11   http://198.18.7.11:8080/
        node2   keel agent   198.18.7.12   http://198.18.7.12:8080/

        Look at it:
          keel --root /var/lib/keel/try/node1 node ls
          keel --root /var/lib/keel/try/node1 status
          keel --root /var/lib/keel/try/node1 ps

        Watch what the controller does (Ctrl-C ends that):
          tail -f /var/lib/keel/try/node1.log

        Cut a node's power, and start it again:
          keel pool try --kill node2
          keel pool try --start node2

        Pull a node's cable, and plug it in again:
          keel pool try --unplug node2
          keel pool try --plug node2

        Move what runs on a node elsewhere, and use the node again:
          keel --root /var/lib/keel/try/node1 node drain node2
          keel --root /var/lib/keel/try/node1 node activate node2

        Edit the stack; the controller follows:
          sed -i 's/replicas: [0-9]*/replicas: 5/' /var/lib/keel/try/stacks/demo/compose.yaml

        Remove all of it:
          keel pool try --remove
        ");
    }

    #[test]
    fn commands_name_what_else_they_need() {
        let text = shown("/my pool", "./keel", true, 1);
        assert!(text.contains("  sudo /opt/keel --root '/my pool/try/node1' node ls\n"), "{text}");
        assert!(text.contains("  sudo /opt/keel --root '/my pool' pool try --remove\n"), "{text}");
        assert!(!text.contains("--kill"), "a pool of one has nobody to lose: {text}");
    }
}
