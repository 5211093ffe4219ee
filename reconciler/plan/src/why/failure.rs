//! What failed.

use super::{Awaited, NodeRefusal, gist, uncounted};
use keel_engine::stored_failure::{self, StoredFailure};
use keel_engine::{Failure, Port, Slot, StackName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What failed, of a slot, an image or a whole rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureCause {
    /// A job that a person stopped.
    StoppedByPerson,
    /// A job that a person ended by a signal.
    KilledByPerson,
    /// Somebody else's signal ended it.
    KilledFromOutside,
    /// It ended, and its policy does not restart it.
    Ended {
        /// How.
        ending: Ending,
        /// Its policy never restarts it (`no`); else it has used up its restarts.
        never_restarts: bool,
    },
    /// It ended again and again.
    Crashed {
        /// How, the last time, where that is known.
        ending: Option<Ending>,
        /// So often.
        times: u32,
    },
    /// Its node cannot run it.
    Rejected {
        /// Why, if its node says it.
        #[serde(flatten, with = "stored_failure")]
        #[schemars(with = "StoredFailure")]
        message: Option<Failure>,
    },
    /// Its node tries in vain to prepare it.
    Unprepared {
        /// Why, if its node says it.
        #[serde(flatten, with = "stored_failure")]
        #[schemars(with = "StoredFailure")]
        message: Option<Failure>,
    },
    /// It was not healthy in time.
    Unhealthy {
        /// The time that it was given, in seconds.
        after: u64,
        /// The last line that its check printed.
        output: Option<String>,
    },
    /// What failed in a slot made the revision fail.
    InSlot {
        /// Which slot.
        slot: Slot,
        /// What failed there.
        cause: Box<FailureCause>,
    },
    /// It waits for what failed in another slot.
    WaitsFor {
        /// Which slot.
        slot: Slot,
        /// What failed there.
        cause: Box<FailureCause>,
    },
    /// It depends on a slot that failed, or is late.
    Dependency {
        /// Which slot.
        slot: Slot,
        /// What it needs of it.
        condition: Awaited,
        /// It runs, but is not healthy in time.
        late: bool,
    },
    /// Another slot of its service failed, or is late, so this one stays as it is.
    Sibling {
        /// Which slot.
        slot: Slot,
        /// It runs, but is not healthy in time.
        late: bool,
    },
    /// The image cannot be had.
    Image {
        /// Which.
        reference: String,
        /// Why.
        failure: Failure,
    },
    /// Another container has its name.
    NameTaken {
        /// The name.
        name: String,
        /// The other container's stack; `None`: one of `keel run`.
        by: Option<StackName>,
    },
    /// Another container has its port.
    PortTaken {
        /// The port.
        #[schemars(with = "serde_json::Value")]
        port: Port,
        /// That container.
        holder: String,
    },
    /// No node there is would take it, were it empty.
    FitsNoNode {
        /// What keeps it from each.
        nodes: Vec<NodeRefusal>,
    },
    /// A job that failed before; no further run is wanted.
    NotTriedAgain,
    /// In words, as an older version recorded it.
    #[serde(untagged)]
    Other(String),
}

impl FailureCause {
    /// The same without how it ended, which is not known at every moment of a crash loop, and without
    /// what counts up.
    #[must_use]
    pub fn without_ending(&self) -> Self {
        let mut cause = self.uncounted();
        match &mut cause {
            Self::Crashed { ending, .. } => *ending = None,
            Self::InSlot { cause, .. } | Self::WaitsFor { cause, .. } => {
                **cause = cause.without_ending();
            }
            _ => {}
        }
        cause
    }

    /// The same without what counts up from one time to the next.
    #[must_use]
    pub fn uncounted(&self) -> Self {
        let mut cause = self.clone();
        match &mut cause {
            Self::Crashed { times, .. } => *times = 0,
            Self::InSlot { cause, .. } | Self::WaitsFor { cause, .. } => {
                **cause = cause.uncounted()
            }
            Self::Rejected { message: Some(failure) }
            | Self::Unprepared { message: Some(failure) }
            | Self::Image { failure, .. } => *failure = uncounted(failure),
            Self::Other(words) => *words = gist(words),
            _ => {}
        }
        cause
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Ending {
    /// It ran out of its memory limit.
    OutOfMemory,
    /// With this code; 128 + signal where a signal ended it.
    Exited {
        /// The code.
        code: i32,
        /// Why it never began.
        #[serde(flatten, with = "stored_failure")]
        #[schemars(with = "StoredFailure")]
        message: Option<Failure>,
    },
    /// Nobody saw how.
    Unseen,
}
