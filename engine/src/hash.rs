//! The hash over meaning: of the rows of the field table, never of a text.

use crate::{Digest, TaskSpec, Value, fields::FIELDS};
use serde::Serialize;

/// The hash of a task's meaning: every set row, by name. `container_name` is a slot's, not the
/// service's, so it is left out.
#[must_use]
pub fn hash_of(spec: &TaskSpec) -> Digest {
    let rows: Vec<(&str, Value)> = FIELDS
        .iter()
        .filter(|row| row.name != "container_name")
        .map(|row| (row.name, (row.get)(spec)))
        .filter(|(_, value)| *value != Value::Unset)
        .collect();
    digest_of(&rows)
}

/// The digest of a value's JSON form. Maps in it must be ordered (`BTreeMap`).
#[must_use]
pub fn digest_of(value: &impl Serialize) -> Digest {
    Digest::of(
        &serde_json::to_vec(value).expect("our own types have string keys and no failing field"),
    )
}
