//! Looks through a pack as it comes from a server, before libgit2 does: pure.
//!
//! libgit2 believes what a pack says of itself: it makes room for as many objects as are claimed,
//! and unpacks deltas in memory, however large. So each object is unpacked here first, to nothing.

use crate::limits;
use flate2::{Decompress, FlushDecompress, Status};

/// What a pack may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes as they come.
    pub bytes: u64,
    /// Bytes of one object, unpacked.
    pub object: u64,
}

/// A pack that is being received.
pub(super) struct Pack {
    bounds: Bounds,
    bytes: u64,
    unpacked: u64,
    objects: u32,
    at: At,
    inflate: Decompress,
    scratch: Vec<u8>,
}

/// What comes next.
enum At {
    Header(Vec<u8>),
    /// An object's kind and size.
    Entry {
        begun: Option<(u8, u64)>,
        shift: u32,
    },
    /// Where the base of a delta is, in front of it.
    Offset {
        kind: u8,
        size: u64,
    },
    /// The name of a delta's base, so many bytes of which are left.
    Base {
        kind: u8,
        size: u64,
        left: usize,
    },
    Content {
        kind: u8,
        size: u64,
        came: u64,
        head: Vec<u8>,
    },
    /// Its checksum, and nothing behind it.
    Trailer(usize),
}

const CHECKSUM: usize = 20;
const OFFSET_DELTA: u8 = 6;
const NAMED_DELTA: u8 = 7;
/// Of a delta: both sizes that it begins with.
const HEAD: usize = 20;
const NEXT: At = At::Entry { begun: None, shift: 0 };
const GARBLED: &str = "the server's pack is garbled";

impl Pack {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            bytes: 0,
            unpacked: 0,
            objects: 0,
            at: At::Header(Vec::new()),
            inflate: Decompress::new(true),
            scratch: vec![0; 32 << 10],
        }
    }

    /// Takes the next bytes; why they go too far, if they do.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bounds.bytes {
            return Err(too_large("the pack has", self.bounds.bytes));
        }
        while let Some((first, rest)) = bytes.split_first() {
            if let At::Content { .. } = self.at {
                bytes = self.content(bytes)?;
            } else {
                self.byte(*first)?;
                bytes = rest;
            }
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), String> {
        match &mut self.at {
            At::Header(head) => {
                head.push(byte);
                if head.len() == 12 {
                    self.objects = claimed(head)?;
                    self.count()?;
                    self.at = self.next();
                }
            }
            At::Entry { begun, shift } => {
                let (kind, size) = match *begun {
                    None => (byte >> 4 & 7, u64::from(byte & 15)),
                    Some((kind, size)) => (kind, more(size, byte, *shift)?),
                };
                *shift += if begun.is_none() { 4 } else { 7 };
                *begun = Some((kind, size));
                if byte & 0x80 == 0 {
                    self.at = self.entry(kind, size)?;
                }
            }
            At::Offset { kind, size } => {
                if byte & 0x80 == 0 {
                    self.at = content(*kind, *size);
                }
            }
            At::Base { kind, size, left } => {
                *left -= 1;
                if *left == 0 {
                    self.at = content(*kind, *size);
                }
            }
            At::Trailer(left) => *left = left.checked_sub(1).ok_or(GARBLED)?,
            At::Content { .. } => {}
        }
        Ok(())
    }

    fn count(&self) -> Result<(), String> {
        let most = self.bounds.bytes / limits::GIT_BYTES_FOR_AN_OBJECT;
        match u64::from(self.objects) > most {
            true => Err(format!("the pack claims {} objects, more than {most}", self.objects)),
            false => Ok(()),
        }
    }

    fn next(&self) -> At {
        if self.objects == 0 { At::Trailer(CHECKSUM) } else { NEXT }
    }

    fn entry(&self, kind: u8, size: u64) -> Result<At, String> {
        self.fits(size)?;
        match kind {
            1..=4 => Ok(content(kind, size)),
            OFFSET_DELTA => Ok(At::Offset { kind, size }),
            NAMED_DELTA => Ok(At::Base { kind, size, left: CHECKSUM }),
            _ => Err(GARBLED.to_owned()),
        }
    }

    fn fits(&self, size: u64) -> Result<(), String> {
        match size > self.bounds.object {
            true => Err(too_large("an object has", self.bounds.object)),
            false => Ok(()),
        }
    }

    /// Unpacks some of an object; what is left of the bytes.
    fn content<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let At::Content { kind, size, came, head } = &mut self.at else { return Ok(bytes) };
        let mut rest = bytes;
        loop {
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let done = self.inflate.decompress(rest, &mut self.scratch, FlushDecompress::None);
            let status = done.map_err(|_| GARBLED)?;
            let took = usize::try_from(self.inflate.total_in() - before.0).unwrap_or(rest.len());
            let gave = self.inflate.total_out() - before.1;
            rest = &rest[took..];
            *came += gave;
            self.unpacked += gave;
            if *kind >= OFFSET_DELTA && head.len() < HEAD {
                let gave = usize::try_from(gave).unwrap_or(HEAD).min(HEAD - head.len());
                head.extend_from_slice(&self.scratch[..gave]);
            }
            if *came > *size {
                return Err(GARBLED.to_owned());
            }
            if status == Status::StreamEnd {
                break;
            }
            if took == 0 && gave == 0 {
                return Ok(rest);
            }
        }
        let result = if *kind >= OFFSET_DELTA { result_of(head)? } else { 0 };
        self.ended(result)?;
        Ok(rest)
    }

    fn ended(&mut self, result: u64) -> Result<(), String> {
        self.fits(result)?;
        self.unpacked = self.unpacked.saturating_add(result);
        let most = self.bounds.bytes.saturating_mul(limits::GIT_UNPACKED);
        if self.unpacked > most {
            return Err(too_large("the pack's objects have", most));
        }
        self.objects -= 1;
        self.inflate.reset(true);
        self.at = self.next();
        Ok(())
    }
}

