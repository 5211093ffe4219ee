//! An end for answers that drip: each byte in time, and never a whole.

use std::time::{Duration, Instant};

/// Before that, nothing is too slow.
const GRACE: Duration = Duration::from_secs(5 * 60);
/// Bytes a second that must have come on average since.
const LEAST: u64 = 1024;

/// How fast one thing comes, over all its connections.
#[derive(Debug)]
pub(super) struct Pace(Instant);

impl Pace {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Whether to give up, now that so many bytes are here.
    pub(super) fn is_too_slow(&self, bytes: u64) -> bool {
        is_too_slow(self.0.elapsed(), bytes)
    }
}

fn is_too_slow(elapsed: Duration, bytes: u64) -> bool {
    bytes < elapsed.saturating_sub(GRACE).as_secs().saturating_mul(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drips_end_and_slow_lines_do_not() {
        let cases = [
            (0, 0, false),
            (299, 0, false),
            (302, 302, true),
            (3600, 3600, true),
            (3600, 3600 * 5_000, false),
            (100_000, 200 << 20, false),
        ];
        for (seconds, bytes, slow) in cases {
            assert_eq!(
                is_too_slow(Duration::from_secs(seconds), bytes),
                slow,
                "{seconds}: {bytes}"
            );
        }
    }
}
