//! Platforms as Compose files name them: an operating system, an architecture, or both as `linux/arm64`, with a
//! variant behind them. What they ask of nodes.
//!
//! # Invariants
//! - A word that is neither an operating system nor an architecture is a slip of the pen, not a platform that nobody
//!   has yet.

use crate::constraint::Constraint;

const SYSTEMS: [&str; 8] =
    ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasi"];

const ARCHITECTURES: [&str; 15] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "sparc64", "wasm",
];

/// Other words for some of them.
const ALIASES: [(&str, &str); 7] = [
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("aarch64", "arm64"),
    ("i386", "386"),
    ("armhf", "arm"),
    ("armel", "arm"),
    ("macos", "darwin"),
];

/// What a platform asks of a node. The variant is not compared: each node takes what of an image fits it best.
pub fn asked(text: &str) -> Result<Vec<Constraint>, PlatformError> {
    let words: Vec<_> = text.trim().split('/').map(known).collect();
    let (system, architecture) = match words[..] {
        [word] if SYSTEMS.contains(&word) => (word, None),
        [word] => ("linux", Some(word)),
        [system, word] | [system, word, _] => (system, Some(word)),
        _ => return Err(PlatformError::Form),
    };
    if !SYSTEMS.contains(&system) {
        return Err(PlatformError::System { word: system.to_owned() });
    }
    match architecture {
        Some(word) if !ARCHITECTURES.contains(&word) => {
            Err(PlatformError::Architecture { word: word.to_owned() })
        }
        _ => Ok(Constraint::of_platform(system, architecture)),
    }
}

/// The word that is used here.
fn known(word: &str) -> &str {
    let all = SYSTEMS.iter().chain(&ARCHITECTURES).map(|name| (*name, *name)).chain(ALIASES);
    let mut named = all.filter(|(name, _)| name.eq_ignore_ascii_case(word));
    named.next().map_or(word, |(_, name)| name)
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// It has too many parts.
    #[error("it has more than three parts")]
    Form,
    /// No operating system is called so.
    #[error("`{word}` is not an operating system")]
    System {
        /// What was written.
        word: String,
    },
    /// No architecture is called so.
    #[error("`{word}` is not an architecture")]
    Architecture {
        /// What was written.
        word: String,
    },
}

impl PlatformError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Form | Self::System { .. } => "write one such as `linux/arm64`".into(),
            Self::Architecture { .. } => {
                let names: Vec<_> = ARCHITECTURES.iter().map(|name| format!("`{name}`")).collect();
                format!("the architectures are {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::asked;

    fn said(text: &str) -> String {
        match asked(text) {
            Ok(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_platform_asks_for_nodes_of_its_system_and_architecture() {
        let arm64 = "node.platform.os == linux, node.platform.arch == arm64";
        let cases = [
            ("linux/arm64", arm64),
            ("linux/arm64/v8", arm64),
            ("Linux/aarch64", arm64),
            ("arm64", arm64),
            ("linux", "node.platform.os == linux"),
            ("windows/x86_64", "node.platform.os == windows, node.platform.arch == amd64"),
            ("linux/amd46", "`amd46` is not an architecture"),
            ("linux/", "`` is not an architecture"),
            ("linus/amd64", "`linus` is not an operating system"),
            ("linux/arm/v7/x", "it has more than three parts"),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
