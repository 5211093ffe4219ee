//! One connection and what is answered on it.

use crate::gate::{Gate, Patient, Place, Progress, keeping};
use crate::limits;
use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// Answers on a connection until it ends; from when `stopped` says so, only what is under way.
pub(crate) async fn connection<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    router: Router,
    gate: Arc<Gate>,
    progress: Arc<Progress>,
    mut stopped: watch::Receiver<()>,
) {
    let (router, shared) = (TowerToHyperService::new(router), progress.clone());
    let answer = service_fn(move |request| {
        let (router, gate, progress) = (router.clone(), gate.clone(), shared.clone());
        async move { Ok::<_, Infallible>(answer(request, &router, &gate, &progress).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADERS)
        .max_buf_size(limits::HEADERS_SIZE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patient::new(stream, progress)), answer)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    // One that breaks off or takes too long is the other side's loss.
    tokio::select! {
        _ = &mut serving => {}
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    router: &TowerToHyperService<Router>,
    gate: &Gate,
    progress: &Progress,
) -> Response {
    match gate.admit(request, progress).await {
        Err(refused) => refused.into_response(),
        Ok(request) => {
            let place = request.extensions().get::<Place>().cloned();
            let Ok(response) = router.call(request).await;
            keeping(place, response)
        }
    }
}
