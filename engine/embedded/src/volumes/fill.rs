//! Fills an empty volume from an image, once.
//!
//! Other containers may have the volume mounted, and write there while it is filled: it is the same
//! folder for all of them, so it can neither be exchanged nor wait until it is nobody's (of two
//! services that share an empty volume, any may come first, and either may have the content). So
//! the content is copied to a folder beside it that nobody mounts, and when that is whole, its
//! entries are moved in, one by one, each with all that is in it. Moving follows no link and
//! replaces nothing: a name that somebody took meanwhile stays theirs.
//!
//! # Invariants
//! - `.filling` is a copy that is not whole: it is thrown away. `.filled` is whole, and on the disk:
//!   what is left in it is still to be moved, whoever was killed meanwhile.
//! - Only an empty volume is filled, and it is looked at again once the copy is whole.
//! - Fills of one volume never run at the same time: tasks are made ready one by one.

use super::copy_up;
use crate::runtime::overlay;
use keel_beneath::{Folder, names as names_in};
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fsync, mkdirat, renameat, renameat_with, statat, syncfs,
    unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

const PART: &str = ".filling";
const WHOLE: &str = ".filled";
/// The mark of an older keel, which filled the volume itself: there it was cut short.
const OLD: &str = "filling";
/// Where the image's layers are joined, for us alone.
const IMAGE: &str = "image";

/// Whether an older keel's own unfinished work may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Kept,
    Replaced,
}

/// Fills the volume in this folder with what the image has at a path, if it is empty: owner and
/// mode of the folder itself included.
pub(super) fn fill(folder: &Path, layers: &[PathBuf], at: &Path) -> io::Result<()> {
    let volume = open(&Folder::open(folder)?, ".")?;
    let data = open(&Folder::open(folder)?, "data")?;
    let old = exists(volume.as_fd(), OLD)?;
    let names = if old { Names::Replaced } else { Names::Kept };
    if !exists(volume.as_fd(), WHOLE)? {
        if !old && !is_empty(data.as_fd())? {
            return Ok(());
        }
        let part = new_part(folder, volume.as_fd())?;
        let has_folder = copy(folder, layers, at, part.as_fd())?;
        if !has_folder || (!old && !is_empty(data.as_fd())?) {
            return forget(folder, volume.as_fd());
        }
        if is_empty(part.as_fd())? {
            // Nothing to move: only the folder itself is to be like the image's.
            copy_up::liken(part.as_fd(), data.as_fd())?;
            return forget(folder, volume.as_fd());
        }
        syncfs(&part)?;
        renameat(&volume, PART, &volume, WHOLE)?;
        fsync(&volume)?;
    }
    move_in(folder, volume.as_fd(), data.as_fd(), names)
}

fn move_in(
    folder: &Path,
    volume: BorrowedFd<'_>,
    data: BorrowedFd<'_>,
    names: Names,
) -> io::Result<()> {
    let whole = copy_up::folder(volume, OsStr::new(WHOLE))?;
    // Before anything is taken out of it, for its times.
    copy_up::liken(whole.as_fd(), data)?;
    match settle(whole.as_fd(), data, names) {
        // Somebody mounted a disk of its own there.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_up::tree(whole.as_fd(), data)?;
        }
        other => other?,
    }
    fsync(data)?;
    forget(folder, volume)
}

