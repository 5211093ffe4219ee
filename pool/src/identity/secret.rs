//! The secret of a join token, and what is stored of it.

use super::alphabet::{decode, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// 160 bits that only a token's holder knows.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenSecret([u8; 20]);

impl TokenSecret {
    /// A secret of bytes that nobody can guess.
    #[must_use]
    pub fn new(random: [u8; 20]) -> Self {
        Self(random)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }

    /// The secret as text. Whoever reads it may join.
    #[must_use]
    pub fn reveal(&self) -> String {
        encode(&self.0)
    }

    /// What may be stored of it.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.0).into())
    }
}

impl TryFrom<String> for TokenSecret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a token's secret has 32 letters and digits")
    }
}

impl From<TokenSecret> for String {
    fn from(secret: TokenSecret) -> Self {
        secret.reveal()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

/// The SHA-256 of a secret: enough to recognize the secret, useless to join with.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// What no secret matches, to compare with where there is nothing to compare with.
    pub(super) fn of_nothing() -> Self {
        Self([0; 32])
    }

    /// Whether it is this secret's; takes as long for a wrong one.
    #[must_use]
    pub fn matches(&self, secret: &TokenSecret) -> bool {
        self.0.ct_eq(&secret.digest().0).into()
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretDigest {}

impl TryFrom<String> for SecretDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        decode(&text).map(Self).ok_or("a secret's digest has 52 letters and digits")
    }
}

impl From<SecretDigest> for String {
    fn from(digest: SecretDigest) -> Self {
        encode(&digest.0)
    }
}
