//! What people ask of a controller, and what it answers: the shapes of the API.
//!
//! # Invariants
//! - Fields named in the documentation of `--format json` keep their names; others may be added.
//! - Times are RFC 3339 in UTC where people or scripts read them.
//! - No answer carries the content of a secret or config.

use crate::operation::{OperationReason, OperationState};
use crate::rows::{TaskDone, TroubleRow};
use crate::stack_change::StackChange;
use keel_engine::{Digest, LogOptions, Phase, StackName, TaskId, TaskSpec, Value};
use keel_plan::desired::{Desired, Origin};
use keel_plan::status::{Health, Note, Sync};
use keel_plan::verdict::Hold;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::verb::TaskVerb;

/// A lowered stack with the content that its tasks name by digest, handed over by whoever loaded
/// it: `up`, `apply` and `plan` of a path read the files in the caller's own environment.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Submission {
    /// The stack.
    #[schemars(with = "serde_json::Value")]
    pub desired: Desired,
    /// Content by digest, base64.
    #[serde(default)]
    pub contents: BTreeMap<Digest, String>,
}

/// What `plan` is to be made of.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanTarget {
    /// A stack that the controller knows.
    Stack(StackName),
    /// One that the caller loaded; nothing is stored.
    Submitted(Box<Submission>),
}

/// How `up` and `apply` converge.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConvergeAsk {
    /// What to converge; `Stack`: what is stored for it already (`sync`, `apply STACK`).
    pub target: PlanTarget,
    /// Take the stack from its present owner.
    #[serde(default)]
    pub take_over: bool,
    /// Look tags up anew (a person asked).
    #[serde(default)]
    pub resolve: bool,
    /// `--pull always`.
    #[serde(default)]
    pub pull: bool,
    /// `--force-recreate`.
    #[serde(default)]
    pub recreate: bool,
    /// Only these services and what they depend on; empty is all.
    #[serde(default)]
    pub services: Vec<String>,
    /// Do not wait for health, only until everything is assigned.
    #[serde(default)]
    pub detach: bool,
    /// What a person stopped or suspended stays so: `apply`. Only `up` lifts that.
    #[serde(default)]
    pub keep_stopped: bool,
}

/// How `down` takes a stack away.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DownAsk {
    /// Which.
    pub stack: StackName,
    /// Its volumes too.
    #[serde(default)]
    pub volumes: bool,
    /// It was named by its files, so that one of which nothing is there is down already.
    #[serde(default)]
    pub by_path: bool,
}

/// A line of a convergence under way, then its outcome as the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Something happened: `web.1`, `Started`. As docker compose words it.
    Step {
        /// `Container hello-web-1`, `Network hello_default`, `Image nginx`.
        subject: String,
        /// `Creating`, `Pulling`, `Started`, `Healthy`, `Removed`, ….
        what: String,
        /// It went wrong.
        #[serde(default)]
        failed: bool,
        /// More: a cause, a percentage.
        #[serde(default)]
        detail: Option<String>,
    },
    /// How it ended; the last line.
    End {
        /// How.
        outcome: Outcome,
        /// For people: what failed or is held, one line each, ready to print.
        notes: Vec<String>,
    },
}

/// How a convergence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything is as desired. Exit 0.
    Done,
    /// Something failed or is held. Exit 1.
    Failed,
    /// Assigned, but not healthy within the time. Exit 3.
    Unhealthy,
    /// A `keel serve` came, and does the rest: whoever waits for it asks there.
    TakenOver,
}

/// `ps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerRow {
    /// 64 digits.
    pub id: String,
    /// As listed: `hello-web-1`.
    pub name: String,
    /// Empty for a one-off.
    pub stack: String,
    /// Empty for a one-off.
    pub service: String,
    /// Empty for a one-off.
    pub slot: String,
    /// Where it runs.
    pub node: String,
    /// As written.
    pub image: String,
    /// What it does, in docker's words where docker has one.
    pub state: ContainerState,
    /// docker's words: `Up 3 minutes (healthy)`, `Exited (1) 5 seconds ago`.
    pub status: String,
    /// `starting`, `healthy`, `unhealthy`, `none`.
    pub health: String,
    /// Process 1; `None` when none runs.
    pub pid: Option<u32>,
    /// Published ports.
    pub ports: Vec<PortRow>,
    /// When it was made.
    pub created: String,
    /// Its revision.
    pub revision: String,
    /// Program and arguments.
    #[serde(default)]
    pub command: String,
    /// How often it was started again after it had ended, since a person or a change started it.
    #[serde(default)]
    pub restarts: u32,
    /// The last exit code.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// What is wrong or under way.
    #[serde(default)]
    pub message: Option<String>,
    /// Addresses by network.
    #[serde(default)]
    pub addresses: BTreeMap<String, String>,
    /// A person set the number of its service's tasks: who, until when and why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scaled: Option<String>,
}

