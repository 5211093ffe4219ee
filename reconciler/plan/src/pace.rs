//! How fast a service's slots are replaced, and what becomes of a rollout in which some of them fail.

use crate::placement::is_default;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole share, as [`Pace::max_failure_ratio`] counts it.
const WHOLE: u64 = 1_000_000;

/// How a service's slots are replaced. Without a word about it: one at a time, and none may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// How many at a time; 0: all.
    #[serde(skip_serializing_if = "is_one")]
    pub parallelism: u32,
    /// How long a new task must be available before further slots are replaced; milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub delay: u64,
    /// How long a new task is watched once it is available, where the file says it; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<u64>,
    /// The share of the slots that may fail, in millionths.
    #[serde(skip_serializing_if = "is_default")]
    pub max_failure_ratio: u32,
    /// What happens once more of them failed; `None`: the policy says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_action: Option<FailureAction>,
}

/// What happens to a rollout that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureAction {
    /// No further slot is replaced.
    Pause,
    /// It goes on, and counts as failed all the same.
    Continue,
    /// The stack comes back to what was good before.
    Rollback,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_one(parallelism: &u32) -> bool {
    *parallelism == 1
}

impl Default for Pace {
    fn default() -> Self {
        Self { parallelism: 1, delay: 0, monitor: None, max_failure_ratio: 0, failure_action: None }
    }
}

impl Pace {
    /// How many of so many slots are replaced at a time.
    #[must_use]
    pub fn limit(&self, slots: u32) -> u32 {
        if self.parallelism == 0 { slots.max(1) } else { self.parallelism }
    }

    /// How many slots leave their nodes at a time, where nothing else about them changes.
    #[must_use]
    pub fn limit_of_moves(&self) -> u32 {
        self.parallelism.max(1)
    }

    /// How long a new task must stay available until its slot is done. What is said here makes that
    /// longer than the policy's `settle`, never shorter.
    #[must_use]
    pub fn window(&self, settle: u64) -> u64 {
        settle.max(self.delay).max(self.monitor.unwrap_or(0))
    }

    /// Whether more failed than may.
    #[must_use]
    pub fn is_exceeded(&self, failed: u32, slots: u32) -> bool {
        u64::from(failed) * WHOLE > u64::from(self.max_failure_ratio) * u64::from(slots.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_may_fail_as_the_ratio_allows_and_not_one_more() {
        let pace = |max_failure_ratio| Pace { max_failure_ratio, ..Pace::default() };
        for (ratio, slots, allowed) in [
            (0, 10, 0),
            (300_000, 10, 3),
            (300_000, 5, 1),
            (333_333, 3, 0),
            (333_334, 3, 1),
            (500_000, 1, 0),
            (1_000_000, 4, 4),
        ] {
            let name = format!("{ratio} of {slots}");
            assert!(!pace(ratio).is_exceeded(allowed, slots), "{name}");
            if allowed < slots {
                assert!(pace(ratio).is_exceeded(allowed + 1, slots), "{name}");
            }
        }
    }

    #[test]
    fn what_says_nothing_is_stored_as_nothing_and_read_from_nothing() {
        let usual = Pace::default();
        assert_eq!(serde_json::to_string(&usual).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Pace>("{}").unwrap(), usual);
        assert_eq!((usual.limit(6), usual.limit_of_moves(), usual.window(10_000)), (1, 1, 10_000));
        let all = Pace { parallelism: 0, ..usual };
        assert_eq!((all.limit(6), all.limit(0), all.limit_of_moves()), (6, 1, 1));
        let long = Pace { delay: 60_000, monitor: Some(5_000), ..usual };
        assert_eq!((long.window(10_000), long.window(90_000)), (60_000, 90_000));
    }
}
