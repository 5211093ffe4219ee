//! The folder that a layer is unpacked into, reached only by handles of its own folders.
//!
//! # Invariants
//! - Every path is resolved by the kernel below the root (`openat2` with `RESOLVE_BENEATH`): an
//!   absolute link or a `..` that would lead out fails, it is never followed.
//! - The last component is never followed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags,
};
use rustix::io::Errno;

use crate::free_space::Room;

/// What overlayfs reads as "nothing below shines through".
const OPAQUE: &str = "trusted.overlay.opaque";

/// Levels of folders.
const DEEPEST: usize = 256;
/// Bytes of the names of all folders, which are held in memory.
const MOST_NAMES: usize = 64 << 20;

/// A folder that is being filled.
pub(super) struct Tree<'a> {
    root: &'a File,
    /// The folder that was used last: streams come sorted by folder.
    recent: Option<(PathBuf, OwnedFd)>,
    /// Times of folders, set when nothing is put into them any more.
    times: BTreeMap<PathBuf, (i64, u32)>,
    /// Bytes of all their names.
    named: usize,
    room: Room,
    buffer: Vec<u8>,
}

/// Why a path cannot be used.
#[derive(Debug)]
pub(super) enum PathError {
    Escapes,
    Io(io::Error),
}

/// The folder of an entry, and its name there.
pub(super) struct Spot {
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
}

impl From<io::Error> for PathError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for PathError {
    fn from(error: Errno) -> Self {
        match error {
            // RESOLVE_BENEATH says EXDEV where a path would have led out.
            Errno::XDEV => Self::Escapes,
            other => Self::Io(other.into()),
        }
    }
}

/// A path relative to the layer's root; `None` if it leads out, an empty path for the root.
pub(super) fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            // Archives of absolute names mean the image's root, as Docker reads them.
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::Normal(name) => clean.push(name),
        }
    }
    Some(clean)
}

