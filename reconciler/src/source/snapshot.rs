//! What a source holds at one moment.

use crate::find::Found;
use crate::stack_files::StackFiles;

/// What a source holds right now.
pub(crate) struct Snapshot {
    /// The commit; `None` for a folder.
    pub revision: Option<String>,
    pub found: Vec<Found>,
    pub files: StackFiles,
    /// Where nothing was found: folders that hold stacks all the same.
    pub elsewhere: Vec<String>,
}
