//! The digest of a service's resolved model.

use sha2::{Digest, Sha256};

use super::value::Value;

/// SHA-256 of its JSON, in hexadecimal.
pub(super) fn of(service: &Value) -> String {
    let json = super::json::value(service).to_string();
    Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
}
