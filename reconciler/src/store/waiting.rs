//! How records are written, and what waits in memory for the disk.

use super::Entry;

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
