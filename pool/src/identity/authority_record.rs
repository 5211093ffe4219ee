//! The authority on record: made once, the same for every controller of the pool, and sealed as the configuration says.
//!
//! # Invariants
//! - It is put where none is: of two controllers that begin at once both have the one that was first.
//! - A file that an earlier version kept it in is taken over, and removed once the record has it.
//! - A key file of the root's own goes once nothing is sealed with it any more.

use super::authority::Authority;
use super::authority_form::{FormError, Opened, Seal, encode, open};
use super::keyring::{Keyring, KeyringError, LockedError, SealedBy};
use super::pem_file::{KeyFileError, io_error};
use super::pool_authority::PoolAuthority;
use super::pool_record::{PoolRecord, PoolRecordError};
use super::private_key::KeyError;
use super::sealing_key::SealingError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The store.
    #[error(transparent)]
    Record(#[from] PoolRecordError),
    /// Its text, or the file of an earlier version.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// Its key.
    #[error("the pool's certificate authority: {0}")]
    Key(#[from] KeyError),
    /// Its key is sealed, and cannot be opened.
    #[error(transparent)]
    Locked(#[from] LockedError),
    /// Its key cannot be sealed.
    #[error("the key of the pool's certificate authority cannot be sealed: {0}")]
    Sealing(#[from] SealingError),
}

impl From<KeyringError> for AuthorityError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Locked(error) => error.into(),
            KeyringError::File(error) => error.into(),
            KeyringError::Sealing(error) => error.into(),
        }
    }
}

impl From<FormError> for AuthorityError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::File(error) => error.into(),
            FormError::Locked(error) => error.into(),
            FormError::Keyring(error) => error.into(),
        }
    }
}

/// The authority on record, sealed as it is from now on; else the one in this file, else a new one. Also what it is
/// sealed with.
pub(super) async fn open_authority(
    record: &dyn PoolRecord,
    file: PathBuf,
    keys: &Keyring,
    now: u64,
) -> Result<(PoolAuthority, Option<Seal>), AuthorityError> {
    let seal = preferred(keys).await?;
    let stored = match on_record(record, keys).await? {
        Some((stored, revision)) => resealed(record, stored, revision, seal.as_ref(), keys).await?,
        None => {
            let before = file.clone();
            let begun = keel_blocking::run(move || beginning(&before, now)).await?;
            put_first(record, begun.into(), seal.as_ref(), keys).await?
        }
    };
    let (own, ring) = (stored.signing().encode(), keys.clone());
    let is_own = matches!(seal, Some((SealedBy::OwnFile, _)));
    keel_blocking::run(move || {
        remove(&file, &own)?;
        if is_own { Ok(()) } else { ring.forget_own() }
    })
    .await?;
    Ok((stored, seal))
}

/// Whether the authority on record can be opened with these keys, and could be sealed with them.
///
/// # Errors
/// [`AuthorityError::Locked`] where a person has to bring a key.
pub async fn check_unlocked(record: &dyn PoolRecord, keys: &Keyring) -> Result<(), AuthorityError> {
    let ring = keys.clone();
    keel_blocking::run(move || ring.unlock_key()).await?;
    authority_on_record(record, keys).await.map(drop)
}

/// The authority on record, where a controller has put one there.
pub(super) async fn authority_on_record(
    record: &dyn PoolRecord,
    keys: &Keyring,
) -> Result<Option<PoolAuthority>, AuthorityError> {
    Ok(on_record(record, keys).await?.map(|(opened, _)| opened.authority))
}

/// The same record for a store with another ring of keys: it is opened with one, and sealed with the other.
pub async fn converted(
    text: Vec<u8>,
    from: Keyring,
    to: Keyring,
) -> Result<Vec<u8>, AuthorityError> {
    keel_blocking::run(move || {
        let opened = open(&text, &from)?;
        let seal = to.preferred()?;
        Ok(if fits(&opened, seal.as_ref()) {
            text
        } else {
            encode(&opened.authority, seal.as_ref())?
        })
    })
    .await
}

async fn preferred(keys: &Keyring) -> Result<Option<Seal>, AuthorityError> {
    let ring = keys.clone();
    Ok(keel_blocking::run(move || ring.preferred()).await?)
}

async fn on_record(
    record: &dyn PoolRecord,
    keys: &Keyring,
) -> Result<Option<(Opened, u64)>, AuthorityError> {
    let Some((text, revision)) = record.get().await? else { return Ok(None) };
    let ring = keys.clone();
    let opened = keel_blocking::run(move || open(&text, &ring)).await?;
    Ok(Some((opened, revision)))
}

fn fits(opened: &Opened, seal: Option<&Seal>) -> bool {
    let (by, key) = seal.map_or((SealedBy::Nothing, ""), |(by, key)| (*by, key.id()));
    opened.sealed_by == by && opened.key == key
}

