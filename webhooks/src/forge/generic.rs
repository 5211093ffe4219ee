//! Anything that can sign: `X-Signature: sha256=HEX` over the body, or Standard Webhooks with a
//! secret that begins with `whsec_`.

use super::kind::{Asked, Forge, prefixed_mac};
use super::standard;
use crate::mac::Check;

pub(super) const FORGE: Forge = Forge {
    name: "generic",
    steps: "\
Send any body with its HMAC-SHA256, for example from CI:
  body='{}'
  mac=$(printf %s \"$body\" | openssl dgst -sha256 -hmac \"{secret}\" | sed 's/.* //')
  curl --fail -H \"X-Signature: sha256=$mac\" -d \"$body\" {url}
A secret that begins with whsec_ is a Standard Webhooks key: webhook-id, webhook-timestamp and
webhook-signature are expected then.",
    begin,
    wanted: |_| true,
    ids: &["webhook-id"],
};

fn begin(asked: &Asked<'_>) -> Result<Check, &'static str> {
    if standard::is_key(asked.secret) {
        return standard::begin(asked);
    }
    prefixed_mac(asked, "x-signature")
}
