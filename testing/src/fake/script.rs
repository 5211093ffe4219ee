//! What a task of the fake engine says to whoever opens it.

use async_trait::async_trait;
use keel_engine::frames::Frame;
use keel_engine::{Duplex, FrameReader, FrameWriter};
use std::collections::VecDeque;

/// A conversation that says its lines and ends.
pub(super) struct Script(pub VecDeque<Frame>);

#[async_trait]
impl FrameReader for Script {
    async fn receive(&mut self) -> Option<Frame> {
        self.0.pop_front()
    }
}

/// Swallows what it is sent.
struct Deaf;

#[async_trait]
impl FrameWriter for Deaf {
    async fn send(&mut self, _: Frame) -> std::io::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Duplex for Script {
    async fn receive(&mut self) -> Option<Frame> {
        self.0.pop_front()
    }

    async fn send(&mut self, _: Frame) -> std::io::Result<()> {
        Ok(())
    }

    fn split(self: Box<Self>) -> (Box<dyn FrameReader>, Box<dyn FrameWriter>) {
        (self, Box::new(Deaf))
    }
}
