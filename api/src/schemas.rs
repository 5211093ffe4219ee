//! JSON Schemas of what `--format json` prints and of what the API takes and answers, derived from the
//! types. They are published in `api/schema/`; a test keeps the files as the types are.

use crate::{pool, shapes};
use keel_reconciler::inspected::Inspected;
use keel_reconciler::{ask, rows};
use schemars::{JsonSchema, Schema, schema_for};

fn of<T: JsonSchema>() -> Schema {
    schema_for!(T)
}

/// All of them, by the name of their file.
#[must_use]
pub fn all() -> Vec<(&'static str, Schema)> {
    let mut all = outputs();
    all.extend(asks());
    all
}

/// What commands print with `--format json`, and what the API answers.
#[must_use]
pub fn outputs() -> Vec<(&'static str, Schema)> {
    vec![
        ("check", of::<rows::CheckReport>()),
        ("containers", of::<Vec<ask::ContainerRow>>()),
        ("deliveries", of::<Vec<rows::DeliveryRow>>()),
        ("disk-usage", of::<Vec<rows::UsageRow>>()),
        ("drift", of::<ask::DriftReport>()),
        ("history", of::<Vec<rows::HistoryRow>>()),
        ("images", of::<Vec<rows::ImageRow>>()),
        ("inspect", of::<Inspected>()),
        ("networks", of::<Vec<rows::NetworkRow>>()),
        ("nodes", of::<Vec<pool::NodeRow>>()),
        ("plan", of::<ask::PlanReport>()),
        ("render", of::<rows::RenderedStack>()),
        ("render-diff", of::<rows::RenderDiffReport>()),
        ("sources", of::<Vec<ask::SourceRow>>()),
        ("status", of::<Vec<ask::StatusRow>>()),
        ("tokens", of::<Vec<pool::TokenRow>>()),
        ("authority", of::<pool::AuthorityRow>()),
        ("volumes", of::<Vec<rows::VolumeRow>>()),
        ("hint", of::<shapes::Hint>()),
        ("info", of::<shapes::Info>()),
        ("progress", of::<ask::Progress>()),
        ("pruned", of::<rows::PrunedRow>()),
        ("refusal", of::<ask::Refusal>()),
        ("repo-answer", of::<rows::RepoAnswer>()),
        ("run-answer", of::<ask::RunAnswer>()),
        ("task", of::<shapes::TaskRef>()),
        ("tasks-done", of::<Vec<rows::TaskDone>>()),
    ]
}

/// What the API is asked. A stack's lowered form within is that of the same version alone.
fn asks() -> Vec<(&'static str, Schema)> {
    vec![
        ("ask-acting", of::<ask::Acting>()),
        ("ask-converge", of::<ask::ConvergeAsk>()),
        ("ask-down", of::<ask::DownAsk>()),
        ("ask-inspect", of::<shapes::InspectAsk>()),
        ("ask-logs", of::<ask::LogsAsk>()),
        ("ask-network", of::<rows::NetworkAsk>()),
        ("ask-plan", of::<ask::PlanTarget>()),
        ("ask-prune", of::<rows::PruneAsk>()),
        ("ask-ps", of::<rows::PsAsk>()),
        ("ask-pull", of::<rows::PullAsk>()),
        ("ask-remove", of::<rows::RemoveAsk>()),
        ("ask-repo", of::<rows::RepoAsk>()),
        ("ask-rebalance", of::<rows::RebalanceAsk>()),
        ("moves", of::<Vec<rows::MoveRow>>()),
        ("ask-rollback", of::<rows::RollbackAsk>()),
        ("ask-scale", of::<rows::ScaleAsk>()),
        ("ask-run", of::<ask::RunAsk>()),
        ("ask-start", of::<shapes::StartAsk>()),
        ("ask-suspend", of::<rows::SuspendAsk>()),
        ("ask-sync", of::<rows::SyncAsk>()),
        ("ask-task", of::<ask::TaskAsk>()),
        ("ask-volume", of::<rows::VolumeAsk>()),
        ("ask-wait", of::<shapes::WaitAsk>()),
    ]
}
