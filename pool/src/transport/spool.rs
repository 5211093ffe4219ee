//! Files that came for a tree, on disk until the engine has taken them.
//!
//! # Invariants
//! - No name that a peer gave is ever a path here.
//! - What was spooled goes when nobody has it any more, and what a process left that died goes with the next one.

use keel_engine::tree::Files;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file up to this long lies in a row with others; a longer one is a file of its own, so that an engine can have
/// it copied by the kernel.
const SHORT: u64 = 1 << 20;

/// The folder in which trees lie.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    next: AtomicU64,
}

impl Spool {
    /// Takes a folder over: what is in it goes.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), next: AtomicU64::new(0) })
    }

    /// Room for one tree.
    pub(super) fn begin(&self) -> io::Result<Spooled> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(number.to_string());
        DirBuilder::new().mode(0o700).create(&folder)?;
        let folder = Folder(folder);
        let row = fresh(&folder.0.join("row"))?;
        Ok(Spooled { folder, row, length: 0, places: BTreeMap::new() })
    }
}

fn fresh(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// The files of one tree.
pub(super) struct Spooled {
    folder: Folder,
    row: File,
    length: u64,
    places: BTreeMap<PathBuf, Stored>,
}

enum Stored {
    InRow { at: u64, size: u64 },
    Alone(PathBuf),
}

impl Spooled {
    /// Stores as many bytes as a file has.
    pub(super) fn store(
        &mut self,
        path: PathBuf,
        size: u64,
        from: &mut impl Read,
    ) -> Result<(), StoreError> {
        let stored = if size <= SHORT {
            let stored = Stored::InRow { at: self.length, size };
            copy(size, from, &mut self.row)?;
            self.length += size;
            stored
        } else {
            let own = self.folder.0.join(self.places.len().to_string());
            copy(size, from, &mut fresh(&own).map_err(StoreError::Disk)?)?;
            Stored::Alone(own)
        };
        self.places.insert(path, stored);
        Ok(())
    }

    fn place(&self, path: &Path) -> io::Result<&Stored> {
        self.places.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Why a file could not be stored: the disk, or where it came from.
#[derive(Debug)]
pub(super) enum StoreError {
    Disk(io::Error),
    Line(io::Error),
}

fn copy(size: u64, from: &mut impl Read, to: &mut File) -> Result<(), StoreError> {
    let (mut buffer, mut left) = (vec![0; super::parcel::PART], size);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
        from.read_exact(&mut buffer[..most]).map_err(StoreError::Line)?;
        io::Write::write_all(to, &buffer[..most]).map_err(StoreError::Disk)?;
        left -= most as u64;
    }
    Ok(())
}

impl Files for Spooled {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.place(path)? {
            Stored::InRow { at, size } => {
                let mut content = vec![0; usize::try_from(*size).map_err(io::Error::other)?];
                self.row.read_exact_at(&mut content, *at)?;
                Ok(content)
            }
            Stored::Alone(own) => fs::read(own),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        match self.place(path)? {
            Stored::InRow { .. } => Ok(None),
            Stored::Alone(own) => File::open(own).map(Some),
        }
    }
}

/// Removed when nobody needs it any more.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays goes with the next process.
        let _ = fs::remove_dir_all(&self.0);
    }
}
