//! What the controller calls a node, for ever: 16 letters and digits of its own choice.

use super::alphabet::{decode, encode};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A node's ID. No other node ever gets it, also when this one was removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    /// The ID that these bytes give; in lower case, as the names in certificates are.
    #[must_use]
    pub fn new(random: [u8; 10]) -> Self {
        Self(encode(&random).to_lowercase())
    }

    /// Reads an ID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self::new)
    }

    /// The ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a node's ID has 16 letters and digits")
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
