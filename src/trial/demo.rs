//! The demo stack, and the controller's configuration. Pure.

use super::blueprint::{AGENTS_PORT, Blueprint, DEMO_PORT};

/// The stack's name.
pub const STACK: &str = "demo";

/// Its Compose file as it is at first: what runs on each node, so that it shows which nodes take part.
pub fn first(nodes: u8) -> String {
    compose(nodes).split("\x20 worker:").next().unwrap_or_default().to_owned()
}

/// Its Compose file: edited by people who try it.
pub fn compose(nodes: u8) -> String {
    format!(
        "# The demo of `keel pool try`. Edit this file: the controller follows.\n\
         services:\n\
         \x20 front:                      # one container on each node, behind a port of that node\n\
         \x20   image: keel.local/hello\n\
         \x20   ports: [\"{DEMO_PORT}:80\"]\n\
         \x20   restart: always\n\
         \x20   deploy: {{ mode: global }}\n\
         \x20 worker:                     # this many containers, spread over the nodes\n\
         \x20   image: keel.local/hello\n\
         \x20   restart: always\n\
         \x20   deploy: {{ replicas: {nodes} }}\n"
    )
}

/// The controller's `keel.yaml`.
pub fn config(blueprint: &Blueprint) -> String {
    let address = blueprint.controller().address.addr();
    format!("listen: {{ agents: \"{address}:{AGENTS_PORT}\" }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_first_there_is_only_what_runs_on_each_node() {
        let (first, all) = (first(3), compose(3));
        assert!(first.contains("mode: global") && !first.contains("worker"), "{first}");
        assert!(all.starts_with(&first) && all.contains("replicas: 3"), "{all}");
    }
}
