//! An opened conversation over any byte stream: both ends of an upgraded connection.

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use keel_engine::frames::{self, Frame};
use keel_engine::{Duplex, FrameReader, FrameWriter, Halves};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// The half that is read. A frame that breaks the format ends it with [`Frame::Error`].
struct Reader<T> {
    stream: ReadHalf<T>,
    buffer: BytesMut,
    broken: bool,
}

/// The half that is written.
struct Writer<T>(WriteHalf<T>);

/// Frames over a byte stream.
pub fn over(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> impl Duplex {
    let (read, write) = tokio::io::split(stream);
    let hears = Reader { stream: read, buffer: BytesMut::new(), broken: false };
    Halves { hears, says: Writer(write) }
}

impl<T: AsyncRead + Send> Reader<T> {
    async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let decoded = frames::decode(&self.buffer);
            if let Some((frame, taken)) = decoded.map_err(io::Error::other)? {
                self.buffer.advance(taken);
                return Ok(Some(frame));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[async_trait]
impl<T: AsyncRead + Send> FrameReader for Reader<T> {
    async fn receive(&mut self) -> Option<Frame> {
        if self.broken {
            return None;
        }
        match self.next().await {
            Ok(frame) => frame,
            // A peer that closes in the middle of something is simply gone.
            Err(error) if error.kind() != io::ErrorKind::Other => None,
            Err(error) => {
                self.broken = true;
                Some(Frame::Error(error.to_string()))
            }
        }
    }
}

#[async_trait]
impl<T: AsyncWrite + Send> FrameWriter for Writer<T> {
    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        for piece in within_limit(frame) {
            self.0.write_all(&piece.encode()).await?;
        }
        self.0.flush().await
    }
}

/// A frame's payload in pieces that the other side takes.
fn within_limit(frame: Frame) -> Vec<Frame> {
    let cut = |data: Vec<u8>, make: fn(Vec<u8>) -> Frame| -> Vec<Frame> {
        if data.len() <= frames::MAX_PAYLOAD {
            return vec![make(data)];
        }
        data.chunks(frames::MAX_PAYLOAD).map(|piece| make(piece.to_vec())).collect()
    };
    match frame {
        Frame::Stdin(data) => cut(data, Frame::Stdin),
        Frame::Stdout(data) => cut(data, Frame::Stdout),
        Frame::Stderr(data) => cut(data, Frame::Stderr),
        Frame::Error(mut text) => {
            while text.len() > frames::MAX_PAYLOAD {
                text.pop();
            }
            vec![Frame::Error(text)]
        }
        small @ (Frame::StdinEnd | Frame::Resize { .. } | Frame::Exit(_)) => vec![small],
    }
}

/// Carries frames both ways until the task's side is done or the person's side is gone.
pub async fn bridge(task: Box<dyn Duplex>, person: Box<dyn Duplex>) {
    let (mut from_task, mut to_task) = task.split();
    let (mut from_person, mut to_person) = person.split();
    let input = async {
        while let Some(frame) = from_person.receive().await {
            if to_task.send(frame).await.is_err() {
                // The task takes no more input, but may still have much to say.
                std::future::pending::<()>().await;
            }
        }
    };
    let output = async {
        while let Some(frame) = from_task.receive().await {
            if to_person.send(frame).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_payload_arrives_in_pieces() {
        let (here, there) = tokio::io::duplex(4096);
        let (mut here, mut there) = (over(here), over(there));
        let length = frames::MAX_PAYLOAD + 10;
        let sender = tokio::spawn(async move {
            here.send(Frame::Stdout(vec![7; length])).await.unwrap();
            here.send(Frame::Exit(3)).await.unwrap();
        });
        let mut received = 0;
        let end = loop {
            match there.receive().await.unwrap() {
                Frame::Stdout(data) => received += data.len(),
                other => break other,
            }
        };
        sender.await.unwrap();
        assert_eq!((received, end), (length, Frame::Exit(3)));
        assert_eq!(there.receive().await, None);
    }

    #[tokio::test]
    async fn nonsense_is_named_once() {
        let (mut here, there) = tokio::io::duplex(64);
        let mut there = over(there);
        here.write_all(&[9, 0, 0, 0, 0]).await.unwrap();
        assert_eq!(there.receive().await, Some(Frame::Error("unknown frame kind 9".into())));
        assert_eq!(there.receive().await, None);
    }

    #[tokio::test]
    async fn a_bridge_ends_with_the_task() {
        let (task, task_side) = tokio::io::duplex(64);
        let (person, person_side) = tokio::io::duplex(64);
        let bridged = tokio::spawn(bridge(Box::new(over(task)), Box::new(over(person))));
        let mut task = over(task_side);
        let mut person = over(person_side);
        person.send(Frame::Stdin(b"hi".to_vec())).await.unwrap();
        assert_eq!(task.receive().await, Some(Frame::Stdin(b"hi".to_vec())));
        task.send(Frame::Exit(0)).await.unwrap();
        drop(task);
        assert_eq!(person.receive().await, Some(Frame::Exit(0)));
        bridged.await.unwrap();
    }
}
