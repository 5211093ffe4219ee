//! A folder that is watched, and read again slowly where nothing tells of changes (network file
//! systems, paths outside of it).
//!
//! Only folders that hold something that was read, or may come to hold a stack, are watched, not what is below a
//! stack: containers write into their bind mounts all the time.
//!
//! # Invariants
//! - After an edit only what the watcher told of is looked at. Everything is looked at at the start, each time that
//!   it is polled, where somebody asks for it, and where it is not sure what the watcher meant: some events were
//!   lost, a folder came or went, or one folder is watched by two names.

use super::SourceError;
use super::edits::Edits;
use super::snapshot::Snapshot;
use crate::find::{Found, folders_to_come, stacks_at, stacks_matching_any};
use crate::load::{FolderFiles, StackFiles};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Between two looks without a notification.
pub(crate) const RECHECK: Duration = Duration::from_secs(30);
/// Editors write a file in several steps.
pub(crate) const DEBOUNCE: Duration = Duration::from_millis(200);

/// Folders without a stack that are watched: there may be any number, and watches are few.
const TO_COME: usize = 256;

pub(crate) struct Directory {
    path: PathBuf,
    globs: Vec<String>,
    state: Option<PathBuf>,
    watching: Mutex<Watching>,
    /// What the watcher told since the last look.
    edits: Arc<Mutex<Edits>>,
    /// When everything was looked at last.
    looked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Watching {
    watcher: Option<RecommendedWatcher>,
    /// By what the file system calls them.
    folders: HashMap<(u64, u64), PathBuf>,
    /// One of them has two names, and what happens in it is told by only one.
    ambiguous: bool,
}

/// A served file's folder is the stack's own, and nothing else is served.
fn files(path: &Path, state: Option<PathBuf>) -> FolderFiles {
    let file = path.is_file().then(|| path.parent()).flatten();
    FolderFiles::new(Some(file.unwrap_or(path).to_owned()), state)
}

impl Directory {
    pub fn new(path: PathBuf, globs: Vec<String>, state: Option<PathBuf>) -> Self {
        let (watching, edits, looked) = Default::default();
        Self { path, globs, state, watching, edits, looked }
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().expect("nothing panics while it holds the watcher")
    }

    fn looked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.looked.lock().expect("nothing panics with it")
    }

    /// Globs below it.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }

    /// What is there, without watching it.
    pub fn now(&self) -> Result<Snapshot, SourceError> {
        let found = stacks_of(&self.path, &self.globs);
        let found =
            found.map_err(|source| SourceError::Folder { path: self.path.clone(), source })?;
        let files = StackFiles::Folder(files(&self.path, self.state.clone()));
        Ok(Snapshot { revision: None, found, files, elsewhere: vec![], edited: None })
    }

    /// What is there. Not after an edit, and each time that `poll` has passed, everything is looked at.
    pub async fn look(
        &self,
        before: Option<Arc<Snapshot>>,
        edit: bool,
        poll: Duration,
    ) -> Result<Arc<Snapshot>, SourceError> {
        // Before anything is looked at: what changes meanwhile is told for the next look.
        let edits = std::mem::take(&mut *self.edits.lock().expect("nothing panics with them"));
        let recent = self.looked().is_some_and(|looked| looked.elapsed() < poll);
        if edit
            && recent
            && !self.watching().ambiguous
            && let Some(before) = before
        {
            let known = before.clone();
            let edited = keel_blocking::run(move || edits.within(&known.found)).await;
            if edited.is_some() {
                let (found, files) = (before.found.clone(), before.files.clone());
                return Ok(Arc::new(Snapshot {
                    revision: None,
                    found,
                    files,
                    elsewhere: vec![],
                    edited,
                }));
            }
        }
        // Until that went well, it is still to be done.
        *self.looked() = None;
        let began = Instant::now();
        let snapshot = self.look_at_all().await?;
        *self.looked() = Some(began);
        Ok(snapshot)
    }

    async fn look_at_all(&self) -> Result<Arc<Snapshot>, SourceError> {
        let (path, globs) = (self.path.clone(), self.globs.clone());
        let state = self.state.clone();
        let (found, empty, links, files) = keel_blocking::run(move || {
            let files = files(&path, state);
            let empty = folders_to_come(&path, &globs, TO_COME);
            (stacks_of(&path, &globs), empty, link_homes(&path), files)
        })
        .await;
        let found =
            found.map_err(|source| SourceError::Folder { path: self.path.clone(), source })?;
        let above = |Found { dir, .. }: &Found| dir.parent().map(Path::to_owned);
        let homes = found.iter().filter_map(above).filter(|home| home.starts_with(&self.path));
        let folders = found.iter().map(|Found { dir, .. }| dir.clone());
        self.watch_folders(folders.chain(homes).chain(empty).chain(links));
        let files = StackFiles::Folder(files);
        Ok(Arc::new(Snapshot { revision: None, found, files, elsewhere: vec![], edited: None }))
    }

    /// `hint` is called, from a thread of its own, when something may have changed.
    pub fn watch(&self, hint: impl Fn() + Send + 'static) {
        let edits = self.edits.clone();
        let told = move |event: notify::Result<notify::Event>| {
            if edits.lock().expect("nothing panics with them").note(event) {
                hint();
            }
        };
        // Without a watcher (no inotify instances left) the slow look remains.
        self.watching().watcher = notify::recommended_watcher(told).ok();
        self.watch_folders([self.path.clone()].into_iter().chain(link_homes(&self.path)));
    }

    /// Also the folders of these files.
    pub fn watch_also<'a>(&self, files: impl Iterator<Item = &'a PathBuf>) {
        let folders = files.filter_map(|file| file.parent().map(Path::to_owned));
        self.watch_folders(folders);
    }

    /// Each time anew: a folder that went and came back (a branch was switched) is another one.
    fn watch_folders(&self, folders: impl Iterator<Item = PathBuf>) {
        let mut watching = self.watching();
        let Watching { watcher: Some(watcher), folders: known, ambiguous } = &mut *watching else {
            return;
        };
        for folder in folders.collect::<BTreeSet<_>>() {
            // One that cannot be watched is left to the slow look, and tried again with it.
            let _ = watcher.watch(&folder, RecursiveMode::NonRecursive);
            let Ok(meta) = folder.metadata() else { continue };
            let other = known.insert((meta.dev(), meta.ino()), folder.clone());
            *ambiguous |= other.is_some_and(|other| other != folder && other.exists());
        }
    }
}

fn stacks_of(path: &Path, globs: &[String]) -> std::io::Result<Vec<Found>> {
    if path.is_file() { stacks_at(path) } else { stacks_matching_any(path, globs) }
}

/// The folders that hold a symbolic link on the way to this path: where such a link is swapped for
/// another (`current` → the next release), nothing happens in the folder that it led to.
fn link_homes(path: &Path) -> Vec<PathBuf> {
    let is_link =
        |path: &&Path| std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    let links = path.ancestors().filter(is_link);
    links.filter_map(|link| link.parent().map(Path::to_owned)).collect()
}
