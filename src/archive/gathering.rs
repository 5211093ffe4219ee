//! Which files of a root a backup holds.

use super::{ArchiveError, FILES, FOLDERS, io_error};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, folder or link below a root, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Relative to the root.
    pub path: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    is_folder: bool,
}

/// What is there of a root's files, folders first. What is hidden is being written or removed, but within a
/// repository.
pub fn gather(root: &Path) -> Result<Vec<Found>, ArchiveError> {
    let mut found = vec![];
    for name in FOLDERS {
        walk(root, Path::new(name), &mut found)?;
    }
    for name in FILES {
        found.extend(look(root, Path::new(name))?);
    }
    Ok(found)
}

fn walk(root: &Path, at: &Path, found: &mut Vec<Found>) -> Result<(), ArchiveError> {
    let Some(this) = look(root, at)? else { return Ok(()) };
    let is_folder = this.is_folder;
    found.push(this);
    if !is_folder {
        return Ok(());
    }
    let folder = root.join(at);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io_error("read", &folder))?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(io_error("read", &folder))?;
    names.sort();
    let is_top = at.components().count() == 1;
    names.retain(|name| !is_top || !name.as_encoded_bytes().starts_with(b"."));
    names.iter().try_for_each(|name| walk(root, &at.join(name), found))
}

fn look(root: &Path, at: &Path) -> Result<Option<Found>, ArchiveError> {
    let path = root.join(at);
    match fs::symlink_metadata(&path) {
        Ok(data) => Ok(Some(Found {
            path: at.to_owned(),
            inode: data.ino(),
            size: data.size(),
            changed: (data.mtime(), data.mtime_nsec()),
            is_folder: data.is_dir(),
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}
