//! What a network is asked to be.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A network of a stack, or one that a person made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    /// The full name: `STACK_KEY`, or as given.
    pub name: String,
    /// `bridge`.
    pub driver: String,
    /// No way out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// In CIDR form; `None`: the node chooses a free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// `None`: the subnet's first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// It goes with the last task that is in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto_remove: bool,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
