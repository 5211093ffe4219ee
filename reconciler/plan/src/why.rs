//! What reasons and holds are made of: as data. [`crate::text`] has the words for people, and nobody
//! else needs any.
//!
//! # Invariants
//! - Nobody decides by words: what has to be told apart is a variant of its own.
//! - Records keep what an older version wrote as words, in `Other`, which this version never makes.

mod activity;
mod awaited;
mod failure;
mod gist;
mod refusal;
mod sole_use;
mod tie;

pub use activity::Activity;
pub use awaited::Awaited;
pub use failure::{Ending, FailureCause};
pub use gist::gist;
pub(crate) use gist::uncounted;
pub use refusal::{NodeRefusal, Refusal};
pub use sole_use::SoleUse;
pub use tie::Tie;

use crate::desired::{Origin, Owner};
use crate::subject::Subject;
use keel_engine::{Failure, Limit, NodeName, Slot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Hold {
    /// It is what it shall be.
    Converged,
    /// Its job is done.
    Complete,
    /// Others go first: only so many are replaced at a time.
    RolloutFull {
        /// How many may be under way.
        limit: u32,
    },
    /// The new task is not available yet, or not for long enough.
    AwaitingHealth {
        /// Which service.
        service: String,
    },
    /// A dependency is not there yet.
    AwaitingDependency {
        /// The other service.
        service: String,
        /// What must be true of it.
        condition: Awaited,
    },
    /// The image is on its way.
    AwaitingImage {
        /// Which.
        image: String,
        /// What went wrong last, if anything.
        failure: Option<Failure>,
    },
    /// The node is still at it.
    InProgress {
        /// What it does.
        activity: Activity,
    },
    /// The node refused, or gave up; another revision or a person is needed.
    Failed {
        /// What happened.
        cause: FailureCause,
    },
    /// It runs, and is not healthy in time; with data of its own it is left to get there.
    Late {
        /// What is awaited no longer.
        cause: FailureCause,
    },
    /// This very revision failed before.
    KnownBad {
        /// The revision.
        revision: String,
        /// What failed.
        cause: FailureCause,
    },
    /// A person stopped it.
    Stopped,
    /// A person holds the stack off.
    Suspended {
        /// Who.
        by: String,
        /// Since when.
        since: u64,
    },
    /// Another owner decides about this stack.
    OwnedBy {
        /// Who.
        holder: Holder,
    },
    /// Legal Compose that is not run here.
    NotRunYet {
        /// The field.
        field: String,
        /// Why.
        because: NotRunBecause,
        /// Where.
        at: Option<Origin>,
    },
    /// Another engine on this host runs the same service, or writes to the same path.
    RunsInDocker {
        /// The container.
        container: String,
    },
    /// An external network or volume, or a required service, does not exist.
    NotFound {
        /// Which.
        subject: Subject,
    },
    /// The node's machine lacks what a service asks for, so that no task of it could start there.
    Lacking {
        /// The node.
        node: NodeName,
        /// The service.
        service: String,
        /// What the machine lacks.
        what: MachineLack,
        /// Where the service asks for it.
        at: Option<Origin>,
    },
    /// It left the source, but pruning is off, or it is data.
    Kept {
        /// Why.
        because: KeptBecause,
    },
    /// Drift that is only told, by policy.
    ReportOnly,
    /// The node does not answer: nobody knows how its tasks are, and nothing is concluded from that.
    NodeUnknown {
        /// Which.
        node: NodeName,
        /// Since when; milliseconds since the Unix epoch.
        since: u64,
    },
    /// The node is down, and what is there waits for it.
    NodeDown {
        /// Which.
        node: NodeName,
        /// Since when it is silent; milliseconds since the Unix epoch.
        since: u64,
        /// What holds the slot to it; absent: its service, or the stack, does not want it elsewhere.
        tie: Option<Tie>,
    },
    /// No node takes it.
    NoPlace {
        /// What keeps it from each.
        nodes: Vec<NodeRefusal>,
    },
    /// It should leave its node, and no other takes it.
    CannotMove {
        /// Its node.
        node: NodeName,
        /// Why it should leave.
        because: Refusal,
        /// What keeps it from each of the others.
        nodes: Vec<NodeRefusal>,
    },
}

impl Hold {
    /// Whether no later pass can change it without a new revision, event or person: what a
    /// command that converges waits no longer for.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::RolloutFull { .. }
            | Self::AwaitingHealth { .. }
            | Self::AwaitingDependency { .. }
            | Self::AwaitingImage { .. }
            | Self::InProgress { .. } => false,
            Self::Converged
            | Self::Complete
            | Self::Failed { .. }
            | Self::Late { .. }
            | Self::KnownBad { .. }
            | Self::Stopped
            | Self::Suspended { .. }
            | Self::OwnedBy { .. }
            | Self::NotRunYet { .. }
            | Self::RunsInDocker { .. }
            | Self::NotFound { .. }
            | Self::Lacking { .. }
            | Self::Kept { .. }
            | Self::ReportOnly
            | Self::NodeUnknown { .. }
            | Self::NodeDown { .. }
            | Self::NoPlace { .. }
            | Self::CannotMove { .. } => true,
        }
    }
}

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
    /// This version does not do it: the words that lowering has for the field.
    Unsupported(String),
    /// It needs what is not run here.
    Needs(Needs),
}

/// What a machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MachineLack {
    /// A device.
    Device {
        /// Its path on the host.
        path: String,
    },
    /// A kernel that can keep this limit.
    Limit {
        /// Which.
        limit: Limit,
    },
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
