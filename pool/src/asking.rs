//! A node's way into its pool, and to its next certificate: questions to the controller.

use crate::clock::now;
use crate::identity::{
    IdentityError, IdentityFailure, JoinAttempt, JoinStep, KeelVersion, KeyError, NodeIdentity,
    PrivateKey, RenewError, RenewReply, controller_name, to_join,
};
use crate::request::PoolRequest;
use crate::transport::{BodyError, DialError, Limits, ServingError, ask};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::io;

/// Asks once to join, and says what to do next; also why, where the connection came to nothing.
pub async fn ask_to_join(
    controller: &str,
    attempt: JoinAttempt,
    limits: &Limits,
) -> Result<(JoinStep, Option<DialError>), AskError> {
    let request = attempt.request(now())?;
    let config = to_join(request.pool).map_err(AskError::Tls)?;
    let request = PoolRequest::Join(Box::new(request));
    match asked(controller, &config, &request, limits).await {
        Ok(answer) => Ok((attempt.answered(answer), None)),
        Err(AskError::Dial(error)) => {
            Ok((attempt.interrupted(identity_failure(&error)), Some(error)))
        }
        Err(error) => Err(error),
    }
}

/// Asks for the certificate of the next key, also where the present certificate is over; with the controller's clock.
pub async fn renew(
    controller: &str,
    identity: &NodeIdentity,
    next: PrivateKey,
    limits: &Limits,
) -> Result<(NodeIdentity, u64), AskError> {
    let request = PoolRequest::Renew(identity.renew_request(&next, KeelVersion::own())?);
    let config = identity.client_config().map_err(AskError::Tls)?;
    let answer: Result<RenewReply, RenewError> =
        asked(controller, &config, &request, limits).await?;
    let reply = answer?;
    let clock = reply.clock;
    Ok((identity.renewed(next, reply)?, clock))
}

/// Tells the controller that the node uses its present certificate.
pub async fn confirm(
    controller: &str,
    identity: &NodeIdentity,
    limits: &Limits,
) -> Result<(), AskError> {
    let config = identity.client_config().map_err(AskError::Tls)?;
    let noted: Result<(), RenewError> =
        asked(controller, &config, &PoolRequest::Confirm, limits).await?;
    Ok(noted?)
}

/// Why a question came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The controller did not answer.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// What it answered is no answer.
    #[error("unexpected answer from the controller at {to}")]
    Answer {
        /// Where it listens.
        to: String,
    },
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The node's own identity is of no use, or the one that it was given.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The controller said no.
    #[error(transparent)]
    Refused(#[from] RenewError),
    /// No connection can be made with these keys.
    #[error("cannot use this node's keys for a secure connection")]
    Tls(#[source] rustls::Error),
}

async fn asked<T: DeserializeOwned>(
    controller: &str,
    config: &ClientConfig,
    request: &PoolRequest,
    limits: &Limits,
) -> Result<T, AskError> {
    let other = || AskError::Answer { to: controller.to_owned() };
    let question = serde_json::to_vec(request).map_err(|_| other())?;
    let answer = ask(controller, controller_name(), config, &question, limits).await?;
    serde_json::from_slice(&answer).map_err(|_| other())
}

/// What a connection that came to nothing says of identity; `None` where it failed for something else. The
/// controller's refusal may come with the first bytes after the handshake.
#[must_use]
pub fn identity_failure(error: &DialError) -> Option<IdentityFailure> {
    let of_stream = |error: &h2::Error| error.get_io().and_then(of_io);
    match error {
        DialError::Tls { source, .. } => of_io(source),
        DialError::Serving(ServingError::Ended(Some(error)))
        | DialError::Unanswered { source: Some(BodyError::Stream(error)), .. } => of_stream(error),
        _ => None,
    }
}

/// h2 puts errors of the line into another of its own.
fn of_io(error: &io::Error) -> Option<IdentityFailure> {
    IdentityFailure::of(error).or_else(|| {
        let mut next: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
        while let Some(inner) = next {
            if let Some(found) = inner.downcast_ref().and_then(IdentityFailure::of) {
                return Some(found);
            }
            next = inner.source();
        }
        None
    })
}
