//! Whether a run is followed by another, and after how long. Pure.

use keel_engine::RestartPolicy;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run that lasted longer than this starts the pauses anew.
const STEADY: Duration = Duration::from_secs(10);

/// The pause before the next run, as docker's: 100 ms, doubled each time up to a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pauses(Option<Duration>);

impl Pauses {
    /// The pause after a run that lasted so long.
    pub fn after(&mut self, lasted: Duration) -> Duration {
        let next = match self.0 {
            Some(last) if lasted <= STEADY => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        self.0 = Some(next);
        next
    }
}

/// Whether the policy wants another run. `code` is `None` where nobody saw the end; `killed`: by
/// somebody else.
pub fn again(policy: RestartPolicy, code: Option<i32>, restarts: u32) -> bool {
    match policy {
        RestartPolicy::No => false,
        // A stop is a goal, which comes before any policy.
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max } => code != Some(0) && (max == 0 || restarts < max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_a_run_was_steady() {
        let mut pauses = Pauses::default();
        let short = Duration::from_secs(1);
        let millis: Vec<_> = (0..12).map(|_| pauses.after(short).as_millis()).collect();
        let expected =
            [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000];
        assert_eq!(millis, expected);
        assert_eq!(pauses.after(Duration::from_secs(11)), FIRST);
        assert_eq!(pauses.after(short), FIRST * 2);
    }

    #[test]
    fn policies_decide_by_code_and_count() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        let cases = [
            (No, Some(1), 0, false),
            (Always, Some(0), 1_000, true),
            (UnlessStopped, Some(0), 0, true),
            (OnFailure { max: 0 }, Some(1), 1_000, true),
            (OnFailure { max: 0 }, Some(0), 0, false),
            (OnFailure { max: 2 }, Some(1), 1, true),
            (OnFailure { max: 2 }, Some(1), 2, false),
            (OnFailure { max: 2 }, None, 0, true),
        ];
        for (policy, code, restarts, expected) in cases {
            assert_eq!(again(policy, code, restarts), expected, "{policy:?} {code:?} {restarts}");
        }
    }
}
