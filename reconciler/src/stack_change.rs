//! What a revision means for a stack as a whole.

use serde::{Deserialize, Serialize};

/// What a revision means for a stack as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StackChange {
    /// It is new.
    Added,
    /// It is there before and after.
    Kept,
    /// The revision does not name it any more.
    Removed,
}
