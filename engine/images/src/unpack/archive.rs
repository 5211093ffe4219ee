//! Reads a tar stream: ustar, GNU's long names, and PAX records.
//!
//! The framing is our own, on the header of the `tar` crate: that crate reads long names and PAX
//! records of any length into memory, and splits records at newlines, which binary attributes have.
//!
//! # Invariants
//! - Nothing but [`METADATA_LIMIT`] bytes of a name or record is ever held in memory.
//! - Where two readers would see two archives, there is an error: what is said twice and not alike,
//!   sparse files, numbers that fit in no 64 bits.
//! - After [`Archive::next`] the stream stands at the entry's content, and the next call skips
//!   whatever of it was not read.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use tar::{EntryType, Header};

use super::numbers;

/// Names and attributes of one entry; the kernel's own limits are far lower.
const METADATA_LIMIT: u64 = 1024 * 1024;
const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    CharDevice,
    BlockDevice,
    Fifo,
    Unknown(char),
}

/// Everything about one entry but its content.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) link: PathBuf,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
    pub(super) device: (u32, u32),
    pub(super) size: u64,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

/// A tar stream.
pub(super) struct Archive<R> {
    stream: R,
    /// Content of the current entry that was not read yet.
    content: u64,
    padding: u64,
}

/// What came before an entry's own header and overrides it.
#[derive(Default)]
struct Overrides {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    /// Whether there were PAX records.
    pax: bool,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(String, Vec<u8>)>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, content: 0, padding: 0 }
    }

    /// The next entry; `None` at the end mark, or where the stream ends between entries.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut overrides = Overrides::default();
        loop {
            self.skip(self.content.saturating_add(self.padding))?;
            (self.content, self.padding) = (0, 0);
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            numbers::check(&header)?;
            // A record speaks of the file, not of another record before it.
            let size = match is_metadata(kind) {
                true => header.entry_size()?,
                false => overrides.size(header.entry_size()?)?,
            };
            self.begin(kind, size);
            match kind {
                EntryType::GNULongName => once(&mut overrides.path, self.name()?)?,
                EntryType::GNULongLink => once(&mut overrides.link, self.name()?)?,
                EntryType::XHeader => overrides.read_once(&self.metadata()?)?,
                EntryType::XGlobalHeader => global(&self.metadata()?)?,
                _ => return entry(&header, overrides, self.content, size).map(Some),
            }
        }
    }

    /// Reads to the end of the stream.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut filled = 0;
        while filled < BLOCK {
            match self.stream.read(&mut header.as_mut_bytes()[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(broken("it ends within a header")),
                read => filled += read,
            }
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum();
        match header.cksum()? == sum + 8 * u32::from(b' ') {
            true => Ok(Some(header)),
            false => Err(broken("a header's checksum is wrong: this is not a tar archive")),
        }
    }

    /// Links and devices have no content, whatever their size field says.
    fn begin(&mut self, kind: EntryType, size: u64) {
        let has_content = is_metadata(kind)
            || !matches!(
                kind,
                EntryType::Link
                    | EntryType::Symlink
                    | EntryType::Char
                    | EntryType::Block
                    | EntryType::Directory
                    | EntryType::Fifo
            );
        self.content = if has_content { size } else { 0 };
        self.padding = self.content.wrapping_neg() % BLOCK as u64;
    }

    fn metadata(&mut self) -> io::Result<Vec<u8>> {
        if self.content > METADATA_LIMIT {
            return Err(broken("a name or record is longer than 1 MiB"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn name(&mut self) -> io::Result<Vec<u8>> {
        let mut name = self.metadata()?;
        if let Some(end) = name.iter().position(|byte| *byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.stream).take(bytes), &mut io::sink())?;
        match skipped == bytes {
            true => Ok(()),
            false => Err(broken("it ends within an entry")),
        }
    }
}

/// The current entry's content.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.content.min(buffer.len() as u64) as usize;
        let read = self.stream.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(broken("it ends within an entry"));
        }
        self.content -= read as u64;
        Ok(read)
    }
}

/// A name that is given twice is one that readers disagree on.
fn once(slot: &mut Option<Vec<u8>>, value: Vec<u8>) -> io::Result<()> {
    if value.is_empty() {
        return Err(broken("it gives an entry an empty name"));
    }
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(broken("it names one entry twice")),
    }
}

/// Docker ignores global records, and `tar` obeys them: those that change no entry are welcome.
fn global(records: &[u8]) -> io::Result<()> {
    let mut overrides = Overrides::default();
    overrides.read(records)?;
    match overrides {
        Overrides { path: None, link: None, size: None, .. } => Ok(()),
        _ => Err(broken("global records name or size its entries")),
    }
}

impl Overrides {
    /// The size of the entry, of which the header's own field is `field`.
    fn size(&self, field: u64) -> io::Result<u64> {
        match self.size {
            // Records are for what does not fit into the field.
            Some(size) if size != field && size < numbers::LARGEST_IN_FIELD => {
                Err(broken("it gives an entry two sizes"))
            }
            Some(size) => Ok(size),
            None => Ok(field),
        }
    }

