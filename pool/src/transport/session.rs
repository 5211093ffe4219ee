//! A session with a task of a far node: frames in both directions of one stream, each of which ends for itself.

use super::body::{BodyError, Incoming, Outgoing};
use async_trait::async_trait;
use keel_engine::frames::Frame;
use keel_engine::{FrameReader, FrameWriter, Halves, NodeName};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What the task says.
pub(super) struct SessionReader {
    node: NodeName,
    incoming: Option<Incoming>,
    _place: Arc<OwnedSemaphorePermit>,
}

/// What the task is told.
pub(super) struct SessionWriter {
    outgoing: Outgoing,
    _place: Arc<OwnedSemaphorePermit>,
}

/// Both directions.
pub(super) fn session(
    node: NodeName,
    incoming: Incoming,
    outgoing: Outgoing,
    place: OwnedSemaphorePermit,
) -> Halves<SessionReader, SessionWriter> {
    let place = Arc::new(place);
    let incoming = Some(incoming);
    Halves {
        hears: SessionReader { node, incoming, _place: place.clone() },
        says: SessionWriter { outgoing, _place: place },
    }
}

#[async_trait]
impl FrameReader for SessionReader {
    /// A session that breaks ends with an error, so that nobody takes it for one that is over.
    async fn receive(&mut self) -> Option<Frame> {
        let frame = self.incoming.as_mut()?.frame().await;
        match frame {
            Ok(Some(frame)) => Some(frame),
            Ok(None) => None,
            Err(error) => {
                self.incoming = None;
                Some(Frame::Error(broken(&self.node, &error)))
            }
        }
    }
}

fn broken(node: &NodeName, error: &BodyError) -> String {
    let mut text = format!("the session with node {node} was interrupted: {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[async_trait]
impl FrameWriter for SessionWriter {
    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        let sent = self.outgoing.frame(&frame).await;
        sent.map_err(|error| io::Error::new(ErrorKind::BrokenPipe, error))
    }
}

/// The task's input ends here; its output goes on.
impl Drop for SessionWriter {
    fn drop(&mut self) {
        self.outgoing.end();
    }
}
