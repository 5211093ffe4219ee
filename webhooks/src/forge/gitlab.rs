//! GitLab: the secret itself in `X-Gitlab-Token`, or the signature of a signing token. Which of
//! them is expected is told by the secret: signing tokens begin with `whsec_`.

use super::kind::{Asked, Forge, text};
use super::standard;
use crate::mac::{Check, same_secret};

pub(super) const FORGE: Forge = Forge {
    name: "gitlab",
    steps: "\
In the project: Settings, Webhooks, Add new webhook
  URL            {url}
  Secret token   {secret}   (or its signing token, where the file holds one: whsec_...)
  Trigger        Push events; Tag push events, if a tag is followed
`Test, Push events` there shows whether it arrives. GitLab sends nothing for a push of more than
three branches: polling finds those.",
    begin,
    wanted: |headers| {
        let event = text(headers, "x-gitlab-event");
        matches!(event, Some("Push Hook" | "Tag Push Hook" | "System Hook"))
    },
    ids: &["idempotency-key", "webhook-id", "x-gitlab-event-uuid"],
};

fn begin(asked: &Asked<'_>) -> Result<Check, &'static str> {
    if standard::is_key(asked.secret) {
        return standard::begin(asked);
    }
    let token =
        asked.header("x-gitlab-token").ok_or("it carries no token: is a secret set there?")?;
    let same = same_secret(token.as_bytes(), asked.secret);
    if same { Ok(Check::Proven) } else { Err("the token does not match") }
}
