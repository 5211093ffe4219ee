//! An opened conversation: two queues of frames between the caller and whoever answers.

use async_trait::async_trait;
use keel_engine::frames::Frame;
use keel_engine::{Duplex, FrameReader, FrameWriter, Halves};
use std::io;
use tokio::sync::mpsc;

/// So many frames may wait before the side that sends has to.
const DEPTH: usize = 64;

/// The caller's end.
struct Hears(mpsc::Receiver<Frame>);
struct Says(mpsc::Sender<Frame>);

/// The answering end.
pub(crate) struct Answer {
    /// What the caller sends.
    pub(crate) hears: mpsc::Receiver<Frame>,
    /// What the caller receives.
    pub(crate) says: mpsc::Sender<Frame>,
}

/// Both ends of a new conversation.
pub(crate) fn conversation() -> (Box<dyn Duplex>, Answer) {
    let (to_caller, from_answer) = mpsc::channel(DEPTH);
    let (to_answer, from_caller) = mpsc::channel(DEPTH);
    let caller = Halves { hears: Hears(from_answer), says: Says(to_answer) };
    (Box::new(caller), Answer { hears: from_caller, says: to_caller })
}

#[async_trait]
impl FrameReader for Hears {
    async fn receive(&mut self) -> Option<Frame> {
        self.0.recv().await
    }
}

#[async_trait]
impl FrameWriter for Says {
    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        self.0.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
