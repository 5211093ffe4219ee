//! The files that hold the keys which seal the pool's certificate authority.
//!
//! # Invariants
//! - Which key seals follows from the configuration alone: the unlock key where one is named, else the root's own; in
//!   records that several machines share, none of them has a key of its own to seal with.
//! - A key file that is named, and cannot be used, is an error: nothing falls back to another key.
//! - The root's own file is on the disk before anything is sealed with it, and is made only where nothing is.

use super::pem_file::{KeyFileError, io_error};
use super::sealing_key::{SealingError, SealingKey};
use keel_durable::Hold;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where keys are that may seal.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// A file that a person keeps elsewhere.
    pub unlock: Option<PathBuf>,
    /// The root's own.
    pub own: PathBuf,
    /// Whether other machines read what is sealed.
    pub is_shared: bool,
}

/// What seals the authority's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedBy {
    /// Nothing: it is on record as it is.
    Nothing,
    /// The file in the root.
    OwnFile,
    /// The file that a person keeps elsewhere.
    UnlockKey,
}

/// Why the authority cannot be opened. A person has to do something; until then nothing is decided for the pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockedError {
    /// The unlock key file is not there, or cannot be read.
    #[error("cannot read the unlock key file `{}` ({source}); put the file there", .path.display())]
    Unread {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file holds no key.
    #[error(
        "`{}` is no key file: {source}; create one with `openssl rand -base64 32`, or put the right file there",
        .path.display()
    )]
    NoKey {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: SealingError,
    },
    /// The unlock key is another one.
    #[error(
        "the pool's certificate authority is not sealed with the unlock key in `{}`; put the right file there",
        .0.display()
    )]
    WrongKey(PathBuf),
    /// None is named.
    #[error(
        "the pool's certificate authority is sealed with an unlock key; set `pool: {{ unlock-key-file: FILE }}` in \
         keel.yaml, and start `keel serve` again"
    )]
    NotNamed,
    /// The root's own file is gone, or another one.
    #[error(
        "`{}` is not the file that the pool's certificate authority was sealed with; restore it from a backup",
        .0.display()
    )]
    OwnFile(PathBuf),
    /// The sealed key was changed.
    #[error(
        "the sealed key of the pool's certificate authority is damaged; restore it from a backup"
    )]
    Damaged,
}

impl Keyring {
    /// What seals from now on, with its key. A file of the root's own is made where there is none.
    pub(super) fn preferred(&self) -> Result<Option<(SealedBy, SealingKey)>, KeyringError> {
        if let Some(file) = &self.unlock {
            return Ok(Some((SealedBy::UnlockKey, unlock_key(file)?)));
        }
        if self.is_shared {
            return Ok(None);
        }
        let key = match self.own_key()? {
            Some(key) => key,
            None => made(&self.own)?,
        };
        Ok(Some((SealedBy::OwnFile, key)))
    }

    /// The unlock key, where one is named.
    pub(super) fn unlock_key(&self) -> Result<Option<SealingKey>, LockedError> {
        self.unlock.as_deref().map(unlock_key).transpose()
    }

    /// The key in the root's own file, where there is one.
    pub(super) fn own_key(&self) -> Result<Option<SealingKey>, KeyringError> {
        match std::fs::read(&self.own) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            content => {
                let content = content.map_err(io_error("read", &self.own))?;
                let key = SealingKey::of(&content);
                Ok(Some(key.map_err(|_| LockedError::OwnFile(self.own.clone()))?))
            }
        }
    }

    /// Removes the root's own file, which seals nothing any more.
    pub(super) fn forget_own(&self) -> Result<(), KeyFileError> {
        match std::fs::remove_file(&self.own) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io_error("remove", &self.own)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyringError {
    #[error(transparent)]
    Locked(#[from] LockedError),
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error(transparent)]
    Sealing(#[from] SealingError),
}

fn unlock_key(file: &Path) -> Result<SealingKey, LockedError> {
    let content = std::fs::read(file)
        .map_err(|source| LockedError::Unread { path: file.to_owned(), source })?;
    SealingKey::of(&content).map_err(|source| LockedError::NoKey { path: file.to_owned(), source })
}

fn made(file: &Path) -> Result<SealingKey, KeyringError> {
    let content = SealingKey::generate()?;
    if let Some(folder) = file.parent() {
        keel_durable::make_folder(folder, 0o700).map_err(io_error("create", folder))?;
    }
    keel_durable::replace(file, content.as_bytes(), 0o600, Hold::Power)
        .map_err(io_error("write", file))?;
    Ok(SealingKey::of(content.as_bytes())?)
}
