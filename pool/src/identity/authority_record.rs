//! The authority on record: made once, and the same for every controller of the pool.
//!
//! # Invariants
//! - It is put where none is: of two controllers that begin at once both have the one that was first.
//! - A file that an earlier version kept it in is taken over, and removed once the record has it.

use super::authority::Authority;
use super::pem_file::{KeyFileError, io_error};
use super::pool_record::{PoolRecord, PoolRecordError};
use super::private_key::KeyError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the record is called where its text is damaged.
const SHOWN: &str = "pool/authority";

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
}

/// The authority on record; else the one in this file, else a new one.
pub async fn open_authority(
    record: &dyn PoolRecord,
    file: PathBuf,
    now: u64,
) -> Result<Authority, AuthorityError> {
    let stored = match authority_on_record(record).await? {
        Some(stored) => stored,
        None => {
            let before = file.clone();
            let begun = keel_blocking::run(move || beginning(&before, now)).await?;
            match record.put(begun.encode(), 0).await {
                Ok(()) => begun,
                Err(PoolRecordError::Moved) => {
                    authority_on_record(record).await?.ok_or(PoolRecordError::Moved)?
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let own = stored.encode();
    keel_blocking::run(move || remove(&file, &own)).await?;
    Ok(stored)
}

/// The authority on record, where a controller has put one there.
pub(super) async fn authority_on_record(
    record: &dyn PoolRecord,
) -> Result<Option<Authority>, AuthorityError> {
    let Some((text, _)) = record.get().await? else { return Ok(None) };
    Ok(Some(Authority::decode(&text, Path::new(SHOWN))?))
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
    use super::*;
    use async_trait::async_trait;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Record(Mutex<Option<Vec<u8>>>);

    #[async_trait]
    impl PoolRecord for Record {
        async fn get(&self) -> Result<Option<(Vec<u8>, u64)>, PoolRecordError> {
            Ok(self.0.lock().unwrap().clone().map(|text| (text, 1)))
        }

        async fn put(&self, value: Vec<u8>, expected: u64) -> Result<(), PoolRecordError> {
            let mut record = self.0.lock().unwrap();
            if record.is_some() != (expected > 0) {
                return Err(PoolRecordError::Moved);
            }
            *record = Some(value);
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_file_of_an_earlier_version_is_taken_over_and_another_pools_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        let open = async |record: &Record| open_authority(record, file.clone(), 1000).await;
        let (before, record) = (Authority::create(0).unwrap(), Record::default());
        std::fs::write(&file, before.encode()).unwrap();
        assert_eq!(open(&record).await.unwrap().pin(), before.pin());
        assert!(!file.exists());
        std::fs::write(&file, Authority::create(0).unwrap().encode()).unwrap();
        assert_eq!(open(&record).await.unwrap().pin(), before.pin());
        assert!(file.exists());
        std::fs::write(&file, "damaged").unwrap();
        let error = open(&Record::default()).await.unwrap_err().to_string();
        assert!(error.contains("authority.pem` does not begin with `keel-authority 1`"), "{error}");
        std::fs::remove_file(&file).unwrap();
        let new = Record::default();
        let made = open(&new).await.unwrap().pin();
        assert!(made != before.pin() && open(&new).await.unwrap().pin() == made);
    }
}
