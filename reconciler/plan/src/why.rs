//! What reasons and holds are made of: as data. [`crate::text`] has the words for people, and nobody
//! else needs any.
//!
//! # Invariants
//! - Nobody decides by words: what has to be told apart is a variant of its own.
//! - Records keep what an older version wrote as words, in `Other`, which this version never makes.

mod activity;
mod failure;
mod gist;

pub use activity::Activity;
pub use failure::{Ending, FailureCause};
pub use gist::gist;

use crate::desired::{Condition, Owner};
use crate::verdict::Hold;
use keel_engine::Slot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeptBecause {
    /// It is data.
    Data,
    /// It is defined otherwise, but it is data.
    DefinedOtherwise,
    /// It left the source, but it is data.
    DataLeftSource,
    /// It left the source, but pruning is off.
    PruneOff,
    /// It left the source, but tasks are still on it.
    TasksOnNetwork,
    /// It goes once the revision is good.
    UntilGood,
    /// Nothing says what the stack shall be.
    NothingDesired,
    /// It is not among the services that were asked for.
    NotAsked,
    /// It needs a slot that is itself kept, stopped or left as it drifted.
    Needs(Needs),
}

/// A slot that another one needs, and that waits itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Needs {
    /// Which slot.
    pub slot: Slot,
    /// What is needed of it.
    pub condition: Awaited,
    /// Why that is not so.
    pub hold: Box<Hold>,
}

/// Why something legal is not run here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotRunBecause {
    /// This version, or this place, does not do it: the words that lowering has for the field.
    Unsupported(String),
    /// It needs what is not run here.
    Needs(Needs),
}

/// What must be true of another service's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Awaited {
    /// It runs.
    Started,
    /// Its check says healthy.
    Healthy,
    /// It ended with 0.
    Completed,
    /// It is prepared.
    Ready,
    /// It is gone.
    Removed,
}

impl From<Condition> for Awaited {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Started => Self::Started,
            Condition::Healthy => Self::Healthy,
            Condition::Completed => Self::Completed,
        }
    }
}

/// What a person gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PersonsCommand {
    /// `start`.
    Start,
    /// `restart`.
    Restart,
    /// `stop`.
    Stop,
    /// `kill`.
    Kill,
    /// `rm`.
    #[serde(rename = "rm")]
    Remove,
    /// `down`.
    Down,
    /// `down --volumes`.
    #[serde(rename = "down --volumes")]
    DownVolumes,
    /// `up --force-recreate`.
    #[serde(rename = "up --force-recreate")]
    Recreate,
}

/// What a task follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Followed {
    /// A service of the stack.
    Service(String),
    /// A network that is made anew, by full name.
    Network(String),
}

/// Whose something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// The stack's owner.
    Owner(Owner),
    /// A stack, by the label that says so.
    Stack(String),
    /// Who made a volume that is left of a stack of its own.
    Maker {
        /// As the volume's label says it.
        maker: String,
        /// The volume's full name.
        volume: String,
    },
    /// A stack that has a volume of this name.
    VolumeOf {
        /// The stack.
        stack: String,
        /// The volume's full name.
        volume: String,
    },
}
