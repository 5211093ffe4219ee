//! Ages in docker's words: `3 minutes ago`.

/// How long ago a time (RFC 3339) was, seen from `now` (milliseconds since the epoch).
pub fn ago(time: &str, now: u64) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return "N/A".to_owned() };
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let seconds = now.saturating_sub(then.as_millisecond()).max(0) / 1000;
    format!("{} ago", duration(seconds.unsigned_abs()))
}

/// Now, in milliseconds since the epoch.
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// A length of time as docker words it: the largest unit alone, and roughly.
pub fn duration(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        _ if minutes < 46 => format!("{minutes} minutes"),
        _ if hours <= 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_dockers() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (120, "2 minutes"),
            (45 * 60, "45 minutes"),
            (50 * 60, "About an hour"),
            (2 * 3600, "2 hours"),
            (47 * 3600, "47 hours"),
            (3 * 86400, "3 days"),
            (20 * 86400, "2 weeks"),
            (100 * 86400, "3 months"),
            (1000 * 86400, "2 years"),
        ];
        for (seconds, words) in cases {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
        assert_eq!(ago("1970-01-01T00:00:00Z", 5_000), "5 seconds ago");
        assert_eq!(ago("nonsense", 5_000), "N/A");
    }
}
