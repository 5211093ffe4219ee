//! Nodes of the pool, tokens to join it with, and its certificate authority.

use super::answer::{Answer, Api};
use crate::paths;
use crate::pool::{
    AuthorityRow, NodeAsk, NodeChanged, NodeRow, Pool, TokenAnswer, TokenAsk, TokenRow,
};
use crate::refusal::Ask;
use crate::shapes::Name;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use keel_reconciler::ask::{Refusal, RefusalKind};
use std::sync::Arc;

/// All of them.
pub fn routes() -> Router<Api> {
    Router::new()
        .route(paths::NODES, get(nodes))
        .route(paths::NODE_CHANGE, post(change))
        .route(paths::TOKENS, get(tokens))
        .route(paths::TOKEN_CREATE, post(create_token))
        .route(paths::TOKEN_RM, post(revoke_token))
        .route(paths::AUTHORITY, get(authority))
        .route(paths::AUTHORITY_ROTATE, post(rotate_authority))
}

fn pool(api: &Api) -> Result<&Arc<dyn Pool>, Refusal> {
    api.pool.as_ref().ok_or_else(|| Refusal {
        kind: RefusalKind::NotFound,
        message: "this controller has no pool: it listens for no nodes".into(),
        hint: Some(
            "set `listen: { agents: \"0.0.0.0:7443\" }` in keel.yaml, and restart `keel serve`"
                .into(),
        ),
    })
}

async fn nodes(State(api): State<Api>) -> Answer<Vec<NodeRow>> {
    Ok(Json(pool(&api)?.nodes().await?))
}

async fn change(State(api): State<Api>, Ask(ask): Ask<NodeAsk>) -> Answer<NodeChanged> {
    Ok(Json(pool(&api)?.change(ask).await?))
}

async fn tokens(State(api): State<Api>) -> Answer<Vec<TokenRow>> {
    Ok(Json(pool(&api)?.tokens().await?))
}

async fn create_token(State(api): State<Api>, Ask(ask): Ask<TokenAsk>) -> Answer<TokenAnswer> {
    Ok(Json(pool(&api)?.create_token(ask).await?))
}

async fn revoke_token(State(api): State<Api>, Ask(ask): Ask<Name>) -> Answer<()> {
    Ok(Json(pool(&api)?.revoke_token(&ask.name).await?))
}

async fn authority(State(api): State<Api>) -> Answer<AuthorityRow> {
    Ok(Json(pool(&api)?.authority().await?))
}

async fn rotate_authority(State(api): State<Api>, Ask(()): Ask<()>) -> Answer<AuthorityRow> {
    Ok(Json(pool(&api)?.rotate_authority().await?))
}
