//! Logs, exec, attach, signals: the connection leaves HTTP and carries frames.

use super::answer::Api;
use crate::conversation::{bridge, over};
use crate::gate::Place;
use crate::limits;
use crate::paths;
use crate::refusal::{Refused, invalid};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use keel_engine::Open;

/// Opens it with the task first, so that a refusal is still an HTTP answer.
pub async fn open(State(api): State<Api>, mut request: Request) -> Result<Response, Refused> {
    if !wants_frames(request.headers()) {
        let message = format!("this route needs `Upgrade: {}`", paths::PROTOCOL);
        return Err(invalid(message).into());
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let place = request.extensions_mut().remove::<Place>();
    let what = asked(request.into_body()).await?;
    let task = api.controller.open(what).await?;
    // Only the conversation itself lives on, so that whoever serves can stop without it.
    tokio::spawn(async move {
        let _place = place;
        // An error here is a person who went away between asking and upgrading.
        if let Ok(upgraded) = upgrade.await {
            bridge(task, Box::new(over(TokioIo::new(upgraded)))).await;
        }
    });
    let headers = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, paths::PROTOCOL)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

fn wants_frames(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value == paths::PROTOCOL)
}

async fn asked(body: Body) -> Result<Open, Refused> {
    let bytes = to_bytes(body, limits::BODY).await;
    let bytes = bytes.map_err(|_| invalid("the request is too large"))?;
    let what = serde_json::from_slice(&bytes);
    Ok(what.map_err(|error| invalid(format!("invalid request: {error}")))?)
}
