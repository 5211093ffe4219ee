//! What a plan says: for each slot and resource one verdict, an action or a hold.
//!
//! # Invariants
//! - A plan is immutable data: the pass forwards its wishes and decides nothing.
//! - A hold is as typed as a reason; people read it as often.

use crate::desired::Origin;
use crate::standing::{ScaleOverride, Standing};
use crate::why::{FailureCause, Followed, PersonsCommand, Refusal};

pub use crate::subject::Subject;
pub use crate::why::Hold;
use keel_engine::fields::NetworkField;
use keel_engine::{Difference, Digest, Finding, NodeName, StackName, TaskId, Wish};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one pass intends for one stack.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a plan that is neither applied nor shown did nothing"]
pub struct Plan {
    /// The stack.
    pub stack: StackName,
    /// The revision that it was made for.
    pub revision: String,
    /// The stack's generation that it was made from; applied only while that holds.
    pub generation: u64,
    /// One for each slot and resource, in order: resources, then slots by name.
    pub entries: Vec<PlanEntry>,
    /// The stack's memory as it is after this plan: recorded with it, before its wishes are sent.
    pub standing: Standing,
    /// What this plan found out: for history and notifications.
    pub learned: Vec<Learned>,
    /// When the same observation would give another plan, by time alone (settle, deadlines).
    pub wake: Option<u64>,
}

/// What a plan found out about the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Learned {
    /// A rollout begins.
    Began {
        /// The stack hash.
        hash: Digest,
    },
    /// All that the revision changed is settled: it is good.
    Settled {
        /// The stack hash.
        hash: Digest,
    },
    /// The revision failed; its hash is known bad.
    Failed {
        /// The stack hash.
        hash: Digest,
        /// What failed.
        cause: FailureCause,
        /// The task that did, if there is one.
        task: Option<TaskId>,
    },
    /// A job is done.
    Completed {
        /// The service.
        service: String,
    },
    /// The number of tasks that a person set for a service counts no longer.
    ScaleEnded {
        /// The service.
        service: String,
        /// What they had set.
        scale: ScaleOverride,
    },
}

/// One subject and what becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanEntry {
    /// What it is about.
    pub subject: Subject,
    /// The node that it is or will be on; `None` for what is on no node.
    pub node: Option<NodeName>,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Something is done.
    Act {
        /// What.
        action: Action,
        /// Why.
        reason: Reason,
        /// The wishes that carry it out, in order.
        wishes: Vec<Wish>,
    },
    /// Nothing is done.
    Hold(Hold),
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Bring an image.
    Pull,
    /// Make a network or volume.
    Create,
    /// Start a task in an empty slot.
    Start,
    /// A new task for the slot, and the old one away.
    Replace,
    /// Change the running task in place.
    Update,
    /// Apply the same again: heal.
    Heal,
    /// Stop a task, keep its layer.
    Stop,
    /// Stop and start the same task.
    Restart,
    /// Take it away.
    Remove,
}

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// Nothing fills the slot, or the resource does not exist.
    Missing,
    /// Fields differ from what is applied: somebody pushed.
    Changed {
        /// Which, each with its origin where one is known.
        differences: Vec<(Difference, Option<Origin>)>,
    },
    /// Fields of a network differ from what is applied: somebody pushed.
    Redefined {
        /// Which.
        differences: Vec<Difference<NetworkField>>,
    },
    /// The tag means another digest now, and somebody asked to look.
    ImageMoved {
        /// What runs.
        from: Option<Digest>,
        /// What the tag means.
        to: Digest,
    },
    /// The image is not on the node yet.
    NotPulled,
    /// What is there differs from what was applied: drift.
    Drifted {
        /// What differs.
        findings: Vec<Finding>,
    },
    /// It ended, and shall run.
    Ended {
        /// How.
        exit_code: Option<i32>,
    },
    /// The revision no longer names it.
    NotInSource,
    /// Its service shall have another number of tasks.
    Scaled {
        /// How many.
        replicas: u32,
        /// The person who said so; `None`: the revision does.
        by: Option<String>,
    },
    /// A person asked.
    Asked {
        /// The command.
        command: PersonsCommand,
    },
    /// Its successor is available.
    Superseded,
    /// A newer revision came before it had settled.
    Overtaken,
    /// Its successor cannot begin yet, so it goes on.
    SuccessorWaits,
    /// It has to go before its successor can start.
    StopFirst,
    /// It did not get healthy.
    Failed {
        /// What happened.
        cause: FailureCause,
    },
    /// A job that has to end before a new revision is deployed.
    BeforeDeploy {
        /// The revision.
        revision: String,
    },
    /// A service whose namespace it shares, or that it asked to follow, was replaced.
    Follows {
        /// That service, or a network that it is on.
        leader: Followed,
    },
    /// Its slot goes to another node.
    Moved {
        /// The node that it leaves.
        from: NodeName,
        /// Why, where that is still so.
        because: Option<Refusal>,
    },
    /// Its node is back, and what replaced it is of no use yet: it stays.
    Reclaimed,
    /// Its node is back, and it was replaced meanwhile.
    Surplus,
    /// Its service runs on every node that may run it, and its own is none of those any more.
    LeavesNode {
        /// Why.
        because: Refusal,
    },
}

impl Plan {
    /// Whether no later pass can add anything by itself: every verdict is a final hold.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.entries
            .iter()
            .all(|entry| matches!(&entry.verdict, Verdict::Hold(hold) if hold.is_final()))
    }

    /// Whether a stack that was to go is gone, kept data apart. What its source still names may
    /// be held off, or have been stopped before.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let kept = |entry: &PlanEntry| {
            let held = &entry.verdict;
            matches!(
                held,
                Verdict::Hold(Hold::Kept { .. } | Hold::Suspended { .. } | Hold::Stopped)
            )
        };
        self.standing.removed.is_some() && self.entries.iter().all(kept)
    }

    /// Every wish of the plan, in order.
    pub fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.entries.iter().flat_map(|entry| match &entry.verdict {
            Verdict::Act { wishes, .. } => wishes.as_slice(),
            Verdict::Hold(_) => &[],
        })
    }
}
