//! A key that seals another one: what is sealed with it can be stored where others may read.
//!
//! # Invariants
//! - What was sealed for one purpose cannot be passed off as something else: the purpose is sealed with it.
//! - Neither the key nor what it opened is in `Debug` output or an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a file of a key holds at least. It is not stretched, so that it has to be random.
const LEAST: usize = 32;
/// Random bytes of a file that is made here.
const MADE: usize = 32;

/// A key to seal with.
pub struct SealingKey {
    key: LessSafeKey,
    id: String,
}

/// Something sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// Which key opens it.
    pub key: String,
    nonce: String,
    text: String,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// The file has too little in it.
    #[error("it holds fewer than {LEAST} bytes")]
    Short,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers; check /dev/urandom")]
    Random,
    /// It was sealed with another key.
    #[error("it is another key")]
    Other,
    /// It was changed since it was sealed.
    #[error("what is sealed is damaged")]
    Damaged,
}

impl SealingKey {
    /// The key that a file's content gives.
    pub fn of(content: &[u8]) -> Result<Self, SealingError> {
        let content = content.trim_ascii();
        if content.len() < LEAST {
            return Err(SealingError::Short);
        }
        let key = UnboundKey::new(&AES_256_GCM, &derived(content, b"keel sealing key 1"));
        let id = derived(content, b"keel sealing key 1: name");
        let id = data_encoding::HEXLOWER.encode(&id[..8]);
        Ok(Self { key: LessSafeKey::new(key.map_err(|_| SealingError::Short)?), id })
    }

    /// The content of a file with a new key.
    pub(super) fn generate() -> Result<String, SealingError> {
        let mut bytes = [0; MADE];
        SystemRandom::new().fill(&mut bytes).map_err(|_| SealingError::Random)?;
        Ok(STANDARD.encode(bytes) + "\n")
    }

    /// Names the key, and tells nothing of it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Seals a secret for this purpose.
    pub(super) fn seal(&self, secret: &[u8], purpose: &[u8]) -> Result<Sealed, SealingError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealingError::Random)?;
        let mut text = secret.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_append_tag(unique, Aad::from(purpose), &mut text);
        sealed.map_err(|_| SealingError::Damaged)?;
        let (nonce, text) = (STANDARD.encode(nonce), STANDARD.encode(text));
        Ok(Sealed { key: self.id.clone(), nonce, text })
    }

    /// Opens what was sealed for this purpose.
    pub(super) fn open(&self, sealed: &Sealed, purpose: &[u8]) -> Result<Vec<u8>, SealingError> {
        if sealed.key != self.id {
            return Err(SealingError::Other);
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SealingError::Damaged);
        let nonce = Nonce::try_assume_unique_for_key(&decode(&sealed.nonce)?);
        let nonce = nonce.map_err(|_| SealingError::Damaged)?;
        let mut text = decode(&sealed.text)?;
        let opened = self.key.open_in_place(nonce, Aad::from(purpose), &mut text);
        opened.map(|secret| secret.to_vec()).map_err(|_| SealingError::Damaged)
    }
}

fn derived(content: &[u8], purpose: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let secret = Salt::new(HKDF_SHA256, &[]).extract(content);
    let purpose = [purpose];
    let filled = secret.expand(&purpose, HKDF_SHA256).and_then(|key| key.fill(&mut bytes));
    filled.expect("HKDF gives as many bytes as its digest has");
    bytes
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(content: &str) -> SealingKey {
        SealingKey::of(content.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_for_the_same_purpose_alone() {
        let content = SealingKey::generate().unwrap();
        let (one, other) = (key(&content), key(&SealingKey::generate().unwrap()));
        let sealed = one.seal(b"a secret", b"purpose").unwrap();
        let stored = serde_json::to_string(&sealed).unwrap();
        let sealed: Sealed = serde_json::from_str(&stored).unwrap();
        // An editor adds a line break.
        assert_eq!(key(content.trim()).open(&sealed, b"purpose").unwrap(), b"a secret");
        assert_eq!(one.open(&sealed, b"another").unwrap_err(), SealingError::Damaged);
        assert_eq!(other.open(&sealed, b"purpose").unwrap_err(), SealingError::Other);
        let passed_off = Sealed { key: other.id().to_owned(), ..sealed.clone() };
        assert_eq!(other.open(&passed_off, b"purpose").unwrap_err(), SealingError::Damaged);
        let again = one.seal(b"a secret", b"purpose").unwrap();
        assert_ne!(again, sealed, "no nonce is used twice");
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused_and_none_is_shown() {
        assert_eq!(SealingKey::of(b"a password\n").unwrap_err(), SealingError::Short);
        let content = SealingKey::generate().unwrap();
        let shown = format!("{:?}", key(&content));
        assert!(!shown.contains(content.trim()) && shown.len() < 40, "{shown}");
    }
}
