//! The sources' state, who is not reached with news of it, `sync`, `confirm`.

use super::answer::{Answer, Api};
use crate::refusal::Ask;
use crate::shapes::Name;
use crate::{lines, paths};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use keel_reconciler::ask::SourceRow;
use keel_reconciler::rows::{DeliveryRow, RepoAnswer, RepoAsk, SyncAsk};

/// All of them.
pub fn routes() -> Router<Api> {
    Router::new()
        .route(paths::SOURCES, get(sources))
        .route(paths::DELIVERIES, get(deliveries))
        .route(paths::SYNC, post(sync))
        .route(paths::CONFIRM, post(confirm))
        .route(paths::SOURCE_CREATE, post(create))
}

async fn sources(State(api): State<Api>) -> Json<Vec<SourceRow>> {
    Json(api.controller.sources().await)
}

async fn deliveries(State(api): State<Api>) -> Json<Vec<DeliveryRow>> {
    Json(api.controller.deliveries().await)
}

async fn sync(State(api): State<Api>, Ask(ask): Ask<SyncAsk>) -> Response {
    lines::answer(api.controller.sync(ask))
}

async fn confirm(State(api): State<Api>, Ask(ask): Ask<Name>) -> Answer<()> {
    Ok(Json(api.controller.confirm(&ask.name).await?))
}

async fn create(State(api): State<Api>, Ask(ask): Ask<RepoAsk>) -> Answer<RepoAnswer> {
    Ok(Json(api.controller.create_repo(ask).await?))
}
