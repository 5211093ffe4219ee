//! Which keys there are and at which revisions, in memory: for whoever serves, who asks for all of them again
//! and again. What this process puts is known at once, what others do as soon as the kernel has told it.
//!
//! # Invariants
//! - It is never what a put is compared with: writers look at the file itself, in their turn.
//! - Where changes may be missed (watches are used up, records are in memory), it knows nothing, and whoever
//!   asks looks at the files. [`doubt`](Index::doubt) compares all of it with the disk again.

use super::Result;
use super::listing::{key_of, keys_in, path_of};
use super::waiting::revision_at;
use keel_durable::{Change, Late, Stamp, Told};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What other processes change may be seen so much later: looks at many records ask the kernel once.
const PAUSE: Duration = Duration::from_millis(20);

/// All keys of a store.
#[derive(Debug)]
pub(super) struct Index {
    root: PathBuf,
    late: Late,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    told: Told,
    /// Every file that is there; nothing of one that could not be read.
    keys: BTreeMap<String, Option<KnownFile>>,
    /// Keys that may have come, gone or changed.
    stale: BTreeSet<String>,
    /// All of them are to be compared with the disk.
    doubted: bool,
    /// Some changes are not told.
    blind: bool,
    /// Records are in memory.
    is_late: bool,
    /// When the kernel was asked last.
    asked: Option<Instant>,
}

/// A file as it was read or written last.
#[derive(Debug, Clone, Copy)]
struct KnownFile {
    revision: u64,
    /// `None` where it may have changed since without a trace.
    stamp: Option<Stamp>,
}

