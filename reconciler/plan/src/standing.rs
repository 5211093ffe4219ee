//! What the controller remembers of a stack, beside what it desires: decisions of people and
//! outcomes of the past. Everything else is looked up where it is true.

use crate::desired::{Desired, DesiredService};
use crate::pace::FailureAction;
use crate::why::FailureCause;
use keel_engine::{Digest, NodeName, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A stack's memory. Times are milliseconds since the Unix epoch. What it has of every slot is shared: copies are made
/// while a plan is, and mostly differ in little.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// One up for every decision.
    pub generation: u64,
    /// Held off by a person.
    pub suspended: Option<Suspended>,
    /// Slots (`web.1`) that a person stopped; lifted by `start`, `restart` or `up`.
    pub stopped: BTreeSet<String>,
    /// What people asked of single tasks, and what follows from that for others: each stays until its
    /// node has taken the wish, so that nothing asked for is lost whoever dies in between.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub asks: BTreeMap<TaskId, Ask>,
    /// Whose it was before it was taken over, and when that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    /// The stack is to go: `down`, or its folder left the source.
    pub removed: Option<Removal>,
    /// Stack hashes that failed.
    pub bad: BTreeMap<Digest, KnownBad>,
    /// The stack hash that was good last.
    pub good: Option<Digest>,
    /// Jobs that are done, by service.
    pub completions: BTreeMap<String, Completion>,
    /// Tasks that were started before a deploy, by their service: which for which stack hash.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, Job>,
    /// Stack hashes whose jobs before the deploy are done: the good one, and the present one.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub prepared: BTreeSet<Digest>,
    /// A person asked for another try: what failed is made anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
    /// Tag → digest for the present stack hash.
    pub pins: BTreeMap<String, Digest>,
    /// Since when the present stack hash is being rolled out; `None` once it has settled.
    pub rollout: Option<u64>,
    /// The newest task that it brought, by slot. Clocks of nodes differ, and do not tell this.
    #[serde(skip_serializing_if = "is_empty")]
    pub brought: Arc<BTreeMap<String, TaskId>>,
    /// The stack hash that `rollout` and `pins` are about: the last that a pass has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Digest>,
    /// What was good last, to come back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_desired: Option<Box<Desired>>,
    /// What its images meant then: reference → digest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub good_images: BTreeMap<String, Digest>,
    /// Kept at an earlier revision by a person, whatever its source says, until they resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Box<Pinned>>,
    /// Tasks that are to be replaced although nothing in their specification changed, by slot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recreate: BTreeMap<String, Recreate>,
    /// Tasks that a rollout changed in place so that it may tell on their health, by slot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Changed>,
    /// Pulls that were asked for and whose answer has not been used yet, by node and reference.
    #[serde(rename = "pulls_on", skip_serializing_if = "BTreeMap::is_empty")]
    pub pulls: BTreeMap<NodeName, BTreeMap<String, Pull>>,
    /// Slots (`web.1`) whose task was sent to another node than the controller's own, and which.
    #[serde(skip_serializing_if = "is_empty")]
    pub placed: Arc<BTreeMap<String, NodeName>>,
    /// The node that was chosen for each slot, where there was a choice: also while nothing is there yet.
    #[serde(skip_serializing_if = "is_empty")]
    pub chosen: Arc<BTreeMap<String, NodeName>>,
    /// Tasks that were replaced while their node was down, by slot and node, until they are gone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<String, BTreeMap<NodeName, Replaced>>,
    /// Slots (`web.1`) that left a node where they failed again and again, and when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fled: BTreeMap<String, u64>,
    /// A person asked that tasks are spread evenly over the nodes; forgotten once they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<Rebalance>,
    /// Services whose number of tasks a person set, by service: each until its time is over.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scaled: BTreeMap<String, ScaleOverride>,
    /// Slots of `replicated-job` and `global-job` that are done, each for its specification.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub completed: BTreeMap<String, Completion>,
}

fn is_empty<T>(map: &Arc<BTreeMap<String, T>>) -> bool {
    map.is_empty()
}

impl Standing {
    /// What was noted at a time that is yet to come was noted before the controller's clock was set back: nothing
    /// waits for that time.
    pub(crate) fn set_back(&mut self, now: u64) {
        let pulls = self.pulls.values_mut().flat_map(BTreeMap::values_mut);
        for pull in pulls.filter(|pull| pull.at.max(pull.since) > now) {
            (pull.at, pull.since) = (0, now);
        }
        self.fled.values_mut().for_each(|at| *at = (*at).min(now));
    }

    /// Whether the job of a slot (`report.2`) is done, as its service is specified now.
    #[must_use]
    pub fn is_done(&self, slot: &str, service: &DesiredService) -> bool {
        let done = self.completed.get(slot).filter(|_| service.placement.mode.is_job());
        done.is_some_and(|done| done.hash == service.hash)
    }

    /// What is done about a revision that failed: as its mark says, else as its policy does.
    #[must_use]
    pub fn failure_action(&self, desired: &Desired) -> FailureAction {
        let marked = self.bad.get(&desired.hash).and_then(|bad| bad.action);
        let policy =
            if desired.policy.rollback { FailureAction::Rollback } else { FailureAction::Pause };
        marked.unwrap_or(policy)
    }

