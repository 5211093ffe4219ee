//! Every route, over one controller. Each calls one of its methods.

mod answer;
mod containers;
mod conversations;
mod nodes;
mod resources;
mod sources;
mod stacks;

use crate::refusal::{Ask, Refused};
use crate::shapes::{Hint, Info, InspectAsk};
use crate::{limits, lines, pages, paths};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use keel_reconciler::ask::{Refusal, RefusalKind};
use keel_reconciler::inspected::Inspected;

use answer::Answer;
pub use answer::Api;

/// Every route.
pub fn router(api: Api) -> Router {
    let submissions = Router::new()
        .route(paths::PLAN, post(stacks::plan))
        .route(paths::PREVIEW, post(stacks::preview))
        .route(paths::CONVERGE, post(stacks::converge))
        .route(paths::RUN, post(containers::run))
        .layer(DefaultBodyLimit::max(limits::SUBMISSION));
    Router::new()
        .route(paths::INFO, get(info))
        .route(paths::EVENTS, get(events))
        .route(paths::INSPECT, post(inspect))
        .route(paths::OPEN, post(conversations::open))
        .merge(stacks::routes())
        .merge(sources::routes())
        .merge(containers::routes())
        .merge(resources::routes())
        .merge(nodes::routes())
        .layer(DefaultBodyLimit::max(limits::BODY))
        .merge(submissions)
        .fallback(unknown)
        .layer(axum::middleware::from_fn(pages::refuse))
        .with_state(api)
}

/// Refuses whatever is asked.
pub(crate) fn refusing(refusal: Refusal) -> Router {
    let refused = move || std::future::ready(Refused(refusal.clone()));
    Router::new().fallback(refused).layer(axum::middleware::from_fn(pages::refuse))
}

async fn info(State(api): State<Api>) -> Json<Info> {
    Json(api.info)
}

async fn events(State(api): State<Api>) -> Response {
    lines::answer(api.controller.events().map(Hint::from))
}

async fn inspect(State(api): State<Api>, Ask(ask): Ask<InspectAsk>) -> Answer<Inspected> {
    Ok(Json(api.controller.inspect(&ask.target, ask.kind).await?))
}

async fn unknown(uri: Uri) -> Refused {
    Refused(Refusal {
        kind: RefusalKind::NotFound,
        message: format!("no such route: {}", uri.path()),
        hint: Some("this keel speaks /v1; a newer command may need a newer `keel serve`".into()),
    })
}
