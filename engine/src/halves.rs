//! A conversation made of its two directions.

use crate::frames::Frame;
use crate::{Duplex, FrameReader, FrameWriter};
use async_trait::async_trait;
use std::io;

/// What is read, and what is written: together a [`Duplex`].
pub struct Halves<R, W> {
    /// The reading half.
    pub hears: R,
    /// The writing half.
    pub says: W,
}

#[async_trait]
impl<R: FrameReader + 'static, W: FrameWriter + 'static> Duplex for Halves<R, W> {
    async fn receive(&mut self) -> Option<Frame> {
        self.hears.receive().await
    }

    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        self.says.send(frame).await
    }

    fn split(self: Box<Self>) -> (Box<dyn FrameReader>, Box<dyn FrameWriter>) {
        (Box::new(self.hears), Box::new(self.says))
    }
}
