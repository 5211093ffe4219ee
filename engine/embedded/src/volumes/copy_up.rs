//! Copies a folder of an image: content, owners, modes, times, attributes.
//!
//! # Invariants
//! - The folder is found by the kernel, below the image's root; no link in it is followed.
//! - Every name is read and made below the descriptor of its folder, and what was made is changed
//!   by its own descriptor: a link that is put there meanwhile is neither followed nor written to.
//! - What is there already stays.

use crate::runtime::within::Root;
use keel_beneath::names;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
    XattrFlags, chmodat, chownat, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat,
    futimens, linkat, mkdirat, mknodat, openat, openat2, readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Folders one in the other; two of each depth are open at once.
const DEEPEST: usize = 256;

/// How an entry that must be there is opened.
const FOUND: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Copies what an image has in the folder at `path` into the folder `target`, and makes that like
/// it; whether the image has that folder.
pub(super) fn from_image(image: &Path, path: &Path, target: BorrowedFd<'_>) -> io::Result<bool> {
    match Root::open(image)?.at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(folder) => tree(folder.as_fd(), target).map(|()| true),
        Err(error) if is_none(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Copies a folder into another one, and makes that like it.
pub(super) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    Copying { top: to, at: PathBuf::new(), twins: HashMap::new() }.tree(from, to, 0)
}

/// One copy.
struct Copying<'a> {
    top: BorrowedFd<'a>,
    /// Which folder below it is being copied.
    at: PathBuf,
    /// What was made of files with several names, by device and number.
    twins: HashMap<(u64, u64), Made>,
}

/// A file that was made: its first name, and how it is known again.
struct Made {
    path: PathBuf,
    number: (u64, u64),
}

fn number(of: &Stat) -> (u64, u64) {
    (of.st_dev, of.st_ino)
}

/// A folder in a folder, never by a link.
pub(super) fn folder(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat(parent, name, FOUND | OFlags::DIRECTORY, Mode::empty())
}

impl Copying<'_> {
    fn tree(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!(
                "it has more than {DEEPEST} folders in each other"
            )));
        }
        for name in names(from)? {
            self.entry(from, to, &name, depth)?;
        }
        liken(from, to)
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &OsStr,
        depth: usize,
    ) -> io::Result<()> {
        let found = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let made = match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                let made = mkdirat(to, name, Mode::from_raw_mode(0o700));
                if !matches!(made, Ok(()) | Err(Errno::EXIST)) {
                    return Ok(made?);
                }
                let to = match folder(to, name) {
                    Err(Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                    other => other?,
                };
                self.at.push(name);
                self.tree(folder(from, name)?.as_fd(), to.as_fd(), depth + 1)?;
                self.at.pop();
                return Ok(());
            }
            FileType::RegularFile if found.st_nlink > 1 => self.twin(from, to, name, &found),
            FileType::RegularFile => file(from, to, name).map(drop),
            FileType::Symlink => link(from, to, name, &found),
            FileType::Socket => Ok(()),
            // The sign of a removed file, in the only layer of an image.
            FileType::CharacterDevice if found.st_rdev == 0 => Ok(()),
            kind => node(to, name, kind, &found),
        };
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// A file that may have another name in what is copied.
    fn twin(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &OsStr,
        found: &Stat,
    ) -> io::Result<()> {
        if let Some(made) = self.twins.get(&number(found))
            && let Some(file) = self.again(made)
        {
            return Ok(linkat(&file, "", to, name, AtFlags::EMPTY_PATH)?);
        }
        let made = file(from, to, name)?;
        let made = Made { path: self.at.join(name), number: number(&fstat(&made)?) };
        self.twins.insert(number(found), made);
        Ok(())
    }

    /// A file that was made, if it is still at its place: containers may write there.
    fn again(&self, made: &Made) -> Option<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat2(self.top, &made.path, flags, Mode::empty(), resolve).ok()?;
        (number(&fstat(&file).ok()?) == made.number).then_some(file)
    }
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut source = File::from(openat(from, name, FOUND, Mode::empty())?);
    let mut target = File::from(openat(to, name, new, Mode::from_raw_mode(0o600))?);
    io::copy(&mut source, &mut target)?;
    liken(source.as_fd(), target.as_fd())?;
    Ok(target)
}

