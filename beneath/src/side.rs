//! Files below a folder that is held open, looked at and put there whole.
//!
//! # Invariants
//! - The way to a file where strangers write is walked name by name, and a link on it is an error:
//!   containers put them there, and a revision may have held a link where the next one holds a
//!   folder (CVE-2021-21300).
//! - What was looked at is what is read or written: by descriptor, never again by its path.

use crate::Folder;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A larger file is not read.
const LARGEST: u64 = 1 << 30;
const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// What is at a path, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Its mode.
        mode: RawMode,
    },
    /// A link, and where it leads.
    Link(OsString),
    /// A device, pipe or socket, or a file that is too large to be read.
    Other,
}

/// A folder, and whether links on the way to a file in it are followed, as far as they stay below.
#[derive(Debug)]
pub struct Side {
    root: Folder,
    follows: bool,
}

impl Side {
    /// One that strangers do not write to, such as a checkout: its links are followed.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn following(root: &Path) -> io::Result<Self> {
        Ok(Self { root: Folder::open(root)?, follows: true })
    }

    /// One that strangers write to, made where it is missing.
    ///
    /// # Errors
    /// Those of `openat(2)` and `mkdir(2)`.
    pub fn exact(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self { root: Folder::open(root)?, follows: false })
    }

    /// What is at a path; `None` where nothing is, or no way leads there.
    ///
    /// # Errors
    /// Those of the system calls; a link on the way is [`io::ErrorKind::NotADirectory`], or
    /// [`Refused::Leaves`](crate::Refused::Leaves) where links are followed.
    pub fn look(&self, path: &Path) -> io::Result<Option<What>> {
        let nowhere = |error: &io::Error| {
            let blocked = !self.follows && error.kind() == io::ErrorKind::NotADirectory;
            error.kind() == io::ErrorKind::NotFound || blocked
        };
        let found = self.way(path).and_then(|(folder, name)| {
            Ok(rustix::fs::openat(&folder, name, PLACE, Mode::empty())?)
        });
        match found {
            Err(error) if nowhere(&error) => Ok(None),
            found => what(found?.as_fd()).map(Some),
        }
    }

    /// The names in a folder.
    ///
    /// # Errors
    /// Those of the system calls; a link on the way is [`io::ErrorKind::NotADirectory`], or
    /// [`Refused::Leaves`](crate::Refused::Leaves) where links are followed.
    pub fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.root.names(path)
    }

    /// Makes a folder, and what leads to it.
    ///
    /// # Errors
    /// Those of the system calls; a link on the way is [`io::ErrorKind::NotADirectory`], or
    /// [`Refused::Leaves`](crate::Refused::Leaves) where links are followed.
    pub fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.walk(path, true).map(drop)
    }

    /// Takes a file or link away.
    ///
    /// # Errors
    /// Those of the system calls; a link on the way is [`io::ErrorKind::NotADirectory`], or
    /// [`Refused::Leaves`](crate::Refused::Leaves) where links are followed.
    pub fn unlink(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.way(path)?;
        Ok(rustix::fs::unlinkat(&folder, name, AtFlags::empty())?)
    }

    /// Puts a file or link where nothing else but one is; a mounted file stays the same file.
    ///
    /// # Errors
    /// Those of the system calls; a link on the way is [`io::ErrorKind::NotADirectory`], or
    /// [`Refused::Leaves`](crate::Refused::Leaves) where links are followed.
    pub fn put(&self, path: &Path, what: &What, in_place: bool) -> io::Result<()> {
        self.make_folder(path.parent().unwrap_or(Path::new("")))?;
        let (folder, name) = self.way(path)?;
        match what {
            What::File { bytes, .. } if in_place && overwrite(&folder, name, bytes)? => Ok(()),
            What::File { bytes, mode } => replace(&folder, name, |fresh| {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut file =
                    File::from(rustix::fs::openat(&folder, fresh, flags, Mode::empty())?);
                file.write_all(bytes)?;
                file.set_permissions(Permissions::from_mode(mode & 0o777))?;
                file.sync_all()
            }),
            What::Link(target) => {
                replace(&folder, name, |fresh| Ok(rustix::fs::symlinkat(target, &folder, fresh)?))
            }
            What::Folder | What::Other => Ok(()),
        }
    }

    /// The folder that a path is in, and its name there.
    fn way<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.walk(path.parent().unwrap_or(Path::new("")), false)?, name))
    }

    fn walk(&self, path: &Path, make: bool) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        if self.follows {
            return self.root.at(path, flags);
        }
        let mut here = self.root.at(Path::new(""), flags)?;
        for name in path {
            if make {
                match rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
                    Err(Errno::EXIST) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // A link is no folder to this.
            here = rustix::fs::openat(&here, name, PLACE | OFlags::DIRECTORY, Mode::empty())?;
        }
        Ok(here)
    }
}

fn what(found: BorrowedFd<'_>) -> io::Result<What> {
    let stat = stat(found)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => What::Folder,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(found, "", Vec::new())?;
            What::Link(OsString::from_vec(target.into_bytes()))
        }
        FileType::RegularFile if stat.st_size.cast_unsigned() <= LARGEST => {
            let mut bytes = Vec::new();
            reopen(found, OFlags::RDONLY)?.take(LARGEST).read_to_end(&mut bytes)?;
            What::File { bytes, mode: stat.st_mode }
        }
        _ => What::Other,
    })
}

fn stat(found: BorrowedFd<'_>) -> io::Result<Stat> {
    Ok(rustix::fs::statat(found, "", AtFlags::EMPTY_PATH)?)
}

fn reopen(found: BorrowedFd<'_>, flags: OFlags) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Writes into the file that is there; says whether one is.
fn overwrite(folder: &OwnedFd, name: &OsStr, bytes: &[u8]) -> io::Result<bool> {
    let found = match rustix::fs::openat(folder, name, PLACE, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        found => found?,
    };
    if FileType::from_raw_mode(stat(found.as_fd())?.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    let mut file = reopen(found.as_fd(), OFlags::WRONLY | OFlags::TRUNC)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(true)
}

/// Made beside it, whole, and renamed into place.
fn replace(
    folder: &OwnedFd,
    name: &OsStr,
    make: impl FnOnce(&OsStr) -> io::Result<()>,
) -> io::Result<()> {
    let mut fresh = name.to_owned();
    fresh.push(".keel-new");
    match rustix::fs::unlinkat(folder, &fresh, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    make(&fresh)?;
    Ok(rustix::fs::renameat(folder, &fresh, folder, name)?)
}
