//! `keel.yaml`: what of it is obeyed, and that all else is refused.

use std::path::PathBuf;
use std::time::Duration;

/// A source, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name in `keel.yaml`, or `default`.
    pub name: String,
    /// Where its stacks come from.
    pub from: From,
}

/// Where a source's stacks come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A branch of a Git repo.
    Git {
        /// http(s), ssh (also `git@host:path`), file or a plain path.
        url: String,
        /// The branch; `None` is the one that HEAD names.
        branch: Option<String>,
        /// Glob of the folders in the repo; every match that holds a Compose file is a stack.
        path: String,
        /// Between two looks.
        poll: Duration,
    },
    /// A Compose file, a folder that holds one, or a folder whose direct subfolders do.
    Directory {
        /// Absolute.
        path: PathBuf,
    },
}
