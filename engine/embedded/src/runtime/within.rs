//! Paths inside of a container's root, opened so that nothing in them leads out.
//!
//! # Invariants
//! - Every path is resolved by the kernel below the root (`RESOLVE_IN_ROOT`), without magic links.
//! - What was opened is used by descriptor, never again by path.

use super::failure::{AtStep, Failure};
use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, makedev, mkdirat, openat2, readlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// As many links as the kernel follows.
const LINKS: u32 = 40;

/// More of a text is not read.
const LARGEST: u64 = 16 << 20;

/// A container's root.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// The folder at `path` of the caller's own tree.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// Opens what is at `path`.
    pub fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        match openat2(&self.0, below(path), flags | OFlags::CLOEXEC, Mode::empty(), INSIDE) {
            Err(Errno::LOOP) => Err(io::Error::other(
                "a link in it leads in a circle, or through /proc to what a process has open",
            )),
            other => Ok(other?),
        }
    }

    /// The text of a file, where there is one. What a container put there may be anything: nobody
    /// waits for a pipe's writer, and what has no end is not read to it.
    pub fn text(&self, path: &Path) -> io::Result<Option<String>> {
        let file = match self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(file) => std::fs::File::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // What has no size, and content all the same, is the kernel's: its log, say, which whoever
        // reads it takes away.
        let most = if found.len() == 0 { 0 } else { LARGEST };
        io::read_to_string(file.take(most)).map(Some)
    }

    /// The folder at `path`, made with its parents where it is missing; what a link on the way names
    /// and is missing is made as well.
    pub fn folder(&self, path: &Path) -> Result<OwnedFd, Failure> {
        self.make(&below(path), OFlags::DIRECTORY, LINKS)
            .step(format_args!("make `{}`", path.display()))
    }

    /// A place to mount a file on: what is at `path`, else a new empty file.
    pub fn file(&self, path: &Path) -> Result<OwnedFd, Failure> {
        self.make(&below(path), OFlags::empty(), LINKS)
            .step(format_args!("make `{}`", path.display()))
    }

    fn make(&self, path: &Path, kind: OFlags, links: u32) -> io::Result<OwnedFd> {
        match self.at(path, OFlags::PATH | kind) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && links > 0 => {}
            other => return other,
        }
        let (parent, name) = (path.parent(), path.file_name());
        let (Some(above), Some(name)) = (parent, name) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let parent = self.make(above, OFlags::DIRECTORY, links)?;
        // A link that leads to nothing yet: an image's /etc/resolv.conf is one of systemd's, say.
        if let Ok(target) = readlinkat(&parent, name, Vec::new()) {
            let target = above.join(Path::new(OsStr::from_bytes(target.to_bytes())));
            return self.make(&below(&target), kind, links - 1);
        }
        create(parent.as_fd(), name, kind)?;
        // Looked up again from the root: somebody else may have won, or it is a link by now.
        self.at(path, OFlags::PATH | kind)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether what was opened is the null device, and not something else of that name.
pub fn is_null(opened: BorrowedFd<'_>) -> io::Result<bool> {
    let stat = rustix::fs::fstat(opened)?;
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    Ok(device && stat.st_rdev == makedev(1, 3))
}

fn create(parent: BorrowedFd<'_>, name: &OsStr, kind: OFlags) -> io::Result<()> {
    let made = if kind.contains(OFlags::DIRECTORY) {
        mkdirat(parent, name, Mode::from_raw_mode(0o755))
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    };
    match made {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}

/// The path below the root, without `..`: `/a/../b` is `b`.
fn below(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    if clean.as_os_str().is_empty() { ".".into() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("root");
        fs::create_dir_all(inside.join("etc")).unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        symlink("../../secret", inside.join("etc/up")).unwrap();
        symlink("/etc/made", inside.join("absolute")).unwrap();
        let root = Root::open(&inside).unwrap();

        assert_eq!(root.text(Path::new("/etc/up")).unwrap(), None);
        assert_eq!(root.text(Path::new("../secret")).unwrap(), None);
        root.folder(Path::new("/absolute")).unwrap();
        assert!(inside.join("etc/made").is_dir(), "what a link names is made inside");
        root.file(Path::new("/etc/up")).unwrap();
        assert!(inside.join("secret").is_file(), "`..` ends at the root");
        assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "outside");
        symlink("round", inside.join("round")).unwrap();
        root.file(Path::new("/round")).unwrap_err();
        root.folder(Path::new("/a/b/../c")).unwrap();
        assert!(inside.join("a/c").is_dir());
        root.file(Path::new("/etc/new")).unwrap();
        assert!(inside.join("etc/new").is_file());
    }
}
