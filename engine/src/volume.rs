//! What a named volume is asked to be.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A named volume: a folder below the root that outlives its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeSpec {
    /// The full name: `STACK_KEY`, or as given.
    pub name: String,
    /// `local`.
    pub driver: String,
    /// Driver options (`type`, `o`, `device` of a mount).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