fn link(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr, found: &Stat) -> io::Result<()> {
    symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
    let (owner, group) = owners(found);
    chownat(to, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(utimensat(to, name, &times(found), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A device or pipe.
fn node(to: BorrowedFd<'_>, name: &OsStr, kind: FileType, found: &Stat) -> io::Result<()> {
    mknodat(to, name, kind, Mode::from_raw_mode(0o600), found.st_rdev)?;
    // Not to be opened as such: a device does something then, and a pipe waits.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(to, name, flags, Mode::empty())?;
    let is = fstat(&made)?;
    if FileType::from_raw_mode(is.st_mode) != kind || is.st_rdev != found.st_rdev {
        return Ok(());
    }
    let (owner, group) = owners(found);
    chownat(&made, "", owner, group, AtFlags::EMPTY_PATH)?;
    let path = format!("/proc/self/fd/{}", made.as_raw_fd());
    chmodat(CWD, &path, mode(found), AtFlags::empty())?;
    Ok(utimensat(CWD, &path, &times(found), AtFlags::empty())?)
}

/// Owner before mode: a change of owner takes set-user-id and file capabilities away.
pub(super) fn liken(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let found = fstat(from)?;
    let (owner, group) = owners(&found);
    fchown(to, owner, group)?;
    attributes(from, to)?;
    fchmod(to, mode(&found))?;
    Ok(futimens(to, &times(&found))?)
}

fn owners(found: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid)))
}

fn mode(found: &Stat) -> Mode {
    Mode::from_raw_mode(found.st_mode & 0o7777)
}

fn times(found: &Stat) -> Timestamps {
    let time = |seconds: i64, nanos: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.try_into().unwrap_or_default(),
    };
    Timestamps {
        last_access: time(found.st_atime, found.st_atime_nsec),
        last_modification: time(found.st_mtime, found.st_mtime_nsec),
    }
}

