//! A machine on its way into a pool: what it asks, and what it does with each answer. Pure; whoever dials carries
//! it out.
//!
//! # Invariants
//! - However often the way is interrupted, the same key asks with the same token: the controller gives the same
//!   answer again.

use super::dialing::IdentityFailure;
use super::join::{JoinError, JoinReply, JoinRequest};
use super::keel_version::KeelVersion;
use super::node_identity::{IdentityError, NodeIdentity};
use super::private_key::{KeyError, PrivateKey};
use super::token::Token;
use keel_engine::NodeName;
use std::time::Duration;

/// The first wait after a connection that came to nothing, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// An attempt to join.
#[derive(Debug)]
pub struct JoinAttempt {
    token: Token,
    key: PrivateKey,
    name: NodeName,
    version: KeelVersion,
    failures: u32,
}

/// What to do next.
#[derive(Debug)]
pub enum JoinStep {
    /// The machine is a node: keep the identity, and connect with it.
    Joined(Box<NodeIdentity>),
    /// Dial and ask again.
    Retry {
        /// With the same key.
        attempt: Box<JoinAttempt>,
        /// When.
        after: Duration,
    },
    /// A person has to do something.
    Stop(JoinFailure),
}

/// Why a machine did not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinFailure {
    /// The controller refused.
    #[error(transparent)]
    Refused(JoinError),
    /// What answers is not the controller that the token names; the token was not sent.
    #[error(transparent)]
    Server(IdentityFailure),
    /// The controller's reply is not to be trusted.
    #[error(transparent)]
    Reply(IdentityError),
}

impl JoinAttempt {
    /// The attempt of a machine whose key is on its disk.
    #[must_use]
    pub fn new(token: Token, key: PrivateKey, name: NodeName, version: KeelVersion) -> Self {
        Self { token, key, name, version, failures: 0 }
    }

    /// What to ask at this time.
    pub fn request(&self, now: u64) -> Result<JoinRequest, KeyError> {
        JoinRequest::new(&self.token, &self.key, self.name.clone(), self.version, now)
    }

    /// The controller answered.
    #[must_use]
    pub fn answered(self, answer: Result<JoinReply, JoinError>) -> JoinStep {
        match answer {
            Ok(reply) => match NodeIdentity::joined(self.key, reply, self.token.pin) {
                Ok(identity) => JoinStep::Joined(Box::new(identity)),
                Err(error) => JoinStep::Stop(JoinFailure::Reply(error)),
            },
            Err(JoinError::SlowDown { retry_after }) => JoinStep::Retry {
                attempt: Box::new(self),
                after: Duration::from_millis(retry_after),
            },
            Err(JoinError::Unavailable { .. }) => self.interrupted(None),
            Err(error) => JoinStep::Stop(JoinFailure::Refused(error)),
        }
    }

    /// The connection came to nothing, before or after the request was sent. `failure`: what it says of identity.
    #[must_use]
    pub fn interrupted(mut self, failure: Option<IdentityFailure>) -> JoinStep {
        if let Some(failure) = failure {
            return JoinStep::Stop(JoinFailure::Server(failure));
        }
        let doubled = RETRY.0.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        JoinStep::Retry { attempt: Box::new(self), after: doubled.min(RETRY.1) }
    }
}
