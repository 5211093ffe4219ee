//! Opens what is in folders that strangers write to: a container's data, a checkout, a volume.
//!
//! # Invariants
//! - The kernel resolves every path below a folder that is held open (`openat2(2)` with
//!   `RESOLVE_BENEATH` and `RESOLVE_NO_MAGICLINKS`): no link, `..` or absolute path leaves it,
//!   whoever exchanges what meanwhile.
//! - What was opened is used by its descriptor, and never looked up again by its path.
//! - Only regular files are read, without waiting for anybody, and never more than a limit.

mod remove;
mod side;
mod walk;

pub use remove::remove;
pub use side::{Side, What};
pub use walk::{Found, Left, Walk};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// The kernel gives up (`EAGAIN`) when somebody renames folders while it resolves `..`.
const TRIES: u32 = 128;

/// Why something was not opened although it exists; the inner error of an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A link, `..` or absolute path leads out of the folder, or through a magic link of /proc.
    #[error("a link in it leads out of the folder that it belongs to")]
    Leaves,
    /// A folder, device, pipe or socket where a file is read.
    #[error("it is not a regular file")]
    NotAFile,
    /// What the kernel makes up for whoever reads it, such as /proc/self/environ.
    #[error("it is made up by the kernel for whoever reads it")]
    MadeUp,
    /// A file with more bytes than are read.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
}

impl Refused {
    /// The refusal inside of an error, if it is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::other(refused)
    }
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A device, pipe or socket.
    Other,
}

/// A folder whose content strangers may change at any time.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder by a path that no stranger has a hand in: its links are followed.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// Opens what is at a path below, links that stay below followed.
    ///
    /// # Errors
    /// [`Refused::Leaves`], and those of `openat2(2)`.
    pub fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        for _ in 0..TRIES {
            match openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), BENEATH) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::XDEV | Errno::LOOP) => return Err(Refused::Leaves.into()),
                other => return Ok(other?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// The folder at a path below.
    ///
    /// # Errors
    /// As [`Folder::at`].
    pub fn folder(&self, path: &Path) -> io::Result<Self> {
        self.at(path, OFlags::PATH | OFlags::DIRECTORY).map(Self)
    }

    /// The folder at a path below, made (0755) with its parents where it is missing.
    ///
    /// # Errors
    /// As [`Folder::at`], and those of `mkdirat(2)`.
    pub fn make_folder(&self, path: &Path) -> io::Result<Self> {
        let mut here = self.folder(Path::new("."))?;
        let mut reached = std::path::PathBuf::new();
        for part in path.components() {
            reached.push(part);
            let next = match (self.folder(&reached), part) {
                (Err(error), Component::Normal(name))
                    if error.kind() == io::ErrorKind::NotFound =>
                {
                    here.make_one(name)?;
                    // Looked up again from above: somebody else may have won, by a link.
                    self.folder(&reached)?
                }
                (found, _) => found?,
            };
            here = next;
        }
        Ok(here)
    }

    fn make_one(&self, name: &OsStr) -> io::Result<()> {
        match mkdirat(&self.0, name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => Ok(()),
            other => Ok(other?),
        }
    }

    /// What is at a path below.
    ///
    /// # Errors
    /// As [`Folder::at`].
    pub fn kind(&self, path: &Path) -> io::Result<Kind> {
        kind_of(self.at(path, OFlags::PATH)?.as_fd())
    }

    /// The content of the regular file at a path below, of at most so many bytes.
    ///
    /// # Errors
    /// As [`Folder::at`]; [`Refused::NotAFile`], [`Refused::TooLarge`].
    pub fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        read_whole(self.at(path, OFlags::PATH)?.as_fd(), most)
    }

    /// The names in the folder at a path below, sorted.
    ///
    /// # Errors
    /// As [`Folder::at`], and those of `getdents(2)`.
    pub fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let folder = self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = names(folder.as_fd())?;
        names.sort();
        Ok(names)
    }
}

