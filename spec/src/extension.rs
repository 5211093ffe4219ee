//! `x-keel`: the policy keys that a stack, a service or a mount may carry.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decode::Field;
use crate::item::Node;

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

impl Policy {
    /// Reads `x-keel` of a stack or service.
    pub(crate) fn decode(owner: &Field<'_>) -> Self {
        let Some(field) = owner.get("x-keel") else { return Self::default() };
        if !matches!(field.item.node, Node::Map(_)) {
            field.wrong::<()>("a mapping");
        }
        let choices = [("heal", Drift::Heal), ("report", Drift::Report)];
        Self {
            drift: field.get("drift").and_then(|field| field.choice(&choices)),
            settle: field.get("settle").and_then(|field| field.duration()),
            health_timeout: field.get("health-timeout").and_then(|field| field.duration()),
        }
    }
}
