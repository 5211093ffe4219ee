//! What people and forges are told of: incidents, drift, the way of commits. Decided from what is
//! seen, kept in one record until it has arrived.
//!
//! # Invariants
//! - Level-triggered: a look sees everything anew, and [`Book`](book::Book) says what of it is
//!   news. A lost hint costs delay only.
//! - A decision and the letters that come of it are one record, put at once: `kill -9` between
//!   deciding and sending loses nothing, and repeats at most the letter that was on its way.
//! - No refresh or pass waits for anything here; who delivers has a loop of its own.
//! - Deciding is pure (`judge`, `incident`, `drift`, `answers`, `outbox`); `look` reads, [`notifier`] puts.
//! - No letter holds a secret: no output of containers, no values of fields, no URL of a receiver.

mod about;
mod book;
mod deliveries;
mod drifted;
mod incident;
mod judge;
mod news;
mod nodes;
pub(crate) mod notifier;
mod outbox;
pub(crate) mod telling;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use outbox::DeliveryState;

/// Somebody who gets letters. Its name is what records know it by: a URL may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The same from one start to the next.
    pub key: String,
    /// What it is told.
    pub wants: Wants,
}

/// What a destination is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wants {
    /// Messages of these kinds.
    Messages(Vec<Kind>),
    /// The way of the commits of this source.
    Commits(String),
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something began to be in trouble.
    Failed,
    /// It is over.
    Recovered,
    /// What runs was not what was applied.
    Drift,
}

impl Kind {
    /// As the configuration has it.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Failed, Self::Recovered, Self::Drift].into_iter().find(|kind| kind.word() == word)
    }

    /// As the configuration has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Drift => "drift",
        }
    }
}

/// Something that is on its way to one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its own; the same when it is sent once more.
    pub id: String,
    /// The destination's key.
    pub to: String,
    /// When it was written, in milliseconds since 1970.
    pub at: u64,
    /// What it says.
    pub content: Content,
}

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// To people.
    Message(Box<Message>),
    /// To a forge.
    Commit(CommitState),
}

/// What people are told. What does not apply is empty. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The incident that it belongs to.
    pub incident: String,
    /// What it is about.
    pub kind: Kind,
    /// All stacks that it is about.
    pub stacks: Vec<String>,
    /// Where they come from.
    pub source: String,
    /// The commit.
    pub revision: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// What is wrong, or right again.
    pub reason: String,
    /// What was done about it.
    pub tried: String,
    /// Since when.
    pub since: String,
    /// When it was written.
    pub at: String,
    /// What to give now.
    pub commands: Vec<String>,
    /// What drifted, by service and field.
    pub findings: Vec<String>,
    /// One line.
    pub title: String,
    /// All of it, for people.
    pub text: String,
}

/// How a commit fares in one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitState {
    /// The commit.
    pub revision: String,
    /// `keel/SOURCE/STACK`.
    pub context: String,
    /// How it is.
    pub state: Way,
    /// In a line.
    pub description: String,
}

/// How far a commit got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// It is on its way.
    Pending,
    /// It runs, and is well.
    Success,
    /// It does not.
    Failure,
    /// A newer one came before it was there.
    Superseded,
}

/// What became of sending a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It arrived.
    Done,
    /// It did not, and may later.
    Later {
        /// What was in the way.
        why: String,
        /// At least so long.
        wait: Option<Duration>,
    },
    /// It never will.
    Refused {
        /// What was said.
        why: String,
    },
}
