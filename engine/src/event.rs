//! Hints that something changed on a node.

use crate::{Opaque, TaskId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A hint, never a command: whoever hears it looks at what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", remote = "Self")]
#[non_exhaustive]
pub enum Event {
    /// A task's state, health or phase changed.
    Task(TaskId),
    /// An image came, went or failed to come.
    Image(String),
    /// A network or volume changed.
    Resource(String),
    /// Some events were skipped: look at everything. A hint that only a later version knows is read as this.
    Missed,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let told = Opaque::deserialize(deserializer)?;
        Ok(Self::deserialize(told).unwrap_or(Self::Missed))
    }
}
