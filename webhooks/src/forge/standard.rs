//! Standard Webhooks: a MAC over id, time and body. What is older than five minutes is a replay.

use super::kind::Asked;
use crate::mac::Check;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &[u8] = b"whsec_";
/// Between the sender's clock and ours.
const SKEW: u64 = 300;

/// Whether a secret is a key of this kind.
pub(super) fn is_key(secret: &[u8]) -> bool {
    secret.starts_with(PREFIX)
}

pub(super) fn begin(asked: &Asked<'_>) -> Result<Check, &'static str> {
    let unsigned = "it carries no signature: is the signing token set there?";
    let id = asked.header("webhook-id").ok_or(unsigned)?;
    let timestamp = asked.header("webhook-timestamp").ok_or(unsigned)?;
    let signatures = asked.header("webhook-signature").ok_or(unsigned)?;
    let sent: u64 = timestamp.parse().map_err(|_| "its time is not a number")?;
    if sent.abs_diff(asked.now) > SKEW {
        return Err("its time is more than five minutes off: a replay, or a wrong clock");
    }
    let key = asked.secret.strip_prefix(PREFIX).unwrap_or(asked.secret);
    let key = STANDARD.decode(key).map_err(|_| "our secret is not a key: whsec_ and base64")?;
    let of_v1 = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    let expected: Vec<_> = of_v1.filter_map(|one| STANDARD.decode(one).ok()).collect();
    if expected.is_empty() {
        return Err("its signature is none of version 1");
    }
    let mut check = Check::mac(&key, expected);
    check.update(format!("{id}.{timestamp}.").as_bytes());
    Ok(check)
}
