//! Which records the kernel says were changed, by whatever process: a watch on each of their folders.

use crate::notices::{Notice, take_notices};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Records are written anew and renamed into place; by hand, in whatever way.
const CHANGES: WatchFlags = WatchFlags::MOVED_TO
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file came, went or was written.
    File(PathBuf),
    /// A folder came or went, with all that is in it.
    Folder(PathBuf),
    /// Nobody knows what: some changes were lost.
    Anything,
}

/// The folders that are watched.
#[derive(Debug)]
pub struct Told {
    fd: OwnedFd,
    folders: HashMap<i32, PathBuf>,
}

impl Told {
    /// `None` where the user's watchers are used up.
    #[must_use]
    pub fn new() -> Option<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        Some(Self { fd, folders: HashMap::new() })
    }

    /// From now on changes in this folder are told; says whether that is so.
    pub fn watch(&mut self, folder: &Path) -> bool {
        match inotify::add_watch(&self.fd, folder, CHANGES) {
            Ok(number) => {
                self.folders.insert(number, folder.to_owned());
                true
            }
            // One that is gone already has nothing to tell, and whoever took it away has told that.
            Err(error) => matches!(error, Errno::NOENT | Errno::NOTDIR),
        }
    }

    /// What was told since this was asked last, without waiting.
    pub fn take(&mut self) -> Vec<Change> {
        let Ok(notices) = take_notices(&self.fd) else { return vec![Change::Anything] };
        let (mut changes, mut ended) = (Vec::new(), Vec::new());
        for Notice { watch, what, name } in notices {
            if watch < 0 {
                changes.push(Change::Anything);
            } else if what.contains(ReadFlags::IGNORED) {
                ended.push(watch);
            } else if let Some(folder) = self.folders.get(&watch) {
                let path = name.map_or_else(|| folder.clone(), |name| folder.join(name));
                let is_folder = path == *folder || what.contains(ReadFlags::ISDIR);
                changes.push(if is_folder { Change::Folder(path) } else { Change::File(path) });
            }
        }
        for number in ended {
            self.folders.remove(&number);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_before_it_is_asked_is_told() {
        let folder = tempfile::tempdir().expect("it works");
        let root = folder.path();
        let mut told = Told::new().expect("it works");
        assert!(told.watch(root) && told.watch(&root.join("gone already")));
        assert_eq!(told.take(), []);
        std::fs::write(root.join("a.json"), "1").expect("it works");
        assert!(told.take().contains(&Change::File(root.join("a.json"))));
        std::fs::create_dir(root.join("below")).expect("it works");
        assert_eq!(told.take(), [Change::Folder(root.join("below"))]);
        assert!(told.watch(&root.join("below")));
        std::fs::write(root.join("below/b.json"), "1").expect("it works");
        assert!(told.take().contains(&Change::File(root.join("below/b.json"))));
        std::fs::remove_dir_all(root.join("below")).expect("it works");
        assert!(told.take().contains(&Change::Folder(root.join("below"))));
        assert_eq!(told.folders.len(), 1, "what is gone is watched no more");
    }
}
