//! `status`, `history`, `plan`, `up`, `apply`, `down`, `drift`, `rollback`, `rebalance`, `scale`, `suspend`, `resume`.

use super::answer::{Answer, Api};
use crate::refusal::Ask;
use crate::shapes::{MaybeStack, Stacks};
use crate::{lines, paths};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use keel_engine::StackName;
use keel_plan::desired::Desired;
use keel_reconciler::ask::{ConvergeAsk, DownAsk, DriftReport, PlanReport, PlanTarget, StatusRow};
use keel_reconciler::preview::{PreviewAnswer, PreviewAsk, ServedSource};
use keel_reconciler::rows::{HistoryRow, MoveRow, RebalanceAsk, RollbackAsk, ScaleAsk, SuspendAsk};

/// Those whose bodies are small.
pub fn routes() -> Router<Api> {
    Router::new()
        .route(paths::STATUS, post(status))
        .route(paths::HISTORY, post(history))
        .route(paths::PREVIEW_SOURCES, get(served_sources))
        .route(paths::DESIRED, post(desired))
        .route(paths::DOWN, post(down))
        .route(paths::DRIFT, post(drift))
        .route(paths::ROLLBACK, post(rollback))
        .route(paths::REBALANCE, post(rebalance))
        .route(paths::MOVES, post(moves))
        .route(paths::SCALE, post(scale))
        .route(paths::SUSPEND, post(suspend))
        .route(paths::RESUME, post(resume))
}

async fn status(State(api): State<Api>, Ask(ask): Ask<Stacks>) -> Answer<Vec<StatusRow>> {
    Ok(Json(api.controller.status(&ask.stacks).await?))
}

async fn history(State(api): State<Api>, Ask(ask): Ask<Stacks>) -> Answer<Vec<HistoryRow>> {
    Ok(Json(api.controller.history(&ask.stacks).await?))
}

async fn desired(State(api): State<Api>, Ask(stack): Ask<StackName>) -> Answer<Option<Desired>> {
    Ok(Json(api.controller.desired(&stack).await?))
}

pub async fn plan(
    State(api): State<Api>,
    Ask(targets): Ask<Vec<PlanTarget>>,
) -> Answer<PlanReport> {
    Ok(Json(api.controller.plan(targets).await?))
}

async fn served_sources(State(api): State<Api>) -> Answer<Vec<ServedSource>> {
    Ok(Json(api.controller.served_sources().await?))
}

pub async fn preview(State(api): State<Api>, Ask(ask): Ask<PreviewAsk>) -> Answer<PreviewAnswer> {
    Ok(Json(api.controller.preview(ask).await?))
}

pub async fn converge(State(api): State<Api>, Ask(ask): Ask<ConvergeAsk>) -> Response {
    lines::answer(api.controller.converge(ask))
}

async fn down(State(api): State<Api>, Ask(ask): Ask<DownAsk>) -> Response {
    lines::answer(api.controller.down(ask))
}

async fn drift(State(api): State<Api>, Ask(ask): Ask<MaybeStack>) -> Answer<DriftReport> {
    Ok(Json(api.controller.drift(ask.stack.as_ref()).await?))
}

async fn rollback(State(api): State<Api>, Ask(ask): Ask<RollbackAsk>) -> Response {
    lines::answer(api.controller.rollback(ask))
}

async fn rebalance(State(api): State<Api>, Ask(ask): Ask<RebalanceAsk>) -> Response {
    lines::answer(api.controller.rebalance(ask))
}

async fn moves(State(api): State<Api>, Ask(ask): Ask<Stacks>) -> Answer<Vec<MoveRow>> {
    Ok(Json(api.controller.moves(&ask.stacks).await?))
}

async fn scale(State(api): State<Api>, Ask(ask): Ask<ScaleAsk>) -> Response {
    lines::answer(api.controller.scale(ask))
}

async fn suspend(State(api): State<Api>, Ask(ask): Ask<SuspendAsk>) -> Answer<()> {
    Ok(Json(api.controller.suspend(ask).await?))
}

async fn resume(State(api): State<Api>, Ask(stack): Ask<StackName>) -> Answer<()> {
    Ok(Json(api.controller.resume(&stack).await?))
}
