//! Frames of an opened conversation: one byte of kind, four bytes of length (big-endian), payload.

/// The largest payload; a longer one is refused by [`decode`].
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Bytes before the payload.
pub const HEADER: usize = 5;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Input for the process.
    Stdin(Vec<u8>),
    /// No more input.
    StdinEnd,
    /// Output.
    Stdout(Vec<u8>),
    /// Error output.
    Stderr(Vec<u8>),
    /// The terminal has another size.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// The process ended, and how. The last frame.
    Exit(i32),
    /// It could not be done, and why. The last frame.
    Error(String),
}

/// A frame that breaks the format.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// A kind that nobody knows.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// A payload that its kind cannot have.
    #[error("frame of kind {kind} with {length} bytes")]
    Length {
        /// The kind's byte.
        kind: u8,
        /// The payload's length.
        length: usize,
    },
}

impl Frame {
    /// The frame as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Stdin(data) => with_header(0, data),
            Self::Stdout(data) => with_header(1, data),
            Self::Stderr(data) => with_header(2, data),
            Self::Resize { rows, columns } => {
                let [a, b] = rows.to_be_bytes();
                let [c, d] = columns.to_be_bytes();
                with_header(3, &[a, b, c, d])
            }
            Self::Exit(code) => with_header(4, &code.to_be_bytes()),
            Self::StdinEnd => with_header(5, &[]),
            Self::Error(text) => with_header(6, text.as_bytes()),
        }
    }
}

fn with_header(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("callers cut payloads to MAX_PAYLOAD");
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The first frame in `bytes` and how many bytes it took; `None` while it is not whole.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [kind, a, b, c, d] = *header;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MAX_PAYLOAD {
        return Err(FrameError::Length { kind, length });
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    Ok(Some((frame(kind, payload)?, HEADER + length)))
}

fn frame(kind: u8, payload: &[u8]) -> Result<Frame, FrameError> {
    let wrong = FrameError::Length { kind, length: payload.len() };
    Ok(match kind {
        0 => Frame::Stdin(payload.to_vec()),
        1 => Frame::Stdout(payload.to_vec()),
        2 => Frame::Stderr(payload.to_vec()),
        3 => {
            let &[a, b, c, d] = payload else { return Err(wrong) };
            Frame::Resize { rows: u16::from_be_bytes([a, b]), columns: u16::from_be_bytes([c, d]) }
        }
        4 => Frame::Exit(i32::from_be_bytes(payload.try_into().map_err(|_| wrong)?)),
        5 => Frame::StdinEnd,
        6 => Frame::Error(String::from_utf8_lossy(payload).into_owned()),
        other => return Err(FrameError::Kind(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_comes_back() {
        let frames = [
            Frame::Stdin(b"in".to_vec()),
            Frame::StdinEnd,
            Frame::Stdout(vec![0, 255]),
            Frame::Stderr(vec![]),
            Frame::Resize { rows: 24, columns: 80 },
            Frame::Exit(-1),
            Frame::Error("no such program".into()),
        ];
        for frame in frames {
            let bytes = frame.encode();
            assert_eq!(decode(&bytes), Ok(Some((frame.clone(), bytes.len()))));
            assert_eq!(decode(&bytes[..bytes.len() - 1]), Ok(None), "{frame:?} cut short");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(decode(&[9, 0, 0, 0, 0]), Err(FrameError::Kind(9)));
        let huge = [1, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(decode(&huge), Err(FrameError::Length { kind: 1, .. })));
    }
}
