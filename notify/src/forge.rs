//! Where commits get their status: a row for each forge.

mod gitea;
mod github;
mod gitlab;
mod kind;
#[cfg(test)]
mod tests;

pub use kind::Forge;

/// All of them, by name.
pub const FORGES: &[Forge] = &[github::FORGE, gitlab::FORGE, gitea::FORGE];

impl Forge {
    /// The one of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        FORGES.iter().find(|forge| forge.name == name)
    }
}
