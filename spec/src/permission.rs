//! What stacks may do to their host: the words of `allow` of a source in keel.yaml, and which keys
//! of a Compose file need which of them.
//!
//! # Invariants
//! - A key that may get a container out of its walls needs a word; what needs none is listed as such.
//!   Nothing is permitted by having been forgotten: a test compares `table.rs` with all keys.
//! - It is judged after interpolation, merging, `extends` and `include`, services of profiles included.

mod judgements;
mod table;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::files::tidy;
use crate::problem::Problem;

pub(crate) use walk::judge;

/// Something that gives a container a part of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// All rights, and whatever only an engine's own settings keep in.
    Privileged,
    /// Files of the host, and volumes that are not the stack's own.
    HostPaths,
    /// The host's network, or another container's.
    HostNetwork,
    /// The host's other namespaces.
    HostPid,
    /// Devices of the host.
    Devices,
    /// Capabilities beyond those that every container has.
    Capabilities,
    /// Less of the kernel's protection than every container has.
    SecurityOpt,
}

impl Permission {
    /// All of them, each with its word.
    pub const ALL: [(&str, Self); 7] = [
        ("privileged", Self::Privileged),
        ("host-paths", Self::HostPaths),
        ("host-network", Self::HostNetwork),
        ("host-pid", Self::HostPid),
        ("devices", Self::Devices),
        ("capabilities", Self::Capabilities),
        ("security-opt", Self::SecurityOpt),
    ];
    /// The words alone.
    pub const WORDS: &[&str] = &[
        "privileged",
        "host-paths",
        "host-network",
        "host-pid",
        "devices",
        "capabilities",
        "security-opt",
    ];

    /// The one that is written so.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, permission)| *permission)
    }
}

/// The word.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(_, permission)| permission == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// What a source's stacks may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permits {
    /// The source, as keel.yaml calls it.
    pub source: String,
    /// The folder whose files are the stacks' own: the repository, or the folder that is served.
    pub base: PathBuf,
    /// What is permitted.
    pub words: BTreeSet<Permission>,
}

impl Permits {
    /// Whether a file may be read as far as its path says. Links are the reader's to refuse.
    pub(crate) fn reads(&self, path: &Path) -> bool {
        self.words.contains(&Permission::HostPaths) || self.holds(path)
    }

    /// Whether a path is one of the stacks' own.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        tidy(path).starts_with(&self.base)
    }

    /// That something is not permitted; `what` begins the sentence.
    pub(crate) fn refusal(&self, what: &str, lacks: Permission) -> Problem {
        let source = &self.source;
        let message =
            format!("{what} needs `{lacks}`, which source {source} does not allow its stacks");
        let hint = format!(
            "who runs the host can add `{lacks}` to `allow` of source {source} in keel.yaml"
        );
        Problem::new(Code::NotAllowed, message).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_its_word() {
        let words = Permission::ALL.map(|(word, _)| word);
        assert_eq!(words, Permission::WORDS);
        for (word, permission) in Permission::ALL {
            assert_eq!(
                (Permission::of(word), permission.to_string().as_str()),
                (Some(permission), word)
            );
        }
        assert_eq!(Permission::of("all"), None);
    }
}