/// Moves what is in one folder into another.
fn settle(from: BorrowedFd<'_>, to: BorrowedFd<'_>, names: Names) -> io::Result<()> {
    for name in names_in(from)? {
        match renameat_with(from, &name, to, &name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) if names == Names::Kept => {}
            Err(Errno::EXIST) => replace(from, to, &name)?,
            // Not every file system has such a rename.
            Err(Errno::INVAL | Errno::NOSYS) if !exists(to, &name)? => {
                renameat(from, &name, to, &name)?;
            }
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn replace(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match (copy_up::folder(from, name), copy_up::folder(to, name)) {
        (Ok(from), Ok(to)) => {
            settle(from.as_fd(), to.as_fd(), Names::Replaced)?;
            copy_up::liken(from.as_fd(), to.as_fd())
        }
        (Err(_), Err(_)) => Ok(renameat(from, name, to, name)?),
        // A folder that has become something else, or the other way round, is nothing of ours.
        _ => Ok(()),
    }
}

fn open(folder: &Folder, path: &str) -> io::Result<OwnedFd> {
    folder.at(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY)
}

fn new_part(folder: &Path, volume: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    keel_beneath::remove(&folder.join(PART))?;
    mkdirat(volume, PART, Mode::from_raw_mode(0o700))?;
    Ok(copy_up::folder(volume, OsStr::new(PART))?)
}

/// Whether the image has that folder.
fn copy(folder: &Path, layers: &[PathBuf], at: &Path, to: BorrowedFd<'_>) -> io::Result<bool> {
    let place = folder.join(IMAGE);
    std::fs::create_dir_all(&place)?;
    let copy = |image: &Path| copy_up::from_image(image, at, to);
    let copied = overlay::view(layers, &place, copy).map_err(io::Error::other)?;
    std::fs::remove_dir(&place)?;
    copied
}

/// All that was only for filling.
fn forget(folder: &Path, volume: BorrowedFd<'_>) -> io::Result<()> {
    match unlinkat(volume, OLD, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    keel_beneath::remove(&folder.join(PART))?;
    keel_beneath::remove(&folder.join(WHOLE))
}

fn exists(folder: BorrowedFd<'_>, name: impl AsRef<OsStr>) -> io::Result<bool> {
    match statat(folder, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_empty(folder: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(names_in(folder)?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A volume, and an image with `data/{page,sub/deep}`.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(world.at("layer/data/sub")).unwrap();
            fs::create_dir_all(world.at("volume/data")).unwrap();
            fs::write(world.at("layer/data/page"), "from the image").unwrap();
            fs::write(world.at("layer/data/sub/deep"), "from the image").unwrap();
            let mode = fs::Permissions::from_mode(0o750);
            fs::set_permissions(world.at("layer/data"), mode).unwrap();
            world
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn fill(&self) {
            let (volume, layers) = (self.at("volume"), [self.at("layer")]);
            fill(&volume, &layers, Path::new("/data")).unwrap();
            let left: Vec<_> = fs::read_dir(volume).unwrap().flatten().collect();
            assert_eq!(left.len(), 1, "only the data stays: {left:?}");
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.at("volume/data").join(path)).unwrap_or_default()
        }
    }

    #[test]
    fn an_empty_volume_gets_all_and_another_keeps_what_it_has() {
        let world = World::new();
        world.fill();
        assert_eq!(world.read("page"), "from the image");
        assert_eq!(world.read("sub/deep"), "from the image");
        let mode = fs::metadata(world.at("volume/data")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o750);
        fs::remove_file(world.at("volume/data/page")).unwrap();
        world.fill();
        assert_eq!(world.read("page"), "");
    }

    #[test]
    fn a_fill_that_was_killed_is_gone_on_with() {
        let world = World::new();
        fs::create_dir_all(world.at("volume/.filling/half")).unwrap();
        world.fill();
        assert_eq!(world.read("page"), "from the image");
        assert!(!world.at("volume/data/half").exists(), "what was not whole is thrown away");

        fs::create_dir_all(world.at("volume/.filled/sub/more")).unwrap();
        fs::write(world.at("volume/.filled/last"), "whole").unwrap();
        world.fill();
        assert_eq!(world.read("last"), "whole", "though the volume was not empty any more");
        assert!(!world.at("volume/data/sub/more").exists(), "a name that is there stays");
    }

    #[test]
    fn what_others_put_there_meanwhile_stays_and_is_not_followed() {
        let world = World::new();
        fs::create_dir(world.at("canary")).unwrap();
        fs::rename(world.at("layer/data"), world.at("volume/.filled")).unwrap();
        symlink(world.at("canary"), world.at("volume/data/sub")).unwrap();
        symlink(world.at("canary/page"), world.at("volume/data/page")).unwrap();
        world.fill();
        assert_eq!(fs::read_dir(world.at("canary")).unwrap().count(), 0);
        assert!(world.at("volume/data/sub").is_symlink());
    }

    #[test]
    fn what_an_older_keel_began_is_finished() {
        let world = World::new();
        fs::create_dir(world.at("canary")).unwrap();
        fs::create_dir_all(world.at("volume/data/sub")).unwrap();
        fs::write(world.at("volume/filling"), "").unwrap();
        fs::write(world.at("volume/data/sub/deep"), "from th").unwrap();
        symlink(world.at("canary/page"), world.at("volume/data/page")).unwrap();
        world.fill();
        assert_eq!(world.read("page"), "from the image");
        assert_eq!(world.read("sub/deep"), "from the image");
        assert_eq!(fs::read_dir(world.at("canary")).unwrap().count(), 0);
    }
}
