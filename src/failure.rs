//! Why a command ends before its time: what was wrong, and what to do, as data.

use crate::exit::Exit;
use keel_api::{ClientError, ServeError};
use keel_embedded::LockError;
use keel_engine::EngineError;
use keel_reconciler::ask::Refusal;
use std::error::Error;
use std::io;

/// The end of a command.
#[derive(Debug)]
pub enum Failure {
    /// Nothing is left to say.
    Said(Exit),
    /// Whoever read standard output has seen enough.
    Pipe,
    /// Something to say.
    Error {
        /// The exit code.
        exit: Exit,
        /// One line, with causes after `: `.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// What a command answers.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// It failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Error { exit: Exit::Failed, message: message.into(), hint: None }
    }

    /// It was called in a way that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Error { exit: Exit::Usage, message: message.into(), hint: None }
    }

    /// It failed for this cause.
    pub fn caused(what: impl Into<String>, cause: &(dyn Error + 'static)) -> Self {
        Self::new(format!("{}: {}", what.into(), chain(cause)))
    }

    /// With advice.
    pub fn hint(mut self, advice: impl Into<String>) -> Self {
        if let Self::Error { hint, .. } = &mut self {
            *hint = Some(advice.into());
        }
        self
    }

    /// With another exit code.
    pub fn with_exit(mut self, code: Exit) -> Self {
        match &mut self {
            Self::Error { exit, .. } | Self::Said(exit) => *exit = code,
            Self::Pipe => {}
        }
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Said(exit) | Self::Error { exit, .. } => *exit,
            Self::Pipe => Exit::Done,
        }
    }

    fn of(error: &(dyn Error + 'static), hint: Option<String>) -> Self {
        Self::Error { exit: Exit::Failed, message: chain(error), hint }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::of(&error, error.hint().map(str::to_owned))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::from(ClientError::from(refusal))
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::of(&error, error.hint().map(str::to_owned))
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Self::of(&error, error.hint())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::of(&error, None)
    }
}

/// Of standard output alone: everything else says what it was about.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Pipe,
            _ => Self::caused("cannot write to standard output", &error),
        }
    }
}
