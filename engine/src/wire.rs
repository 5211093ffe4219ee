//! The contract as values that travel: what is asked of a node, what it answers, and which version speaks.
//!
//! How bytes are carried is no matter here; [`crate::frames`] is how conversations are.
//!
//! # Invariants
//! - What a node is asked is done as it is meant, or refused: an unknown call, a wish or a field's unknown
//!   value is [`EngineError::Unsupported`], never left out. Unknown fields are left out, so a field
//!   that has to be understood comes with a new [`CONTRACT_VERSION`].
//! - What a node answers decides, so an unknown value there is refused, too. Errors and events are for
//!   people and as hints: unknown ones are read as the nearest that is known.
//! - Whoever reads a later version than its own refuses it, and says who has to be upgraded.

use crate::{
    Assignment, Depth, EngineError, Event, Lease, LentLogin, Observation, Open, Sweep, Swept, Usage,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of the contract. One up for each change that an older peer would take for something else.
pub const CONTRACT_VERSION: u32 = 1;

/// What a controller asks of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Call {
    /// [`crate::Engine::observe`].
    Observe(Depth),
    /// [`crate::Engine::assign`], or under a lease.
    Assign {
        /// Under which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<Lease>,
        /// In the order in which they are stored.
        wishes: Vec<Assignment>,
    },
    /// [`crate::Engine::lease`].
    Lease,
    /// [`crate::Engine::renew`].
    Renew(Lease),
    /// [`crate::Engine::release`].
    Release(Lease),
    /// [`crate::Engine::sweep`], or under a lease.
    Sweep {
        /// Under which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<Lease>,
        /// What may go.
        sweep: Sweep,
    },
    /// [`crate::Engine::usage`].
    Usage,
    /// [`crate::Engine::lend`].
    Lend(Vec<LentLogin>),
    /// [`crate::Engine::events`].
    Events,
    /// [`crate::Engine::open`].
    Open(Open),
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answer {
    /// To [`Call::Observe`].
    Observed(Box<Observation>),
    /// To [`Call::Lease`].
    Leased(Lease),
    /// To what is only done.
    Done,
    /// To [`Call::Sweep`].
    Swept(Swept),
    /// To [`Call::Usage`].
    Usage(Usage),
    /// To [`Call::Events`], again and again.
    Event(Event),
    /// To [`Call::Open`]: frames follow.
    Opened,
    /// To anything.
    Refused(EngineError),
}

/// A message and the version in which it was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    message: T,
}

/// The part of an envelope that every version has.
#[derive(Deserialize)]
struct Speaks {
    version: u32,
}

/// A message that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It was said in a later version.
    #[error("version {theirs} of the node protocol is spoken, and this keel knows up to {ours}")]
    Newer {
        /// The version that was spoken.
        theirs: u32,
        /// The highest known here.
        ours: u32,
    },
    /// It is no message of the version that it names. What stands there instead is not told: it may be secret.
    #[error("a message of the node protocol cannot be understood from its byte {at} on")]
    Garbled {
        /// Counted from 1.
        at: usize,
    },
}

/// A message as bytes. It fails where a file that has to go with it cannot be read.
pub fn seal(message: &impl Serialize) -> Result<Vec<u8>, EngineError> {
    let failed = |error| EngineError::failed("cannot put a message to a node together", error);
    serde_json::to_vec(&Envelope { version: CONTRACT_VERSION, message }).map_err(failed)
}

/// The message in these bytes.
pub fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let garbled = |error: serde_json::Error| WireError::Garbled { at: error.column() };
    let Speaks { version } = serde_json::from_slice(bytes).map_err(garbled)?;
    if version > CONTRACT_VERSION {
        return Err(WireError::Newer { theirs: version, ours: CONTRACT_VERSION });
    }
    let envelope: Envelope<T> = serde_json::from_slice(bytes).map_err(garbled)?;
    Ok(envelope.message)
}

impl From<WireError> for EngineError {
    fn from(error: WireError) -> Self {
        let hint = "run the same version of keel on the controller and on its nodes";
        Self::Unsupported { what: error.to_string(), hint: Some(hint.to_owned()) }
    }
}

#[cfg(test)]
mod tests;