impl Index {
    /// Of the store in this folder; `None` where no watch can be had.
    pub(super) fn new(root: &Path, late: &Late) -> Option<Self> {
        let state = State {
            told: Told::new()?,
            keys: BTreeMap::new(),
            stale: BTreeSet::new(),
            doubted: true,
            blind: false,
            is_late: false,
            asked: None,
        };
        Some(Self { root: root.to_owned(), late: late.clone(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key's revision, where that is known without a look at any file; 0: it is not there.
    pub(super) fn known_revision(&self, key: &str) -> Option<u64> {
        let state = self.state();
        let known = state.is_current() && !state.stale.contains(key);
        known.then(|| state.revision(key)).flatten()
    }

    /// The keys that begin with this, where they are known without a look at any file.
    pub(super) fn known_keys(&self, prefix: &str) -> Option<Vec<String>> {
        let state = self.state();
        (state.is_current() && state.stale.is_empty()).then(|| state.keys(prefix))
    }

    /// Whether records are in memory, where that is known without a look.
    pub(super) fn known_late(&self) -> Option<bool> {
        let state = self.state();
        (!state.is_due()).then_some(state.is_late)
    }

    /// A key's revision; `None` where only its file can tell.
    pub(super) fn revision(&self, key: &str) -> Result<Option<u64>> {
        let mut state = self.state();
        if !self.refreshed(&mut state)? {
            return Ok(None);
        }
        if state.stale.contains(key) || state.revision(key).is_none() {
            self.examine(&mut state, key)?;
        }
        Ok(state.revision(key))
    }

    /// The keys that begin with this; `None` where only the disk can tell.
    pub(super) fn keys(&self, prefix: &str) -> Result<Option<Vec<String>>> {
        let mut state = self.state();
        if !self.refreshed(&mut state)? {
            return Ok(None);
        }
        for key in state.stale.clone() {
            // One that cannot be read is there all the same.
            let _ = self.examine(&mut state, &key);
        }
        Ok(Some(state.keys(prefix)))
    }

    /// This process put a key.
    pub(super) fn note_put(&self, key: &str, path: &Path, revision: u64) {
        let known = KnownFile { revision, stamp: Stamp::of(path) };
        self.state().keys.insert(key.to_owned(), Some(known));
    }

    /// This process took a key away.
    pub(super) fn note_gone(&self, key: &str) {
        self.state().keys.remove(key);
    }

    /// This process kept a record in memory.
    pub(super) fn note_late(&self) {
        self.state().is_late = true;
    }

    /// What is known is compared with the disk before it is used again.
    pub(super) fn doubt(&self) {
        self.state().doubted = true;
    }

    /// Hears what was told, and says whether what is known can be used.
    fn refreshed(&self, state: &mut State) -> Result<bool> {
        if state.is_due() {
            for change in state.told.take() {
                self.note(state, &change)?;
            }
            state.is_late = self.late.is_any();
            state.asked = Some(Instant::now());
        }
        if state.is_late || state.blind {
            // They come and go without a word.
            state.doubted = true;
            return Ok(false);
        }
        if std::mem::take(&mut state.doubted) {
            let known: Vec<_> = state.keys.keys().cloned().collect();
            state.stale.extend(known);
            self.scan(state, &self.root).inspect_err(|_| state.doubted = true)?;
        }
        Ok(!state.blind)
    }

    fn note(&self, state: &mut State, change: &Change) -> Result<()> {
        match change {
            Change::Anything => state.doubted = true,
            Change::File(path) => state.stale.extend(key_of(&self.root, path)),
            // Another one of its name would not be watched.
            Change::Folder(path) if *path == self.root => state.blind = true,
            Change::Folder(path) => {
                let below = path.strip_prefix(&self.root).unwrap_or(path).display();
                let gone = state.keys(&format!("{below}/"));
                state.stale.extend(gone);
                self.scan(state, path)?;
            }
        }
        Ok(())
    }

    /// Watches a folder and all below it, before they are read: what comes later is told.
    fn scan(&self, state: &mut State, folder: &Path) -> Result<()> {
        state.blind |= !state.told.watch(folder);
        let (folders, keys) = keys_in(&self.root, folder)?;
        state.stale.extend(keys);
        folders.iter().try_for_each(|folder| self.scan(state, folder))
    }

    /// Looks at a key's file; it is read only where it is another one than before.
    fn examine(&self, state: &mut State, key: &str) -> Result<()> {
        let path = path_of(&self.root, key);
        let Some(stamp) = Stamp::of(&path) else {
            state.keys.remove(key);
            state.stale.remove(key);
            return Ok(());
        };
        let known = state.keys.entry(key.to_owned()).or_default();
        if known.is_none_or(|known| known.stamp != Some(stamp)) {
            *known = None;
            let stamp = Some(stamp).filter(|stamp| !stamp.is_recent());
            *known = Some(KnownFile { revision: revision_at(&path)?, stamp });
        }
        if known.is_some_and(|known| known.stamp.is_some()) {
            state.stale.remove(key);
        } else {
            state.stale.insert(key.to_owned());
        }
        Ok(())
    }
}

impl State {
    fn is_due(&self) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() >= PAUSE)
    }

    fn is_current(&self) -> bool {
        !self.is_due() && !self.doubted && !self.blind && !self.is_late
    }

    /// `None` where it is not known.
    fn revision(&self, key: &str) -> Option<u64> {
        self.keys.get(key).map_or(Some(0), |known| known.map(|known| known.revision))
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let from = self.keys.range(prefix.to_owned()..).map(|(key, _)| key);
        from.take_while(|key| key.starts_with(prefix)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::waiting::encode;
    use std::fs;

    /// A store with two records, as another process changes them.
    struct Disk {
        _folder: tempfile::TempDir,
        index: Index,
    }

    impl Disk {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("records");
            fs::create_dir_all(root.join("stacks/a")).unwrap();
            let index =
                Index::new(&root, &Late::new(folder.path(), folder.path().join("memory"))).unwrap();
            let disk = Self { _folder: folder, index };
            disk.put("stacks/a/x", 1);
            disk.put("sources/home", 2);
            disk
        }

        fn path(&self, key: &str) -> PathBuf {
            path_of(&self.index.root, key)
        }

        fn put(&self, key: &str, revision: u64) {
            let path = self.path(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path.with_extension("new"), encode(revision, b"{}")).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }

        /// As if nobody had asked for a while.
        fn revision(&self, key: &str) -> Option<u64> {
            self.index.state().asked = None;
            self.index.revision(key).unwrap()
        }

        fn keys(&self) -> String {
            self.index.state().asked = None;
            self.index.keys("").unwrap().unwrap().join(" ")
        }
    }

    #[test]
    fn what_another_process_changes_is_seen() {
        let disk = Disk::new();
        assert_eq!(disk.keys(), "sources/home stacks/a/x");
        assert_eq!((disk.revision("stacks/a/x"), disk.revision("stacks/z")), (Some(1), Some(0)));
        disk.put("stacks/a/x", 3);
        disk.put("stacks/b/y", 4);
        assert_eq!((disk.revision("stacks/a/x"), disk.revision("stacks/b/y")), (Some(3), Some(4)));
        fs::remove_dir_all(disk.index.root.join("stacks/a")).unwrap();
        assert_eq!(
            (disk.revision("stacks/a/x"), &*disk.keys()),
            (Some(0), "sources/home stacks/b/y")
        );
        fs::write(disk.path("stacks/b/damaged"), "no record").unwrap();
        assert!(
            disk.keys().contains("damaged") && disk.index.revision("stacks/b/damaged").is_err()
        );
    }

    #[test]
    fn what_was_missed_is_found_by_the_look_at_everything() {
        let disk = Disk::new();
        assert_eq!(disk.revision("stacks/a/x"), Some(1));
        disk.put("stacks/a/x", 5);
        disk.index.state().told.take(); // They are lost.
        disk.index.state().stale.clear();
        assert_eq!(disk.revision("stacks/a/x"), Some(1));
        disk.index.doubt();
        assert_eq!(disk.revision("stacks/a/x"), Some(5));
    }

    #[test]
    fn what_is_known_costs_no_look_at_a_file() {
        let disk = Disk::new();
        disk.put("stacks/a/x", 6);
        disk.index.note_put("stacks/a/x", &disk.path("stacks/a/x"), 6);
        disk.keys();
        keel_testing::waiting::eventually(|| {
            disk.keys();
            disk.index.state().stale.is_empty().then_some(())
        });
        disk.index.state().asked = Some(Instant::now() + PAUSE * 100);
        fs::remove_dir_all(&disk.index.root).unwrap();
        assert_eq!(disk.index.known_revision("stacks/a/x"), Some(6));
        assert_eq!(disk.index.known_keys("stacks/").unwrap(), ["stacks/a/x"]);
        assert_eq!(disk.revision("stacks/a/x"), None, "its folder is gone: nothing is known");
    }
}
