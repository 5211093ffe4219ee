//! The demo stack, and the controller's configuration. Pure.

use super::blueprint::{AGENTS_PORT, Blueprint, DEMO_PORT};

/// The stack's name.
pub const STACK: &str = "demo";

/// Its Compose file: edited by people who try it.
pub fn compose(nodes: u8) -> String {
    format!(
        "# The demo of `keel pool try`. Edit it: the controller follows at once.\n\
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
