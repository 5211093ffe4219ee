//! What a node asks of its controller beside its connection, and in which words both are carried.

use crate::identity::{JoinRequest, RenewRequest};
use serde::{Deserialize, Serialize};

/// A question. The answer is a `Result` with the reply and the error that belong to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PoolRequest {
    /// May I join?
    Join(Box<JoinRequest>),
    /// May I have my next certificate?
    Renew(RenewRequest),
    /// I use the certificate that I show.
    Confirm,
}
