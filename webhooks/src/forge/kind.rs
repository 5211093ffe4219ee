//! What a forge is that may speak, and what several of them share.

use crate::mac::Check;
use hyper::HeaderMap;

/// A kind of forge.
pub struct Forge {
    /// As `webhook.type` of the configuration has it.
    pub name: &'static str,
    /// What a person does there; `{url}` and `{secret}` stand for what is to be put in.
    pub steps: &'static str,
    /// What the body must prove; else why there is nothing to prove.
    pub(crate) begin: fn(&Asked<'_>) -> Result<Check, &'static str>,
    /// Whether a proven delivery is about commits.
    pub(crate) wanted: fn(&HeaderMap) -> bool,
    /// The headers that name a delivery; the first that is there counts.
    pub(crate) ids: &'static [&'static str],
}

/// What is known before the body comes.
pub(crate) struct Asked<'a> {
    pub headers: &'a HeaderMap,
    pub secret: &'a [u8],
    /// Seconds since 1970.
    pub now: u64,
}

impl<'a> Asked<'a> {
    /// A header's text; an empty one is none.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        text(self.headers, name)
    }
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}

/// `sha256=HEX` with this secret.
pub(super) fn prefixed_mac(asked: &Asked<'_>, header: &str) -> Result<Check, &'static str> {
    let value = asked.header(header).ok_or("it carries no signature: is a secret set there?")?;
    let digits = value.strip_prefix("sha256=").ok_or("its signature is none of sha256")?;
    let expected = hex::decode(digits).map_err(|_| "its signature is not hexadecimal")?;
    Ok(Check::mac(asked.secret, vec![expected]))
}
