//! Shapes that only the API has: what the controller's own ([`keel_reconciler::ask`],
//! [`keel_reconciler::rows`]) leave out.

use keel_engine::{Event, ExitCause, Phase, Place, StackName, TaskId};
use keel_reconciler::rows::InspectKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// The program's version.
    pub version: String,
    /// The root that it drives.
    pub root: String,
    /// It runs for good (`keel serve`), and not only for one command.
    pub serve: bool,
}

/// Stacks by name; none is all.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Stacks {
    /// Which.
    #[serde(default)]
    pub stacks: Vec<StackName>,
}

/// One stack, where none means everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct MaybeStack {
    /// Which.
    #[serde(default)]
    pub stack: Option<StackName>,
}

/// One name: of a stack, a source, a target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    /// The name.
    pub name: String,
}

/// `inspect`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InspectAsk {
    /// Name, id or its prefix.
    pub target: String,
    /// What it is, where the command says so.
    #[serde(default)]
    pub kind: Option<InspectKind>,
}

/// A task, as far as a conversation with it needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRef {
    /// Its id.
    pub id: TaskId,
    /// Its container's name.
    pub name: String,
    /// Where it belongs.
    pub place: Place,
    /// Where it is on its way.
    pub phase: Phase,
    /// It has a terminal.
    pub tty: bool,
    /// Its standard input stays open.
    pub stdin: bool,
    /// Attempts at preparing it that failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// How its last run ended.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Why.
    #[serde(default)]
    pub exit_cause: Option<ExitCause>,
    /// What is wrong or under way.
    #[serde(default)]
    pub message: Option<String>,
}

/// How far to wait for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// Everything is made ready, or it runs already.
    Ready,
    /// It runs, or did.
    Started,
    /// It has ended and will not run again by itself.
    Exited,
}

impl Until {
    /// Whether a task in this phase is there.
    #[must_use]
    pub fn reached(self, phase: &Phase) -> bool {
        match phase {
            Phase::Pending | Phase::Preparing => false,
            Phase::Ready => self == Self::Ready,
            Phase::Running | Phase::Backoff | Phase::Draining => self != Self::Exited,
            Phase::Exited | Phase::Rejected => true,
        }
    }
}

/// Waits for a task.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WaitAsk {
    /// Which.
    pub task: TaskId,
    /// How far.
    pub until: Until,
    /// Or until an attempt at preparing it failed: somebody waits for it.
    #[serde(default)]
    pub once: bool,
}

/// Starts what `run` left ready.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StartAsk {
    /// Which.
    pub task: TaskId,
}

/// A hint that something changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hint {
    /// A task.
    Task(TaskId),
    /// An image, by reference.
    Image(String),
    /// A network or volume, by name.
    Resource(String),
    /// Some hints were lost: look at everything.
    Missed,
}

impl From<Event> for Hint {
    fn from(event: Event) -> Self {
        match event {
            Event::Task(id) => Self::Task(id),
            Event::Image(reference) => Self::Image(reference),
            Event::Resource(name) => Self::Resource(name),
            _ => Self::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_is_far_enough_for_some_waits() {
        let reached = |phase: &Phase| {
            [Until::Ready, Until::Started, Until::Exited].map(|until| until.reached(phase))
        };
        assert_eq!(reached(&Phase::Pending), [false, false, false]);
        assert_eq!(reached(&Phase::Preparing), [false, false, false]);
        assert_eq!(reached(&Phase::Ready), [true, false, false]);
        assert_eq!(reached(&Phase::Running), [true, true, false]);
        assert_eq!(reached(&Phase::Backoff), [true, true, false]);
        assert_eq!(reached(&Phase::Exited), [true, true, true]);
        assert_eq!(reached(&Phase::Rejected), [true, true, true]);
    }
}
