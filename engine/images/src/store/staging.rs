//! Where everything is made before it gets its name: `temp/` beside blobs and layers.
//!
//! # Invariants
//! - Each store that makes something has a folder of its own there, locked for as long as it lives, so that
//!   whoever opens the store next can tell what a killed process left from what is being made.
//! - What is staged and not given a place removes itself.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::free_space::Room;

/// Without waiting: who holds a lock here is alive, and that is all there is to know.
const ALONE: FlockOperation = FlockOperation::NonBlockingLockExclusive;

/// A place for things that are not ready.
#[derive(Debug, Clone)]
pub(crate) struct Staging(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    temp: PathBuf,
    /// Made with the first thing that is staged: a store can be opened and read on a disk that takes nothing.
    own: Mutex<Option<Own>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Own {
    folder: TempDir,
    /// Held, not used: the lock on the folder.
    _lock: File,
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct StagedFile {
    file: File,
    room: Room,
    path: PathBuf,
    _staging: Staging,
}

/// A layer's folder that is being filled.
#[derive(Debug)]
pub(crate) struct StagedFolder {
    path: PathBuf,
    root: PathBuf,
    _staging: Staging,
}

impl Own {
    fn make(temp: &Path) -> Result<Self> {
        loop {
            // Without the folder's own name: the same trouble is told in the same words each time.
            let plain = |error: io::Error| Error::io("write to", temp)(error.kind().into());
            let folder = TempDir::new_in(temp).map_err(plain)?;
            let lock = File::open(folder.path()).map_err(Error::io("open", folder.path()));
            // Somebody who cleaned just now may have taken it for a dead process's folder.
            let Ok(lock) = lock else { continue };
            if flock(&lock, ALONE).is_ok() && is_at(&lock, folder.path()) {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }
}

impl Staging {
    pub(super) fn open(temp: &Path) -> Result<Self> {
        std::fs::create_dir_all(temp).map_err(Error::io("create", temp))?;
        // What cannot be removed now is removed by whoever opens the store next.
        let _ = clean(temp);
        let (own, next) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self(Arc::new(Inner { temp: temp.to_owned(), own, next })))
    }

    pub(crate) fn file(&self) -> Result<StagedFile> {
        let path = self.name()?;
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        Ok(StagedFile { file, room: Room::default(), path, _staging: self.clone() })
    }

    pub(crate) fn folder(&self) -> Result<StagedFolder> {
        let path = self.name()?;
        let root = path.join("root");
        std::fs::create_dir_all(&root).map_err(Error::io("create", &root))?;
        Ok(StagedFolder { path, root, _staging: self.clone() })
    }

    fn name(&self) -> Result<PathBuf> {
        let mut own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match &mut *own {
            Some(own) => own,
            none => none.insert(Own::make(&self.0.temp)?),
        };
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        Ok(own.folder.path().join(number.to_string()))
    }
}

/// Removes what processes left that are gone.
pub(super) fn clean(temp: &Path) -> Result<()> {
    for entry in std::fs::read_dir(temp).map_err(Error::io("read", temp))?.flatten() {
        let path = entry.path();
        let Ok(folder) = File::open(&path) else { continue };
        match flock(&folder, ALONE) {
            Ok(()) => match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &path)(error));
                }
                _ => {}
            },
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(Error::io("lock", &path)(error.into())),
        }
    }
    Ok(())
}

/// Whether the open folder is still the one that the path names.
fn is_at(open: &File, path: &Path) -> bool {
    match (open.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() == named.ino(),
        _ => false,
    }
}

impl StagedFile {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let room = self.room.bytes(&self.file, bytes.len() as u64);
        room.and_then(|()| self.file.write_all(bytes)).map_err(Error::io("write", &self.path))
    }

    /// Gives it its name. Whoever had the name before had the same content, or an older one.
    pub(crate) fn place(self, path: &Path) -> Result<()> {
        keel_durable::place(&self.file, &self.path, path).map_err(Error::io("create", path))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // After `place` there is nothing left under the old name.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl StagedFolder {
    /// Where the layer's own root folder is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The whole folder, with what is kept beside the root.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name; if another was faster, that one stays, being equal.
    pub(super) fn place(self, path: &Path) -> Result<()> {
        match std::fs::rename(&self.path, path) {
            Err(_) if path.join("done").exists() => Ok(()),
            outcome => outcome.map_err(Error::io("create", path)),
        }
    }
}

/// What was taken away from its place, and takes up room until this is dropped.
#[derive(Debug)]
#[must_use = "dropped, its files are deleted: that may take a while"]
pub struct Trash(StagedFolder);

impl Trash {
    pub(super) fn new(staging: &Staging) -> Result<Self> {
        Ok(Self(staging.folder()?))
    }

    /// Moves a file or folder here; says whether there was one.
    pub(super) fn take(&self, path: &Path, name: &str) -> Result<bool> {
        match std::fs::rename(path, self.0.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            moved => moved.map(|()| true).map_err(Error::io("remove", path)),
        }
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_make_stays() {
        let temp = tempfile::tempdir().unwrap();
        let living = Staging::open(temp.path()).unwrap();
        let file = living.file().unwrap();
        let dead = temp.path().join("dead/0/root");
        std::fs::create_dir_all(&dead).unwrap();

        let other = Staging::open(temp.path()).unwrap();
        assert!(file.path.exists() && !dead.exists());
        drop((file, living, other));
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
