//! Records that the disk does not take, kept in memory until it does.
//!
//! A full disk has its reserve; a disk that the kernel made read-only has nothing. Whatever ends something
//! must work there too, and what is known of processes must not be lost.
//!
//! # Invariants
//! - The folder in memory mirrors the root: each late record has the path that it will have on the disk.
//! - A late record is of this boot, and never older than the one on the disk.

use crate::Hold;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder that is removed with its last record may be removed while the next one is written.
const TRIES: usize = 10;

/// Where a record was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Where it belongs.
    OnDisk,
    /// In memory, until the disk takes it. Lost if the machine restarts before that.
    InMemory,
}

/// The late records of one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    root: PathBuf,
    memory: PathBuf,
}

impl Late {
    /// Of this root, kept below a folder that a restart of the machine empties.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, memory: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), memory: memory.into() }
    }

    /// Whether there is any: almost never, and every look at every record asks.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.memory.exists()
    }

    /// Where the late record of this path is, if there is one.
    #[must_use]
    pub fn place(&self, path: &Path) -> Option<PathBuf> {
        Some(self.memory.join(path.strip_prefix(&self.root).ok()?))
    }

    /// The late record of this path.
    #[must_use]
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.place(path)?).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let rest = bytes.split_off(end + 1);
        (bytes[..end] == *boot().as_bytes()).then_some(rest)
    }

    /// Keeps a record in memory.
    ///
    /// # Errors
    /// Those of the file system in memory.
    pub fn keep(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let place = self.place(path).ok_or(io::ErrorKind::InvalidInput)?;
        let folder = place.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let content = [boot().as_bytes(), b"\n", bytes].concat();
        let keep = || {
            crate::make_folder(folder, 0o700)?;
            crate::replace(&place, &content, 0o600, Hold::Process)
        };
        let mut kept = keep();
        for _ in 1..TRIES {
            match &kept {
                Err(error) if error.kind() == io::ErrorKind::NotFound => kept = keep(),
                _ => break,
            }
        }
        kept
    }

    /// Drops the late record of this path, and the folders that are empty then.
    pub fn forget(&self, path: &Path) {
        let Some(place) = self.place(path) else { return };
        if fs::remove_file(&place).is_err() {
            return; // Almost always there is none.
        }
        let folders =
            place.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.memory));
        let _ = folders.map(fs::remove_dir).take_while(io::Result::is_ok).count();
    }

    /// The paths on the disk, below this one, that have a late record.
    #[must_use]
    pub fn paths(&self, below: &Path) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        if let Some(place) = self.place(below).filter(|_| self.is_any()) {
            self.collect(&place, &mut paths);
        }
        paths.sort();
        paths
    }

    /// Replaces a record on the disk, or keeps the new one in memory.
    ///
    /// # Errors
    /// Those of the disk, where memory does not take the record either.
    pub fn replace(&self, path: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<Stored> {
        let is_late = self.place(path).is_some_and(|place| place.exists());
        // First, so that whoever dies after the disk took it leaves none that is older.
        let kept = is_late && self.keep(path, bytes).is_ok();
        match crate::replace(path, bytes, mode, hold) {
            Ok(()) => {
                self.forget(path);
                Ok(Stored::OnDisk)
            }
            Err(_) if kept => Ok(Stored::InMemory),
            Err(error) => self.keep(path, bytes).map(|()| Stored::InMemory).map_err(|_| error),
        }
    }

    fn collect(&self, folder: &Path, paths: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.collect(&path, paths);
            } else if let Ok(below) = path.strip_prefix(&self.memory)
                && path.extension().is_none_or(|end| end != "new")
            {
                paths.push(self.root.join(below));
            }
        }
    }
}

fn boot() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    read.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(folder: &Path) -> Late {
        Late::new(folder.join("root"), folder.join("run/key"))
    }

    #[test]
    fn what_the_disk_refuses_is_kept_until_it_takes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let late = late(folder.path());
        let record = folder.path().join("root/tasks/one/state");
        // Its folder is missing, so the disk refuses it.
        let store = |bytes: &[u8]| late.replace(&record, bytes, 0o600, Hold::Power);
        assert_eq!(store(b"first").expect("memory takes it"), Stored::InMemory);
        assert_eq!(store(b"second").expect("memory takes it"), Stored::InMemory);
        assert_eq!(late.read(&record).as_deref(), Some(&b"second"[..]));
        assert_eq!(late.paths(&folder.path().join("root/tasks")), std::slice::from_ref(&record));
        assert_eq!(late.paths(&folder.path().join("root/records")), [] as [PathBuf; 0]);
        fs::create_dir_all(folder.path().join("root/tasks/one")).expect("a folder");
        assert_eq!(store(b"third").expect("the disk takes it"), Stored::OnDisk);
        assert_eq!(fs::read(&record).expect("it is there"), b"third");
        assert_eq!(late.read(&record), None);
        assert!(!late.is_any() && folder.path().join("run").exists());
    }

    #[test]
    fn records_of_another_boot_count_for_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let late = late(folder.path());
        let record = folder.path().join("root/lock");
        late.keep(&record, b"mine").expect("memory takes it");
        assert_eq!(late.read(&record).as_deref(), Some(&b"mine"[..]));
        let place = folder.path().join("run/key/lock");
        fs::write(place, "another-boot\nmine").expect("it can be written");
        assert_eq!(late.read(&record), None);
    }
}
