//! What people are told of something: as data. `words` has the words.

use crate::advice::Advice;
use crate::operation::OperationReason;
use keel_plan::status::Note;
use keel_plan::why::FailureCause;
use serde::{Deserialize, Serialize};

/// A stack, a source or a node. In records as `stack/shop`, `source/home`, `node/shed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) enum Subject {
    Node(String),
    Source(String),
    Stack(String),
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Node(name) => format!("node/{name}"),
            Subject::Source(name) => format!("source/{name}"),
            Subject::Stack(name) => format!("stack/{name}"),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('/') {
            Some(("node", name)) => Ok(Self::Node(name.to_owned())),
            Some(("source", name)) => Ok(Self::Source(name.to_owned())),
            Some(("stack", name)) => Ok(Self::Stack(name.to_owned())),
            _ => Err(format!("`{text}` is neither a stack nor a source nor a node")),
        }
    }
}

/// What makes two troubles the same, though their words may differ. In records as `bad:HASH`, `unwell`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) enum CauseKey {
    /// A source cannot be read.
    Away,
    /// A source has a revision that waits for a person.
    Held { revision: String },
    /// A stack's files are wrong, in this way.
    Refused { why: String },
    /// The stack of this hash failed.
    Bad { hash: String },
    /// What runs is not well.
    Unwell,
    /// A rollout goes on and on.
    Stuck,
    /// A node is down.
    Down,
    /// All other nodes fell silent together.
    Isolated,
}

impl From<CauseKey> for String {
    fn from(key: CauseKey) -> Self {
        match key {
            CauseKey::Away => "away".to_owned(),
            CauseKey::Held { revision } => format!("held:{revision}"),
            CauseKey::Refused { why } => format!("refused:{why}"),
            CauseKey::Bad { hash } => format!("bad:{hash}"),
            CauseKey::Unwell => "unwell".to_owned(),
            CauseKey::Stuck => "stuck".to_owned(),
            CauseKey::Down => "down".to_owned(),
            CauseKey::Isolated => "isolated".to_owned(),
        }
    }
}

impl TryFrom<String> for CauseKey {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((&text, ""));
        match kind {
            "away" => Ok(Self::Away),
            "held" => Ok(Self::Held { revision: rest.to_owned() }),
            "refused" => Ok(Self::Refused { why: rest.to_owned() }),
            "bad" => Ok(Self::Bad { hash: rest.to_owned() }),
            "unwell" => Ok(Self::Unwell),
            "stuck" => Ok(Self::Stuck),
            "down" => Ok(Self::Down),
            "isolated" => Ok(Self::Isolated),
            _ => Err(format!("`{text}` is not a cause of an incident")),
        }
    }
}

/// What people are told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    pub source: String,
    pub what: What,
    pub revision: String,
    pub author: String,
    pub subject: String,
    pub reason: Why,
    pub tried: Option<Tried>,
    pub since: u64,
    pub commands: Vec<Advice>,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing is wrong.
    #[default]
    Nothing,
    Failed,
    Refused,
    Unwell,
    /// It is still being rolled out.
    RollingOut,
    /// A source cannot be read.
    Unreadable,
    /// A source waits for a person's word.
    AwaitsConfirmation,
    /// A node is down.
    Down,
    /// The controller hears no other node.
    Isolated,
}

/// Why it is so, or that it is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// Words from elsewhere: a source's, a file's.
    Told(String),
    Failure(FailureCause),
    Operation(OperationReason),
    Note(Box<Note>),
    /// A stack is healthy, at this revision where one is known.
    Healthy {
        revision: String,
    },
    /// A stack is healthy where a person went back to.
    HealthyAt {
        revision: String,
        by: String,
    },
    /// A source can be read.
    Readable,
    /// A node is heard.
    Heard,
    /// Nothing was heard of any other node for a while.
    AllSilent,
    /// It is no longer there.
    Gone,
    /// All that it was about is well.
    AllWell,
    /// These, and so many more.
    Several {
        reasons: Vec<Why>,
        more: usize,
    },
}

impl Default for Why {
    fn default() -> Self {
        Self::Told(String::new())
    }
}

/// What was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tried {
    /// What can run on other nodes does.
    RunsElsewhere,
    /// What a source said before is kept up, and it is asked again.
    AsksAgain,
    /// What a source said before is kept up.
    KeptBefore,
    /// What was there before its files were refused is kept up.
    KeptRunning,
    /// There was nothing before its files were refused.
    NothingRuns,
    /// A revision that failed stays, by policy.
    LeftByPolicy,
    /// The rollout of a revision that failed goes on, by the word of its file.
    GoesOn,
    /// A revision that failed stays, since nothing was good before it.
    LeftAlone,
    /// It was rolled back to this revision, which is healthy.
    RolledBack { revision: String },
    /// It is being rolled back to this revision.
    RollingBack { revision: String },
}