/// Splits a clean path; `None` for the root itself.
pub(super) fn spot(path: &Path) -> Option<Spot> {
    let name = path.file_name()?.to_owned();
    Some(Spot { folder: path.parent().unwrap_or(Path::new("")).to_owned(), name })
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: &'a File) -> Self {
        let (times, room, buffer) = (BTreeMap::new(), Room::default(), vec![0; 128 * 1024]);
        Self { root, recent: None, times, named: 0, room, buffer }
    }

    /// Whether the disk has room for one more entry.
    pub(super) fn room_for_entry(&mut self) -> io::Result<()> {
        self.room.entry(self.root)
    }

    /// A handle of a folder, which is created with its parents where it is missing.
    pub(super) fn folder(&mut self, path: &Path) -> Result<OwnedFd, PathError> {
        if let Some((recent, handle)) = &self.recent
            && recent == path
        {
            return handle.try_clone().map_err(PathError::Io);
        }
        let handle = match self.open(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => self.create_folders(path)?,
            other => other?,
        };
        let copy = handle.try_clone().map_err(PathError::Io)?;
        self.recent = Some((path.to_owned(), copy));
        Ok(handle)
    }

    /// A handle of a folder that must be there.
    pub(super) fn existing_folder(&self, path: &Path) -> Result<OwnedFd, PathError> {
        self.open(path).map_err(PathError::from)
    }

    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(self.root, path, flags, Mode::empty(), within)
    }

    fn create_folders(&mut self, path: &Path) -> Result<OwnedFd, PathError> {
        let mut built = PathBuf::new();
        let mut handle = self.open(&built)?;
        for component in path.components() {
            built.push(component);
            handle = match self.open(&built) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    // Like Docker's for folders that a layer uses and does not list.
                    self.make_folder(&handle, component.as_os_str())?;
                    self.open(&built)?
                }
                other => other?,
            };
        }
        Ok(handle)
    }

    /// Makes sure that `name` is a folder. One that takes the place of a whiteout is opaque: what
    /// the layers below have under that name was removed.
    pub(super) fn make_folder(&mut self, parent: &OwnedFd, name: &OsStr) -> Result<(), PathError> {
        let was = kind_of(parent.as_fd(), name)?;
        if was == Some(Found::Folder) {
            return Ok(());
        }
        self.remove(parent.as_fd(), name, was).map_err(PathError::Io)?;
        self.check_depth(parent.as_fd()).map_err(PathError::Io)?;
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mkdirat(parent, name, mode)?;
        // Once more, whatever the process's umask is.
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        match was {
            Some(Found::Whiteout) => make_opaque(parent.as_fd(), name).map_err(PathError::Io),
            _ => Ok(()),
        }
    }

    /// Links can make trees far deeper than any path is long, and whoever removes a tree holds a
    /// handle for each level: one too deep could never be removed again.
    fn check_depth(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        let path = |handle: BorrowedFd<'_>| {
            std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd()))
        };
        let (root, path) = (path(self.root.as_fd())?, path(folder));
        let depth = path.map(|path| path.components().count() - root.components().count());
        match depth {
            Ok(depth) if depth < DEEPEST => Ok(()),
            _ => Err(broken("its folders are more than 256 levels deep")),
        }
    }

    /// Makes room for an entry that comes a second time: the last one counts.
    pub(super) fn make_room(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let found = kind_of(parent.as_fd(), name)?;
        self.remove(parent.as_fd(), name, found)
    }

    fn remove(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        found: Option<Found>,
    ) -> io::Result<()> {
        match found {
            None => return Ok(()),
            // Walks by handles, so nothing that is a link is followed.
            Some(Found::Folder) => std::fs::remove_dir_all(by_handle(parent, name))?,
            Some(_) => rustix::fs::unlinkat(parent, name, AtFlags::empty())?,
        }
        self.recent = None;
        Ok(())
    }

    /// Hides what the layers below have under this name.
    pub(super) fn whiteout(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        match kind_of(parent.as_fd(), name)? {
            // The layer's own content stays; only what is below is meant.
            Some(Found::Folder) => make_opaque(parent.as_fd(), name),
            Some(_) => Ok(()),
            None => {
                let mode = Mode::empty();
                Ok(rustix::fs::mknodat(parent, name, FileType::CharacterDevice, mode, 0)?)
            }
        }
    }

    /// Writes all that there is to read, in larger pieces than the standard library's.
    pub(super) fn copy(&mut self, from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        loop {
            match from.read(&mut self.buffer)? {
                0 => return Ok(()),
                read => {
                    self.room.bytes(self.root, read as u64)?;
                    to.write_all(&self.buffer[..read])?;
                }
            }
        }
    }

    /// Remembers a folder's time for the end.
    pub(super) fn time_later(&mut self, path: PathBuf, time: (i64, u32)) -> io::Result<()> {
        self.named += path.as_os_str().len();
        if self.named > MOST_NAMES {
            return Err(broken("the names of its folders take more than 64 MiB"));
        }
        self.times.insert(path, time);
        Ok(())
    }

    /// Sets the folders' times, now that nothing is put into them any more.
    pub(super) fn finish(mut self) {
        for (path, time) in std::mem::take(&mut self.times) {
            // A folder that was replaced since has no time to get.
            if let Ok(folder) = self.open(&path) {
                let _ = rustix::fs::futimens(&folder, &timestamps(time));
            }
        }
    }
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Folder,
    Whiteout,
    Other,
}

fn kind_of(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Found>, Errno> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Found::Folder,
        FileType::CharacterDevice if stat.st_rdev == 0 => Found::Whiteout,
        _ => Found::Other,
    }))
}

/// Hides all that the layers below have in this folder.
pub(super) fn make_opaque(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    set_xattr(parent, name, OPAQUE, b"y")
}

/// Sets an attribute of whatever stands there, links themselves included.
pub(super) fn set_xattr(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    key: &str,
    value: &[u8],
) -> io::Result<()> {
    Ok(rustix::fs::lsetxattr(by_handle(parent, name), key, value, XattrFlags::empty())?)
}

pub(super) fn timestamps((tv_sec, nanoseconds): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec, tv_nsec: nanoseconds.into() },
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// For the few calls that take no handle. The kernel goes from the handle's own folder.
fn by_handle(parent: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_or_are_refused() {
        let cases = [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("/etc/passwd", Some("etc/passwd")),
            ("a/../b", Some("b")),
            ("./", Some("")),
            ("..", None),
            ("../x", None),
            ("a/../../x", None),
            ("/../x", None),
        ];
        for (path, clean) in cases {
            assert_eq!(inside(Path::new(path)), clean.map(PathBuf::from), "{path}");
        }
    }
}
