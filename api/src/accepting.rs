//! Connections that come, each answered by a task of its own.

use crate::gate::{Progress, Waiting};
use crate::limits;
use axum::serve::Listener;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Takes connections until `stopped` says so, by being dropped on the other side; then to the end of what is under way.
/// One whose progress says that it waits for its request may have to make room.
pub(crate) async fn accept<L, F>(
    mut listener: L,
    mut stopped: watch::Receiver<()>,
    answer: impl Fn(L::Io, Arc<Progress>, watch::Receiver<()>) -> F,
) where
    L: Listener,
    F: Future<Output = ()> + Send + 'static,
{
    let (mut open, mut waiting) = (JoinSet::new(), Waiting::default());
    loop {
        let is_room = open.len() < limits::CONNECTIONS;
        let stream = tokio::select! {
            biased;
            Some(_) = open.join_next() => continue,
            _ = stopped.changed() => break,
            (stream, _) = listener.accept(), if is_room => stream,
        };
        let progress = Arc::new(Progress::default());
        let answering = answer(stream, progress.clone(), stopped.clone());
        waiting.add(progress, open.spawn(answering));
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}
