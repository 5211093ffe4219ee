//! Where keys are on the disk, and which there are.

use super::{Result, StoreError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Of a key that is sound.
pub(super) fn path_of(root: &Path, key: &str) -> PathBuf {
    root.join(format!("{key}.json"))
}

/// What is no record has none.
pub(super) fn key_of(root: &Path, path: &Path) -> Option<String> {
    let key = path.strip_prefix(root).ok()?.to_str()?.strip_suffix(".json")?;
    let hidden = key.split('/').any(|word| word.starts_with('.'));
    (!hidden).then(|| key.to_owned())
}

/// The folders in a folder, and the keys; none, where it is not there.
pub(super) fn keys_in(root: &Path, folder: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
    let (mut folders, mut keys) = (Vec::new(), Vec::new());
    let failed = |source| StoreError::Io { what: "read", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((folders, keys)),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(entry.path());
        } else {
            keys.extend(key_of(root, &entry.path()));
        }
    }
    Ok((folders, keys))
}

/// The keys below a folder.
pub(super) fn keys_below(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let (folders, mut keys) = keys_in(root, folder)?;
    for folder in folders {
        keys.extend(keys_below(root, &folder)?);
    }
    Ok(keys)
}
