//! Names: stacks, slots, tasks. Checked where they enter, so that nobody checks again.

use keel_names::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a {kind} name: {rule}")]
pub struct NameError {
    /// What it should have named.
    pub kind: &'static str,
    /// What was given.
    pub given: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// A stack: one Compose project. Lower-case letters, digits, `-` and `_`, starting with a letter
/// or digit (the Compose specification's project name).
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct StackName(String);

impl StackName {
    /// Checks and takes a name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let first =
            name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if first && rest && name.len() <= 200 {
            return Ok(Self(name));
        }
        let rule = "lower-case letters, digits, `-` and `_`, a letter or digit first";
        Err(NameError { kind: "stack", given: name, rule })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StackName {
    type Error = NameError;
    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<StackName> for String {
    fn from(name: StackName) -> Self {
        name.0
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place that a replica fills; outlives its tasks. Shown as `STACK/SERVICE.SLOT`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Slot {
    /// The stack.
    pub stack: StackName,
    /// The service's name in the Compose file.
    pub service: String,
    /// `1`, `2`, … for a replicated service; a node's name for a global one.
    pub slot: String,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.stack, self.service, self.slot)
    }
}

/// A node, by the name that it goes by: its host name, unless it was given another. Text of the
/// host's own, so nothing is demanded of it.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[schemars(with = "String")]
#[serde(transparent)]
pub struct NodeName(String);

impl NodeName {
    /// Takes a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a task belongs: a slot of a stack's service, or nowhere (`keel run`).
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A slot of a service.
    Slot(Slot),
    /// A container of its own, by name.
    OneOff(String),
}

impl Place {
    /// The slot, unless it is a one-off.
    #[must_use]
    pub fn slot(&self) -> Option<&Slot> {
        match self {
            Self::Slot(slot) => Some(slot),
            Self::OneOff(_) => None,
        }
    }
}

/// The first 12 characters of an id or a revision, which is what people are shown of one.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// One task: 64 lower-case hexadecimal digits, as docker's container ids; shown by its first 12.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

impl TaskId {
    /// Checks and takes an id.
    pub fn new(id: impl Into<String>) -> Result<Self, NameError> {
        let id = id.into();
        if id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Self(id));
        }
        Err(NameError { kind: "task", given: id, rule: "64 lower-case hexadecimal digits" })
    }

    /// The id that belongs to a seed: deciding a task's id from what it is made of (slot,
    /// generation, a nonce of the caller's) keeps planning pure.
    #[must_use]
    pub fn from_seed(seed: &str) -> Self {
        Self(Digest::of(seed.as_bytes()).hex())
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as listings show it.
    #[must_use]
    pub fn short(&self) -> &str {
        short(&self.0)
    }
}

impl TryFrom<String> for TaskId {
    type Error = NameError;
    fn try_from(id: String) -> Result<Self, NameError> {
        Self::new(id)
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}
