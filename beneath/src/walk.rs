//! Opens an absolute path of the host, name by name, and holds what strangers made to its place.
//!
//! Most of such a path nobody untrusted has a hand in, and its links are followed wherever they
//! lead. Once the walk is in a folder that strangers write to, it does not leave that folder any
//! more: a link that leads out is refused, one that stays inside is followed.
//!
//! `openat2(2)` beneath that folder would do half of it. Which folder that is, is known only when
//! the links before it have been followed: the same place has many spellings. And it refuses each
//! absolute link, also those that lead back inside.
//!
//! # Invariants
//! - Every name is opened below the descriptor of the folder before it, never followed as a link
//!   by the kernel; a link's text is walked as the path was.
//! - `..` goes back to the descriptor that the walk came by, wherever that folder is by now.

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const LINKS: u32 = 40;

/// `PROC_SUPER_MAGIC`.
const PROC: u64 = 0x9fa0;

/// A link that was refused; the inner error of an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is a link that leaves `{}`", link.display(), place.display())]
pub struct Left {
    /// Where it is.
    pub link: PathBuf,
    /// The folder of strangers that it leaves.
    pub place: PathBuf,
}

impl Left {
    /// The refusal inside of an error, if it is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

/// What was found at the end of a path.
#[derive(Debug)]
pub struct Found {
    /// It, opened with `O_PATH`.
    pub opened: OwnedFd,
    /// Where it is, all links followed.
    pub path: PathBuf,
    /// It is a folder.
    pub is_folder: bool,
}

/// How a path is walked.
pub struct Walk<'a> {
    /// Whether strangers write to the folder at a path without links.
    pub strangers: &'a dyn Fn(&Path) -> bool,
    /// A folder on the way, as written, that is not left either.
    pub beneath: Option<&'a Path>,
    /// Folders that the path names and that are missing are made (0755).
    pub make: bool,
}

