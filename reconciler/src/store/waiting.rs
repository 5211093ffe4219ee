//! How records are written, and what waits in memory for the disk.

use super::{Entry, Result, StoreError};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than the first line of any record has.
const LONGEST_HEAD: usize = 64;

/// Instead of a record, in memory: the key goes as soon as the disk lets it.
const GONE: &str = "keel-gone 1 ";

/// What a key will be, once the disk takes it.
pub(super) enum Waiting {
    /// This.
    Put(Entry),
    /// Away, since this revision.
    Gone(u64),
}

impl Waiting {
    pub(super) fn decode(key: &str, bytes: &[u8]) -> Option<Self> {
        let gone = || std::str::from_utf8(bytes).ok()?.strip_prefix(GONE)?.trim().parse().ok();
        match decode(key, bytes) {
            Some(entry) => Some(Self::Put(entry)),
            None => gone().map(Self::Gone),
        }
    }

    pub(super) fn gone(revision: u64) -> Vec<u8> {
        format!("{GONE}{revision}\n").into_bytes()
    }

    pub(super) fn revision(&self) -> u64 {
        match self {
            Self::Put(entry) => entry.revision,
            Self::Gone(revision) => *revision,
        }
    }

    /// The newer of the two.
    pub(super) fn over(self, on_disk: Option<Entry>) -> Option<Entry> {
        match (self, on_disk) {
            (waiting, Some(entry)) if entry.revision >= waiting.revision() => Some(entry),
            (Self::Put(entry), _) => Some(entry),
            (Self::Gone(_), _) => None,
        }
    }
}

pub(super) fn encode(revision: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = format!("keel-record 1 {revision}\n").into_bytes();
    bytes.extend_from_slice(value);
    bytes
}

pub(super) fn decode(key: &str, bytes: &[u8]) -> Option<Entry> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let header = std::str::from_utf8(&bytes[..end]).ok()?;
    let revision = header.strip_prefix("keel-record 1 ")?.parse().ok()?;
    Some(Entry { key: key.to_owned(), value: bytes[end + 1..].to_vec(), revision })
}

/// At which revision the record in this file is, by its first line alone; 0: there is none.
pub(super) fn revision_at(path: &Path) -> Result<u64> {
    let mut head = Vec::with_capacity(LONGEST_HEAD);
    let read = File::open(path)
        .and_then(|file| file.take(LONGEST_HEAD as u64).read_to_end(&mut head).map(drop));
    match read {
        Ok(()) => decode("", &head)
            .map(|entry| entry.revision)
            .ok_or_else(|| StoreError::Damaged(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(StoreError::Io { what: "read", path: path.to_owned(), source }),
    }
}
