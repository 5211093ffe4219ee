//! What people are told.

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something began to be in trouble.
    Failed,
    /// It is over.
    Recovered,
    /// What runs was not what was applied.
    Drift,
    /// Somebody tries whether messages arrive.
    Test,
}

impl Kind {
    /// As the configuration and messages have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Drift => "drift",
            Self::Test => "test",
        }
    }
}

/// A message. What does not apply is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its own; the same when it is sent once more.
    pub id: String,
    /// Of the incident that it belongs to.
    pub incident: String,
    /// What it is about.
    pub kind: Kind,
    /// The host that says so.
    pub host: String,
    /// The stack; empty where it is about several, or about a source.
    pub stack: String,
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
    /// What is wrong, or what is right again.
    pub reason: String,
    /// What was done about it.
    pub tried: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// When this was written, RFC 3339.
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
