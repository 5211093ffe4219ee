//! Bytes on one side, frames on the other.

use keel_engine::frames::{Frame, decode};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

const CHUNK: usize = 32 << 10;

/// Hands on what is read, as frames of one kind, until the end or until nobody listens.
pub(super) async fn output(
    mut from: impl AsyncRead + Unpin,
    says: mpsc::Sender<Frame>,
    kind: fn(Vec<u8>) -> Frame,
) {
    let mut chunk = vec![0; CHUNK];
    // A terminal whose last user is gone answers with an error: that is its end.
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if says.send(kind(chunk[..count].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Reads framed bytes until their end or until nobody listens.
pub(super) async fn unframe(
    mut from: impl AsyncRead + Unpin,
    says: &mpsc::Sender<Frame>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        while let Some((frame, length)) = decode(&bytes).map_err(io::Error::other)? {
            bytes.drain(..length);
            if says.send(frame).await.is_err() {
                return Ok(());
            }
        }
        if from.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}

/// Writes frames as bytes until nobody sends any more.
pub(super) async fn frame(
    mut hears: mpsc::Receiver<Frame>,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    while let Some(frame) = hears.recv().await {
        to.write_all(&frame.encode()).await?;
    }
    to.shutdown().await
}