    fn read_once(&mut self, records: &[u8]) -> io::Result<()> {
        if std::mem::replace(&mut self.pax, true) {
            return Err(broken("it describes one entry twice"));
        }
        self.read(records)
    }

    /// PAX records: `LENGTH KEY=VALUE\n`, where LENGTH counts all of it.
    fn read(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() && records[0] != 0 {
            let bad = || broken("a PAX record is malformed");
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length = std::str::from_utf8(&records[..space]).ok();
            let length: usize = length.and_then(|text| text.parse().ok()).ok_or_else(bad)?;
            let record = records.get(space + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            let key = std::str::from_utf8(&record[..equals]).map_err(|_| bad())?;
            self.set(key, &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &[u8]) -> io::Result<()> {
        let number = || {
            let text = std::str::from_utf8(value).ok();
            text.and_then(|text| text.parse().ok())
                .ok_or_else(|| broken("a PAX record has no number where one must be"))
        };
        match key {
            "path" => return once(&mut self.path, value.to_vec()),
            "linkpath" => return once(&mut self.link, value.to_vec()),
            "size" => self.size = Some(number()?),
            "uid" => self.uid = Some(number()?),
            "gid" => self.gid = Some(number()?),
            "mtime" => self.mtime = timestamp(value),
            _ if key.starts_with("GNU.sparse.") => {
                return Err(broken("sparse entries are not supported"));
            }
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    self.xattrs.push((name.to_owned(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// `SECONDS[.FRACTION]`; what cannot be read leaves the header's time.
fn timestamp(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    match (whole.starts_with('-'), nanoseconds) {
        // -1.25 is 750 milliseconds after -2.
        (true, 1..) => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        _ => Some((seconds, nanoseconds)),
    }
}

fn is_metadata(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XHeader
            | EntryType::XGlobalHeader
    )
}

fn entry(header: &Header, overrides: Overrides, content: u64, size: u64) -> io::Result<Entry> {
    let path = overrides.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let link = overrides.link.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
    let id = |id: u64| u32::try_from(id).map_err(|_| broken("an owner's number is too large"));
    let mtime = overrides.mtime.unwrap_or((header.mtime()?.try_into().unwrap_or(0), 0));
    let kind = kind(header.entry_type(), &path);
    let was = header.entry_type();
    if kind == Kind::Directory && was == EntryType::Regular && size > 0 {
        return Err(broken("a folder has a size: it may be meant as a file"));
    }
    let device = match kind {
        Kind::CharDevice | Kind::BlockDevice => {
            (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0))
        }
        _ => (0, 0),
    };
    Ok(Entry {
        kind,
        path: to_path(path),
        link: to_path(link.unwrap_or_default()),
        mode: header.mode()? & 0o7777,
        uid: id(overrides.uid.map_or_else(|| header.uid(), Ok)?)?,
        gid: id(overrides.gid.map_or_else(|| header.gid(), Ok)?)?,
        mtime,
        device,
        size: content,
        xattrs: overrides.xattrs,
    })
}

fn kind(kind: EntryType, path: &[u8]) -> Kind {
    match kind {
        // Before ustar a slash at the end was all that told a folder.
        EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::HardLink,
        EntryType::Char => Kind::CharDevice,
        EntryType::Block => Kind::BlockDevice,
        EntryType::Fifo => Kind::Fifo,
        other => Kind::Unknown(char::from(other.as_byte())),
    }
}

fn to_path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_may_be_before_1970() {
        let cases = [
            ("1700000000", Some((1_700_000_000, 0))),
            ("1.5", Some((1, 500_000_000))),
            ("1.123456789123", Some((1, 123_456_789))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-3", Some((-3, 0))),
            ("-9223372036854775808.5", None),
            ("soon", None),
        ];
        for (text, time) in cases {
            assert_eq!(timestamp(text.as_bytes()), time, "{text}");
        }
    }

    #[test]
    fn records_may_hold_any_byte() {
        let mut overrides = Overrides::default();
        overrides.read(b"34 SCHILY.xattr.user.x=a\nb=c\0d\xff12\n13 uid=70000\n").unwrap();
        assert_eq!(overrides.xattrs, [("user.x".into(), b"a\nb=c\0d\xff12".to_vec())]);
        assert_eq!(overrides.uid, Some(70000));
        for bad in ["99 a=b\n", "x a=b\n", "5 ab\n", "7 uid=x\n", "0 a=b\n"] {
            assert!(Overrides::default().read(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn garbage_is_no_archive() {
        assert!(Archive::new(&[7_u8; 1024][..]).next().is_err());
        assert!(Archive::new(&[7_u8; 100][..]).next().is_err());
        assert!(Archive::new(&[][..]).next().unwrap().is_none());
        assert!(Archive::new(&[0_u8; 1024][..]).next().unwrap().is_none());
    }
}
