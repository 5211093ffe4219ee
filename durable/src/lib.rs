//! Records on disk: written whole or not at all, also where there is no room left.
//!
//! # Invariants
//! - A reader sees the old content or the new, whole; what [`Hold::Power`] says is there after a
//!   loss of power.
//! - A record that exists can be replaced on a disk that is full to the last byte: its new content
//!   goes to a file of the reserve, whose blocks are allocated already, and the old file takes that
//!   one's place there. So whatever ends something, or makes room, can note that it does.

mod reserve;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a written file outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The process: for what is made anew after a reboot.
    Process,
    /// A loss of power, but then maybe in favor of the content before.
    Either,
    /// A loss of power.
    Power,
}

/// Replaces a file's content: write-new, rename, and as much syncing as `hold` asks for.
///
/// # Errors
/// Those of the file system; of a full one only where the reserve is used up, too.
pub fn replace(path: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<()> {
    match exchange(path, bytes, mode, hold) {
        Err(error) if is_full(&error) => reserve::replace(path, bytes, mode, hold, error)?,
        other => other?,
    }
    match (hold, path.parent()) {
        (Hold::Power, Some(folder)) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Makes the reserve of a root, or what it lacks; nothing where there is no room for it now.
///
/// # Errors
/// Those of the file system, but for a full one.
pub fn keep_reserve(root: &Path) -> io::Result<()> {
    match reserve::keep(root) {
        Err(error) if is_full(&error) => Ok(()),
        other => other,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn exchange(path: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<()> {
    let new = beside(path)?;
    let written = write(&new, bytes, mode, hold).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What is there of it takes room.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write(new: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(new)?;
    file.write_all(bytes)?;
    if hold == Hold::Process { Ok(()) } else { file.sync_all() }
}

/// The new file that is to take the place of `path`.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    Ok(folder.join(format!(".{name}.{}.new", std::process::id())))
}
