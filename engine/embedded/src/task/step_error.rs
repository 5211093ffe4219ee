//! Why a step towards a goal did not succeed, and whether trying again can help.

use keel_engine::{EngineError, Failure, FailureKind};
use std::error::Error;
use std::io;
use std::time::Duration;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepError {
    /// It can succeed later by itself.
    Retry(Failure),
    /// It cannot, unless somebody asks for something else.
    Permanent(Failure),
    /// Another wish came meanwhile.
    Superseded,
}

/// One step's answer.
pub(crate) type Stepped<T> = Result<T, StepError>;

impl StepError {
    /// A passing failure, with its causes in one line.
    pub(crate) fn later(error: &(dyn Error + 'static)) -> Self {
        Self::Retry(failure(error))
    }

    /// A lasting failure, with its causes in one line.
    pub(crate) fn never(error: &(dyn Error + 'static)) -> Self {
        Self::Permanent(failure(error))
    }

    /// A passing failure of a network.
    pub(crate) fn of_network(error: impl Into<Failure>) -> Self {
        Self::Retry(error.into())
    }

    /// A passing failure of which there are only words.
    pub(crate) fn retry(words: impl Into<String>) -> Self {
        Self::Retry(words.into().into())
    }

    /// A passing failure of a kind that says it all.
    pub(crate) fn waits(kind: FailureKind) -> Self {
        Self::Retry(kind.into())
    }
}

/// A passing failure of the kernel or the disk: what was tried, and what it said.
pub(crate) fn cannot(what: impl Into<String>) -> impl Fn(io::Error) -> StepError {
    let what = what.into();
    move |error| {
        let text = format!("cannot {what}: {error}");
        StepError::Retry(Failure { kind: FailureKind::of(&error), text })
    }
}

/// An error with its kind, and with its causes in one line.
pub(crate) fn failure(error: &(dyn Error + 'static)) -> Failure {
    Failure { kind: FailureKind::of(error), text: in_words(error) }
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
    fn a_step_that_the_disk_stopped_says_that_it_is_full() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        let failed = EngineError::failed("cannot write /x/work", full());
        for error in [StepError::from(failed), cannot("write /x/work")(full())] {
            let StepError::Retry(failure) = error else { panic!("{error:?}") };
            assert_eq!(failure.kind, FailureKind::DiskFull);
            let words = "cannot write /x/work: No space left on device (os error 28)";
            assert_eq!(failure.to_string(), words);
        }
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let seconds: Vec<_> = (1..9).map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
