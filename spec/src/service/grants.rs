//! Configs and secrets as a service gets them.

/// One config or secret in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its key in the stack.
    pub source: String,
    /// The file in the container, absolute.
    pub target: String,
    /// Owner, as written; absent: root.
    pub uid: Option<String>,
    /// Group, as written; absent: root.
    pub gid: Option<String>,
    /// Mode of the file; absent: 0444.
    pub mode: Option<u32>,
}
