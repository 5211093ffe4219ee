//! One request, its answer, and what the answer means.

use std::time::Duration;

/// A POST.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to. It may be a secret.
    pub url: String,
    /// Beside what every request carries.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// How long we are asked to wait.
    pub retry_after: Option<Duration>,
    /// A budget of requests is used up.
    pub exhausted: bool,
    /// The beginning of the body.
    pub body: String,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It arrived.
    Done,
    /// It may arrive later.
    Later {
        /// What was in the way.
        why: String,
        /// At least so long.
        wait: Option<Duration>,
    },
    /// It never will.
    Refused {
        /// What was said.
        why: String,
    },
}

impl Answer {
    /// What it means to anybody who has no rules of their own.
    #[must_use]
    pub fn verdict(&self) -> DeliveryResult {
        let status = self.status;
        let why = || format!("answered {status}{}", reason(status));
        match status {
            200..=299 => DeliveryResult::Done,
            408 | 429 | 500..=599 => DeliveryResult::Later { why: why(), wait: self.retry_after },
            403 if self.exhausted => DeliveryResult::Later { why: why(), wait: self.retry_after },
            300..=399 => {
                let why =
                    format!("answered {status}: redirects are not followed, name its own URL");
                DeliveryResult::Refused { why }
            }
            _ => DeliveryResult::Refused { why: why() },
        }
    }

    /// The same with what a JSON answer says under this key.
    pub(crate) fn verdict_with(&self, key: &str) -> DeliveryResult {
        let said = self.said(key).map(|said| format!(": {said}")).unwrap_or_default();
        match self.verdict() {
            DeliveryResult::Refused { why } => DeliveryResult::Refused { why: why + &said },
            DeliveryResult::Later { why, wait } => DeliveryResult::Later { why: why + &said, wait },
            DeliveryResult::Done => DeliveryResult::Done,
        }
    }

    /// A JSON answer's text under this key, on one line.
    pub(crate) fn said(&self, key: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        let said = match &body[key] {
            serde_json::Value::Null => return None,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let line: Vec<_> = said.split(|c: char| c.is_control() || c == ' ').collect();
        Some(crate::cut::characters(&line.join(" "), 200))
    }
}

/// What people who set it up do not know by heart.
fn reason(status: u16) -> &'static str {
    match status {
        401 => " (the token or secret is not accepted)",
        403 => " (forbidden)",
        404 => " (there is nothing at that address, or the token may not see it)",
        429 => " (too many requests)",
        _ => "",
    }
}

impl Request {
    /// JSON, with a token where there is one.
    pub(crate) fn json(url: String, body: &serde_json::Value) -> Self {
        Self { url, headers: vec![], body: body.to_string().into_bytes() }
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a bearer token, if any.
    pub(crate) fn bearer(self, token: Option<&str>) -> Self {
        match token {
            Some(token) => self.header("authorization", format!("Bearer {token}")),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_the_rest_is_not() {
        let verdict = |status, exhausted| {
            let answer = Answer { status, exhausted, ..Answer::default() };
            match answer.verdict() {
                DeliveryResult::Done => "done",
                DeliveryResult::Later { .. } => "later",
                DeliveryResult::Refused { .. } => "refused",
            }
        };
        let cases = [
            (200, "done"),
            (204, "done"),
            (301, "refused"),
            (400, "refused"),
            (401, "refused"),
            (403, "refused"),
            (404, "refused"),
            (408, "later"),
            (422, "refused"),
            (429, "later"),
            (500, "later"),
            (503, "later"),
        ];
        for (status, expected) in cases {
            assert_eq!(verdict(status, false), expected, "{status}");
        }
        assert_eq!(verdict(403, true), "later", "a used up budget comes back");
    }

    #[test]
    fn what_is_said_is_one_line_within_limits() {
        let body = format!("{{\"message\":\"no\\nsuch {}\"}}", "x".repeat(500));
        let said = Answer { body, ..Answer::default() }.said("message").unwrap();
        assert!(said.starts_with("no such x") && said.chars().count() == 200, "{said}");
        assert_eq!(Answer::default().said("message"), None);
    }
}
