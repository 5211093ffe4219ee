//! Which records the kernel says were changed, by whatever process: a watch on each of their folders.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::mem::MaybeUninit;
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

/// So many changes have room in a buffer however long their names are: where there were fewer, the kernel has given
/// all that it had, and need not be asked for more.
const ONCE: usize = 8192 / (16 + 256) - 1;

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
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let (mut changes, mut ended, mut count) = (Vec::new(), Vec::new(), 0);
        while count == 0 || !reader.is_buffer_empty() || count >= ONCE {
            count += 1;
            match reader.next() {
                Ok(event) if event.wd() < 0 => changes.push(Change::Anything),
                Ok(event) => {
                    let folder = self.folders.get(&event.wd());
                    let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
                    if event.events().contains(ReadFlags::IGNORED) {
                        ended.push(event.wd());
                    } else if let Some(folder) = folder {
                        let path = name.map_or_else(|| folder.clone(), |name| folder.join(name));
                        let is_folder =
                            path == *folder || event.events().contains(ReadFlags::ISDIR);
                        changes.push(if is_folder {
                            Change::Folder(path)
                        } else {
                            Change::File(path)
                        });
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    changes.push(Change::Anything);
                    break;
                }
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
