//! The socket of a controller that does not lead: what is asked there goes on to the one that does, byte by byte, and
//! so do answers, streams and sessions.

use crate::answering::connection;
use crate::gate::{Gate, Progress};
use crate::routes::refusing;
use keel_reconciler::ask::Refusal;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// Hands a connection on over the line that is dialed; where there is none, answers why.
pub(crate) async fn hand_on<S: AsyncRead + AsyncWrite + Unpin>(
    mut asked: UnixStream,
    dialing: impl Future<Output = Result<S, Refusal>>,
    progress: Arc<Progress>,
    stopped: watch::Receiver<()>,
) {
    // Who waits too long is for the other side to say.
    progress.hands_on();
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
