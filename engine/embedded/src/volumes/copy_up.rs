//! Copies a folder of an image into a volume: content, owners, modes, times, attributes.
//!
//! # Invariants
//! - The folder is found by the kernel, below the image's root; no link in it is followed.

use crate::runtime::within::Root;
use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags, lgetxattr,
    llistxattr, lsetxattr, mknodat, utimensat,
};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

/// Copies what an image has in the folder at `path`, if it has one, into the folder `target`, and
/// makes that like it.
pub(super) fn from_image(image: &Path, path: &Path, target: &Path) -> io::Result<()> {
    let folder = match Root::open(image)?.at(path, OFlags::PATH | OFlags::DIRECTORY) {
        Ok(folder) => folder,
        Err(error) if is_none(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    // With a last part, so that it names the folder and not the link that /proc shows.
    copy(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join("."), target)
}

fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let target = target.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !target.is_dir() {
                fs::create_dir(&target)?;
            }
            copy(&entry.path(), &target)?;
        } else {
            one(&entry.path(), &target)?;
        }
    }
    liken(source, target)
}

fn one(source: &Path, target: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(source)?;
    match fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match FileType::from_raw_mode(found.mode()) {
        FileType::RegularFile => drop(fs::copy(source, target)?),
        FileType::Symlink => symlink(fs::read_link(source)?, target)?,
        FileType::Socket => return Ok(()),
        // The sign of a removed file, in the only layer of an image.
        FileType::CharacterDevice if found.rdev() == 0 => return Ok(()),
        kind => {
            let mode = Mode::from_raw_mode(found.mode() & 0o7777);
            mknodat(CWD, target, kind, mode, found.rdev() as Dev)?;
        }
    }
    liken(source, target)
}

/// Owner before mode: a change of owner takes set-user-id away.
fn liken(source: &Path, target: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(source)?;
    lchown(target, Some(found.uid()), Some(found.gid()))?;
    attributes(source, target)?;
    if !found.is_symlink() {
        fs::set_permissions(target, fs::Permissions::from_mode(found.mode() & 0o7777))?;
    }
    let time = |seconds, nanos| Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps {
        last_access: time(found.atime(), found.atime_nsec()),
        last_modification: time(found.mtime(), found.mtime_nsec()),
    };
    Ok(utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// File capabilities and what users set; overlayfs's own stay behind, and so does what the
/// volume's file system does not take.
fn attributes(source: &Path, target: &Path) -> io::Result<()> {
    let mut names = vec![0_u8; 64 << 10];
    let Ok(length) = llistxattr(source, &mut names) else { return Ok(()) };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0_u8; 64 << 10];
        let length = lgetxattr(source, name, &mut value)?;
        match lsetxattr(target, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs root, as changing owners does.
    #[test]
    fn owners_modes_and_links_come_along() {
        let root = tempfile::tempdir().unwrap();
        let (layer, target) = (root.path().join("layer"), root.path().join("volume"));
        fs::create_dir_all(layer.join("data/sub")).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(layer.join("data/sub/file"), "text").unwrap();
        fs::set_permissions(layer.join("data"), fs::Permissions::from_mode(0o750)).unwrap();
        lchown(layer.join("data"), Some(33), Some(34)).unwrap();
        symlink("/etc/passwd", layer.join("data/link")).unwrap();
        symlink("/data", layer.join("away")).unwrap();
        let copy = |path: &str| from_image(&layer, Path::new(path), &target);
        copy("/away").unwrap();
        copy("/data").expect("a copy that was cut short is done again");
        copy("/none").expect("what is not there is not copied");
        let made = fs::metadata(&target).unwrap();
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (33, 34, 0o750));
        assert_eq!(fs::read_to_string(target.join("sub/file")).unwrap(), "text");
        assert_eq!(fs::read_link(target.join("link")).unwrap(), Path::new("/etc/passwd"));
    }
}
