//! Folders whose entries are named by digests.

use std::path::Path;

use crate::error::{Error, Result};
use keel_names::Digest;

/// The digests that name a folder's entries; other files in it are nobody's.
pub(super) fn names(folder: &Path) -> Result<Vec<Digest>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names.filter_map(|name| Digest::from_hex(name.to_str()?)).collect())
}