/// What a container does: docker's words, and those that docker has no word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ContainerState {
    /// Assigned, nothing done yet.
    Pending,
    /// Image, networks and volumes are being prepared.
    Preparing,
    /// All is there; no process.
    Created,
    /// The process runs.
    Running,
    /// It ended and will run again.
    Restarting,
    /// It is being stopped.
    Draining,
    /// It ended.
    Exited,
    /// It cannot be run.
    Dead,
    /// Its node does not answer. Also what only a later version knows.
    #[serde(other)]
    Unknown,
}

impl ContainerState {
    /// As it is printed and filtered by.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preparing => "preparing",
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Draining => "draining",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

impl From<&Phase> for ContainerState {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Pending => Self::Pending,
            Phase::Preparing => Self::Preparing,
            Phase::Ready => Self::Created,
            Phase::Running => Self::Running,
            Phase::Backoff => Self::Restarting,
            Phase::Draining => Self::Draining,
            Phase::Exited => Self::Exited,
            Phase::Rejected => Self::Dead,
        }
    }
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortRow {
    /// Address of the host.
    pub host_ip: String,
    /// Port on the host.
    pub published: u16,
    /// Port in the container.
    pub target: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// `status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusRow {
    /// The stack.
    pub stack: String,
    /// `default`, `cli`, ….
    pub source: String,
    /// As applied last.
    pub revision: String,
    /// `InSync`, `OutOfSync`, `Unknown`.
    pub sync: Sync,
    /// `Healthy`, `Progressing`, `Degraded`, `Missing`, `Suspended`, `Unknown`.
    pub health: Health,
    /// What the last pass did.
    pub operation: OperationRow,
    /// What a tired person needs: one line each, worst first (`web.1 exited (1) 3 times: …`).
    #[serde(default)]
    pub notes: Vec<String>,
    /// The same notes as data, in the same order.
    #[serde(default)]
    pub noted: Vec<Note>,
    /// Held off since, by whom.
    #[serde(default)]
    pub suspended: Option<String>,
    /// Whose it was, where it was taken over within the last day.
    #[serde(default)]
    pub taken_from: Option<String>,
    /// Drift that is there now.
    #[serde(default)]
    pub drift: u32,
    /// What is legal in its files and hurts; of stacks that a source names.
    #[serde(default)]
    pub warnings: Vec<WarningRow>,
    /// Each service: running and healthy tasks, desired tasks.
    #[serde(default)]
    pub services: BTreeMap<String, (u32, u32)>,
    /// Where it failed or is not well: since when, whose commit, what was tried, what to do.
    #[serde(default)]
    pub trouble: Option<TroubleRow>,
}

impl StatusRow {
    /// Each note in words, with its data; an older daemon gives words only.
    pub fn notes_with_data(&self) -> impl Iterator<Item = (&str, Option<&Note>)> {
        let data = self.noted.iter().map(Some).chain(std::iter::repeat(None));
        self.notes.iter().map(String::as_str).zip(data)
    }
}

/// What is legal in a stack's files and hurts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct WarningRow {
    /// Where, if that can be said: `compose.yaml:12:7`.
    pub at: String,
    /// One line.
    pub message: String,
    /// What `keel explain` knows more of.
    pub code: String,
    /// All of it, ready to print.
    pub text: String,
}

/// The last operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationRow {
    /// `running`, `succeeded`, `failed`, `held`; empty where nothing was done yet.
    #[serde(with = "crate::operation::state_or_nothing")]
    #[schemars(with = "String")]
    pub state: Option<OperationState>,
    /// Why, for people.
    pub reason: String,
    /// The same as data.
    #[serde(default)]
    pub why: OperationReason,
    /// When it came to this state.
    pub at: String,
}

/// The state of the sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRow {
    /// Its name.
    pub name: String,
    /// URL and branch, or folder.
    pub location: String,
    /// The revision that was read last.
    pub revision: String,
    /// When it was fetched last.
    pub fetched: String,
    /// Why it could not be fetched or loaded, ready to print; also one entry for each refused
    /// stack, with position and excerpt.
    pub problems: Vec<String>,
    /// Since when it cannot be fetched or loaded at all.
    #[serde(default)]
    pub failing: Option<String>,
    /// A revision that would remove too much, and waits for `keel confirm`.
    #[serde(default)]
    pub held: Option<String>,
}

/// `plan --format json`, and what the text is printed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    /// Of this shape: 1.
    pub version: u32,
    /// By name.
    pub stacks: Vec<StackPlan>,
    /// What of it has not been pushed; empty where that was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub previews: Vec<PreviewRow>,
}

/// What a plan is a preview of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewRow {
    /// The source that it would come from.
    pub source: String,
    /// The branch that is checked out, or the name that was asked for; empty where there is none.
    pub branch: String,
    /// The commit; empty where there is none yet.
    pub commit: String,
    /// Files that differ from that commit.
    pub uncommitted: usize,
    /// All of that in one line, then one for each thing to know of it.
    pub lines: Vec<String>,
}

