//! When to try again, and after how long.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often in a row something may fail before it is given up. Passes come again anyway.
const TRIES: u32 = 4;
/// The longest that a registry may make us wait within one pull.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts failures in a row; progress in between starts the count anew.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failed: u32,
}

impl Retry {
    /// How long to wait before the next try; `None` when it is time to give up.
    pub(crate) fn pause(&mut self, wanted: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= TRIES || wanted.is_some_and(|wanted| wanted > PATIENCE) {
            return None;
        }
        Some(wanted.unwrap_or(Duration::from_millis(250 << (self.failed - 1))))
    }

    pub(crate) fn progressed(&mut self) {
        self.failed = 0;
    }
}

/// Whether asking again may give another answer.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// What the registry asks us to wait, in seconds; its date form is too rare to be worth it.
pub(crate) fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut retry = Retry::default();
        let pauses: Vec<_> =
            std::iter::from_fn(|| retry.pause(None)).map(|p| p.as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000]);
        retry.progressed();
        assert_eq!(retry.pause(Some(Duration::from_secs(3))), Some(Duration::from_secs(3)));
        assert_eq!(retry.pause(Some(Duration::from_secs(3600))), None);
    }
}