fn content(kind: u8, size: u64) -> At {
    At::Content { kind, size, came: 0, head: Vec::new() }
}

fn too_large(what: &str, most: u64) -> String {
    format!("{what} more than {}", keel_engine::Value::Bytes(most))
}

fn claimed(head: &[u8]) -> Result<u32, String> {
    match head {
        [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, a, b, c, d] => {
            Ok(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        _ => Err(GARBLED.to_owned()),
    }
}

fn more(size: u64, byte: u8, shift: u32) -> Result<u64, String> {
    let part = u64::from(byte & 0x7f);
    if shift > 56 {
        return Err(GARBLED.to_owned());
    }
    Ok(size | part << shift)
}

/// The size of what a delta makes: the second of the two numbers that it begins with.
fn result_of(head: &[u8]) -> Result<u64, String> {
    let mut bytes = head.iter();
    let mut number = || {
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = *bytes.next().ok_or(GARBLED)?;
            size = more(size, byte, shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok::<u64, String>(size);
            }
        }
    };
    number()?;
    number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    const BOUNDS: Bounds = Bounds { bytes: 1 << 20, object: 100_000 };

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn number(mut value: u64) -> Vec<u8> {
        let mut bytes = vec![];
        loop {
            let last = value < 0x80;
            bytes.push((value & 0x7f) as u8 | if last { 0 } else { 0x80 });
            value >>= 7;
            if last {
                return bytes;
            }
        }
    }

    fn entry(kind: u8, size: u64) -> Vec<u8> {
        let more = if size > 15 { 0x80 } else { 0 };
        let mut bytes = vec![more | kind << 4 | (size & 15) as u8];
        if size > 15 {
            bytes.extend(number(size >> 4));
        }
        bytes
    }

    fn pack(claimed: u32, objects: &[Vec<u8>]) -> Vec<u8> {
        let head = [b"PACK\0\0\0\x02".as_slice(), &claimed.to_be_bytes()].concat();
        [head, objects.concat(), vec![7; CHECKSUM]].concat()
    }

    fn object(kind: u8, says: u64, base: &[u8], content: &[u8]) -> Vec<u8> {
        [entry(kind, says), base.to_vec(), packed(content)].concat()
    }

    fn delta(result: u64) -> Vec<u8> {
        [number(10), number(result), vec![1, b'x']].concat()
    }

    fn judged(bytes: &[u8]) -> Result<(), String> {
        let mut whole = Pack::new(BOUNDS);
        let mut in_bits = Pack::new(BOUNDS);
        let once = whole.take(bytes);
        let piecewise = bytes.iter().try_for_each(|byte| in_bits.take(&[*byte]));
        assert_eq!(once, piecewise, "it matters how the bytes are cut");
        once
    }

    #[test]
    fn a_sound_pack_passes() {
        let small = delta(10);
        let objects = [
            object(1, 6, &[], b"commit"),
            object(3, 50_000, &[], &[b'x'; 50_000]),
            object(3, 0, &[], b""),
            object(6, small.len() as u64, &[0x81, 0x02], &small),
            object(7, small.len() as u64, &[9; 20], &small),
        ];
        assert_eq!(judged(&pack(5, &objects)), Ok(()));
        assert_eq!(judged(&pack(0, &[])), Ok(()));
    }

    #[test]
    fn what_goes_too_far_is_named() {
        let big = delta(1 << 40);
        let zeros = vec![0; 90_000];
        let bomb: Vec<_> = (0..400).map(|_| object(3, 90_000, &[], &zeros)).collect();
        let cases = [
            (pack(u32::MAX, &[]), "the pack claims 4294967295 objects, more than 2048"),
            (pack(1, &[object(3, 100_001, &[], b"x")]), "an object has more than"),
            (pack(1, &[object(3, 5, &[], &[0; 6_000])]), "garbled"),
            (pack(1, &[object(7, big.len() as u64, &[9; 20], &big)]), "an object has more than"),
            (pack(400, &bomb), "the pack's objects have more than 32MiB"),
            (pack(1, &[object(5, 1, &[], b"x")]), "garbled"),
            (pack(1, &[[entry(3, 5), vec![9; 30]].concat()]), "garbled"),
            ([pack(0, &[]), vec![0]].concat(), "garbled"),
            (b"PICK\0\0\0\x02\0\0\0\0".to_vec(), "garbled"),
            ([pack(2, &[]), vec![0xff; 40]].concat(), "garbled"),
        ];
        for (bytes, why) in cases {
            let told = judged(&bytes).expect_err(why);
            assert!(told.contains(why), "{told} for {why}");
        }
        let mut long = Pack::new(BOUNDS);
        let told = (0..30).find_map(|_| long.take(&[0; 50_000]).err());
        assert!(told.is_some());
    }
}
