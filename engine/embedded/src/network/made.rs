//! A network as its driver made it, and what of it is no longer so.

use keel_engine::{AddressPool, FieldPath, TaskId, stored_pools};
use serde::{Deserialize, Serialize};

/// A network as it is on this host; the driver keeps it (in `networks/NAME`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The full name.
    pub name: String,
    /// Its driver; older records name none, and have bridges.
    #[serde(default = "bridge", skip_serializing_if = "is_bridge")]
    pub driver: String,
    /// The link of the host that stands for it, where there is one: its bridge.
    #[serde(default, rename = "bridge", skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Its addresses; the gateways are the bridge's own.
    #[serde(flatten, with = "stored_pools")]
    pub pools: Vec<AddressPool>,
    /// No way out.
    #[serde(default)]
    pub internal: bool,
}

fn bridge() -> String {
    "bridge".into()
}

fn is_bridge(driver: &String) -> bool {
    driver == "bridge"
}

/// Something of ours that is not as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFinding {
    /// The network that it belongs to, where it belongs to one.
    pub network: Option<String>,
    /// The tasks whose published port it is, where it is one.
    pub tasks: Vec<TaskId>,
    /// What: `bridge kl3f9c2a-12ab34`, `firewall chain forward`, `published port 8080/tcp`.
    pub what: FieldPath,
    /// As it was made.
    pub expected: String,
    /// As it is: `missing`, or the other value.
    pub observed: String,
}

impl NetworkFinding {
    pub(super) fn of(network: &Network, what: FieldPath, expected: &str, observed: &str) -> Self {
        let name = Some(network.name.clone());
        let (expected, observed) = (expected.into(), observed.into());
        Self { network: name, tasks: Vec::new(), what, expected, observed }
    }
}
