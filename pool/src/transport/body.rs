//! Bodies of requests and answers: messages, each with its length before it, and frames of sessions, which have
//! theirs already.
//!
//! # Invariants
//! - A byte is taken from the stream only when somebody asks for it, and only then may the peer send another.
//! - Reading can be given up and gone on with: nothing that has come is lost.

use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use keel_engine::frames::{self, Frame, FrameError};
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of the length before a message.
pub(super) const LENGTH: usize = 4;

/// Why a body does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The stream or the whole connection broke.
    #[error("the stream was interrupted")]
    Stream(#[source] h2::Error),
    /// The other side reads no more.
    #[error("the other side stopped reading")]
    Unread,
    /// It ended within a message.
    #[error("the stream ended in the middle of a message")]
    Cut,
    /// A message beyond what is allowed.
    #[error("a message of {bytes} bytes exceeds the limit of {most}")]
    TooLong {
        /// What was announced.
        bytes: u64,
        /// What is allowed.
        most: u64,
    },
    /// A frame that is none.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Nothing came, or nothing was taken, for too long.
    #[error("no progress for {0:?}")]
    Stalled(Duration),
}

/// What this side sends on a stream.
pub(super) struct Outgoing {
    stream: SendStream<Bytes>,
    is_over: bool,
}

impl Outgoing {
    pub(super) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, is_over: false }
    }

    /// Waits until something may be sent.
    pub(super) async fn may_send(&mut self) -> Result<(), BodyError> {
        self.stream.reserve_capacity(1);
        self.capacity().await.map(drop)
    }

    async fn capacity(&mut self) -> Result<usize, BodyError> {
        loop {
            match self.stream.capacity() {
                0 => {}
                free => return Ok(free),
            }
            match poll_fn(|cx| self.stream.poll_capacity(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(BodyError::Stream(error)),
                None => return Err(BodyError::Unread),
            }
        }
    }

    /// Sends bytes as fast as the other side takes them.
    pub(super) async fn bytes(&mut self, mut bytes: Bytes) -> Result<(), BodyError> {
        while bytes.has_remaining() {
            self.stream.reserve_capacity(bytes.len());
            let free = self.capacity().await?;
            let part = bytes.split_to(free.min(bytes.len()));
            self.stream.send_data(part, false).map_err(BodyError::Stream)?;
        }
        Ok(())
    }

    pub(super) async fn message(&mut self, message: &[u8]) -> Result<(), BodyError> {
        self.bytes(with_length(message)?).await
    }

    pub(super) async fn frame(&mut self, frame: &Frame) -> Result<(), BodyError> {
        self.bytes(frame.encode().into()).await
    }

    /// Says that nothing more comes.
    pub(super) fn end(&mut self) {
        if !self.is_over {
            self.is_over = true;
            // Where the stream is broken nobody needs it.
            let _ = self.stream.send_data(Bytes::new(), true);
        }
    }

    /// Gives the stream up, in both directions.
    pub(super) fn give_up(&mut self) {
        self.is_over = true;
        self.stream.send_reset(Reason::CANCEL);
    }

    /// Returns once the other side has given the stream up, or the connection is over.
    pub(super) async fn gone(&mut self) {
        let _ = poll_fn(|cx| self.stream.poll_reset(cx)).await;
    }
}

/// A message as it travels.
pub(super) fn with_length(message: &[u8]) -> Result<Bytes, BodyError> {
    let (bytes, most) = (message.len() as u64, u64::from(u32::MAX));
    let length = u32::try_from(bytes).map_err(|_| BodyError::TooLong { bytes, most })?;
    Ok([&length.to_be_bytes(), message].concat().into())
}

/// What the other side sends on a stream.
pub(super) struct Incoming {
    stream: RecvStream,
    buffer: BytesMut,
}

impl Incoming {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next message; `None` where the body ends before it.
    pub(super) async fn message(&mut self, most: usize) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(message) = taken(&mut self.buffer, most)? {
                return Ok(Some(message));
            }
            if !self.more().await? {
                return self.ended();
            }
        }
    }

    /// The next message, which must come, and in time.
    pub(super) async fn message_within(
        &mut self,
        most: usize,
        limit: Duration,
    ) -> Result<Bytes, BodyError> {
        let message = timeout(limit, self.message(most)).await;
        message.map_err(|_| BodyError::Stalled(limit))??.ok_or(BodyError::Cut)
    }

    /// The next frame; `None` where the body ends before it.
    pub(super) async fn frame(&mut self) -> Result<Option<Frame>, BodyError> {
        loop {
            if let Some((frame, length)) = frames::decode(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(Some(frame));
            }
            if !self.more().await? {
                return self.ended();
            }
        }
    }

    /// Whatever comes next; `None` at the end.
    pub(super) async fn bytes(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.buffer.is_empty() && !self.more().await? {
            return Ok(None);
        }
        Ok(Some(self.buffer.split().freeze()))
    }

    fn ended<T>(&self) -> Result<Option<T>, BodyError> {
        if self.buffer.is_empty() { Ok(None) } else { Err(BodyError::Cut) }
    }

    async fn more(&mut self) -> Result<bool, BodyError> {
        match poll_fn(|cx| self.stream.poll_data(cx)).await {
            Some(Ok(bytes)) => {
                // It fails for what was not received only.
                let _ = self.stream.flow_control().release_capacity(bytes.len());
                self.buffer.extend_from_slice(&bytes);
                Ok(true)
            }
            Some(Err(error)) => Err(BodyError::Stream(error)),
            None => Ok(false),
        }
    }
}

/// The first message in a buffer, once it is whole.
fn taken(buffer: &mut BytesMut, most: usize) -> Result<Option<Bytes>, BodyError> {
    let Some((length, rest)) = buffer.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > most {
        return Err(BodyError::TooLong { bytes: length as u64, most: most as u64 });
    }
    if rest.len() < length {
        return Ok(None);
    }
    buffer.advance(LENGTH);
    Ok(Some(buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_or_not_at_all() {
        let mut buffer = BytesMut::from(&with_length(b"one").unwrap()[..]);
        buffer.extend_from_slice(&with_length(b"").unwrap());
        buffer.extend_from_slice(&with_length(b"three").unwrap()[..6]);
        assert_eq!(taken(&mut buffer, 5).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(taken(&mut buffer, 5).unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(taken(&mut buffer, 5).unwrap(), None);
        buffer.extend_from_slice(b"ree");
        assert_eq!(taken(&mut buffer, 5).unwrap().as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn a_message_over_the_limit_is_refused_by_its_length_alone() {
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        let refused = taken(&mut buffer, 1 << 20).unwrap_err();
        assert!(
            matches!(refused, BodyError::TooLong { bytes: 0xffff_ffff, most: 0x10_0000 }),
            "{refused}"
        );
    }
}
