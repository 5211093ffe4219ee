//! Why a refresh did not come to its end.

use crate::record::RecordError;
use crate::source::SourceError;
use keel_engine::EngineError;

/// Why a source's stacks could not be read, or not be stored. What is desired stays as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error("the content of configs and secrets cannot be handed over")]
    Contents(#[source] EngineError),
    #[error("the controller is shutting down")]
    Ended,
}
