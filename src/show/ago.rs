//! Ages in docker's words: `3 minutes ago`.

use keel_reconciler::clock::roughly;

/// How long ago a time (RFC 3339) was, seen from `now` (milliseconds since the epoch).
pub fn ago(time: &str, now: u64) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return "N/A".to_owned() };
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let seconds = now.saturating_sub(then.as_millisecond()).max(0) / 1000;
    format!("{} ago", roughly(seconds.unsigned_abs()))
}

/// Now, in milliseconds since the epoch.
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_dockers() {
        assert_eq!(ago("1970-01-01T00:00:00Z", 5_000), "5 seconds ago");
        assert_eq!(ago("nonsense", 5_000), "N/A");
    }
}
