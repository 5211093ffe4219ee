//! How a backup is read: what is in it is believed once its digest is right.

use super::{ArchiveError, BackupManifest, FORM, HEAD, TAIL, io_error};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// More than the first line of any form has.
const LONGEST_HEAD: usize = 64;

/// A backup that is whole.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    file: File,
    /// Where the archive begins and ends in the file.
    from: u64,
    to: u64,
}

impl Backup {
    /// Reads it once, and compares its digest.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let failed = || io_error("read", path);
        let mut file = File::open(path).map_err(failed())?;
        let mut head = Vec::with_capacity(LONGEST_HEAD);
        (&mut file).take(LONGEST_HEAD as u64).read_to_end(&mut head).map_err(failed())?;
        let from = check_head(path, &head)?;
        let length = file.metadata().map_err(failed())?.len();
        let damaged = || ArchiveError::Damaged(path.to_owned());
        let to = length.checked_sub(TAIL as u64).filter(|to| *to >= from).ok_or_else(damaged)?;
        file.seek(SeekFrom::Start(0)).map_err(failed())?;
        let mut hash = Sha256::new();
        io::copy(&mut BufReader::new(&mut file).take(to), &mut hash).map_err(failed())?;
        file.seek(SeekFrom::Start(to)).map_err(failed())?;
        let mut tail = vec![];
        (&mut file).take(TAIL as u64 + 1).read_to_end(&mut tail).map_err(failed())?;
        if tail != format!("sha256 {:x}\n", hash.finalize()).as_bytes() {
            return Err(damaged());
        }
        Ok(Self { path: path.to_owned(), file, from, to })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Something in it is not what it should be.
    pub fn unusable(&self, why: impl ToString) -> ArchiveError {
        ArchiveError::Content { path: self.path.clone(), why: why.to_string() }
    }

    /// What is in it, from its beginning.
    pub fn archive(&mut self) -> Result<tar::Archive<impl Read + use<'_>>, ArchiveError> {
        let failed = io_error("read", &self.path);
        self.file.seek(SeekFrom::Start(self.from)).map_err(failed)?;
        let content = (&mut self.file).take(self.to - self.from);
        let decoder = zstd::Decoder::new(content).map_err(io_error("read", &self.path))?;
        let mut archive = tar::Archive::new(decoder);
        archive.set_preserve_permissions(true);
        archive.set_preserve_ownerships(true);
        archive.set_preserve_mtime(true);
        archive.set_overwrite(false);
        Ok(archive)
    }

    /// An entry of the store, where there is one of this key.
    pub fn entry(&mut self, key: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let name = Path::new("store").join(key);
        let read = self.archive()?.entries().and_then(|mut all| {
            let is_it = |entry: &tar::Entry<'_, _>| entry.path().is_ok_and(|path| path == name);
            let found = all.find(|entry| entry.as_ref().map_or(true, is_it)).transpose()?;
            let Some(mut entry) = found else { return Ok(None) };
            let mut value = vec![];
            entry.read_to_end(&mut value)?;
            Ok(Some(value))
        });
        read.map_err(|error| self.unusable(error))
    }

    /// What it says of itself.
    pub fn manifest(&mut self) -> Result<BackupManifest, ArchiveError> {
        let read = self.archive().map(|mut archive| {
            let first = archive.entries().and_then(|mut all| all.next().transpose());
            first.ok().flatten().and_then(|entry| serde_json::from_reader(entry).ok())
        })?;
        read.ok_or_else(|| self.unusable("it does not begin with its manifest"))
    }
}

/// Where the archive begins.
fn check_head(path: &Path, head: &[u8]) -> Result<u64, ArchiveError> {
    let other = || ArchiveError::Other(path.to_owned());
    let rest = head.strip_prefix(HEAD.as_bytes()).ok_or_else(other)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(other)?;
    let found = String::from_utf8_lossy(&rest[..end]).into_owned();
    if found != FORM.to_string() {
        return Err(ArchiveError::Form { path: path.to_owned(), found });
    }
    Ok((HEAD.len() + end + 1) as u64)
}
