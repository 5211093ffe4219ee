//! `x-keel`: the policy keys that a stack, a service or a mount may carry.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What to do about drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// Put it right.
    Heal,
    /// Only say so.
    Report,
}

/// Policy as written in `x-keel`; what is not written comes from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What to do about drift.
    pub drift: Option<Drift>,
    /// How long a service must stay available before it counts as settled.
    pub settle: Option<Duration>,
    /// How long a service has to become healthy.
    pub health_timeout: Option<Duration>,
}
