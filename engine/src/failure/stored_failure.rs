//! The form of a failure where only words stood once: in `message`, which any version reads, with the kind beside
//! them in `failure`.

use super::{Failure, FailureKind};
use crate::goal::Opaque;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The two fields, for schemas.
#[derive(Serialize, JsonSchema)]
pub struct StoredFailure {
    /// In words.
    message: Option<String>,
    /// What kind of failure it is, where more than words is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureKind>,
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    failure: Opaque,
}

/// Writes both fields.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(
    failure: &Option<Failure>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let kind = failure.as_ref().map(|failure| failure.kind.clone());
    StoredFailure {
        message: failure.as_ref().map(ToString::to_string),
        failure: kind.filter(|kind| *kind != FailureKind::Other),
    }
    .serialize(serializer)
}

/// Reads both, or the words alone.
///
/// # Errors
/// Words that are not a text.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Failure>, D::Error> {
    let Read { message, failure } = Read::deserialize(deserializer)?;
    Ok(message.map(|text| Failure::read(failure, text)))
}
