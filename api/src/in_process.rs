//! Connections that come from within the process: of a command with a server of its own, and those that another
//! listener has let in.

use axum::serve::Listener;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc;

/// Bytes between a command and the server in its own process.
const IN_PROCESS: usize = 64 << 10;

/// What comes in.
pub(crate) struct InProcess<S>(pub(crate) mpsc::Receiver<S>);

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Listener for InProcess<S> {
    type Io = S;
    type Addr = ();

    async fn accept(&mut self) -> (S, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            // The last client is gone; the server ends by being dropped.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A new connection to the server of this process.
pub(crate) async fn dial(to: &mpsc::Sender<DuplexStream>) -> io::Result<DuplexStream> {
    let (here, there) = tokio::io::duplex(IN_PROCESS);
    to.send(there).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
    Ok(here)
}
