//! Errors as people get them: one line with its causes, and what to do.

use crate::ask::{Refusal, RefusalKind};
use crate::record::RecordError;
use keel_engine::EngineError;
use std::error::Error;

impl Refusal {
    fn of(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// No such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::of(RefusalKind::NotFound, message)
    }

    /// Its state forbids it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::of(RefusalKind::Conflict, message)
    }

    /// It makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::of(RefusalKind::Invalid, message)
    }

    /// It failed.
    pub fn failed(error: &(dyn Error + 'static)) -> Self {
        Self::of(RefusalKind::Failed, with_causes(error))
    }

    /// Only a running `keel serve` can do it.
    #[must_use]
    pub fn needs_daemon(command: &str) -> Self {
        Self::of(RefusalKind::NeedsDaemon, format!("`{command}` needs a running `keel serve`"))
            .hint("start it with `keel serve PATH`, or `systemctl start keel`")
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::NotFound { .. } => RefusalKind::NotFound,
            EngineError::Conflict { .. } | EngineError::OldGeneration { .. } => {
                RefusalKind::Conflict
            }
            EngineError::Driven { .. } => RefusalKind::TakenOver,
            _ => RefusalKind::Failed,
        };
        Self { kind, message: with_causes(&error), hint: error.hint().map(str::to_owned) }
    }
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        Self::failed(&error)
    }
}

/// The error's line, and those of its causes after `: `.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Transparent wrappers say what their cause says.
        if !line.ends_with(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    line
}
