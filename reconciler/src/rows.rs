//! Rows and wishes about images, volumes, networks, histories: what [`crate::ask`] does for stacks
//! and tasks. The same invariants hold.

use crate::advice::Advice;
use crate::operation::{OperationReason, OperationState, PastAction};
use crate::verb::TaskVerb;
use keel_engine::{FailureKind, StackName, VolumeSpec};
use keel_plan::lines::Differing;
use keel_spec::problem::ProblemRow;
pub use keel_spec::render::RenderedStack;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `check`: the problems of stacks' files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckReport {
    /// Of this shape.
    pub version: u32,
    /// One for each stack, by path.
    pub stacks: Vec<CheckedStack>,
}

/// One stack of a [`CheckReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckedStack {
    /// Its name, where it has one.
    pub stack: Option<String>,
    /// Its folder.
    pub path: String,
    /// Whether it can be deployed.
    pub ok: bool,
    /// What is wrong with it, and what hurts.
    pub problems: Vec<ProblemRow>,
}

/// `render --diff`: one stack, as it was last asked to be and as its files mean it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RenderDiff {
    /// What differs, by path.
    pub differences: Vec<Differing>,
    /// The revision that it was last asked to be, if any.
    pub revision: Option<String>,
    /// The stack.
    pub stack: String,
    /// Of this shape.
    pub version: u32,
}

/// `render --diff` of several stacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RenderDiffs {
    /// Each of them.
    pub stacks: Vec<RenderDiff>,
    /// Of this shape.
    pub version: u32,
}

/// What `render --diff` prints: one stack, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RenderDiffReport {
    /// One.
    One(RenderDiff),
    /// Several.
    Several(RenderDiffs),
}

/// `images`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageRow {
    /// As written by whoever asked: `nginx:1.25`.
    pub reference: String,
    /// Without tag and digest.
    pub repository: String,
    /// `<none>` where there is none.
    pub tag: String,
    /// Manifest digest; `None` while it is not there.
    pub digest: Option<String>,
    /// The config's digest, docker's image id; empty while it is not there.
    pub id: String,
    /// Bytes of its layers.
    pub size: u64,
    /// When it was built, RFC 3339.
    pub created: Option<String>,
    /// Where it is.
    pub node: String,
    /// Containers that use it.
    pub containers: u32,
    /// Why the last pull failed.
    #[serde(default)]
    pub failure: Option<String>,
    /// What kind of failure that was.
    #[serde(default)]
    pub failure_kind: Option<FailureKind>,
}

/// What was taken away for want of room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClearedRow {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Names of images.
    pub images: Vec<String>,
    /// Checkouts of revisions.
    pub revisions: u64,
    /// Contents of configs and secrets.
    pub contents: u64,
    /// Bytes that are free by it.
    pub bytes: u64,
    /// Why not all could be taken away that may go.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// `system df`: one kind of thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// `Images`, `Containers`, `Local Volumes`, `Revisions`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many there are.
    pub total: u64,
    /// How many are in use.
    pub active: u64,
    /// Bytes of all.
    pub size: u64,
    /// Bytes of those that nothing needs.
    pub reclaimable: u64,
    /// Where.
    #[serde(default)]
    pub node: String,
}

/// `system prune`, `image prune`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PruneAsk {
    /// Also images that a person pulled, where no container uses them.
    pub all: bool,
    /// Also volumes without a name that no container has.
    pub volumes: bool,
    /// Nothing but images and what came with revisions.
    pub images_only: bool,
}

/// What was pruned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PrunedRow {
    /// Ids of containers.
    pub containers: Vec<String>,
    /// Names of networks.
    pub networks: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Images and revisions.
    pub cleared: ClearedRow,
    /// An image is being pulled or a source refreshed: what may be theirs has stayed.
    pub waits: bool,
}

/// `volume ls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeRow {
    /// Its full name.
    pub name: String,
    /// `local`.
    pub driver: String,
    /// Where its data is.
    pub mountpoint: String,
    /// When it was made.
    pub created: String,
    /// Where it is.
    pub node: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// It has no name of its own.
    pub anonymous: bool,
    /// Container names that mount it.
    pub containers: Vec<String>,
}

/// `network ls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkRow {
    /// 64 digits made of its name, docker's network id.
    pub id: String,
    /// Its full name.
    pub name: String,
    /// `bridge`.
    pub driver: String,
    /// `local`.
    pub scope: String,
    /// The subnet that it has.
    pub subnet: String,
    /// Its gateway.
    pub gateway: String,
    /// No way out.
    pub internal: bool,
    /// When it was made.
    pub created: String,
    /// Where it is.
    pub node: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Container names that are attached.
    pub containers: Vec<String>,
}

/// One operation of a stack's past, oldest first in listings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HistoryRow {
    /// Of all stacks of the root, one up for each.
    pub number: u64,
    /// The stack.
    pub stack: String,
    /// The revision that it was about.
    pub revision: String,
    /// What or who began it.
    pub trigger: String,
    /// Who wrote the revision; empty where there is no commit.
    pub author: String,
    /// The commit's first line.
    pub subject: String,
    /// `running`, `succeeded`, `failed`, `held`.
    pub state: OperationState,
    /// What became of it and why, for people.
    pub reason: String,
    /// The same as data.
    pub why: OperationReason,
    /// When it began.
    pub at: String,
    /// When it ended, or changed last.
    pub until: String,
    /// How often in a row.
    pub times: u32,
    /// What was done, in order.
    pub actions: Vec<String>,
    /// The same as data.
    pub done: Vec<PastAction>,
    /// How long it took.
    pub stages: Stages,
    /// The end of the output of what failed.
    pub log: Vec<String>,
}

