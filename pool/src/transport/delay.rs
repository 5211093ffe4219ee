//! When to try again, and when to beat: from a random number that is handed in.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(8);

/// How long to wait before dialing again after so many failed tries: up to 100 ms after the first, doubled with
/// each, up to 8 s. The whole delay is random, so that the nodes of a pool do not come back all at once.
#[must_use]
pub fn retry_delay(tries: u32, random: u64) -> Duration {
    let longest = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST);
    part(longest, random)
}

/// The number of failed tries after a connection that lasted so long: one that held proves that dialing works, and
/// one that ended soon is a failed try like any other.
#[must_use]
pub fn tries_after(tries: u32, lasted: Duration) -> u32 {
    if lasted >= LONGEST { 1 } else { tries.saturating_add(1) }
}

/// How long to wait between two beats: within a tenth of the period, so that nodes do not beat in step.
#[must_use]
pub fn beat_delay(period: Duration, random: u64) -> Duration {
    period * 9 / 10 + part(period / 5, random)
}

fn part(whole: Duration, random: u64) -> Duration {
    let nanos = whole.as_nanos() * u128::from(random) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Good enough to spread work over time, and for nothing else.
pub(crate) fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn delays_double_up_to_eight_seconds() {
        let longest: Vec<_> =
            (0..9).map(|tries| retry_delay(tries, u64::MAX).as_millis()).collect();
        assert_eq!(longest, [100, 100, 200, 400, 800, 1_600, 3_200, 6_400, 8_000]);
        assert_eq!(retry_delay(u32::MAX, u64::MAX), LONGEST);
        assert_eq!(retry_delay(5, 0), Duration::ZERO, "the whole delay is random");
        assert_eq!(retry_delay(5, u64::MAX / 2).as_millis(), 799);
    }

    #[test]
    fn a_connection_that_held_begins_anew() {
        assert_eq!(tries_after(7, Duration::from_secs(8)), 1);
        assert_eq!(tries_after(7, Duration::from_secs(1)), 8);
    }

    proptest! {
        #[test]
        fn beats_stay_within_a_tenth(random: u64, millis in 1_u64..100_000) {
            let period = Duration::from_millis(millis);
            let delay = beat_delay(period, random);
            prop_assert!(delay >= period * 9 / 10 && delay <= period * 11 / 10, "{delay:?}");
        }

        #[test]
        fn no_delay_is_longer_than_the_longest(tries: u32, random: u64) {
            prop_assert!(retry_delay(tries, random) <= LONGEST);
        }
    }
}
