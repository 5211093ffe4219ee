//! Order, restarts, policy.

use super::process::millis;
use crate::desired::{DriftPolicy, Order, Policy, Run};
use crate::pace::{FailureAction, Pace};
use keel_engine::RestartPolicy;
use keel_spec::service::{self, Restart, RolloutConfig, UpdateOrder};

pub(super) fn order(order: UpdateOrder) -> Order {
    match order {
        UpdateOrder::StartFirst => Order::StartFirst,
        UpdateOrder::StopFirst => Order::StopFirst,
    }
}

pub(super) fn pace(config: &RolloutConfig) -> Pace {
    let usual = Pace::default();
    Pace {
        parallelism: config.parallelism.unwrap_or(usual.parallelism),
        delay: config.delay.map_or(usual.delay, millis),
        monitor: config.monitor.map(millis),
        max_failure_ratio: config.max_failure_ratio.unwrap_or(usual.max_failure_ratio),
        failure_action: config.failure_action.map(failure_action),
    }
}

fn failure_action(action: service::FailureAction) -> FailureAction {
    match action {
        service::FailureAction::Pause => FailureAction::Pause,
        service::FailureAction::Continue => FailureAction::Continue,
        service::FailureAction::Rollback => FailureAction::Rollback,
    }
}

pub(super) fn restart(restart: Restart) -> RestartPolicy {
    match restart {
        Restart::No => RestartPolicy::No,
        Restart::Always => RestartPolicy::Always,
        Restart::OnFailure { max } => RestartPolicy::OnFailure { max: max.unwrap_or(0) },
        Restart::UnlessStopped => RestartPolicy::UnlessStopped,
    }
}

pub(super) fn drift(drift: keel_spec::Drift) -> DriftPolicy {
    match drift {
        keel_spec::Drift::Heal => DriftPolicy::Heal,
        keel_spec::Drift::Report => DriftPolicy::Report,
    }
}

pub(super) fn run(run: keel_spec::Run) -> Run {
    match run {
        keel_spec::Run::BeforeDeploy => Run::BeforeDeploy,
    }
}

/// What the stack's `x-keel` says wins over what came from outside.
pub(super) fn policy(stack: &keel_spec::Policy, outside: &Policy) -> Policy {
    Policy {
        drift: stack.drift.map_or(outside.drift, drift),
        settle: stack.settle.map_or(outside.settle, millis),
        health_timeout: stack.health_timeout.map(millis).or(outside.health_timeout),
        prune: stack.prune.unwrap_or(outside.prune),
        prune_volumes: stack.prune_volumes.unwrap_or(outside.prune_volumes),
        rollback: stack.rollback.unwrap_or(outside.rollback),
        image_wait: stack.image_wait.map_or(outside.image_wait, millis),
    }
}
