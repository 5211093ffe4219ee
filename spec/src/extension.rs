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

/// When a service that is a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// To its end, before anything else of a new revision is changed.
    BeforeDeploy,
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
    /// How long an image that its registry does not have yet is awaited.
    pub image_wait: Option<Duration>,
    /// Whether what left the file is removed.
    pub prune: Option<bool>,
    /// Whether volumes that left are removed, too.
    pub prune_volumes: Option<bool>,
    /// Whether a revision that failed gives way to the last good one.
    pub rollback: Option<bool>,
    /// When a service that is a job runs.
    pub run: Option<Run>,
    /// Whether at most one task of a slot may ever run.
    pub exclusive: Option<bool>,
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
            image_wait: field.get("image-wait").and_then(|field| field.duration()),
            prune: field.get("prune").and_then(|field| field.boolean()),
            prune_volumes: field.get("prune-volumes").and_then(|field| field.boolean()),
            rollback: field.get("rollback").and_then(|field| field.boolean()),
            exclusive: field.get("exclusive").and_then(|field| field.boolean()),
            run: field
                .get("run")
                .and_then(|field| field.choice(&[("before-deploy", Run::BeforeDeploy)])),
        }
    }
}