    /// The number of tasks that a person set, while it holds. How many a global service has, nodes say.
    #[must_use]
    pub fn scale(&self, name: &str, service: &DesiredService, now: u64) -> Option<&ScaleOverride> {
        let scale = self.scaled.get(name).filter(|scale| !scale.is_over(now));
        scale.filter(|_| !service.placement.mode.is_global())
    }

    /// All numbers that people set, each with its service and the number that the revision says.
    pub fn scales<'s>(
        &'s self,
        desired: &'s Desired,
        now: u64,
    ) -> impl Iterator<Item = (&'s String, u32, &'s ScaleOverride)> {
        let services = desired.services.iter();
        services.filter_map(move |(name, service)| {
            Some((name, service.replicas, self.scale(name, service, now)?))
        })
    }

    /// How many tasks a service has: as its revision says, unless a person set another number.
    #[must_use]
    pub fn replicas(&self, name: &str, service: &DesiredService, now: u64) -> u32 {
        self.scale(name, service, now).map_or(service.replicas, |scale| scale.replicas)
    }
}

/// The number of tasks that a person set for a service, whatever its revision says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScaleOverride {
    /// How many.
    pub replicas: u32,
    /// Who: `user@host`.
    pub by: String,
    /// Since when.
    pub since: u64,
    /// When the revision's number counts again; `None`: once a person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ScaleOverride {
    /// For how many milliseconds it still counts; `None`: until it is reset.
    #[must_use]
    pub fn left(&self, now: u64) -> Option<u64> {
        self.until.map(|until| until.saturating_sub(now))
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What was asked of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What.
    pub verb: AskVerb,
    /// Milliseconds between the signal and SIGKILL, where they said how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u64>,
    /// The generation of the wish that carries it out; it is over once the task has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<u64>,
    /// Nobody asked for it, but what it depends on was restarted: it waits until that is of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Leader>,
}

impl Ask {
    /// A person's word.
    #[must_use]
    pub fn of(verb: AskVerb) -> Self {
        Self { verb, grace: None, given: None, follows: None }
    }
}

/// What can be asked of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskVerb {
    /// That it runs.
    Start,
    /// Another process, after the one that runs.
    Restart,
    /// No process.
    Stop,
    /// The same, at once.
    Kill,
    /// That nothing is left of it.
    Remove {
        /// Its anonymous volumes go too.
        volumes: bool,
    },
}

/// The restart that another one follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Of which service.
    pub service: String,
    /// Of which task.
    pub task: TaskId,
    /// By which decision.
    pub generation: u64,
}

/// Why one task is replaced without a change of its specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recreate {
    /// The task; once another fills the slot, this is forgotten.
    pub task: TaskId,
    /// The tag means another image now: before and after. Absent: a person said so.
    #[serde(default)]
    pub moved: Option<(Option<Digest>, Digest)>,
}

/// A task that was changed in place: it has to stand the test of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The task; once another fills the slot, this is forgotten.
    pub task: TaskId,
    /// When.
    pub at: u64,
}

/// Tasks of a slot on a node that were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// All up to this generation.
    pub generation: u64,
    /// A person said that the machine does not run any more: what comes back all the same stops.
    #[serde(default)]
    pub for_good: bool,
}

/// A pull that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// When, last.
    pub at: u64,
    /// Since when the image is waited for.
    pub since: u64,
    /// Ask the registry although an image is there: the count of pulls that had ended before.
    #[serde(default)]
    pub beyond: Option<u64>,
}

/// A person's hold on a whole stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// Who: `user@host`, or a command's name.
    pub by: String,
    /// Since when.
    pub since: u64,
    /// Why, in their words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A person's word that tasks are spread evenly over the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebalance {
    /// Who: `user@host`.
    pub by: String,
    /// Since when.
    pub since: u64,
}

/// A revision that a person came back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// What it asks for.
    pub desired: Desired,
    /// What its images meant when it was good: reference → digest.
    #[serde(default)]
    pub images: BTreeMap<String, Digest>,
    /// Who: `user@host`.
    pub by: String,
    /// Since when.
    pub since: u64,
}

/// A stack was taken from its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Whose it was, for people.
    pub from: String,
    /// When.
    pub at: u64,
}

/// How a stack is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Named volumes go too. Only ever by a person's explicit word.
    pub volumes: bool,
}

/// A stack hash that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBad {
    /// Its revision.
    pub revision: String,
    /// When.
    pub at: u64,
    /// What failed.
    #[serde(rename = "reason")]
    pub cause: FailureCause,
    /// When its rollout had begun.
    #[serde(default)]
    pub since: u64,
    /// What its file says is to be done about that; `None`: the policy says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<FailureAction>,
}

/// A run of a job before a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The task.
    pub task: TaskId,
    /// The stack hash that it was started for.
    pub of: Digest,
}

/// A job that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The service's hash.
    pub hash: Digest,
    /// The image's digest.
    pub digest: Option<Digest>,
    /// When.
    pub at: u64,
    /// The stack hash, of a job before each deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Digest>,
}
