//! Why something on a node failed: a kind to decide by, and words for people.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Why something on a node failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// What kind of failure it is: whoever decides looks at nothing else.
    pub kind: FailureKind,
    /// What happened and what to do, in one line.
    pub text: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The disk or a quota is full.
    DiskFull,
    /// The disk takes no writes.
    ReadOnly,
    /// The registry does not answer, or answers that it cannot at the moment.
    RegistryAway,
    /// The registry limits how much is pulled.
    RateLimited,
    /// The registry does not have the image.
    NotInRegistry,
    /// The image is not on the node, and may not be pulled.
    NotHere,
    /// The registry wants other credentials, or some at all.
    Denied,
    /// The registry could not prove who it is.
    Untrusted,
    /// The registry leads to where nobody follows.
    Misled,
    /// There is no image for this kind of machine.
    NoPlatform,
    /// What came is not what it is called, or cannot be used.
    Unusable,
    /// What was needed was taken away meanwhile.
    Contended,
    /// Something else.
    #[default]
    Other,
}

impl FailureKind {
    /// Whether the same may succeed later without anybody changing anything.
    #[must_use]
    pub fn may_pass(self) -> bool {
        match self {
            Self::DiskFull
            | Self::RegistryAway
            | Self::RateLimited
            | Self::Untrusted
            | Self::Contended => true,
            Self::ReadOnly
            | Self::NotInRegistry
            | Self::NotHere
            | Self::Denied
            | Self::Misled
            | Self::NoPlatform
            | Self::Unusable
            | Self::Other => false,
        }
    }

    /// Whether there is no such image: it may come later.
    #[must_use]
    pub fn is_missing(self) -> bool {
        matches!(self, Self::NotInRegistry | Self::NotHere)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As it is stored; an older version had words only.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Whole {
        #[serde(default)]
        kind: FailureKind,
        text: String,
    },
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => Self { kind: FailureKind::Other, text },
            Form::Whole { kind, text } => Self { kind, text },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_in_both_its_forms() {
        let text = "cannot reach registry `r`".to_owned();
        let old: Failure = serde_json::from_str(r#""cannot reach registry `r`""#).unwrap();
        assert_eq!(old, Failure { kind: FailureKind::Other, text: text.clone() });
        let now = Failure { kind: FailureKind::RegistryAway, text };
        let stored = serde_json::to_string(&now).unwrap();
        assert_eq!(stored, r#"{"kind":"registry-away","text":"cannot reach registry `r`"}"#);
        assert_eq!(serde_json::from_str::<Failure>(&stored).unwrap(), now);
    }
}
