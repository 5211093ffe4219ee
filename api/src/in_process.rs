//! Connections between a command and the server in its own process.

use axum::serve::Listener;
use std::io;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Bytes between a command and the server in its own process.
const IN_PROCESS: usize = 64 << 10;

/// Connections that are made within the process.
pub(crate) struct InProcess(pub(crate) mpsc::Receiver<DuplexStream>);

impl Listener for InProcess {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
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
