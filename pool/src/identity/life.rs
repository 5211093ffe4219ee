//! How long a certificate holds, and when its owner asks for the next one.
//!
//! Times are milliseconds since 1970.

use std::time::Duration;

/// A minute, in milliseconds.
pub(super) const MINUTE: u64 = 60_000;
/// An hour.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// A day.
pub(super) const DAY: u64 = 24 * HOUR;

/// How long a node's certificate holds.
const NODE: u64 = 7 * DAY;
/// How far back a certificate begins: clocks differ.
pub(super) const BACKDATED: u64 = HOUR;
/// The first wait after a renewal that failed, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was made; the certificate itself begins an hour earlier.
    pub issued: u64,
    /// When it ends.
    pub expires: u64,
}

impl Life {
    /// Seven days from now.
    #[must_use]
    pub fn of_node(now: u64) -> Self {
        // A certificate knows seconds.
        let issued = now / 1000 * 1000;
        Self { issued, expires: issued + NODE }
    }

    /// When the next certificate is asked for: between 50 and 80 % of this one's life, so that nodes that joined
    /// together do not renew together. `random` is any number.
    #[must_use]
    pub fn renews_at(&self, random: u32) -> u64 {
        let whole = u128::from(self.expires.saturating_sub(self.issued));
        let share = whole * 3 / 10 * u128::from(random) / u128::from(u32::MAX);
        self.half() + u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Whether who connects anew asks for the next one at once: past half of this one's life.
    #[must_use]
    pub fn is_half_over(&self, now: u64) -> bool {
        now >= self.half()
    }

    fn half(&self) -> u64 {
        self.issued + self.expires.saturating_sub(self.issued) / 2
    }
}

/// How long to wait after a renewal that failed: 5 s, doubled up to an hour. `failures` counts from 1.
#[must_use]
pub fn renewal_retry(failures: u32) -> Duration {
    let doubled = RETRY.0.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(RETRY.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_are_spread_between_half_and_four_fifths_of_the_life() {
        let life = Life::of_node(1_000_000);
        assert_eq!(life.expires - life.issued, 7 * DAY);
        let share = |random: u32| {
            (life.renews_at(random) - life.issued) as f64 / (life.expires - life.issued) as f64
        };
        assert_eq!((share(0), share(u32::MAX)), (0.5, 0.8));
        assert!((share(u32::MAX / 2) - 0.65).abs() < 0.001);
    }

    #[test]
    fn who_connects_in_the_second_half_renews_at_once() {
        let life = Life::of_node(0);
        assert!(!life.is_half_over(life.expires / 2 - 1) && life.is_half_over(life.expires / 2));
    }

    #[test]
    fn failed_renewals_back_off_up_to_an_hour() {
        let seconds = [1, 2, 3, 10, 11, 4_000_000_000].map(|n| renewal_retry(n).as_secs());
        assert_eq!(seconds, [5, 10, 20, 2560, 3600, 3600]);
    }
}
