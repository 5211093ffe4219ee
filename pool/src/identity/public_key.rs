//! A node's public key: what the pool knows it by.

use super::pin::Pin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What comes before the point in the subject public key info of a P-256 key: id-ecPublicKey, prime256v1.
const INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point.
const POINT: usize = 65;

/// A P-256 public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(Vec<u8>);

/// Not a P-256 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a P-256 public key")]
pub struct NotAKey;

impl PublicKey {
    /// Reads a subject public key info in DER.
    pub fn from_info(der: &[u8]) -> Result<Self, NotAKey> {
        Self::from_point(der.strip_prefix(&INFO).ok_or(NotAKey)?)
    }

    pub(super) fn from_point(point: &[u8]) -> Result<Self, NotAKey> {
        // 4: uncompressed.
        let fits = point.len() == POINT && point.first() == Some(&4);
        if fits { Ok(Self(point.to_owned())) } else { Err(NotAKey) }
    }

    /// Its subject public key info in DER.
    #[must_use]
    pub fn info(&self) -> Vec<u8> {
        [&INFO[..], &self.0].concat()
    }

    /// Its digest.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of(&self.info())
    }

    /// Whether its private half signed this message.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0);
        key.verify(message, signature).is_ok()
    }
}

/// What a certificate is made of.
impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl TryFrom<String> for PublicKey {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        Self::from_info(&STANDARD.decode(text).map_err(|_| NotAKey)?)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        STANDARD.encode(key.info())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.pin())
    }
}
