//! Files that the configuration names.

use keel_spec::Span;
use std::path::PathBuf;

/// A file that is named, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) role: Role,
    pub(super) at: Span,
}

/// What a named file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A token, password or webhook's secret.
    Secret,
    /// A private key of ssh.
    Key,
    /// Something that anybody may read.
    File,
    /// The folder of a source.
    Folder,
}
