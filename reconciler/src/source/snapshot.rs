//! What a source holds at one moment.

use crate::find::Found;
use crate::stack_files::StackFiles;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a source holds right now.
pub(crate) struct Snapshot {
    /// The commit; `None` for a folder.
    pub revision: Option<String>,
    pub found: Vec<Found>,
    pub files: StackFiles,
    /// Where nothing was found: folders that hold stacks all the same.
    pub elsewhere: Vec<String>,
    /// In a folder: the only files that may have changed since the snapshot before, where somebody knows.
    pub edited: Option<BTreeSet<PathBuf>>,
}
