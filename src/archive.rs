//! A backup: one file with everything that a controller must not lose.
//!
//! `keel-backup 1`, a line break, a tar archive under zstd, and a last line with the SHA-256 of all before it. In the
//! archive are `manifest.json`, the store's entries as `store/KEY`, and files of the root.
//!
//! # Invariants
//! - Whoever reads one has compared the digest first: nothing is taken from a file that is damaged or cut off.
//! - What is in it was there at one moment: files that change while they are read are read again.

mod gathering;
mod placing;
mod reading;
mod writing;

pub use placing::{Placed, place};
pub use reading::Backup;
pub use writing::write;

use crate::machine::SEALING_KEY;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// The form that this version writes, and the only one that it reads.
const FORM: u32 = 1;
/// What the file begins with, before the form.
const HEAD: &str = "keel-backup ";
/// The last line: `sha256 `, 64 digits, a line break.
const TAIL: usize = 72;

/// Folders of the root that are in a backup besides the records.
const FOLDERS: [&str; 3] = ["repos", "secrets", "trees"];
/// Files of the root that are: what seals the pool's authority on record, and the authority of an earlier version.
const FILES: [&str; 2] = [SEALING_KEY, "pool/authority.pem"];

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// The version of keel that wrote it.
    pub keel: String,
    /// The machine that it is of.
    pub host: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Why there is no backup, or nothing comes of one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Some other file.
    #[error("`{}` is not a backup: it does not begin with `keel-backup`", .0.display())]
    Other(PathBuf),
    /// Another version's.
    #[error(
        "`{}` has form {found} of backups, and this version of keel reads form {FORM}: restore it with the version \
         that wrote it",
        path.display()
    )]
    Form {
        /// Which file.
        path: PathBuf,
        /// Its form, as it says.
        found: String,
    },
    /// Its digest is another one.
    #[error(
        "`{}` is damaged or incomplete: its content does not match its digest; use another copy", .0.display()
    )]
    Damaged(PathBuf),
    /// The digest is right, and what is in it is not.
    #[error("`{}` cannot be used: {why}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The files of the root never stand still.
    #[error("files below `{}` changed each time that they were read; try again", .0.display())]
    Restless(PathBuf),
}

fn io_error(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.into();
    move |source| ArchiveError::Io { what, path, source }
}
