//! The clones of a source's submodules, and whether a checkout was filled from one.

use git2::Repository;
use std::fs;
use std::path::Path;

/// Whether there is something in a folder.
pub(super) fn is_filled(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// The clones of a source's submodules.
pub(super) fn clones(source: &Path) -> Vec<Repository> {
    let Ok(folders) = fs::read_dir(source.join("modules")) else { return Vec::new() };
    let opened = |entry: fs::DirEntry| Repository::open_bare(entry.path().join("repo")).ok();
    folders.flatten().filter_map(opened).collect()
}
