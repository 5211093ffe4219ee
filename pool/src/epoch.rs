//! The pool's epoch: which of the controllers that the pool has had is the present one.
//!
//! # Invariants
//! - It only grows. Who takes a pool over (a restore, another leader) raises it before anything else is done, and
//!   nodes follow the highest that they have seen.
//! - Two restores of one backup have different epochs: a restore counts in seconds since 1970, unless the pool is
//!   ahead of that.

use serde::{Deserialize, Serialize};

/// The form of the record that this version writes.
const FORM: u32 = 1;

/// The epoch of a pool that has had one controller.
const FIRST: u64 = 1;

/// A pool's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The record as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    epoch: Epoch,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EpochFormError {
    /// A newer version wrote it.
    #[error(
        "the record of the pool's epoch has form {0}; this version of keel knows {FORM}: install a newer version"
    )]
    Newer(u32),
    /// It is no such record.
    #[error("the record of the pool's epoch cannot be read ({0}); restore it from a backup")]
    Damaged(#[from] serde_json::Error),
}

impl Default for Epoch {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Epoch {
    /// Reads a stored record; where there is none, the pool has had one controller.
    pub fn decode(bytes: Option<&[u8]>) -> Result<Self, EpochFormError> {
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        let stored: Stored = serde_json::from_slice(bytes)?;
        if stored.version > FORM {
            return Err(EpochFormError::Newer(stored.version));
        }
        Ok(stored.epoch)
    }

    /// The record as it is stored.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let stored = Stored { version: FORM, epoch: self };
        serde_json::to_vec(&stored).expect("our own types have no failing field")
    }

    /// The epoch of whoever restores this one from a backup, at this time in milliseconds since 1970.
    #[must_use]
    pub fn restored(self, now: u64) -> Self {
        Self((self.0 + 1).max(now / 1000))
    }

    /// The epoch of the next who takes over.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_of_one_backup_differ_and_a_clock_that_is_behind_raises_it_all_the_same() {
        let first = Epoch::default();
        let (one, other) = (first.restored(1_800_000_000_000), first.restored(1_800_000_001_000));
        assert!(first < one && one < other);
        assert_eq!(other.restored(0), Epoch(1_800_000_002));
    }

    #[test]
    fn a_record_is_read_again_and_a_newer_ones_form_is_refused() {
        let epoch = Epoch(7);
        assert_eq!(Epoch::decode(Some(&epoch.encode())).unwrap(), epoch);
        assert_eq!(Epoch::decode(None).unwrap(), Epoch(1));
        let newer = Epoch::decode(Some(br#"{"version":2,"epoch":9}"#)).unwrap_err();
        assert!(newer.to_string().contains("install a newer version"), "{newer}");
        assert!(Epoch::decode(Some(b"[]")).unwrap_err().to_string().contains("cannot be read"));
    }
}