/// The names in a folder that is open for reading, in the order in which they come.
///
/// # Errors
/// Those of `getdents(2)`.
pub fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Folder> for OwnedFd {
    fn from(folder: Folder) -> Self {
        folder.0
    }
}

/// The content of a regular file that is named by a path of the host's own, of at most so many
/// bytes.
///
/// # Errors
/// Those of `openat(2)`; [`Refused::NotAFile`], [`Refused::TooLarge`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    read_whole(rustix::fs::openat(CWD, path, flags, Mode::empty())?.as_fd(), most)
}

/// Opened for reading only once it is known to be a file: to open a device can have effects (a
/// watchdog's begins to count), and a stranger may make the node of any.
fn read_whole(what: BorrowedFd<'_>, most: u64) -> io::Result<Vec<u8>> {
    if kind_of(what)? != Kind::File {
        return Err(Refused::NotAFile.into());
    }
    if rustix::fs::fstatfs(what)?.f_type == rustix::fs::PROC_SUPER_MAGIC {
        return Err(Refused::MadeUp.into());
    }
    let path = format!("/proc/self/fd/{}", what.as_raw_fd());
    let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = Vec::new();
    // One more than is taken: a file may be larger than it says, or grow.
    File::from(file).take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most { Err(Refused::TooLarge(most).into()) } else { Ok(content) }
}

fn kind_of(what: BorrowedFd<'_>) -> io::Result<Kind> {
    let stat = rustix::fs::statat(what, "", AtFlags::EMPTY_PATH)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn refused(result: io::Result<impl std::fmt::Debug>) -> Option<Refused> {
        Refused::of(&result.unwrap_err())
    }

    #[test]
    fn nothing_leads_out() {
        let place = tempfile::tempdir().unwrap();
        let inside = place.path().join("inside");
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::write(place.path().join("secret"), "outside").unwrap();
        fs::write(inside.join("sub/file"), "text").unwrap();
        symlink("../secret", inside.join("up")).unwrap();
        symlink(place.path().join("secret"), inside.join("absolute")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        symlink("sub/../sub", inside.join("around")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        let folder = Folder::open(&inside).unwrap();

        for path in ["up", "absolute", "magic", "magic/etc", "../secret", "/etc/passwd", "loop"] {
            assert_eq!(refused(folder.read(path.as_ref(), 9)), Some(Refused::Leaves), "{path}");
            assert_eq!(refused(folder.make_folder(path.as_ref())), Some(Refused::Leaves), "{path}");
        }
        assert_eq!(folder.read("around/file".as_ref(), 9).unwrap(), b"text");
        assert_eq!(folder.read("sub/../sub/file".as_ref(), 9).unwrap(), b"text");
        assert_eq!(folder.names("around".as_ref()).unwrap(), ["file"]);
        assert_eq!(folder.kind("around".as_ref()).unwrap(), Kind::Folder);
        folder.make_folder("around/new/deep".as_ref()).unwrap();
        assert!(inside.join("sub/new/deep").is_dir());
    }

    #[test]
    fn only_regular_files_of_a_bearable_size_are_read() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "12345").unwrap();
        let pipe = Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(CWD, place.path().join("pipe"), pipe).unwrap();
        let folder = Folder::open(place.path()).unwrap();

        assert_eq!(folder.read("file".as_ref(), 5).unwrap(), b"12345");
        assert_eq!(refused(folder.read("file".as_ref(), 4)), Some(Refused::TooLarge(4)));
        assert_eq!(refused(folder.read("pipe".as_ref(), 9)), Some(Refused::NotAFile));
        assert_eq!(refused(folder.read("".as_ref(), 9)), Some(Refused::NotAFile));
        assert_eq!(folder.read("none".as_ref(), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(refused(read("/dev/zero".as_ref(), 9)), Some(Refused::NotAFile));
        assert_eq!(refused(read("/proc/self/environ".as_ref(), 9)), Some(Refused::MadeUp));
    }
}
