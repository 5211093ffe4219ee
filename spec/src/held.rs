//! What is legal and not run yet.

use crate::span::Span;

/// Legal Compose that this version does not run: its service is held as long as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The field path in its service (or network, volume, …).
    pub path: String,
    /// Where it is written.
    pub span: Span,
    /// Why it is not run, a line.
    pub why: String,
}
