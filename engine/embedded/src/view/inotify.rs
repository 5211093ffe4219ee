//! Folders that are watched: what changed in them, without asking again and again.
//!
//! The kernel grants each user so many watchers and watched folders, and root inside of a container
//! is the same user as root outside: a container may use them all up. Whoever then gets none looks
//! again after a while.

use crate::sys::ready::register;
use keel_durable::{Notice, take_notices};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How often one looks who is told nothing.
pub(crate) const PERIOD: Duration = Duration::from_millis(200);

/// Watches folders.
pub(crate) struct Watch {
    /// None where the user's watchers are used up.
    fd: Option<AsyncFd<File>>,
    /// A folder could not be watched.
    blind: AtomicBool,
}

/// Something happened in a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which folder: what [`Watch::add`] gave. Negative where some changes may be unknown.
    pub(crate) folder: i32,
    /// The file in it; empty for the folder itself.
    pub(crate) name: String,
}

impl Change {
    /// Nobody knows which.
    pub(crate) fn lost() -> Self {
        Self { folder: -1, name: String::new() }
    }
}

impl From<Notice> for Change {
    fn from(notice: Notice) -> Self {
        Self { folder: notice.watch, name: notice.name.unwrap_or_default() }
    }
}

impl Watch {
    pub(crate) fn new() -> io::Result<Self> {
        match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(fd) => Ok(Self { fd: Some(register(fd)?), blind: AtomicBool::new(false) }),
            Err(error) if is_used_up(error.raw_os_error()) => Ok(Self::without()),
            Err(error) => Err(error.into()),
        }
    }

    /// One that is told nothing.
    fn without() -> Self {
        Self { fd: None, blind: AtomicBool::new(true) }
    }

    /// Files that are replaced or made in the folder, and the end of the folder itself.
    pub(crate) fn add(&self, folder: &Path) -> io::Result<i32> {
        self.add_for(folder, WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE_SELF)
    }

    /// The same, and files that grow or go: the folder's own end is told only once nobody has a
    /// file of it open.
    pub(crate) fn add_growing(&self, folder: &Path) -> io::Result<i32> {
        let made = WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE;
        self.add_for(folder, made | WatchFlags::MODIFY)
    }

    /// Records: files that are replaced, made or deleted in the folder, and the end of the folder itself.
    pub(crate) fn add_records(&self, folder: &Path) -> io::Result<i32> {
        let moved = WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
        let made = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::CLOSE_WRITE;
        self.add_for(folder, moved | made | WatchFlags::DELETE_SELF)
    }

    /// Files that come to the folder or leave it, and the end of the folder itself. Not what is written to them:
    /// in /dev that would be everybody's output to /dev/null.
    pub(crate) fn add_entries(&self, folder: &Path) -> io::Result<i32> {
        let moved = WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
        let made = WatchFlags::CREATE | WatchFlags::DELETE;
        self.add_for(folder, moved | made | WatchFlags::DELETE_SELF)
    }

    /// Gives a number that no change has where the folder cannot be watched.
    fn add_for(&self, folder: &Path, what: WatchFlags) -> io::Result<i32> {
        let Some(fd) = &self.fd else { return Ok(UNWATCHED) };
        match inotify::add_watch(fd.get_ref(), folder, what | WatchFlags::ONLYDIR) {
            Err(error) if is_used_up(error.raw_os_error()) => {
                self.go_blind();
                Ok(UNWATCHED)
            }
            other => Ok(other?),
        }
    }

    /// Waits for the next changes.
    pub(crate) async fn next(&self) -> io::Result<Vec<Change>> {
        if !self.is_blind() {
            return self.told().await;
        }
        match tokio::time::timeout(PERIOD, self.told()).await {
            Ok(changes) => changes,
            Err(_) => Ok(vec![Change::lost()]),
        }
    }

    /// Whether some changes may never be told.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed)
    }

    /// Some folder could not be watched.
    pub(crate) fn go_blind(&self) {
        self.blind.store(true, Ordering::Relaxed);
    }

    /// Returns once there may be something to [`take`](Self::take).
    pub(crate) async fn readable(&self) -> io::Result<()> {
        let Some(fd) = &self.fd else { return std::future::pending().await };
        fd.readable().await?.clear_ready();
        Ok(())
    }

    /// What the kernel has told, without waiting.
    pub(crate) fn take(&self) -> io::Result<Vec<Change>> {
        let Some(fd) = &self.fd else { return Ok(Vec::new()) };
        let notices = take_notices(fd.get_ref())?.into_iter();
        Ok(notices.map(Change::from).collect())
    }

    /// What the kernel tells.
    async fn told(&self) -> io::Result<Vec<Change>> {
        loop {
            self.readable().await?;
            let changes = self.take()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }
}

const UNWATCHED: i32 = i32::MAX;

/// Whether the user's, or this process's, share of watchers is used up.
/// By the kernel's number: who asks has one crate's type of it or another's.
pub(crate) fn is_used_up(error: i32) -> bool {
    matches!(error, libc::EMFILE | libc::ENFILE | libc::ENOSPC | libc::ENOMEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replaced_record_and_the_folders_end_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("task");
        std::fs::create_dir(&folder).unwrap();
        let watch = Watch::new().unwrap();
        let id = watch.add(&folder).unwrap();
        crate::root::record::store_bytes(&folder.join("state"), b"{}", 0o600).unwrap();
        let seen = watch.next().await.unwrap();
        assert!(seen.contains(&Change { folder: id, name: "state".into() }), "{seen:?}");
        std::fs::remove_dir_all(&folder).unwrap();
        let seen = watch.next().await.unwrap();
        assert!(seen.contains(&Change { folder: id, name: String::new() }), "{seen:?}");
    }
    #[tokio::test]
    async fn whoever_gets_no_watcher_looks_again() {
        let watch = Watch::without();
        watch.add(Path::new("/")).unwrap();
        let seen = watch.next().await.unwrap();
        assert!(seen.iter().all(|change| change.folder < 0) && !seen.is_empty(), "{seen:?}");
    }
}