/// Puts what is sealed otherwise on record anew.
async fn resealed(
    record: &dyn PoolRecord,
    stored: Opened,
    revision: u64,
    seal: Option<&Seal>,
    keys: &Keyring,
) -> Result<PoolAuthority, AuthorityError> {
    if fits(&stored, seal) {
        return Ok(stored.authority);
    }
    match record.put(encode(&stored.authority, seal)?, revision).await {
        Ok(()) => Ok(stored.authority),
        Err(PoolRecordError::Moved) => moved(record, keys).await,
        Err(error) => Err(error.into()),
    }
}

async fn put_first(
    record: &dyn PoolRecord,
    begun: PoolAuthority,
    seal: Option<&Seal>,
    keys: &Keyring,
) -> Result<PoolAuthority, AuthorityError> {
    match record.put(encode(&begun, seal)?, 0).await {
        Ok(()) => Ok(begun),
        Err(PoolRecordError::Moved) => moved(record, keys).await,
        Err(error) => Err(error.into()),
    }
}

async fn moved(record: &dyn PoolRecord, keys: &Keyring) -> Result<PoolAuthority, AuthorityError> {
    Ok(authority_on_record(record, keys).await?.ok_or(PoolRecordError::Moved)?)
}

/// What is to be put on record.
fn beginning(file: &Path, now: u64) -> Result<Authority, AuthorityError> {
    match std::fs::read(file) {
        Ok(text) => Ok(Authority::decode(&text, file)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Authority::create(now)?),
        Err(error) => Err(io_error("read", file)(error).into()),
    }
}