/// How long the stages of an operation took, in milliseconds; absent: it did not get there, or did
/// not begin with a revision that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stages {
    /// Until the source had answered, and its revision was here.
    pub fetch: Option<u64>,
    /// Until the stack's files were read.
    pub load: Option<u64>,
    /// Until it was decided what to do.
    pub plan: Option<u64>,
    /// Until all images were there.
    pub pull: Option<u64>,
    /// From then, until all was started.
    pub start: Option<u64>,
    /// From then, until it had settled.
    pub health: Option<u64>,
}

/// Which tasks `ps` lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PsAsk {
    /// Also what does not run.
    pub all: bool,
    /// Only these stacks; empty is all.
    pub stacks: Vec<StackName>,
    /// Only these services; empty is all.
    pub services: Vec<String>,
}

/// `sync`: read the sources anew, then converge what they name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SyncAsk {
    /// Stacks or sources; empty is everything.
    pub targets: Vec<String>,
    /// Forget that the present revision failed before.
    pub retry: bool,
    /// Take stacks from their present owners.
    pub take_over: bool,
    /// Do not wait for health.
    pub detach: bool,
    /// Wait also for images that their registries do not have yet.
    #[serde(default)]
    pub wait: bool,
    /// Ask registries even for images that are there.
    pub pull: bool,
    /// The sources must have come to this commit, or beyond it.
    pub revision: Option<String>,
    /// Who: `user@host`.
    pub by: String,
    /// Somebody has just pushed to a repository of our own.
    pub pushed: bool,
}

/// `source create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepoAsk {
    /// The source's name.
    pub name: String,
    /// The branch that is followed.
    pub branch: String,
    /// Globs of the folders in it.
    pub paths: Vec<String>,
}

/// What `source create` made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepoAnswer {
    /// Where it is on the controller's host.
    pub path: String,
    /// It is watched already.
    pub served: bool,
}

/// `suspend` and `resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspendAsk {
    /// Which.
    pub stack: StackName,
    /// Who: `user@host`.
    pub by: String,
    /// Why, in their words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackAsk {
    /// Which.
    pub stack: StackName,
    /// The beginning of a revision that was good here; the one before the present one unless given.
    #[serde(default)]
    pub revision: Option<String>,
    /// Who: `user@host`.
    pub by: String,
    /// Do not wait for health.
    #[serde(default)]
    pub detach: bool,
    /// The same was asked for before: it is only waited for its end.
    #[serde(default)]
    pub again: bool,
}

/// `rebalance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RebalanceAsk {
    /// The stack.
    pub stack: StackName,
    /// Who: `user@host`.
    pub by: String,
    /// Do not wait for health.
    #[serde(default)]
    pub detach: bool,
    /// The same was asked for before: it is only waited for its end.
    #[serde(default)]
    pub again: bool,
}

/// A task that leaves a fuller node for an emptier one, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveRow {
    /// The stack.
    pub stack: StackName,
    /// `web.1`.
    pub slot: String,
    /// The node that it leaves.
    pub from: String,
    /// The node that it goes to.
    pub to: String,
    /// What moves where, and why, for people.
    pub text: String,
}

/// `scale`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleAsk {
    /// The stack.
    pub stack: StackName,
    /// How many tasks each of these services shall have; absent: as many as the source says.
    pub services: BTreeMap<String, Option<u32>>,
    /// For how long, in milliseconds; until it is reset unless given.
    #[serde(default)]
    pub lasts: Option<u64>,
    /// Why, in their words.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who: `user@host`.
    pub by: String,
    /// Do not wait for health.
    #[serde(default)]
    pub detach: bool,
    /// The same was asked for before: it is only waited for its end.
    #[serde(default)]
    pub again: bool,
}

/// `pull`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullAsk {
    /// References as written.
    pub references: Vec<String>,
}

/// `rmi`, `volume rm`, `network rm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoveAsk {
    /// References, names or ids.
    pub names: Vec<String>,
    /// Do not complain about what is not there.
    #[serde(default)]
    pub force: bool,
}

/// `network create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkAsk {
    /// What it shall be.
    #[schemars(with = "serde_json::Value")]
    pub spec: keel_engine::NetworkSpec,
}

/// `volume create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeAsk {
    /// What it shall be; without a name, one is made up.
    #[schemars(with = "serde_json::Value")]
    pub spec: VolumeSpec,
}

/// What an `inspect` is about, where the command says so; else the first kind that has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InspectKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// What one target of `start`, `stop`, `restart`, `kill`, `rm` came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskDone {
    /// As the person named it.
    pub target: String,
    /// Names of the containers that it meant.
    pub containers: Vec<String>,
    /// What was done.
    pub verb: TaskVerb,
}

/// What somebody who is woken by a stack needs to know beside what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TroubleRow {
    /// When it began, RFC 3339.
    pub since: String,
    /// The revision that failed; empty where none did.
    pub revision: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// What was done about it.
    pub tried: Option<String>,
    /// What to give now.
    pub commands: Vec<String>,
    /// The same as data.
    #[serde(default)]
    pub advice: Vec<Advice>,
}

/// A receiver of messages, or a forge, that is not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryRow {
    /// Who.
    pub name: String,
    /// Since when nothing arrives, RFC 3339; absent where it is only that something was refused.
    pub failing: Option<String>,
    /// What was in the way last.
    pub why: String,
    /// Messages and statuses that wait.
    pub waiting: usize,
    /// Those that were refused or dropped since one arrived.
    pub lost: u32,
}
