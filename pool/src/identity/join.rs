//! What a machine that wants to join says, and what it is answered.
//!
//! Times are milliseconds since 1970.

use super::certificate::Certificate;
use super::keel_version::KeelVersion;
use super::node_id::NodeId;
use super::pin::Pin;
use super::private_key::{KeyError, PrivateKey};
use super::public_key::PublicKey;
use super::secret::TokenSecret;
use super::token::{Token, TokenId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keel_engine::NodeName;
use serde::{Deserialize, Serialize};

/// A request to join. It is sent only over a connection whose server proved the key that the token pins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The pool that the token names.
    pub pool: Pin,
    /// The token.
    pub token: TokenId,
    /// What permits to join.
    pub secret: TokenSecret,
    /// The key that shall be the node's.
    pub key: PublicKey,
    /// A signature by that key over this request's token, in base 64.
    pub proof: String,
    /// What the node would like to be called.
    pub name: NodeName,
    /// Its version of `keel`.
    pub version: KeelVersion,
    /// Its clock.
    pub clock: u64,
}

/// What a machine gets that may join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReply {
    /// What the controller calls the node.
    pub node: NodeId,
    /// What people call it.
    pub name: NodeName,
    /// The node's certificate.
    pub certificate: Certificate,
    /// What the node trusts from now on.
    pub bundle: Vec<Certificate>,
    /// The controller's clock.
    pub clock: u64,
}

/// Why a machine may not join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JoinError {
    /// The request makes no sense.
    #[error("the controller cannot use this request to join: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The token is of another pool, or of this one's former authority.
    #[error(
        "the token is for another pool, or its certificate authority was replaced since; create a new one with \
         `keel token create` on this controller"
    )]
    WrongPool,
    /// No such token, or the wrong secret: who has no token learns no more.
    #[error("the controller knows no such token; create a new one with `keel token create`")]
    Unknown,
    /// Too late.
    #[error(
        "the token expired at {} (the controller's clock says {}, this machine's {}); create a new one with \
         `keel token create`", told(*.expired), told(*.controller), told(*.node)
    )]
    Expired {
        /// When the token ended.
        expired: u64,
        /// The controller's clock.
        controller: u64,
        /// The machine's.
        node: u64,
    },
    /// Somebody else was there before.
    #[error(
        "the token was used at {} by `{name}` from {address}; if that was not you, remove that node with \
         `keel node rm {name}`. Create a new token with `keel token create`", told(*.at)
    )]
    Used {
        /// When.
        at: u64,
        /// The node's name.
        name: NodeName,
        /// Where it came from.
        address: String,
    },
    /// A person ended the token.
    #[error("the token was revoked at {}; create a new one with `keel token create`", told(*.at))]
    Revoked {
        /// When.
        at: u64,
    },
    /// Another node has the name.
    #[error("another node of the pool is called `{name}`; choose another name with `--name`")]
    DuplicateName {
        /// The name.
        name: NodeName,
    },
    /// The machine's key is another node's.
    #[error(
        "this machine's key belongs to the pool already, as node `{name}`; remove that node first"
    )]
    Joined {
        /// That node's name.
        name: NodeName,
    },
    /// The two versions do not work together.
    #[error(
        "the controller runs keel {controller}, this machine {node}: more than one minor version apart; install \
         the controller's version here"
    )]
    Version {
        /// The controller's.
        controller: KeelVersion,
        /// The machine's.
        node: KeelVersion,
    },
    /// Too many wrong secrets from this address.
    #[error("too many wrong tokens came from this address; try again in {} s", .retry_after.div_ceil(1000))]
    SlowDown {
        /// When the next try is worth it, in milliseconds from now.
        retry_after: u64,
    },
    /// The controller could not record the node; nothing has changed.
    #[error("the controller cannot record the node ({why}); try again once that is solved there")]
    Unavailable {
        /// Why.
        why: String,
    },
}

/// A time for people; as a number where it is none.
fn told(millis: u64) -> String {
    let time = i64::try_from(millis / 1000).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    time.map_or_else(|| millis.to_string(), |time| time.to_string())
}

impl JoinRequest {
    /// The request of a machine that has this token and key.
    pub fn new(
        token: &Token,
        key: &PrivateKey,
        name: NodeName,
        version: KeelVersion,
        clock: u64,
    ) -> Result<Self, KeyError> {
        let proof = STANDARD.encode(key.sign(&statement(&token.id, &key.public()))?);
        let (pool, id, secret) = (token.pin, token.id.clone(), token.secret.clone());
        Ok(Self { pool, token: id, secret, key: key.public(), proof, name, version, clock })
    }

    /// Whether who asks has the key that it asks for.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let statement = statement(&self.token, &self.key);
        STANDARD.decode(&self.proof).is_ok_and(|proof| self.key.signed(&statement, &proof))
    }
}

/// What the key signs: good for this token alone.
fn statement(token: &TokenId, key: &PublicKey) -> Vec<u8> {
    [b"keel join 1\0", token.as_str().as_bytes(), b"\0", &key.info()].concat()
}
