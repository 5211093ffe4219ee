//! What a tired person needs to know of a stack, as data.

use crate::desired::Origin;
use crate::pace::FailureAction;
use crate::standing::ScaleOverride;
use crate::verdict::Hold;
use crate::why::{Activity, Ending, FailureCause, NodeRefusal};
use keel_engine::{Failure, NodeName, Slot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One thing to know of a stack. [`crate::text::of_note`] has its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Note {
    /// What its source says now is refused.
    Refused {
        /// The revision; empty where there is none.
        revision: String,
        /// What is wrong with its files, ready to print.
        why: String,
    },
    /// A revision failed.
    RevisionFailed {
        /// Which.
        revision: String,
        /// What failed.
        cause: FailureCause,
        /// It stays all the same, by policy.
        stays: bool,
        /// What its file says is to be done about that, where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<FailureAction>,
    },
    /// A slot's task failed.
    Failed {
        /// Which slot.
        slot: Slot,
        /// What failed.
        cause: FailureCause,
    },
    /// A task runs, and its check says that it is not well.
    Unhealthy {
        /// Which slot.
        slot: Slot,
        /// The last line that its check printed: it may print anything.
        output: Option<String>,
    },
    /// A task ended, and will be started again.
    Ended {
        /// Which slot.
        slot: Slot,
        /// How.
        ending: Ending,
    },
    /// Its node tries again and again.
    Trying {
        /// Which slot.
        slot: Slot,
        /// What.
        activity: Activity,
    },
    /// A node does not answer, so that nobody knows how these are.
    NodeSilent {
        /// Which node.
        node: NodeName,
        /// What is on it.
        slots: Vec<Slot>,
        /// For how long it has not answered.
        #[serde(default)]
        seconds: u64,
    },
    /// A node is given up, and these are not started elsewhere.
    NodeDown {
        /// Which node.
        node: NodeName,
        /// What is on it.
        slots: Vec<Slot>,
    },
    /// An image that is needed cannot be had.
    Image {
        /// Which.
        reference: String,
        /// Why.
        failure: Failure,
    },
    /// A person suspended it.
    Suspended {
        /// Who.
        by: String,
        /// Why, in their words.
        reason: Option<String>,
    },
    /// A person went back to an earlier revision.
    RolledBack {
        /// Which.
        revision: String,
        /// Who.
        by: String,
    },
    /// A person set the number of a service's tasks.
    Scaled {
        /// Which service.
        service: String,
        /// How many its revision asks for.
        desired: u32,
        /// What they set.
        scale: ScaleOverride,
        /// For how many milliseconds it still counts; absent: until it is reset.
        left: Option<u64>,
    },
    /// A service is legal, and not run here.
    Held {
        /// Which.
        service: String,
        /// The field that cannot be honored.
        field: String,
        /// Why, for people.
        why: String,
        /// Where it is written.
        at: Option<Origin>,
    },
    /// A service that runs on each node runs on none.
    Nowhere {
        /// Which.
        service: String,
        /// What keeps it from each node.
        nodes: Vec<NodeRefusal>,
    },
    /// A slot is without a task.
    Waits {
        /// Which slot.
        slot: Slot,
        /// Why.
        hold: Hold,
    },
    /// A person stopped a slot.
    Stopped {
        /// Which.
        slot: Slot,
    },
    /// It was taken over within the last day.
    TakenOver {
        /// Whose it was.
        from: String,
    },
    /// Its source was moved, or is no longer configured.
    SourceGone {
        /// Which, with its location.
        owner: String,
    },
    /// Its services are on several nodes, and a name resolves to tasks on the same node only.
    NamesApart {
        /// The network that they share.
        network: String,
        /// The nodes of each service.
        services: BTreeMap<String, BTreeSet<NodeName>>,
    },
    /// A service publishes ports on the nodes that run it only.
    PortsApart {
        /// Which.
        service: String,
        /// Those nodes.
        nodes: BTreeSet<NodeName>,
    },
    /// The disk takes no records.
    Unrecorded,
}

impl Note {
    /// Whether it stays as it is for as long as the stack's tasks stay where they are.
    #[must_use]
    pub fn lasts(&self) -> bool {
        matches!(self, Self::NamesApart { .. } | Self::PortsApart { .. })
    }

    /// What is broken comes first, then what is held, then what is under way.
    #[must_use]
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Refused { .. }
            | Self::RevisionFailed { .. }
            | Self::Failed { .. }
            | Self::Unhealthy { .. } => 0,
            Self::Ended { .. }
            | Self::Trying { .. }
            | Self::NodeSilent { .. }
            | Self::NodeDown { .. }
            | Self::Image { .. } => 1,
            Self::Suspended { .. }
            | Self::RolledBack { .. }
            | Self::Scaled { .. }
            | Self::Nowhere { .. }
            | Self::Held { .. } => 2,
            Self::Waits { hold, .. } => match hold {
                Hold::RunsInDocker { .. }
                | Hold::NotFound { .. }
                | Hold::Lacking { .. }
                | Hold::NotRunYet { .. }
                | Hold::NodeDown { .. }
                | Hold::NoPlace { .. }
                | Hold::CannotMove { .. } => 2,
                _ => 3,
            },
            Self::Stopped { .. } => 3,
            Self::TakenOver { .. } | Self::NamesApart { .. } | Self::PortsApart { .. } => 4,
            Self::SourceGone { .. } | Self::Unrecorded => 5,
        }
    }

    /// Whether it is about what the newest revision asks for, and not about how the stack runs.
    #[must_use]
    pub fn is_about_revision(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::RevisionFailed { .. })
    }

    /// The same without what a container printed.
    #[must_use]
    pub fn without_output(&self) -> Self {
        match self {
            Self::Unhealthy { slot, .. } => Self::Unhealthy { slot: slot.clone(), output: None },
            other => other.clone(),
        }
    }
}
