//! A layer's tar stream into a folder that overlayfs can use as a lower layer.
//!
//! # Invariants
//! - Nothing is created, linked or changed outside of the folder, whatever the stream says: a name
//!   that leads out, or through a link, is an error that names it, and never followed.
//! - The folder is a staging one. Who calls renames it into place when all was right.
//! - Names starting with `.wh.` become overlayfs's whiteouts and opaque marks.
//!
//! # Not here
//! Decompression and digests (`intake`), where layers live (`store`).

mod archive;
mod entry;
mod error;
mod numbers;
mod tree;

use std::fs::File;
use std::io::Read;

use archive::{Archive, Kind};
pub use error::UnpackError;
use tree::Tree;

/// What one layer may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Names in the stream.
    pub(crate) entries: u64,
    /// Bytes of files.
    pub(crate) bytes: u64,
    /// Bytes of the whole stream, with all that is not content.
    pub(crate) stream: u64,
}

impl Limits {
    /// Generous for honest layers, and still an end: compression ratios of real file systems stay
    /// far below 200.
    pub(crate) fn for_blob(compressed: u64) -> Self {
        const FLOOR: u64 = 4 << 30;
        let bytes = compressed.saturating_mul(200).max(FLOOR);
        Self { entries: 2_000_000, bytes, stream: bytes.saturating_add(FLOOR / 2) }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub(crate) entries: u64,
    /// Bytes of files, each hard-linked one once.
    pub(crate) bytes: u64,
}

/// Unpacks the whole stream into an empty folder.
pub(crate) fn unpack(
    stream: impl Read,
    root: &File,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let mut archive = Archive::new(stream);
    let mut tree = Tree::new(root);
    let mut sum = Unpacked::default();
    while let Some(entry) = archive.next().map_err(UnpackError::Stream)? {
        sum.entries += 1;
        if entry.kind == Kind::File {
            sum.bytes = sum.bytes.saturating_add(entry.size);
        }
        check(sum, limits)?;
        entry::create(&mut tree, &entry, &mut archive)?;
    }
    // What follows the end mark still belongs to the digest.
    archive.drain().map_err(UnpackError::Stream)?;
    tree.finish();
    Ok(sum)
}

fn check(sum: Unpacked, limits: Limits) -> Result<(), UnpackError> {
    if sum.entries > limits.entries {
        return Err(UnpackError::TooManyEntries { limit: limits.entries });
    }
    match sum.bytes > limits.bytes {
        true => Err(UnpackError::TooManyBytes { limit: limits.bytes }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