/// One of another pool is left to whoever put it there.
fn remove(file: &Path, own: &[u8]) -> Result<(), KeyFileError> {
    match std::fs::read(file) {
        Ok(text) if text == own => std::fs::remove_file(file).map_err(io_error("remove", file)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::authority_form::{is_one_pool, sealed_by};
    use super::super::sealing_key::SealingKey;
    use super::*;
    use async_trait::async_trait;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;
    use tempfile::TempDir;

    #[derive(Default)]
    struct Record(Mutex<Option<(Vec<u8>, u64)>>);

    impl Record {
        fn with(text: Vec<u8>) -> Self {
            Self(Mutex::new(Some((text, 1))))
        }

        fn text(&self) -> Vec<u8> {
            self.0.lock().unwrap().clone().unwrap().0
        }
    }

    #[async_trait]
    impl PoolRecord for Record {
        async fn get(&self) -> Result<Option<(Vec<u8>, u64)>, PoolRecordError> {
            Ok(self.0.lock().unwrap().clone())
        }

        async fn put(&self, value: Vec<u8>, expected: u64) -> Result<(), PoolRecordError> {
            let mut record = self.0.lock().unwrap();
            let found = record.as_ref().map_or(0, |(_, revision)| *revision);
            if found != expected {
                return Err(PoolRecordError::Moved);
            }
            *record = Some((value, found + 1));
            Ok(())
        }
    }

    fn ring(folder: &TempDir) -> Keyring {
        Keyring { unlock: None, own: folder.path().join("pool/sealing-key"), is_shared: false }
    }

    async fn open_in(folder: &TempDir, record: &Record, keys: &Keyring) -> PoolAuthority {
        try_open(folder, record, keys).await.unwrap()
    }

    async fn try_open(
        folder: &TempDir,
        record: &Record,
        keys: &Keyring,
    ) -> Result<PoolAuthority, AuthorityError> {
        let file = folder.path().join("authority.pem");
        Ok(open_authority(record, file, keys, 1000).await?.0)
    }

    /// Whether somebody who reads this has the authority's key.
    fn gives_away(text: &[u8], authority: &Authority) -> bool {
        let key = authority.key_in_pkcs8();
        // The secret number is in the middle of it.
        let secret = &key[36..68];
        let has = |part: &[u8]| text.windows(part.len()).any(|one| one == part);
        let line =
            String::from_utf8(authority.encode()).unwrap().lines().nth(2).unwrap().to_owned();
        has(secret) || has(line.as_bytes())
    }

    #[tokio::test]
    async fn the_file_of_an_earlier_version_is_taken_over_and_another_pools_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (file, keys) = (folder.path().join("authority.pem"), ring(&folder));
        let (before, record) = (Authority::create(0).unwrap(), Record::default());
        std::fs::write(&file, before.encode()).unwrap();
        assert_eq!(open_in(&folder, &record, &keys).await.pin(), before.pin());
        assert!(!file.exists());
        std::fs::write(&file, Authority::create(0).unwrap().encode()).unwrap();
        assert_eq!(open_in(&folder, &record, &keys).await.pin(), before.pin());
        assert!(file.exists());
        std::fs::write(&file, "damaged").unwrap();
        let error = try_open(&folder, &Record::default(), &keys).await.unwrap_err().to_string();
        assert!(error.contains("authority.pem` does not begin with `keel-authority 1`"), "{error}");
        std::fs::remove_file(&file).unwrap();
        let new = Record::default();
        let made = open_in(&folder, &new, &keys).await.pin();
        assert!(made != before.pin() && open_in(&folder, &new, &keys).await.pin() == made);
    }

    #[tokio::test]
    async fn a_key_in_clear_form_is_sealed_at_the_next_start_and_each_key_takes_the_others_place() {
        let (folder, before) = (tempfile::tempdir().unwrap(), Authority::create(0).unwrap());
        let (record, own) = (Record::with(before.encode()), ring(&folder));
        assert!(gives_away(&record.text(), &before));
        assert_eq!(open_in(&folder, &record, &own).await.pin(), before.pin());
        assert!(!gives_away(&record.text(), &before));
        assert_eq!(sealed_by(&record.text()).unwrap(), SealedBy::OwnFile);
        let mode = std::fs::metadata(&own.own).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let unlock = folder.path().join("unlock");
        std::fs::write(&unlock, key_file()).unwrap();
        let unlocked = Keyring { unlock: Some(unlock), ..own.clone() };
        assert_eq!(open_in(&folder, &record, &unlocked).await.pin(), before.pin());
        assert_eq!(sealed_by(&record.text()).unwrap(), SealedBy::UnlockKey);
        assert!(!own.own.exists(), "what a thief of the root would find opens nothing any more");
        let sealed = record.text();
        assert_eq!(open_in(&folder, &record, &unlocked).await.pin(), before.pin());
        assert_eq!(record.text(), sealed, "it is not written at each start");
    }

    fn key_file() -> String {
        SealingKey::generate().unwrap()
    }

    #[tokio::test]
    async fn without_its_key_it_stays_closed_and_nothing_is_made_in_its_place() {
        let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = ring(&own);
        let unlock = folder.path().join("unlock");
        let unlocked = Keyring { unlock: Some(unlock.clone()), ..own.clone() };
        let record = Record::default();
        let error = async |keys: &Keyring| {
            let error = try_open(&folder, &record, keys).await.unwrap_err();
            assert!(matches!(error, AuthorityError::Locked(_)), "{error}");
            let checked = check_unlocked(&record, keys).await.unwrap_err();
            assert_eq!(checked.to_string(), error.to_string());
            error.to_string()
        };
        assert!(error(&unlocked).await.contains("cannot read the unlock key file"));
        std::fs::write(&unlock, "a password").unwrap();
        assert!(error(&unlocked).await.contains("openssl rand -base64 32"));
        let key = key_file();
        std::fs::write(&unlock, &key).unwrap();
        let pin = open_in(&folder, &record, &unlocked).await.pin();
        std::fs::write(&unlock, key_file()).unwrap();
        assert!(error(&unlocked).await.contains("is not sealed with the unlock key in"));
        assert!(error(&own).await.contains("unlock-key-file"));
        std::fs::write(&unlock, &key).unwrap();
        check_unlocked(&record, &unlocked).await.unwrap();
        assert_eq!(open_in(&folder, &record, &unlocked).await.pin(), pin);

        let record = Record::default();
        open_in(&folder, &record, &own).await;
        std::fs::remove_file(&own.own).unwrap();
        let error = check_unlocked(&record, &own).await.unwrap_err().to_string();
        assert!(error.contains("sealing-key") && error.contains("backup"), "{error}");
        assert!(try_open(&folder, &record, &own).await.is_err());
    }

    #[tokio::test]
    async fn what_several_machines_read_is_sealed_by_a_key_that_all_of_them_have_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (own, record) = (ring(&folder), Record::default());
        let before = open_in(&folder, &record, &own).await;
        let shared = Keyring { is_shared: true, ..own.clone() };
        let text = converted(record.text(), own.clone(), shared.clone()).await.unwrap();
        assert_eq!(sealed_by(&text).unwrap(), SealedBy::Nothing);
        let there = Record::with(text);
        assert_eq!(open_in(&folder, &there, &shared).await.pin(), before.pin());
        let back = converted(there.text(), shared.clone(), own.clone()).await.unwrap();
        assert_eq!(sealed_by(&back).unwrap(), SealedBy::OwnFile);

        let unlock = folder.path().join("unlock");
        std::fs::write(&unlock, key_file()).unwrap();
        let with_key = Keyring { unlock: Some(unlock), ..shared.clone() };
        open_in(&folder, &there, &with_key).await;
        assert_eq!(sealed_by(&there.text()).unwrap(), SealedBy::UnlockKey);
        let other = Record::default();
        let theirs = open_in(&folder, &other, &shared).await;
        assert_ne!(theirs.pin(), before.pin());
        assert!(is_one_pool(&there.text(), &back).unwrap());
        assert!(!is_one_pool(&there.text(), &other.text()).unwrap());
        let rotated = before.rotated(2000).unwrap().unwrap();
        for next in [rotated.clone(), rotated.settled()] {
            let text = encode(&next, None).unwrap();
            assert!(
                is_one_pool(&there.text(), &text).unwrap() && is_one_pool(&text, &back).unwrap()
            );
        }
    }
}
