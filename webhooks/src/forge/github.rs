//! GitHub, and its Enterprise Server: `X-Hub-Signature-256` over the body. The SHA-1 beside it is
//! never looked at.

use super::kind::{Forge, prefixed_mac, text};

pub(super) const FORGE: Forge = Forge {
    name: "github",
    steps: "\
In the repository: Settings, Webhooks, Add webhook
  Payload URL    {url}
  Content type   application/json
  Secret         {secret}
  Events         Just the push event
GitHub sends a ping at once; it is answered with 202.",
    begin: |asked| prefixed_mac(asked, "x-hub-signature-256"),
    wanted: |headers| matches!(text(headers, "x-github-event"), Some("push" | "create" | "delete")),
    ids: &["x-github-delivery"],
};
