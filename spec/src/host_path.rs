//! Paths on the host, as Compose files write them.

use std::path::{Path, PathBuf};

/// A path as written, with the folder that it is relative to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPath {
    /// The text of the path: absolute, relative, or beginning with `~`.
    pub written: String,
    /// The folder that a relative path starts from.
    pub base: PathBuf,
}

impl HostPath {
    /// The path, relative to what the base is relative to. `~` is left as it is.
    pub fn path(&self) -> PathBuf {
        if self.home().is_some() {
            return PathBuf::from(&self.written);
        }
        crate::files::tidy(&self.base.join(&self.written))
    }

    /// What follows `~/`, for a path in the home directory.
    pub fn home(&self) -> Option<&str> {
        match self.written.strip_prefix('~')? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// Whether it depends on the folder of the project.
    pub fn is_relative(&self) -> bool {
        self.home().is_none() && Path::new(&self.written).is_relative()
    }
}
