//! `deploy.update_config` and `deploy.rollback_config`: how a service's tasks are replaced.

use crate::code::Code;
use crate::decode::Field;
use std::time::Duration;

/// How a service's tasks are replaced; what is absent has its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolloutConfig {
    /// How many at a time; 0: all.
    pub parallelism: Option<u32>,
    /// How long a new task must be available before the next ones are replaced.
    pub delay: Option<Duration>,
    /// How long a new task is watched for a failure once it is available.
    pub monitor: Option<Duration>,
    /// The share of tasks that may fail, in millionths.
    pub max_failure_ratio: Option<u32>,
    /// What happens once more than that failed; absent: the stack's policy says it.
    pub failure_action: Option<FailureAction>,
    /// Which of two tasks of a slot goes first; absent: decided by what the service is.
    pub order: Option<UpdateOrder>,
}

/// What happens to a rollout that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// It stops where it is.
    Pause,
    /// It goes on.
    Continue,
    /// What was good before comes back.
    Rollback,
}

/// Which of two tasks of a slot goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOrder {
    /// The new one starts before the old one stops.
    StartFirst,
    /// The old one stops before the new one starts.
    StopFirst,
}

const ORDERS: &[(&str, UpdateOrder)] =
    &[("start-first", UpdateOrder::StartFirst), ("stop-first", UpdateOrder::StopFirst)];

/// Of a rollback that fails there is no way back.
const BACK: &[(&str, FailureAction)] =
    &[("continue", FailureAction::Continue), ("pause", FailureAction::Pause)];

const FORWARD: &[(&str, FailureAction)] = &[
    ("continue", FailureAction::Continue),
    ("pause", FailureAction::Pause),
    ("rollback", FailureAction::Rollback),
];

impl RolloutConfig {
    /// Reads `update_config`.
    pub(crate) fn update(deploy: Option<&Field<'_>>) -> Self {
        Self::decode(deploy, "update_config", FORWARD)
    }

    /// Reads `rollback_config`.
    pub(crate) fn rollback(deploy: Option<&Field<'_>>) -> Self {
        Self::decode(deploy, "rollback_config", BACK)
    }

    fn decode(deploy: Option<&Field<'_>>, key: &str, actions: &[(&str, FailureAction)]) -> Self {
        let Some(config) = deploy.and_then(|deploy| deploy.get(key)) else {
            return Self::default();
        };
        Self {
            parallelism: config.get("parallelism").and_then(|field| parallelism(&field)),
            delay: config.get("delay").and_then(|field| field.duration()),
            monitor: config.get("monitor").and_then(|field| field.duration()),
            max_failure_ratio: config.get("max_failure_ratio").and_then(|field| ratio(&field)),
            failure_action: config.get("failure_action").and_then(|field| field.choice(actions)),
            order: config.get("order").and_then(|field| field.choice(ORDERS)),
        }
    }
}

fn parallelism(field: &Field<'_>) -> Option<u32> {
    field.parsed("0 (all at once) or a positive whole number", |text| text.parse().ok())
}

/// In millionths, so that nothing is decided by how a fraction is rounded.
fn ratio(field: &Field<'_>) -> Option<u32> {
    let number: f64 = field.parsed("a number from 0 to 1", |text| text.parse().ok())?;
    if !(0.0..=1.0).contains(&number) {
        let text = field.item.text().unwrap_or_default();
        let message = format!("{} must be a number from 0 to 1, and is `{text}`", field.name());
        field.refuse(Code::BadValue, message);
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1")]
    Some((number * 1e6).round() as u32)
}
