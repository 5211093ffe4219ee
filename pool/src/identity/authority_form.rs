//! The authority as it is on record: its key, sealed or not, its certificate, and the rotation that is under way.
//!
//! # Invariants
//! - A sealed key is bound to its certificate: neither can be exchanged without the other.
//! - What an earlier version wrote is read; what a later one wrote is refused.

use super::authority::Authority;
use super::certificate::Certificate;
use super::keyring::{Keyring, KeyringError, LockedError, SealedBy};
use super::pem_file::KeyFileError;
use super::pin::Pin;
use super::pool_authority::{PoolAuthority, Rotation};
use super::sealing_key::{Sealed, SealingError, SealingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the record is called where its text is damaged.
const SHOWN: &str = "pool/authority";
/// The first line, and what stands in it of the form that an earlier version wrote.
const HEAD: &str = "keel-authority 2\n";
const EARLIER: &str = "keel-authority 1\n";

/// What seals, with its key.
pub(super) type Seal = (SealedBy, SealingKey);

#[derive(Serialize, Deserialize)]
struct Stored {
    key: StoredKey,
    certificate: Certificate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Pin>,
}

/// The private key in PKCS #8.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredKey {
    Clear(String),
    File(Sealed),
    UnlockKey(Sealed),
}

impl StoredKey {
    fn sealed_by(&self) -> SealedBy {
        match self {
            Self::Clear(_) => SealedBy::Nothing,
            Self::File(_) => SealedBy::OwnFile,
            Self::UnlockKey(_) => SealedBy::UnlockKey,
        }
    }
}

/// An authority that was opened, and what its key was sealed with.
pub(super) struct Opened {
    pub authority: PoolAuthority,
    pub sealed_by: SealedBy,
    /// Which key of its kind; empty where there is none.
    pub key: String,
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormError {
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error(transparent)]
    Locked(#[from] LockedError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// The text that is put on record.
pub(super) fn encode(
    authority: &PoolAuthority,
    seal: Option<&Seal>,
) -> Result<Vec<u8>, SealingError> {
    let (key, certificate) =
        (authority.signing().key_in_pkcs8(), authority.signing().certificate());
    let key = match seal {
        None => StoredKey::Clear(STANDARD.encode(&key)),
        Some((by, seal)) => {
            let sealed = seal.seal(&key, &purpose(certificate))?;
            let is_unlock = *by == SealedBy::UnlockKey;
            if is_unlock { StoredKey::UnlockKey(sealed) } else { StoredKey::File(sealed) }
        }
    };
    let (rotation, dropped) = (authority.rotation().cloned(), authority.dropped().to_vec());
    let stored = Stored { key, certificate: certificate.clone(), rotation, dropped };
    let text = serde_json::to_vec(&stored).expect("texts and numbers by their names");
    Ok([HEAD.as_bytes(), &text].concat())
}

/// Reads what is on record, and opens it with a key of this ring.
pub(super) fn open(text: &[u8], keys: &Keyring) -> Result<Opened, FormError> {
    if text.starts_with(EARLIER.as_bytes()) {
        let authority = Authority::decode(text, Path::new(SHOWN))?.into();
        return Ok(Opened { authority, sealed_by: SealedBy::Nothing, key: String::new() });
    }
    let stored = read(text)?;
    let sealed_by = stored.key.sealed_by();
    let (secret, key) = match &stored.key {
        StoredKey::Clear(key) => (decoded(key)?, String::new()),
        StoredKey::File(sealed) => {
            let wrong = || LockedError::OwnFile(keys.own.clone());
            let key = keys.own_key()?.ok_or_else(wrong)?;
            (opened(&key, sealed, &stored.certificate, wrong)?, sealed.key.clone())
        }
        StoredKey::UnlockKey(sealed) => {
            let wrong = || LockedError::WrongKey(keys.unlock.clone().unwrap_or_default());
            let key = keys.unlock_key()?.ok_or(LockedError::NotNamed)?;
            (opened(&key, sealed, &stored.certificate, wrong)?, sealed.key.clone())
        }
    };
    let signing = Authority::of(&secret, stored.certificate).map_err(damaged)?;
    let authority = PoolAuthority::new(signing, stored.rotation, stored.dropped);
    Ok(Opened { authority, sealed_by, key })
}

/// What the key of a record is sealed with; opens nothing.
pub fn sealed_by(text: &[u8]) -> Result<SealedBy, KeyFileError> {
    match text.starts_with(EARLIER.as_bytes()) {
        true => Ok(SealedBy::Nothing),
        false => Ok(read(text)?.key.sealed_by()),
    }
}

/// The root that certifies according to a record; opens nothing.
pub(super) fn root_of(text: &[u8]) -> Result<Certificate, KeyFileError> {
    match text.starts_with(EARLIER.as_bytes()) {
        true => Ok(Authority::decode(text, Path::new(SHOWN))?.certificate().clone()),
        false => Ok(read(text)?.certificate),
    }
}

/// Whether two records are states of one pool's authority; opens nothing.
pub fn is_one_pool(one: &[u8], other: &[u8]) -> Result<bool, KeyFileError> {
    let (ours, theirs) = (lineage(one)?, lineage(other)?);
    Ok(theirs.iter().any(|pin| ours.contains(pin)))
}

/// The present authority, and those before it.
fn lineage(text: &[u8]) -> Result<Vec<Pin>, KeyFileError> {
    let root = root_of(text)?.pin();
    if text.starts_with(EARLIER.as_bytes()) {
        return Ok(root.into_iter().collect());
    }
    let Stored { rotation, dropped, .. } = read(text)?;
    let former = rotation.and_then(|rotation| rotation.former.pin());
    Ok(dropped.into_iter().chain(former).chain(root).collect())
}

fn read(text: &[u8]) -> Result<Stored, KeyFileError> {
    let json = text.strip_prefix(HEAD.as_bytes()).ok_or_else(|| KeyFileError::Form {
        path: SHOWN.into(),
        expected: HEAD.trim_end().to_owned(),
    })?;
    serde_json::from_slice(json).map_err(damaged)
}

fn opened(
    key: &SealingKey,
    sealed: &Sealed,
    certificate: &Certificate,
    wrong: impl Fn() -> LockedError,
) -> Result<Vec<u8>, LockedError> {
    key.open(sealed, &purpose(certificate)).map_err(|error| match error {
        SealingError::Other => wrong(),
        _ => LockedError::Damaged,
    })
}

fn purpose(certificate: &Certificate) -> Vec<u8> {
    [b"keel authority\0", certificate.der().as_ref()].concat()
}

fn decoded(text: &str) -> Result<Vec<u8>, KeyFileError> {
    STANDARD.decode(text).map_err(damaged)
}

fn damaged(why: impl ToString) -> KeyFileError {
    KeyFileError::Damaged { path: SHOWN.into(), why: why.to_string() }
}