/// File capabilities, access lists and what users set. The kernel's other ones (overlayfs's, labels
/// of the host's) stay behind, and so does what the volume's file system does not take.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0_u8; 64 << 10];
    let Ok(length) = flistxattr(from, &mut names) else { return Ok(()) };
    let mut value = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| comes_along(name)) {
        value.resize(64 << 10, 0);
        let length = fgetxattr(from, name, &mut value)?;
        match fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn comes_along(name: &[u8]) -> bool {
    let users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    users || name == b"security.capability" || name.starts_with(b"system.posix_acl_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_beneath::Folder;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(world.at("layer/data/sub")).unwrap();
            fs::create_dir(world.at("volume")).unwrap();
            world
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn copy(&self, path: &str) -> io::Result<bool> {
            let target = Folder::open(&self.at("volume")).unwrap();
            let target = target.at(Path::new("."), OFlags::RDONLY).unwrap();
            from_image(&self.at("layer"), Path::new(path), target.as_fd())
        }
    }

    /// Needs root, as changing owners does.
    #[test]
    fn owners_modes_links_and_nodes_come_along() {
        let world = World::new();
        let mode = |path: &str, mode| {
            fs::set_permissions(world.at(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        fs::write(world.at("layer/data/sub/file"), "text").unwrap();
        fs::write(world.at("layer/data/suid"), "").unwrap();
        lchown(world.at("layer/data"), Some(33), Some(34)).unwrap();
        mode("layer/data", 0o750);
        mode("layer/data/suid", 0o4755);
        let pipe = Mode::from_raw_mode(0o600);
        mknodat(CWD, world.at("layer/data/pipe"), FileType::Fifo, pipe, 0).unwrap();
        mode("layer/data/pipe", 0o622);
        mknodat(CWD, world.at("layer/data/gone"), FileType::CharacterDevice, pipe, 0).unwrap();
        symlink("/etc/passwd", world.at("layer/data/link")).unwrap();
        symlink("/data", world.at("layer/away")).unwrap();
        symlink("../../..", world.at("layer/up")).unwrap();
        assert!(world.copy("/away").unwrap(), "a link is followed inside of the image");
        assert!(world.copy("/data").unwrap(), "a copy that was cut short is done again");
        assert!(!world.copy("/none").unwrap());
        let made = |path: &str| fs::symlink_metadata(world.at("volume").join(path)).unwrap();
        assert_eq!((made("").uid(), made("").gid(), made("").mode() & 0o7777), (33, 34, 0o750));
        assert_eq!(made("suid").mode() & 0o7777, 0o4755);
        assert!(made("pipe").file_type().is_fifo());
        assert_eq!(made("pipe").mode() & 0o7777, 0o622);
        assert!(!world.at("volume/gone").exists(), "it is the sign of a removed file");
        assert_eq!(fs::read_to_string(world.at("volume/sub/file")).unwrap(), "text");
        let link = fs::read_link(world.at("volume/link")).unwrap();
        assert_eq!(link, Path::new("/etc/passwd"));
        fs::remove_dir_all(world.at("layer/data")).unwrap();
        assert!(world.copy("/up").unwrap(), "it is the image's root");
        assert!(world.at("volume/up").is_symlink());
    }

    #[test]
    fn the_names_of_one_file_stay_names_of_one_file() {
        let world = World::new();
        fs::write(world.at("layer/data/sub/one"), "text").unwrap();
        fs::hard_link(world.at("layer/data/sub/one"), world.at("layer/data/two")).unwrap();
        fs::hard_link(world.at("layer/data/sub/one"), world.at("layer/data/three")).unwrap();
        fs::hard_link(world.at("layer/data/sub/one"), world.at("layer/outside")).unwrap();
        fs::write(world.at("layer/data/alone"), "text").unwrap();
        fs::hard_link(world.at("layer/data/alone"), world.at("layer/another")).unwrap();
        assert!(world.copy("/data").unwrap());
        let made = |path: &str| fs::metadata(world.at("volume").join(path)).unwrap();
        let number = made("sub/one").ino();
        assert_eq!((made("two").ino(), made("three").ino()), (number, number));
        assert_eq!((made("two").nlink(), made("alone").nlink()), (3, 1));
        assert_ne!(number, fs::metadata(world.at("layer/outside")).unwrap().ino());
    }

    #[test]
    fn a_name_that_somebody_took_meanwhile_is_no_name_of_it() {
        let world = World::new();
        fs::write(world.at("layer/data/a"), "text").unwrap();
        fs::hard_link(world.at("layer/data/a"), world.at("layer/data/b")).unwrap();
        let target = Folder::open(&world.at("volume")).unwrap();
        let target = target.at(Path::new("."), OFlags::RDONLY).unwrap();
        let from = File::open(world.at("layer/data")).unwrap();
        let found = statat(&from, "a", AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let twins = HashMap::new();
        let mut copying = Copying { top: target.as_fd(), at: PathBuf::new(), twins };
        copying.twin(from.as_fd(), target.as_fd(), OsStr::new("a"), &found).unwrap();
        fs::write(world.at("canary"), "canary").unwrap();
        fs::remove_file(world.at("volume/a")).unwrap();
        fs::hard_link(world.at("canary"), world.at("volume/a")).unwrap();
        copying.twin(from.as_fd(), target.as_fd(), OsStr::new("b"), &found).unwrap();
        assert_eq!(fs::read_to_string(world.at("volume/b")).unwrap(), "text");
        assert_eq!(fs::metadata(world.at("canary")).unwrap().nlink(), 2);
    }

    #[test]
    fn what_is_there_already_is_neither_followed_nor_changed() {
        let world = World::new();
        fs::create_dir(world.at("canary")).unwrap();
        fs::write(world.at("canary/file"), "canary").unwrap();
        for name in ["file", "folder", "link", "pipe"] {
            symlink(world.at("canary"), world.at("volume").join(name)).unwrap();
        }
        symlink(world.at("canary/file"), world.at("volume/sub")).unwrap();
        fs::create_dir(world.at("layer/data/folder")).unwrap();
        fs::write(world.at("layer/data/folder/new"), "written").unwrap();
        fs::write(world.at("layer/data/file"), "written").unwrap();
        symlink("elsewhere", world.at("layer/data/link")).unwrap();
        let mode = Mode::from_raw_mode(0o777);
        mknodat(CWD, world.at("layer/data/pipe"), FileType::Fifo, mode, 0).unwrap();
        let before = fs::metadata(world.at("canary")).unwrap();
        world.copy("/data").unwrap();
        let after = fs::metadata(world.at("canary")).unwrap();
        assert_eq!((before.mode(), before.mtime_nsec()), (after.mode(), after.mtime_nsec()));
        assert_eq!(fs::read_to_string(world.at("canary/file")).unwrap(), "canary");
        assert_eq!(fs::read_dir(world.at("canary")).unwrap().count(), 1);
    }

    #[test]
    fn only_attributes_that_are_the_files_own_come_along() {
        for (name, expected) in [
            ("user.mime", true),
            ("security.capability", true),
            ("system.posix_acl_access", true),
            ("user.overlay.redirect", false),
            ("trusted.overlay.opaque", false),
            ("trusted.mine", false),
            ("security.selinux", false),
        ] {
            assert_eq!(comes_along(name.as_bytes()), expected, "{name}");
        }
    }
}
