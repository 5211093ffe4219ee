//! Why a step towards a goal did not succeed, and whether trying again can help.

use keel_engine::EngineError;
use std::error::Error;
use std::time::Duration;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepError {
    /// It can succeed later by itself; for people.
    Retry(String),
    /// It cannot, unless somebody asks for something else.
    Permanent(String),
    /// Another wish came meanwhile.
    Superseded,
}

/// One step's answer.
pub(crate) type Step<T> = Result<T, StepError>;

impl StepError {
    /// A passing failure, with its causes in one line.
    pub(crate) fn later(error: &(dyn Error + 'static)) -> Self {
        Self::Retry(in_words(error))
    }

    /// A lasting failure, with its causes in one line.
    pub(crate) fn never(error: &(dyn Error + 'static)) -> Self {
        Self::Permanent(in_words(error))
    }
}

impl From<EngineError> for StepError {
    fn from(error: EngineError) -> Self {
        Self::later(&error)
    }
}

/// An error and its causes, as one line.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// How long to wait after so many failures in a row: 1 s, doubled up to a minute.
pub(crate) fn pause(attempts: u32) -> Duration {
    Duration::from_secs(1_u64 << attempts.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let seconds: Vec<_> = (1..9).map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
