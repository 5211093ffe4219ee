//! Creates one entry of a layer with its owner, mode, attributes and time.
//!
//! The order matters: changing the owner clears the setuid bits and capabilities, and putting
//! something into a folder changes the folder's time.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::archive::{Archive, Entry, Kind};
use super::error::UnpackError;
use super::tree::{self, PathError, Spot, Tree};

/// Marks a name that layers below have and this one removes.
const WHITEOUT: &[u8] = b".wh.";
/// Marks a folder of which nothing below shall be seen.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names that aufs kept for itself, and old tools left in archives.
const AUFS: &[u8] = b".wh..wh.";

/// Creates the entry; the archive stands at its content.
pub(super) fn create<R: Read>(
    tree: &mut Tree<'_>,
    entry: &Entry,
    content: &mut Archive<R>,
) -> Result<(), UnpackError> {
    let name = || entry.path.display().to_string();
    tree.room_for_entry().map_err(|error| describe(error.into(), entry))?;
    let path = tree::inside(&entry.path).ok_or_else(|| UnpackError::Escapes { entry: name() })?;
    if let Kind::Unknown(kind) = entry.kind {
        return Err(UnpackError::UnknownKind { entry: name(), kind });
    }
    let outcome = match tree::spot(&path) {
        None => root(tree, entry),
        Some(spot) => match spot.name.as_bytes() {
            OPAQUE => opaque(tree, &spot),
            ignored if ignored.starts_with(AUFS) => Ok(()),
            marked if marked.starts_with(WHITEOUT) => whiteout(tree, &spot),
            _ if entry.kind == Kind::HardLink => return hard_link(tree, entry, &spot),
            _ => place(tree, entry, &path, &spot, content),
        },
    };
    outcome.map_err(|error| describe(error, entry))
}

fn describe(error: PathError, entry: &Entry) -> UnpackError {
    let entry = entry.path.display().to_string();
    match error {
        PathError::Escapes => UnpackError::Escapes { entry },
        // A broken stream shows itself while content is copied, and is no fault of the disk.
        PathError::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            UnpackError::Stream(source)
        }
        PathError::Io(source) => UnpackError::Create { entry, source },
    }
}

/// The layer's root: only its owner, mode and the like can be said.
fn root(tree: &mut Tree<'_>, entry: &Entry) -> Result<(), PathError> {
    if entry.kind != Kind::Directory {
        return Err(PathError::Escapes);
    }
    let folder = tree.folder(Path::new(""))?;
    set_all(&folder, OsStr::new("."), entry).map_err(PathError::Io)?;
    tree.time_later(Path::new("").to_owned(), entry.mtime).map_err(PathError::Io)
}

fn opaque(tree: &mut Tree<'_>, spot: &Spot) -> Result<(), PathError> {
    let folder = tree.folder(&spot.folder)?;
    tree::make_opaque(folder.as_fd(), OsStr::new(".")).map_err(PathError::Io)
}

fn whiteout(tree: &mut Tree<'_>, spot: &Spot) -> Result<(), PathError> {
    let hidden = OsStr::from_bytes(&spot.name.as_bytes()[WHITEOUT.len()..]);
    if matches!(hidden.as_bytes(), b"" | b"." | b"..") {
        return Err(PathError::Escapes);
    }
    let folder = tree.folder(&spot.folder)?;
    tree.whiteout(&folder, hidden).map_err(PathError::Io)
}

fn hard_link(tree: &mut Tree<'_>, entry: &Entry, spot: &Spot) -> Result<(), UnpackError> {
    let names = || (entry.path.display().to_string(), entry.link.display().to_string());
    let escapes = || {
        let (entry, target) = names();
        UnpackError::LinkEscapes { entry, target }
    };
    let missing = || {
        let (entry, target) = names();
        UnpackError::LinkMissing { entry, target }
    };
    let target = tree::inside(&entry.link).ok_or_else(escapes)?;
    let from = tree::spot(&target).ok_or_else(escapes)?;
    let folder = tree.folder(&spot.folder).map_err(|error| describe(error, entry))?;
    let from_folder = match tree.existing_folder(&from.folder) {
        Err(PathError::Escapes) => return Err(escapes()),
        Err(PathError::Io(_)) => return Err(missing()),
        Ok(folder) => folder,
    };
    if target == spot.folder.join(&spot.name) {
        return Ok(());
    }
    let linked = tree.make_room(&folder, &spot.name).and_then(|()| {
        // Without a flag the kernel links a symbolic link itself, and follows none.
        Ok(rustix::fs::linkat(&from_folder, &from.name, &folder, &spot.name, AtFlags::empty())?)
    });
    linked.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => missing(),
        _ => describe(PathError::Io(source), entry),
    })
}

