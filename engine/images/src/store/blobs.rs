//! `blobs/sha256/HEX`: content under its digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use super::staging::{StagedFile, Staging, Trash};
use crate::error::{Error, Result};
use keel_names::Digest;

/// All blobs of a store.
#[derive(Debug, Clone)]
pub(super) struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    pub(super) fn open(images: &std::path::Path) -> Result<Self> {
        let folder = images.join("blobs/sha256");
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    pub(super) fn has(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
    }

    /// A blob as a stream. Who reads it checks it.
    pub(super) fn stream(&self, digest: Digest) -> Option<File> {
        File::open(self.path(digest)).ok()
    }

    /// A small blob, checked: one that the disk has spoilt counts as not there.
    pub(super) fn document(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        const LIMIT: u64 = 4 * 1024 * 1024;
        let path = self.path(digest);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok((Digest::of(&bytes) == digest).then_some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    pub(super) fn put(&self, staging: &Staging, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let mut file = staging.file()?;
        file.write(bytes)?;
        self.place(file, digest)?;
        Ok(digest)
    }

    /// Takes a file whose content was found to have this digest.
    pub(super) fn place(&self, file: StagedFile, digest: Digest) -> Result<()> {
        file.place(&self.path(digest))
    }

    /// How large a blob is; 0 where there is none.
    pub(super) fn size(&self, digest: Digest) -> u64 {
        self.path(digest).metadata().map(|metadata| metadata.len()).unwrap_or(0)
    }

    /// Takes a blob away and says how large it was.
    pub(super) fn remove(&self, trash: &Trash, digest: Digest) -> Result<u64> {
        let (path, size) = (self.path(digest), self.size(digest));
        let there = trash.take(&path, &format!("blob-{}", digest.hex()))?;
        Ok(if there { size } else { 0 })
    }

    /// Since when a blob is here.
    pub(super) fn since(&self, digest: Digest) -> Option<SystemTime> {
        self.path(digest).metadata().and_then(|metadata| metadata.modified()).ok()
    }

    /// The names of all blobs.
    pub(super) fn all(&self) -> Result<Vec<Digest>> {
        super::names::names(&self.folder)
    }
}
