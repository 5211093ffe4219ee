//! The digest of a service's resolved model.

use keel_names::Digest;

use super::value::Value;

/// SHA-256 of its JSON, in hexadecimal.
pub(super) fn of(service: &Value) -> String {
    Digest::of(super::json_values::value(service).to_string().as_bytes()).hex()
}
