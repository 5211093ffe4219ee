//! What the controller keeps of a token: everything but the secret.
//!
//! Times are milliseconds since 1970.

use super::certificate::Role;
use super::life::HOUR;
use super::node_id::NodeId;
use super::pin::Pin;
use super::public_key::PublicKey;
use super::secret::{SecretDigest, TokenSecret};
use super::token::{Token, TokenId};
use keel_engine::NodeName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Misuses that are remembered of a token.
const MISUSES: usize = 8;

/// A token on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public name.
    pub id: TokenId,
    /// What recognizes its secret.
    pub secret: SecretDigest,
    /// The pool that it was made for: after a change of the authority's key it is worthless.
    pub pool: Pin,
    /// How many nodes may join with it.
    pub uses: NonZeroU32,
    /// When it ends.
    pub expires: u64,
    /// What a node that joins with it may do.
    pub role: Role,
    /// Labels that such a node gets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created: u64,
    /// When a person ended it.
    #[serde(default)]
    pub revoked: Option<u64>,
    /// Who joined with it.
    #[serde(default)]
    pub joins: Vec<TokenUse>,
    /// Who tried to once it was used up.
    #[serde(default)]
    pub misuses: Vec<TokenUse>,
}

/// Somebody who came with a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// The node that came of it; `None` for who was refused.
    pub node: Option<NodeId>,
    /// The name that was proposed.
    pub name: NodeName,
    /// The key for which it was asked.
    pub key: PublicKey,
    /// Where from.
    pub address: String,
    /// When.
    pub at: u64,
}

/// What a token is made of, as a person asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// How long it may be used, in milliseconds.
    pub ttl: u64,
    /// How many nodes may join with it.
    pub uses: NonZeroU32,
    /// What they may do.
    pub role: Role,
    /// Labels that they get.
    pub labels: BTreeMap<String, String>,
    /// Who asks.
    pub creator: String,
}

impl TokenSpec {
    /// An hour, one use, no labels.
    #[must_use]
    pub fn by(creator: impl Into<String>) -> Self {
        let (labels, creator) = (BTreeMap::new(), creator.into());
        Self { ttl: HOUR, uses: NonZeroU32::MIN, role: Role::Agent, labels, creator }
    }

    /// The token, which is shown once, and what is kept of it. The random bytes are the caller's.
    #[must_use]
    pub fn make(self, pool: Pin, random: [u8; 25], now: u64) -> (Token, TokenRecord) {
        let [a, b, c, d, e, secret @ ..] = random;
        let (id, secret) = (TokenId::new([a, b, c, d, e]), TokenSecret::new(secret));
        let record = TokenRecord {
            id: id.clone(),
            secret: secret.digest(),
            pool,
            uses: self.uses,
            expires: now.saturating_add(self.ttl),
            role: self.role,
            labels: self.labels,
            creator: self.creator,
            created: now,
            revoked: None,
            joins: vec![],
            misuses: vec![],
        };
        (Token { pin: pool, id, secret }, record)
    }
}

impl TokenRecord {
    /// Whether as many nodes have joined with it as may.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.joins.len() >= self.uses.get() as usize
    }

    /// Who joined with it for this key.
    #[must_use]
    pub fn join_of(&self, key: &PublicKey) -> Option<&TokenUse> {
        self.joins.iter().find(|join| join.key == *key)
    }

    /// Notes a misuse; says whether it was news: each key is noted once, and only the first few.
    pub fn note_misuse(&mut self, misuse: TokenUse) -> bool {
        let known = self.misuses.iter().any(|one| one.key == misuse.key);
        let is_new = !known && self.misuses.len() < MISUSES;
        if is_new {
            self.misuses.push(misuse);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_an_hour_and_one_node_and_its_record_cannot_be_joined_with() {
        let (token, record) = TokenSpec::by("ann").make(Pin::of(b"ca"), [7; 25], 1000);
        assert_eq!((record.expires, record.uses.get()), (1000 + HOUR, 1));
        assert_eq!((record.id.clone(), record.pool), (token.id.clone(), token.pin));
        assert!(record.secret.matches(&token.secret));
        assert!(!record.secret.matches(&TokenSecret::new([8; 20])));
        let stored = serde_json::to_string(&record).unwrap();
        assert!(!stored.contains(&token.secret.reveal()), "{stored}");
        assert_eq!(serde_json::from_str::<TokenRecord>(&stored).unwrap(), record);
    }
}