/// The plan of one stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StackPlan {
    /// The stack.
    pub stack: String,
    /// Its revision.
    pub revision: String,
    /// Of a preview: whether the stack comes, stays or goes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<StackChange>,
    /// Numbers of tasks that people set, whatever its revision says; a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scaled: Vec<String>,
    /// Verdicts in the plan's order.
    pub verdicts: Vec<VerdictRow>,
    /// What does not reach across the nodes that its tasks are or would be on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictRow {
    /// `web.1`, for a slot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slot: Option<String>,
    /// `network hello_default`, `volume hello_data`, `image nginx`, for a resource.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource: Option<String>,
    /// The node that it is or will be on; empty for what is on none.
    #[serde(default)]
    pub node: String,
    /// `start`, `replace`, ….
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<String>,
    /// `converged`, `rollout-full`, ….
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<String>,
    /// The typed reason.
    pub reason: serde_json::Value,
    /// The words for people.
    pub text: String,
}

impl VerdictRow {
    /// Whether nothing is done because it belongs to somebody else.
    #[must_use]
    pub fn is_owned_by_others(&self) -> bool {
        let hold =
            self.hold.as_ref().and_then(|_| serde_json::from_value(self.reason.clone()).ok());
        matches!(hold, Some(Hold::OwnedBy { .. }))
    }
}

/// `drift --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriftReport {
    /// Of this shape: 1.
    pub version: u32,
    /// When it was looked at.
    pub at: String,
    /// Numbers of tasks that people set, whatever the source says; a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scaled: Vec<String>,
    /// Findings, by stack, service, task, field.
    pub findings: Vec<FindingRow>,
}

/// One difference between what was applied and what is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingRow {
    /// Stable for the same field of the same thing.
    pub id: String,
    /// The stack; empty for the node's own.
    pub stack: String,
    /// The service.
    pub service: String,
    /// The container's name.
    pub task: String,
    /// Where.
    pub node: String,
    /// `task`, `network`, `volume`, `node`.
    pub level: String,
    /// The field path.
    pub field: String,
    /// What the revision says.
    pub desired: Value,
    /// Where it says so.
    pub at: Option<Origin>,
    /// What was applied.
    pub applied: Value,
    /// What is.
    pub observed: Value,
    /// Since when it is known.
    pub first_seen: String,
    /// What is known of how it came.
    pub cause: Option<String>,
    /// `heal` or `report`.
    pub policy: String,
    /// It is right again; shown for 24 hours, and not counted.
    #[serde(default)]
    pub fixed: bool,
}

/// What a person does with tasks: `start`, `stop`, `restart`, `kill`, `rm`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TaskAsk {
    /// Container names, id prefixes, `STACK/SERVICE[.SLOT]`.
    pub targets: Vec<String>,
    /// What to do.
    pub verb: TaskVerb,
    /// Seconds between signal and SIGKILL, instead of the task's own (`-t`).
    #[serde(default)]
    pub timeout: Option<u64>,
    /// It was asked before, of somebody who does not drive any more: a restart is not done twice.
    #[serde(default)]
    pub again: bool,
}

/// What is told of it, line by line.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Acting {
    /// A container waits for something.
    Waits {
        /// Its name.
        container: String,
        /// What for: `port 80/tcp on 0.0.0.0 is taken by python3 (pid 4509)`.
        why: String,
    },
    /// It is done; the last line.
    Done(Vec<TaskDone>),
    /// It cannot be done; the last line.
    Refused(Refusal),
}

/// `run`: a one-off.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunAsk {
    /// Its name; empty: one is made up.
    #[serde(default)]
    pub name: String,
    /// What it shall be.
    #[schemars(with = "serde_json::Value")]
    pub spec: TaskSpec,
    /// Remove it when it has ended.
    #[serde(default)]
    pub auto_remove: bool,
    /// Do not start it before somebody is attached.
    #[serde(default)]
    pub attach: bool,
    /// Content that the specification names by digest, base64.
    #[serde(default)]
    pub contents: BTreeMap<Digest, String>,
}

/// What `run` made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunAnswer {
    /// Its id.
    pub id: TaskId,
    /// Its name.
    pub name: String,
}

/// `logs`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogsAsk {
    /// Which task.
    pub task: TaskId,
    /// Which part.
    #[serde(flatten)]
    pub options: LogOptions,
}

/// An error as the API gives it: what was wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, JsonSchema)]
#[error("{message}")]
pub struct Refusal {
    /// What kind, for the exit code and the HTTP status.
    pub kind: RefusalKind,
    /// What was wrong, one line, with causes after `: `.
    pub message: String,
    /// What to do.
    #[serde(default)]
    pub hint: Option<String>,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// No such thing (404).
    NotFound,
    /// In a state that forbids it (409).
    Conflict,
    /// Makes no sense (400).
    Invalid,
    /// It failed (500).
    Failed,
    /// Only a running `keel serve` can do it (503).
    NeedsDaemon,
    /// Too much is under way (503).
    Busy,
    /// A `keel serve` came and drives from now on: to be asked there (409).
    TakenOver,
}
