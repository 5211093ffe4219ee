//! Layers, honest and not: names are written as they are given.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tar::{EntryType, Header};

use keel_names::Digest;

/// A layer's archive that is being put together, plain until one of the compressions is called.
#[derive(Debug, Clone, Default)]
pub struct TestLayer {
    plain: Vec<u8>,
    records: Vec<u8>,
    compressed: Option<(Vec<u8>, &'static str)>,
}

impl TestLayer {
    /// An empty layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder of root's with mode 0755.
    #[must_use]
    pub fn folder(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", 0o755, (0, 0), b"")
    }

    /// A file of root's with mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, path, "", 0o644, (0, 0), content.as_ref())
    }

    /// A file with a mode and an owner.
    #[must_use]
    pub fn file_of(
        self,
        path: &str,
        content: impl AsRef<[u8]>,
        mode: u32,
        owner: (u64, u64),
    ) -> Self {
        self.entry(EntryType::Regular, path, "", mode, owner, content.as_ref())
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, 0o777, (0, 0), b"")
    }

    /// A hard link.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, 0o644, (0, 0), b"")
    }

    /// An entry of any kind.
    #[must_use]
    pub fn entry(
        mut self,
        kind: EntryType,
        path: &str,
        target: &str,
        mode: u32,
        (uid, gid): (u64, u64),
        content: &[u8],
    ) -> Self {
        let records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            self.append(EntryType::XHeader, "PaxHeaders/x", "", 0o644, (0, 0), &records);
        }
        self.append(kind, path, target, mode, (uid, gid), content);
        self
    }

    /// A header whose size field says what it likes, and what follows it.
    #[must_use]
    pub fn sized(mut self, kind: EntryType, path: &str, size: [u8; 12], content: &[u8]) -> Self {
        let records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            self.append(EntryType::XHeader, "PaxHeaders/x", "", 0o644, (0, 0), &records);
        }
        let at = self.plain.len();
        self.append(kind, path, "", 0o644, (0, 0), content);
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&self.plain[at..at + 512]);
        header.as_old_mut().size = size;
        header.set_cksum();
        self.plain[at..at + 512].copy_from_slice(header.as_bytes());
        self
    }

    /// An extended attribute of the entry that comes next.
    #[must_use]
    pub fn xattr(self, name: &str, value: &[u8]) -> Self {
        self.record(&format!("SCHILY.xattr.{name}"), value)
    }

    /// A PAX record for the entry that comes next.
    #[must_use]
    pub fn record(mut self, key: &str, value: &[u8]) -> Self {
        let body = key.len() + value.len() + 3;
        // The length counts its own digits.
        let length = (body..).find(|length| length.to_string().len() + body == *length);
        let length = length.expect("there is one within a few steps");
        write!(self.records, "{length} {key}=").expect("memory takes it");
        self.records.extend_from_slice(value);
        self.records.push(b'\n');
        self
    }

    /// A file of this machine, links followed, with its mode; and of a folder all that is in it.
    #[must_use]
    pub fn copy(mut self, from: &Path, to: &str) -> Self {
        let is = std::fs::symlink_metadata(from).expect("what a test copies is there");
        if is.is_symlink() {
            let target = std::fs::read_link(from).expect("it is a link");
            return self.symlink(to, &target.to_string_lossy());
        }
        let (mode, owner) = (is.permissions().mode() & 0o7777, (is.uid().into(), is.gid().into()));
        if is.is_file() {
            let content = std::fs::read(from).expect("what a test copies can be read");
            return self.file_of(to, content, mode, owner);
        }
        self = self.entry(EntryType::Directory, to, "", mode, owner, b"");
        let entries = std::fs::read_dir(from).expect("it is a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("it is readable").file_name()).collect();
        names.sort();
        for name in names {
            let name = String::from_utf8_lossy(name.as_bytes());
            self = self.copy(&from.join(&*name), &format!("{to}/{name}"));
        }
        self
    }

    /// Compresses it with gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&self.archive()).expect("memory takes it");
        let bytes = encoder.finish().expect("memory takes it");
        self.compressed = Some((bytes, "application/vnd.oci.image.layer.v1.tar+gzip"));
        self
    }

    /// Compresses it with zstd.
    #[must_use]
    pub fn zstd(mut self) -> Self {
        let bytes = zstd::encode_all(&*self.archive(), 1).expect("memory takes it");
        self.compressed = Some((bytes, "application/vnd.oci.image.layer.v1.tar+zstd"));
        self
    }

    /// The plain archive, with its end mark.
    pub fn archive(&self) -> Vec<u8> {
        let mut bytes = self.plain.clone();
        bytes.extend_from_slice(&[0; 1024]);
        bytes
    }

    /// The digest of the plain archive.
    pub fn diff_id(&self) -> Digest {
        Digest::of(&self.archive())
    }

    /// What a registry holds, and its media type.
    pub fn blob(&self) -> (Vec<u8>, &'static str) {
        self.compressed
            .clone()
            .unwrap_or_else(|| (self.archive(), "application/vnd.oci.image.layer.v1.tar"))
    }

    fn append(
        &mut self,
        kind: EntryType,
        path: &str,
        target: &str,
        mode: u32,
        (uid, gid): (u64, u64),
        content: &[u8],
    ) {
        for (long, kind) in [(path, EntryType::GNULongName), (target, EntryType::GNULongLink)] {
            if long.len() > 100 {
                let name = format!("{long}\0");
                self.append(kind, "././@LongLink", "", 0o644, (0, 0), name.as_bytes());
            }
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        // Written by hand: the crate would refuse just the names that are to be refused.
        let gnu = header.as_gnu_mut().expect("it was just made one");
        copy_into(&mut gnu.name, path);
        copy_into(&mut gnu.linkname, target);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).expect("it is a GNU header");
            header.set_device_minor(3).expect("it is a GNU header");
        }
        header.set_cksum();
        self.plain.extend_from_slice(header.as_bytes());
        self.plain.extend_from_slice(content);
        self.plain.resize(self.plain.len().next_multiple_of(512), 0);
    }
}

fn copy_into(field: &mut [u8], text: &str) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}