fn place<R: Read>(
    tree: &mut Tree<'_>,
    entry: &Entry,
    path: &Path,
    spot: &Spot,
    content: &mut Archive<R>,
) -> Result<(), PathError> {
    let folder = tree.folder(&spot.folder)?;
    if entry.kind == Kind::Directory {
        tree.make_folder(&folder, &spot.name)?;
        tree.time_later(path.to_owned(), entry.mtime).map_err(PathError::Io)?;
    } else if entry.kind == Kind::File {
        return file(tree, &folder, &spot.name, entry, content).map_err(PathError::Io);
    } else {
        tree.make_room(&folder, &spot.name).map_err(PathError::Io)?;
        special(&folder, &spot.name, entry)?;
    }
    set_all(&folder, &spot.name, entry).map_err(PathError::Io)
}

fn file<R: Read>(
    tree: &mut Tree<'_>,
    folder: &OwnedFd,
    name: &OsString,
    entry: &Entry,
    content: &mut Archive<R>,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let handle = match rustix::fs::openat(folder, name, flags, mode) {
        Err(Errno::EXIST) => {
            tree.make_room(folder, name)?;
            rustix::fs::openat(folder, name, flags, mode)?
        }
        other => other?,
    };
    let mut file = File::from(handle);
    tree.copy(content, &mut file)?;
    let (owner, group) = owners(entry);
    rustix::fs::fchown(&file, Some(owner), Some(group))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
    set_xattrs(folder, name, entry)?;
    Ok(rustix::fs::futimens(&file, &tree::timestamps(entry.mtime))?)
}

fn special(folder: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), Errno> {
    let (major, minor) = entry.device;
    let device = rustix::fs::makedev(major, minor);
    let node =
        |kind, device| rustix::fs::mknodat(folder, name, kind, Mode::from_raw_mode(0o600), device);
    match entry.kind {
        Kind::Symlink => rustix::fs::symlinkat(&entry.link, folder, name),
        Kind::CharDevice => node(FileType::CharacterDevice, device),
        Kind::BlockDevice => node(FileType::BlockDevice, device),
        _ => node(FileType::Fifo, 0),
    }
}

fn set_all(folder: &OwnedFd, name: &OsStr, entry: &Entry) -> io::Result<()> {
    let (owner, group) = owners(entry);
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(folder, name, Some(owner), Some(group), nofollow)?;
    if entry.kind != Kind::Symlink {
        let mode = Mode::from_raw_mode(entry.mode);
        rustix::fs::chmodat(folder, name, mode, AtFlags::empty())?;
    }
    set_xattrs(folder, name, entry)?;
    Ok(rustix::fs::utimensat(folder, name, &tree::timestamps(entry.mtime), nofollow)?)
}

fn owners(entry: &Entry) -> (Uid, Gid) {
    (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid))
}

fn set_xattrs(folder: &OwnedFd, name: &OsStr, entry: &Entry) -> io::Result<()> {
    for (key, value) in &entry.xattrs {
        if !is_kept(key) {
            continue;
        }
        match tree::set_xattr(folder.as_fd(), name, key, value) {
            // Not every file system has every kind; only capabilities change what runs.
            Err(error) if key != "security.capability" && is_unsupported(&error) => {}
            other => other?,
        }
    }
    Ok(())
}

/// What may belong to an image. `trusted.overlay.` and `user.overlay.` would let a layer redirect
/// overlayfs to files of other layers, and `security.` but for capabilities is the host's business.
fn is_kept(attribute: &str) -> bool {
    match attribute.split_once('.') {
        Some(("user", name)) => !name.starts_with("overlay."),
        Some(("security", name)) => name == "capability",
        Some(("system", name)) => matches!(name, "posix_acl_access" | "posix_acl_default"),
        _ => false,
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::OPNOTSUPP | Errno::PERM))
}
