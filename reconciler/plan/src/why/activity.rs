//! What is under way.

use super::{SoleUse, uncounted};
use keel_engine::stored_failure::{self, StoredFailure};
use keel_engine::{Failure, Port};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a node, or the stack itself, is still at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activity {
    /// The task is being prepared.
    Preparing {
        /// What failed last, or what it waits for.
        #[serde(flatten, with = "stored_failure")]
        #[schemars(with = "StoredFailure")]
        message: Option<Failure>,
    },
    /// A job runs, and everything else waits for it.
    JobRuns,
    /// A job runs.
    Runs,
    /// A job is tried again by its policy.
    TriedAgain,
    /// The task is being stopped.
    Stopping,
    /// The task is being removed.
    Removing,
    /// The task has ended, and its node finds out how.
    FindingOut,
    /// The slots that take over from it begin first.
    AwaitingSuccessors,
    /// The task is started again in a moment.
    StartingSoon,
    /// The task before it is being stopped.
    StoppingPredecessor,
    /// The same, though its file says that the new one starts first.
    StoppingFirst {
        /// What two tasks cannot have at a time.
        because: SoleUse,
    },
    /// A job's earlier run ends.
    EarlierRunEnds,
    /// The slot's own job of another revision runs, and is left to end.
    JobOfRevisionRuns {
        /// Which revision.
        revision: String,
    },
    /// A job of another revision has to end first.
    AwaitsJobOfRevision {
        /// The job's service.
        service: String,
        /// Which revision.
        revision: String,
    },
    /// A network is being made anew.
    RecreatingNetwork {
        /// Its full name.
        network: String,
    },
    /// Another container lets go of a port.
    LettingGoOfPort {
        /// The container.
        holder: String,
        /// The port.
        #[schemars(with = "serde_json::Value")]
        port: Port,
    },
    /// Another slot of its service is down, and none is stopped meanwhile.
    AwaitingRecovery {
        /// Which slot.
        slot: String,
    },
    /// Its service has fewer slots now, and those that are too many go first.
    ScalingDown,
    /// Tasks are still on the network.
    TasksOnNetwork,
    /// Tasks still mount the volume.
    TasksMountVolume,
}

impl Activity {
    /// The same without what counts up from one time to the next.
    #[must_use]
    pub fn uncounted(&self) -> Self {
        match self {
            Self::Preparing { message } => {
                Self::Preparing { message: message.as_ref().map(uncounted) }
            }
            other => other.clone(),
        }
    }
}
