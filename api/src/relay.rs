//! The socket of a controller that does not lead: what is asked there goes on to the one that does, byte by byte, and
//! so do answers, streams and sessions.

use crate::answering::connection;
use crate::gate::{Gate, Progress};
use crate::limits;
use crate::routes::refusing;
use axum::serve::Listener;
use keel_reconciler::ask::Refusal;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Takes connections until `stopped` says so, by being dropped on the other side; then to the end of those that there
/// are.
pub(crate) async fn run<S, F>(
    mut listener: UnixListener,
    dial: impl Fn() -> F + Send + Sync + 'static,
    mut stopped: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = Result<S, Refusal>> + Send + 'static,
{
    let mut open = JoinSet::new();
    loop {
        let is_room = open.len() < limits::CONNECTIONS;
        let (asked, _) = tokio::select! {
            biased;
            Some(_) = open.join_next() => continue,
            _ = stopped.changed() => break,
            asked = Listener::accept(&mut listener), if is_room => asked,
        };
        open.spawn(hand_on(asked, dial(), stopped.clone()));
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn hand_on<S: AsyncRead + AsyncWrite + Unpin>(
    mut asked: UnixStream,
    dialing: impl Future<Output = Result<S, Refusal>>,
    stopped: watch::Receiver<()>,
) {
    match dialing.await {
        Ok(mut line) => {
            // Either side may be gone; the other one notices.
            let _ = copy_bidirectional(&mut asked, &mut line).await;
        }
        Err(refusal) => {
            let (gate, progress) = (Arc::new(Gate::default()), Arc::new(Progress::default()));
            connection(asked, refusing(refusal), gate, progress, stopped).await;
        }
    }
}
