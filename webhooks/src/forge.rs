//! Who may speak, and how each of them proves it: a row for each forge.

mod generic;
mod gitea;
mod github;
mod gitlab;
mod kind;
mod standard;
#[cfg(test)]
mod tests;

pub use kind::Forge;
pub(crate) use kind::{Asked, text};

/// All of them, by name.
pub const FORGES: &[Forge] = &[github::FORGE, gitlab::FORGE, gitea::FORGE, generic::FORGE];

impl Forge {
    /// The one of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        FORGES.iter().find(|forge| forge.name == name)
    }
}
