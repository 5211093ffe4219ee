//! Hints at changes in etcd. A stream that breaks is opened again, and what it may have missed is hinted at.

use super::super::{RecordHint, Result, StoreError};
use super::gateway::Gateway;
use super::shapes::{Message, WatchAnswer, after, packed};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;

/// Between two tries to open a stream.
const AGAIN: Duration = Duration::from_millis(500);

/// Hints at changes of keys below `home` that begin with this, for as long as the stream is held.
pub(super) async fn watch(
    gateway: Arc<Gateway>,
    home: String,
    prefix: &str,
) -> Result<BoxStream<'static, RecordHint>> {
    let (hints, heard) = mpsc::unbounded_channel();
    let (begun, begins) = oneshot::channel();
    let watching = Watching { gateway, from: format!("{home}{prefix}"), home, hints };
    tokio::spawn(watching.keep(begun));
    begins.await.unwrap_or_else(|_| {
        Err(StoreError::Etcd { why: "the watch ended before it began".to_owned() })
    })?;
    Ok(Box::pin(unfold(heard, |mut heard| async { Some((heard.recv().await?, heard)) })))
}

struct Watching {
    gateway: Arc<Gateway>,
    from: String,
    home: String,
    hints: UnboundedSender<RecordHint>,
}

impl Watching {
    async fn keep(self, begun: oneshot::Sender<Result<()>>) {
        let mut begun = Some(begun);
        loop {
            let ended = tokio::select! {
                ended = self.once(&mut begun) => ended,
                () = self.hints.closed() => return,
            };
            // Whoever could not begin is told why, and tries for itself.
            if let (Err(error), Some(begun)) = (ended, begun.take()) {
                return drop(begun.send(Err(error)));
            }
            if self.hints.send(RecordHint::Anything).is_err() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn once(&self, begun: &mut Option<oneshot::Sender<Result<()>>>) -> Result<()> {
        let key = packed(self.from.as_bytes());
        let create =
            json!({ "create_request": { "key": key, "range_end": packed(&after(&self.from)) } });
        let response = self.gateway.stream("/v3/watch", &create).await?;
        let (mut parts, mut line) = (response.bytes_stream(), Vec::new());
        while let Some(Ok(part)) = parts.next().await {
            line.extend_from_slice(&part);
            while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                let message: Vec<_> = line.drain(..=end).collect();
                let Ok(Message { result }) =
                    serde_json::from_slice::<Message<WatchAnswer>>(&message)
                else {
                    return Ok(());
                };
                if let Some(begun) = begun.take_if(|_| result.created) {
                    // Nobody may be listening any more.
                    let _ = begun.send(Ok(()));
                }
                if result.canceled || !self.tell(&result) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn tell(&self, answer: &WatchAnswer) -> bool {
        answer.events.iter().all(|event| {
            let key = String::from_utf8_lossy(&event.kv.key);
            let hint = key.strip_prefix(&self.home).map(|key| RecordHint::Key(key.to_owned()));
            self.hints.send(hint.unwrap_or(RecordHint::Anything)).is_ok()
        })
    }
}
