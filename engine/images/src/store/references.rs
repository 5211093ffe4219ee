//! `references/HEX`: which content a name stands for on this node. HEX is the digest of the name,
//! since names can be longer than file names.
//!
//! # Invariants
//! - Written last, after all that it leads to; removed first.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::staging::Staging;
use crate::error::{Error, Result};
use keel_names::Digest;
use keel_names::Reference;

/// What a name stands for. Unknown fields are ignored: others may add some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub(crate) reference: Reference,
    /// What the registry said: an index or a manifest.
    pub(crate) digest: Digest,
    /// The manifest for this machine.
    pub(crate) manifest: Digest,
    pub(crate) pulled_at: String,
    pub(crate) size: u64,
}

/// All names of a store.
#[derive(Debug, Clone)]
pub(super) struct References {
    folder: PathBuf,
}

impl Record {
    pub(crate) fn new(reference: Reference, digest: Digest, manifest: Digest, size: u64) -> Self {
        let pulled_at = jiff::Timestamp::now().to_string();
        Self { version: 1, reference, digest, manifest, pulled_at, size }
    }
}

impl References {
    pub(super) fn open(images: &Path) -> Result<Self> {
        let folder = images.join("references");
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(Self { folder })
    }

    fn path(&self, reference: &Reference) -> PathBuf {
        self.folder.join(Digest::of(reference.key().as_bytes()).hex())
    }

    pub(super) fn get(&self, reference: &Reference) -> Result<Option<Record>> {
        read(&self.path(reference))
    }

    pub(super) fn put(&self, staging: &Staging, record: &Record) -> Result<()> {
        let mut file = staging.file()?;
        file.write(&serde_json::to_vec_pretty(record).expect("a record is JSON"))?;
        file.place(&self.path(&record.reference))?;
        // Makes the name last, and with it what it leads to.
        let synced = std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(Error::io("sync", &self.folder))
    }

    pub(super) fn remove(&self, reference: &Reference) -> Result<()> {
        let path = self.path(reference);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn all(&self) -> Result<Vec<Record>> {
        let entries = std::fs::read_dir(&self.folder).map_err(Error::io("read", &self.folder))?;
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &self.folder))?;
            records.extend(read(&entry.path())?);
        }
        records.sort_by(|one, other| one.reference.cmp(&other.reference));
        Ok(records)
    }
}

fn read(path: &Path) -> Result<Option<Record>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| Error::Json { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}
