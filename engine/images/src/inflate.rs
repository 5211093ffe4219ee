//! Undoes a layer's compression. What it is follows from its first bytes: media types lie.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

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
                Ok(Self::Zstd(zstd::stream::read::Decoder::with_buffer(whole)?))
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
