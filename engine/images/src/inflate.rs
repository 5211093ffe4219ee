//! Undoes a layer's compression. What it is follows from its first bytes: media types lie.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// zstd's own levels up to 20, and all of what builders use, look back 32 MiB at most. What a frame
/// asks for is memory here.
const WINDOW_LOG: u32 = 25;

/// A compressed stream with its first bytes put back.
type Whole<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// The plain content of a stream.
pub(crate) enum Inflate<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Whole<R>>),
}

impl<R: Read> Inflate<R> {
    pub(crate) fn new(mut stream: R) -> io::Result<Self> {
        let mut magic = Vec::new();
        (&mut stream).take(6).read_to_end(&mut magic)?;
        let start = magic.clone();
        let whole = BufReader::with_capacity(128 * 1024, Cursor::new(magic).chain(stream));
        match start.as_slice() {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(whole)))),
            // A frame, or one of the frames to be skipped that may come first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Ok(Self::Zstd(decoder))
            }
            [b'B', b'Z', b'h', ..] => Err(unsupported("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(unsupported("xz")),
            _ => Ok(Self::Plain(whole)),
        }
    }
}

impl<R: Read> Read for Inflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Gzip(stream) => stream.read(buffer),
            Self::Zstd(stream) => stream.read(buffer),
        }
    }
}

fn unsupported(name: &str) -> io::Error {
    let text = format!("it is compressed with {name}; layers are gzip, zstd or plain");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame that asks for a window of so many bits, and holds nothing.
    fn frame(window_log: u8) -> Vec<u8> {
        vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3, 1, 0, 0]
    }

    #[test]
    fn a_window_has_a_limit() {
        let read = |frame: Vec<u8>| Inflate::new(&*frame)?.read_to_end(&mut Vec::new());
        assert_eq!(read(frame(25)).unwrap(), 0);
        for log in [26, 27, 31, 41] {
            assert!(read(frame(log)).is_err(), "{log}");
        }
        let skipped = [vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], frame(20)].concat();
        assert_eq!(read(skipped).unwrap(), 0);
    }
}