impl Walk<'_> {
    /// Opens what is at an absolute path.
    ///
    /// # Errors
    /// [`Left`]; those of `openat(2)` and `mkdirat(2)`.
    pub fn open(&self, path: &Path) -> io::Result<Found> {
        let mut way = Way::begin(path)?;
        let (first, rest) =
            match self.beneath.and_then(|base| Some((base, path.strip_prefix(base).ok()?))) {
                Some((base, rest)) => (base, Some(rest)),
                None => (path, None),
            };
        way.add(first);
        let mut found = self.go(&mut way)?;
        if let (Some(rest), None) = (rest, &found) {
            way.fence = way.stack.len() - 1;
            way.add(rest);
            found = self.go(&mut way)?;
        } else if rest.is_some_and(|rest| !rest.as_os_str().is_empty()) {
            return Err(Errno::NOTDIR.into());
        }
        match found {
            Some(found) => Ok(found),
            None => Ok(way.end()),
        }
    }

    /// To the end; what is there, unless it is a folder.
    fn go(&self, way: &mut Way) -> io::Result<Option<Found>> {
        while let Some(name) = way.next() {
            if name == ".." {
                way.back()?;
                continue;
            }
            match way.enter(&name) {
                Ok(()) => {
                    if (self.strangers)(&way.path()) {
                        way.fence = way.stack.len() - 1;
                    }
                }
                Err(Errno::NOENT) if self.make && !way.is_foreign => way.make(name)?,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    if let Some(found) = way.other(&name)? {
                        return Ok(Some(found));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

/// How far a walk has come.
struct Way {
    /// The folders from `/` to here.
    stack: Vec<(OwnedFd, OsString)>,
    /// Where in the stack the innermost folder of strangers is; 0 is `/`, which nothing leaves.
    fence: usize,
    /// Names ahead, the next one last.
    ahead: Vec<OsString>,
    /// How many of them a link says, not the path.
    foreign: usize,
    /// Whether a link said the name that was taken last.
    is_foreign: bool,
    links: u32,
    /// The link that was followed last.
    link: PathBuf,
}

impl Way {
    fn begin(path: &Path) -> io::Result<Self> {
        if !path.is_absolute() {
            return Err(Errno::INVAL.into());
        }
        let root = openat(CWD, "/", FOLDER, Mode::empty())?;
        let stack = vec![(root, OsString::from("/"))];
        let link = path.to_owned();
        Ok(Self {
            stack,
            fence: 0,
            ahead: Vec::new(),
            foreign: 0,
            is_foreign: false,
            links: 0,
            link,
        })
    }

    fn add(&mut self, path: &Path) -> usize {
        let names = path.components().rev().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            Component::ParentDir => Some(OsStr::new("..")),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        });
        let before = self.ahead.len();
        self.ahead.extend(names.map(OsStr::to_owned));
        self.ahead.len() - before
    }

    fn next(&mut self) -> Option<OsString> {
        self.is_foreign = self.foreign > 0;
        self.foreign = self.foreign.saturating_sub(1);
        self.ahead.pop()
    }

    fn here(&self) -> &OwnedFd {
        &self.stack.last().expect("the root is never left").0
    }

    fn path(&self) -> PathBuf {
        self.stack.iter().map(|(_, name)| name).collect()
    }

    fn back(&mut self) -> io::Result<()> {
        match self.stack.len() - 1 {
            0 => {}
            depth if depth == self.fence => return Err(self.left()),
            _ => drop(self.stack.pop()),
        }
        Ok(())
    }

    fn left(&self) -> io::Error {
        let place = self.stack[..=self.fence].iter().map(|(_, name)| name).collect();
        io::Error::other(Left { link: self.link.clone(), place })
    }

    /// Asked for as a folder, since that mounts what is to be mounted on demand.
    fn enter(&mut self, name: &OsStr) -> Result<(), Errno> {
        let folder = openat(self.here(), name, FOLDER, Mode::empty())?;
        self.stack.push((folder, name.to_owned()));
        Ok(())
    }

    /// Makes a missing folder, which is then entered as any other: somebody may have been faster.
    fn make(&mut self, name: OsString) -> io::Result<()> {
        match mkdirat(self.here(), &name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.ahead.push(name),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What is no folder: a link is followed, anything else is the path's end.
    fn other(&mut self, name: &OsStr) -> io::Result<Option<Found>> {
        let opened = openat(self.here(), name, OTHER, Mode::empty())?;
        let path = self.path().join(name);
        match FileType::from_raw_mode(fstat(&opened)?.st_mode) {
            FileType::Symlink => self.follow(&opened, name, path).map(|()| None),
            // It has become one since.
            FileType::Directory => {
                self.ahead.push(name.to_owned());
                Ok(None)
            }
            _ if self.ahead.is_empty() => Ok(Some(Found { opened, path, is_folder: false })),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn follow(&mut self, opened: &OwnedFd, name: &OsStr, path: PathBuf) -> io::Result<()> {
        self.links += 1;
        if self.links > LINKS {
            return Err(Errno::LOOP.into());
        }
        self.link = path;
        let text = readlinkat(opened, "", Vec::new())?;
        let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
        if self.fence == 0 && is_magic(opened, &text)? {
            return self.jump(name);
        }
        let mut rest = text.as_path();
        if text.is_absolute() {
            let fence: PathBuf = self.stack[..=self.fence].iter().map(|(_, name)| name).collect();
            rest = text.strip_prefix(fence).map_err(|_| self.left())?;
            self.stack.truncate(self.fence + 1);
        }
        self.foreign += self.add(rest);
        Ok(())
    }

    /// By a link of /proc that the kernel alone can follow, which the host's own paths may have.
    fn jump(&mut self, name: &OsStr) -> io::Result<()> {
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(self.here(), name, folder, Mode::empty())?;
        let shown = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let place = readlinkat(CWD, shown, Vec::new())?;
        self.stack = vec![(opened, OsString::from_vec(place.into_bytes()))];
        Ok(())
    }

    fn end(mut self) -> Found {
        let path = self.path();
        let (opened, _) = self.stack.pop().expect("the root is never left");
        Found { opened, path, is_folder: true }
    }
}

/// Links to other processes' folders; those of /proc that are mere texts are relative.
fn is_magic(link: &OwnedFd, text: &Path) -> io::Result<bool> {
    Ok(text.is_absolute() && u64::try_from(rustix::fs::fstatfs(link)?.f_type).ok() == Some(PROC))
}

const FOLDER: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OTHER: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// `ours/their` is written by strangers, and in it `ours/their/inner` by others.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(world.at("ours/their/inner/deep")).unwrap();
            fs::create_dir_all(world.at("ours/secret")).unwrap();
            fs::write(world.at("ours/secret/file"), "secret").unwrap();
            fs::write(world.at("ours/their/file"), "theirs").unwrap();
            symlink("ours/their", world.at("spelled")).unwrap();
            world
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(path)
        }

        fn link(&self, to: &str, path: &str) {
            symlink(to.replace('@', self.at("").to_str().unwrap()), self.at(path)).unwrap();
        }

        fn walk(&self, path: &str, beneath: Option<&str>, make: bool) -> io::Result<Found> {
            let places = [self.at("ours/their"), self.at("ours/their/inner")];
            let strangers = |path: &Path| places.iter().any(|place| place == path);
            let beneath = beneath.map(|path| self.at(path));
            Walk { strangers: &strangers, beneath: beneath.as_deref(), make }.open(&self.at(path))
        }
    }

    #[test]
    fn a_link_of_strangers_does_not_leave_their_folder() {
        let world = World::new();
        for (number, target) in [
            "/",
            "/proc/1/root",
            "/proc/self/cwd",
            "@ours/secret",
            "../secret",
            "inner/../../secret",
            "@ours/their/../secret",
            "first",
            "@spelled/../secret",
        ]
        .iter()
        .enumerate()
        {
            let name = format!("ours/their/link{number}");
            world.link(target, &name);
            if *target == "first" {
                world.link("../secret/file", "ours/their/first");
            }
            for path in
                [name.clone(), format!("{name}/file"), name.replace("ours/their", "spelled")]
            {
                let refused = world.walk(&path, None, true).unwrap_err();
                let left = Left::of(&refused).unwrap_or_else(|| panic!("{path}: {refused}"));
                assert!(left.place.starts_with(world.at("ours/their")), "{path}: {left}");
            }
        }
        assert!(!world.at("ours/their/link0/file").exists());
        world.link("../file", "ours/their/inner/up");
        let refused = world.walk("ours/their/inner/up", None, false).unwrap_err();
        assert_eq!(Left::of(&refused).unwrap().place, world.at("ours/their/inner"));
        let refused = world.walk("ours/their/inner/up", Some("ours"), false).unwrap_err();
        assert_eq!(Left::of(&refused).unwrap().link, world.at("ours/their/inner/up"));
    }

    #[test]
    fn a_link_that_stays_is_followed_and_the_hosts_own_wherever_it_leads() {
        let world = World::new();
        world.link("inner/deep", "ours/their/down");
        world.link("@ours/their/file", "ours/their/absolute");
        world.link("@ours/secret", "out");
        world.link("out/../secret/file", "chain");
        for (path, expected) in [
            ("ours/their/down", "ours/their/inner/deep"),
            ("ours/their/absolute", "ours/their/file"),
            ("spelled/down", "ours/their/inner/deep"),
            ("out/file", "ours/secret/file"),
            ("ours/their", "ours/their"),
            ("chain", "ours/secret/file"),
        ] {
            let found = world.walk(path, None, false).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(found.path, world.at(expected), "{path}");
            let shown = fs::read_link(format!("/proc/self/fd/{}", found.opened.as_raw_fd()));
            assert_eq!(shown.unwrap(), world.at(expected), "{path}");
        }
        let nowhere = world.walk("ours/none", None, false).unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
        world.link("loop", "ours/loop");
        assert!(world.walk("ours/loop", None, false).is_err());
    }

    #[test]
    fn what_is_missing_is_made_where_the_path_says_and_nowhere_else() {
        let world = World::new();
        assert!(world.walk("ours/their/a/b", None, true).unwrap().is_folder);
        assert!(world.at("ours/their/a/b").is_dir());
        world.link("inner", "ours/their/inside");
        world.walk("ours/their/inside/new", None, true).unwrap();
        assert!(world.at("ours/their/inner/new").is_dir());
        world.link("nowhere", "ours/their/dangling");
        world.walk("ours/their/dangling", None, true).unwrap_err();
        world.walk("ours/their/dangling/x", None, true).unwrap_err();
        assert!(!world.at("ours/their/nowhere").exists());
        world.walk("ours/their/file/x", None, true).unwrap_err();
    }

    #[test]
    fn a_folder_that_was_named_is_not_left() {
        let world = World::new();
        world.link("../their", "ours/secret/out");
        let refused = world.walk("ours/secret/out", Some("ours/secret"), false).unwrap_err();
        assert!(Left::of(&refused).is_some(), "{refused}");
        assert!(world.walk("ours/secret/file", Some("ours/secret"), false).is_ok());
        assert!(world.walk("ours/secret/../their", Some("ours/secret"), false).is_err());
        assert!(world.walk("ours/their/file/x", Some("ours/their/file"), false).is_err());
    }
}
