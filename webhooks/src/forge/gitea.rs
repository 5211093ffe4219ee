//! Gitea and Forgejo: the bare digits of the MAC. Without a secret they send the header all the
//! same, empty: that proves nothing.

use super::kind::{Asked, Forge, text};
use crate::mac::Check;

pub(super) const FORGE: Forge = Forge {
    name: "gitea",
    steps: "\
In the repository: Settings, Webhooks, Add webhook, Gitea (or Forgejo)
  Target URL          {url}
  HTTP method         POST
  POST content type   application/json
  Secret              {secret}
  Trigger on          Push events
`Test delivery` there sends a push.",
    begin,
    wanted: |headers| {
        let event = text(headers, "x-forgejo-event").or(text(headers, "x-gitea-event"));
        matches!(event, Some("push" | "create" | "delete"))
    },
    ids: &["x-forgejo-delivery", "x-gitea-delivery"],
};

fn begin(asked: &Asked<'_>) -> Result<Check, &'static str> {
    // Of a form, they sign the JSON inside of it and not the body.
    if asked.header("content-type").is_some_and(|kind| kind.contains("form-urlencoded")) {
        return Err("it is a form: set its content type to application/json");
    }
    let digits = asked.header("x-forgejo-signature").or(asked.header("x-gitea-signature"));
    let digits = digits.ok_or("it carries no signature: is a secret set there?")?;
    let expected = hex::decode(digits).map_err(|_| "its signature is not hexadecimal")?;
    Ok(Check::mac(asked.secret, vec![expected]))
}
