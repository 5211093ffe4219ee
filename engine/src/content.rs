//! The content of configs and secrets.

use crate::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Content by its digest: a config, a secret. Its serialized form has the bytes, since a node needs them: it
/// is for the way to a node ([`crate::wire`]) and for nothing that is kept or shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Told", into = "Told")]
pub struct Content {
    /// Of the bytes.
    pub digest: Digest,
    /// Never printed.
    pub bytes: Arc<[u8]>,
}

impl Content {
    /// Bytes by their digest.
    #[must_use]
    pub fn of(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), bytes }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({})", self.digest)
    }
}

#[derive(Serialize, Deserialize)]
struct Told {
    digest: Digest,
    base64: String,
}

/// It says nothing of the bytes: whoever reads it may log it.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("content {0} is not in base64")]
    Form(Digest),
    #[error("content {0} came as something else")]
    Bytes(Digest),
}

impl From<Content> for Told {
    fn from(content: Content) -> Self {
        Self { digest: content.digest, base64: STANDARD.encode(&content.bytes) }
    }
}

impl TryFrom<Told> for Content {
    type Error = Wrong;
    fn try_from(told: Told) -> Result<Self, Wrong> {
        let bytes = STANDARD.decode(told.base64).map_err(|_| Wrong::Form(told.digest))?;
        let content = Self::of(bytes);
        if content.digest == told.digest { Ok(content) } else { Err(Wrong::Bytes(told.digest)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_what_its_digest_says() {
        let content = Content::of(*b"hunter2");
        let text = serde_json::to_string(&content).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), content);
        for wrong in [text.replace("aHVu", "aHVv"), text.replace("aHVu", "?")] {
            let refused = serde_json::from_str::<Content>(&wrong).unwrap_err().to_string();
            assert!(refused.contains(&content.digest.to_string()), "{refused}");
            assert!(!refused.contains("nter2") && !refused.contains("aHV"), "{refused}");
        }
    }
}
