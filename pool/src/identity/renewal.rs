//! The next certificate of a node: a new key each time, asked for over a connection that the present key secures.

use super::certificate::{Certificate, Subject};
use super::keel_version::KeelVersion;
use super::node::NodeKey;
use super::node_id::NodeId;
use super::private_key::{KeyError, PrivateKey};
use super::public_key::PublicKey;
use super::registry::Registry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A request for the next certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The next key.
    pub key: PublicKey,
    /// A signature by that key over the node's ID, in base 64.
    pub proof: String,
    /// The node's version of `keel`.
    pub version: KeelVersion,
}

/// The next certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewReply {
    /// It.
    pub certificate: Certificate,
    /// What the node trusts from now on.
    pub bundle: Vec<Certificate>,
    /// The controller's clock.
    pub clock: u64,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RenewError {
    /// The request makes no sense.
    #[error("the controller cannot use this request for a certificate: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The node does not belong to the pool any more.
    #[error("this node was removed from the pool; join again with a new token")]
    Removed,
    /// The controller could not record the key; nothing has changed.
    #[error(
        "the controller cannot record the node's next key ({why}); the node tries again by itself"
    )]
    Unavailable {
        /// Why.
        why: String,
    },
}

impl RenewRequest {
    /// The request of a node for its next key.
    pub fn new(node: &NodeId, next: &PrivateKey, version: KeelVersion) -> Result<Self, KeyError> {
        let proof = STANDARD.encode(next.sign(&statement(node, &next.public()))?);
        Ok(Self { key: next.public(), proof, version })
    }

    fn is_proven(&self, node: &NodeId) -> bool {
        let statement = statement(node, &self.key);
        STANDARD.decode(&self.proof).is_ok_and(|proof| self.key.signed(&statement, &proof))
    }
}

/// What the next key signs: good for this node alone.
fn statement(node: &NodeId, key: &PublicKey) -> Vec<u8> {
    [b"keel renew 1\0", node.as_str().as_bytes(), b"\0", &key.info()].concat()
}

/// Decides about a request of the node that proved to be `peer`: `Some` is what the same request got before, `None`
/// means that a certificate is to be made.
pub(super) fn decide<'a>(
    registry: &'a Registry,
    peer: &Subject,
    request: &RenewRequest,
) -> Result<Option<&'a NodeKey>, RenewError> {
    let known = registry.node(&peer.node).filter(|node| node.has(&peer.key));
    let node = known.ok_or(RenewError::Removed)?;
    let malformed = |what: &str| Err(RenewError::Malformed { what: what.to_owned() });
    if !request.is_proven(&peer.node) {
        return malformed("its key did not sign it");
    }
    if request.key == peer.key {
        return malformed(
            "it is for the key that the node has already; each certificate is for a new one",
        );
    }
    match (node.key(&request.key), registry.owner(&request.key)) {
        (None, Some(_)) => malformed("its key is another node's"),
        (again, _) => Ok(again),
    }
}
