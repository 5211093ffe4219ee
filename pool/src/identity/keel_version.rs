//! Versions of `keel`, and which of them work together.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A version, such as 1.4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeelVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl KeelVersion {
    /// The version of this executable.
    #[must_use]
    pub fn own() -> Self {
        Self::parse(env!("CARGO_PKG_VERSION")).expect("Cargo takes nothing else for a version")
    }

    /// Reads a version; what follows the patch (`-rc.1`, `+build`) does not count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let core = text.split(['-', '+']).next()?;
        let parts: Vec<u32> = core.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        let &[major, minor, patch] = &parts[..] else { return None };
        Some(Self { major, minor, patch })
    }

    /// Whether two versions work together: no more than one minor version apart, so that a pool can be upgraded
    /// node by node.
    #[must_use]
    pub fn is_near(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }
}

impl TryFrom<String> for KeelVersion {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a version is MAJOR.MINOR.PATCH")
    }
}

impl From<KeelVersion> for String {
    fn from(version: KeelVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for KeelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_work_together_one_minor_apart() {
        let near = |a, b| KeelVersion::parse(a).unwrap().is_near(KeelVersion::parse(b).unwrap());
        assert!(near("1.4.2", "1.5.0") && near("1.5.0-rc.1", "1.4.9") && near("0.1.0", "0.1.7"));
        assert!(!near("1.4.2", "1.6.0") && !near("2.4.2", "1.4.2"));
        assert!(
            ["", "1", "1.2", "1.2.x", "1.2.3.4"]
                .map(KeelVersion::parse)
                .iter()
                .all(Option::is_none)
        );
    }
}
