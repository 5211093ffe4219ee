//! Folders that are watched: what changed in them, without asking again and again.

use crate::sys::ready::register;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use tokio::io::unix::AsyncFd;

/// Watches folders.
pub(crate) struct Watch {
    fd: AsyncFd<File>,
}

/// Something happened in a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which folder: what [`Watch::add`] gave. Negative where the kernel lost some changes.
    pub(crate) folder: i32,
    /// The file in it; empty for the folder itself.
    pub(crate) name: String,
}

impl Watch {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { fd: register(fd)? })
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

    fn add_for(&self, folder: &Path, what: WatchFlags) -> io::Result<i32> {
        Ok(inotify::add_watch(self.fd.get_ref(), folder, what | WatchFlags::ONLYDIR)?)
    }

    /// Waits for the next changes.
    pub(crate) async fn next(&self) -> io::Result<Vec<Change>> {
        loop {
            let mut ready = self.fd.readable().await?;
            let changes = drain(self.fd.get_ref())?;
            if changes.is_empty() {
                ready.clear_ready();
                continue;
            }
            return Ok(changes);
        }
    }
}

fn drain(fd: &File) -> io::Result<Vec<Change>> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut changes = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => changes.push(Change {
                folder: event.wd(),
                name: event
                    .file_name()
                    .map(|n| n.to_string_lossy().into_owned())
                    .unwrap_or_default(),
            }),
            Err(Errno::AGAIN) => return Ok(changes),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
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
        crate::record::store_bytes(&folder.join("state"), b"{}", 0o600).unwrap();
        let seen = watch.next().await.unwrap();
        assert!(seen.contains(&Change { folder: id, name: "state".into() }), "{seen:?}");
        std::fs::remove_dir_all(&folder).unwrap();
        let seen = watch.next().await.unwrap();
        assert!(seen.contains(&Change { folder: id, name: String::new() }), "{seen:?}");
    }
}
