//! What is on the line: length, kind and stream, and what is carried.

use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;

/// A longer one is refused, so that nobody is made to hold more.
pub(super) const MAX: usize = 64 << 20;

/// One packet of one stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) stream: u64,
    pub(super) body: Body,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A sealed call; begins the stream.
    Call(Vec<u8>),
    /// A sealed answer.
    Answer(Vec<u8>),
    /// A frame of a conversation.
    Frame(Vec<u8>),
    /// So many more may be sent.
    Credit(u32),
    /// The sender sends no more.
    End,
    /// The sender reads no more.
    Gone,
}

impl Packet {
    fn encode(&self) -> Vec<u8> {
        let credit;
        let (kind, payload) = match &self.body {
            Body::Call(bytes) => (0, bytes.as_slice()),
            Body::Answer(bytes) => (1, bytes.as_slice()),
            Body::Frame(bytes) => (2, bytes.as_slice()),
            Body::Credit(more) => {
                credit = more.to_be_bytes();
                (3, credit.as_slice())
            }
            Body::End => (4, [].as_slice()),
            Body::Gone => (5, [].as_slice()),
        };
        let length = u32::try_from(payload.len()).expect("whoever sends keeps to MAX");
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }
}

/// The next packet; `None` where the line ends between two.
pub(super) async fn read(line: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Packet>> {
    let length = match line.read_u32().await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        length => length? as usize,
    };
    if length > MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let (kind, stream) = (line.read_u8().await?, line.read_u64().await?);
    let mut payload = vec![0; length];
    line.read_exact(&mut payload).await?;
    let body = match kind {
        0 => Body::Call(payload),
        1 => Body::Answer(payload),
        2 => Body::Frame(payload),
        3 => {
            let more = payload.try_into().map_err(|_| ErrorKind::InvalidData)?;
            Body::Credit(u32::from_be_bytes(more))
        }
        4 => Body::End,
        5 => Body::Gone,
        _ => return Err(ErrorKind::InvalidData.into()),
    };
    Ok(Some(Packet { stream, body }))
}

/// Writes what comes, until nobody is left to say anything or the line breaks.
pub(super) async fn write(mut queue: UnboundedReceiver<Packet>, mut line: impl AsyncWrite + Unpin) {
    while let Some(packet) = queue.recv().await {
        if line.write_all(&packet.encode()).await.is_err() {
            return;
        }
    }
    // The other side may be gone already.
    let _ = line.shutdown().await;
}
