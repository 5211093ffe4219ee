//! What verdicts are about.

use keel_engine::{Slot, StackName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a verdict is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// An image, by reference.
    Image(String),
    /// A network, by full name.
    Network(String),
    /// A volume, by full name.
    Volume(String),
    /// A slot.
    Slot(Slot),
    /// A service that has no slot to speak of (held as a whole).
    Service(String),
    /// The stack as a whole.
    Stack(StackName),
}
