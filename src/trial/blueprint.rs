//! What a pool to try consists of. Pure, but for its record.

use super::places::Trial;
use crate::failure::{Failure, Result};
use ipnet::Ipv4Net;
use keel_durable::Hold;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Nodes that it may have: more need more of a laptop than there is.
pub const MOST_NODES: u8 = 20;
/// The controller's host of the subnet; the other nodes follow.
const FIRST_NODE: u32 = 11;
/// Where nodes are heard.
pub const AGENTS_PORT: u16 = 7443;
/// Where the demo stack answers, on each node.
pub const DEMO_PORT: u16 = 8080;

/// What stands on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blueprint {
    /// How many nodes.
    pub nodes: u8,
    /// Where they, and the host, have their addresses.
    pub subnet: Ipv4Net,
    /// Whether the root was made for it, and goes with it.
    pub made_root: bool,
}

/// A node of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedNode {
    /// Its name and its host's.
    pub name: String,
    /// Its address.
    pub address: Ipv4Net,
}

impl Blueprint {
    /// Every node, the controller's first.
    pub fn nodes(&self) -> Vec<PlannedNode> {
        let node = |number: u8| PlannedNode {
            name: node_name(number),
            address: self.address(FIRST_NODE + u32::from(number) - 1),
        };
        (1..=self.nodes).map(node).collect()
    }

    /// How many nodes, in words.
    pub fn size(&self) -> String {
        format!("{} node{}", self.nodes, if self.nodes == 1 { "" } else { "s" })
    }

    /// The controller's node.
    pub fn controller(&self) -> PlannedNode {
        self.nodes().swap_remove(0)
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<PlannedNode> {
        self.nodes().into_iter().find(|node| node.name == name)
    }

    /// The host's own address.
    pub fn host(&self) -> Ipv4Net {
        self.address(1)
    }

    /// Where agents join.
    pub fn join(&self) -> String {
        format!("{}:{AGENTS_PORT}", self.controller().address.addr())
    }

    fn address(&self, host: u32) -> Ipv4Net {
        let address = Ipv4Addr::from(u32::from(self.subnet.network()) + host);
        Ipv4Net::new(address, self.subnet.prefix_len()).expect("the prefix is a subnet's")
    }

    /// The one on record, if there is one.
    pub fn read(trial: &Trial) -> Result<Option<Self>> {
        let file = record(trial);
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Failure::caused(format!("cannot read `{}`", file.display()), error)
                .hint("`keel pool try --remove` removes what is left of that pool")
        };
        match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| cannot(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot(&error)),
        }
    }

    /// Puts it on record.
    pub fn write(&self, trial: &Trial) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).expect("numbers by their names");
        keel_durable::replace(&record(trial), &text, 0o600, Hold::Power)
    }
}

/// The name of a node, counted from 1.
pub fn node_name(number: u8) -> String {
    format!("node{number}")
}

/// The file of the record.
pub fn record(trial: &Trial) -> PathBuf {
    trial.folder().join("pool.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_names_and_addresses_in_their_order() {
        let subnet = "198.18.7.0/24".parse().unwrap();
        let blueprint = Blueprint { nodes: 3, subnet, made_root: false };
        let shown: Vec<_> = blueprint
            .nodes()
            .iter()
            .map(|node| format!("{} {}", node.name, node.address))
            .collect();
        assert_eq!(shown, ["node1 198.18.7.11/24", "node2 198.18.7.12/24", "node3 198.18.7.13/24"]);
        assert_eq!(blueprint.host().to_string(), "198.18.7.1/24");
        assert_eq!(blueprint.join(), "198.18.7.11:7443");
        assert_eq!(blueprint.node("node4"), None);
    }
}
