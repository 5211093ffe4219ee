//! `images`, `pull`, `rmi`, `volume …`, `network …`, `system …`.

use super::answer::{Answer, Api};
use crate::refusal::Ask;
use crate::{lines, paths};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use keel_reconciler::rows::{
    ImageRow, NetworkAsk, NetworkRow, PruneAsk, PrunedRow, PullAsk, RemoveAsk, UsageRow, VolumeAsk,
    VolumeRow,
};

/// All of them.
pub fn routes() -> Router<Api> {
    Router::new()
        .route(paths::IMAGES, get(images))
        .route(paths::PULL, post(pull))
        .route(paths::RMI, post(rmi))
        .route(paths::VOLUMES, get(volumes))
        .route(paths::VOLUME_CREATE, post(volume_create))
        .route(paths::VOLUME_RM, post(volume_rm))
        .route(paths::NETWORKS, get(networks))
        .route(paths::NETWORK_CREATE, post(network_create))
        .route(paths::NETWORK_RM, post(network_rm))
        .route(paths::USAGE, get(usage))
        .route(paths::PRUNE, post(prune))
}

async fn images(State(api): State<Api>) -> Answer<Vec<ImageRow>> {
    Ok(Json(api.controller.images().await?))
}

async fn pull(State(api): State<Api>, Ask(ask): Ask<PullAsk>) -> Response {
    lines::answer(api.controller.pull(ask))
}

async fn rmi(State(api): State<Api>, Ask(ask): Ask<RemoveAsk>) -> Answer<Vec<String>> {
    Ok(Json(api.controller.remove_images(ask).await?))
}

async fn volumes(State(api): State<Api>) -> Answer<Vec<VolumeRow>> {
    Ok(Json(api.controller.volumes().await?))
}

async fn volume_create(State(api): State<Api>, Ask(ask): Ask<VolumeAsk>) -> Answer<String> {
    Ok(Json(api.controller.create_volume(ask).await?))
}

async fn volume_rm(State(api): State<Api>, Ask(ask): Ask<RemoveAsk>) -> Answer<Vec<String>> {
    Ok(Json(api.controller.remove_volumes(ask).await?))
}

async fn networks(State(api): State<Api>) -> Answer<Vec<NetworkRow>> {
    Ok(Json(api.controller.networks().await?))
}

async fn network_create(State(api): State<Api>, Ask(ask): Ask<NetworkAsk>) -> Answer<String> {
    Ok(Json(api.controller.create_network(ask).await?))
}

async fn network_rm(State(api): State<Api>, Ask(ask): Ask<RemoveAsk>) -> Answer<Vec<String>> {
    Ok(Json(api.controller.remove_networks(ask).await?))
}

async fn usage(State(api): State<Api>) -> Answer<Vec<UsageRow>> {
    Ok(Json(api.controller.disk_usage().await?))
}

async fn prune(State(api): State<Api>, Ask(ask): Ask<PruneAsk>) -> Answer<PrunedRow> {
    Ok(Json(api.controller.prune(ask).await?))
}
