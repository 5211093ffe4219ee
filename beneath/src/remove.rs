//! Removes folders that strangers filled.
//!
//! # Invariants
//! - Every name is removed below the descriptor of its folder; no link is followed.
//! - However deep the folders are nested, few are open at once: what is deeper is moved up first.

use crate::Folder;
use rustix::fs::{AtFlags, OFlags, StatxAttributes, StatxFlags, openat, renameat, statx, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Folders that are entered one in the other, each of which is open meanwhile.
const DEEP: usize = 64;

/// Deletes what is at a path, with all that is in it; nothing where there is nothing. The folder
/// that it is in is the host's own.
///
/// # Errors
/// Those of `openat(2)` and `unlinkat(2)`; one that says so where something may not be changed.
pub fn remove(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    let parent = match Folder::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut removal = Removal { top: None, moved: 0, path: path.to_owned() };
    removal.one(&parent, name, 0)
}

struct Removal {
    /// The folder that is removed.
    top: Option<Folder>,
    /// How many folders were moved up into it.
    moved: usize,
    /// Where this is, for people.
    path: PathBuf,
}

impl Removal {
    fn one(&mut self, parent: &Folder, name: &OsStr, depth: usize) -> io::Result<()> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match openat(parent, name, flags, rustix::fs::Mode::empty()) {
            Ok(folder) => Folder(folder),
            Err(Errno::NOENT) => return Ok(()),
            // No folder: then it was the removal that is not permitted.
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(self.forbidden(parent, name)),
            Err(error) => return Err(error.into()),
        };
        if depth == DEEP {
            return self.move_up(parent, name);
        }
        self.clear(folder, depth)?;
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::PERM) => Err(self.forbidden(parent, name)),
            Err(error) => Err(error.into()),
        }
    }

    fn clear(&mut self, folder: Folder, depth: usize) -> io::Result<()> {
        if depth == 0 {
            self.top = Some(folder.folder(Path::new("."))?);
        }
        loop {
            let moved = self.moved;
            for name in folder.names(Path::new("."))? {
                self.one(&folder, &name, depth + 1)?;
            }
            // What was moved up meanwhile lies at the top, and is gone once nothing comes any more.
            if depth > 0 || moved == self.moved {
                return Ok(());
            }
        }
    }

    fn move_up(&mut self, parent: &Folder, name: &OsStr) -> io::Result<()> {
        let Some(top) = &self.top else { return Err(Errno::INVAL.into()) };
        loop {
            self.moved += 1;
            let new = OsString::from(format!(".keel-removed-{}", self.moved));
            if top.kind(Path::new(&new)).is_ok() {
                continue;
            }
            return match renameat(parent, name, top, &new) {
                Err(Errno::PERM) => Err(self.forbidden(parent, name)),
                // Only an empty folder is replaced; anything else of that name is another's.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => continue,
                other => Ok(other?),
            };
        }
    }

    fn forbidden(&self, parent: &Folder, name: &OsStr) -> io::Error {
        let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        let is_fixed = |name: &OsStr, flags| {
            let stat = statx(parent.as_fd(), name, flags, StatxFlags::empty());
            stat.is_ok_and(|stat| stat.stx_attributes.intersects(fixed))
        };
        let marked = is_fixed(name, AtFlags::SYMLINK_NOFOLLOW)
            || is_fixed(OsStr::new(""), AtFlags::EMPTY_PATH);
        if !marked {
            return Errno::PERM.into();
        }
        let (name, path) = (name.display(), self.path.display());
        let text = format!(
            "`{name}` in it, or its folder, is marked immutable or append-only: \
             `chattr -R -i -a {path}` takes the mark away"
        );
        io::Error::new(io::ErrorKind::PermissionDenied, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, mkdirat};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_is_touched() {
        let world = tempfile::tempdir().unwrap();
        let at = |path: &str| world.path().join(path);
        fs::create_dir_all(at("kept/sub")).unwrap();
        fs::write(at("kept/sub/file"), "kept").unwrap();
        fs::create_dir_all(at("gone/sub")).unwrap();
        symlink(at("kept"), at("gone/link")).unwrap();
        symlink("../../kept", at("gone/sub/link")).unwrap();
        symlink(at("kept"), at("alias")).unwrap();
        remove(&at("gone")).unwrap();
        remove(&at("alias")).unwrap();
        remove(&at("gone")).expect("what is not there needs no removal");
        remove(&at("none/gone")).expect("nor does what is in a folder that is not there");
        assert_eq!(fs::read_to_string(at("kept/sub/file")).unwrap(), "kept");
        assert_eq!(fs::read_dir(world.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_may_be_nested_deeper_than_files_may_be_open() {
        let world = tempfile::tempdir().unwrap();
        let top = world.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut here = Folder::open(&top).unwrap();
        let name = OsString::from("n".repeat(20));
        for level in 0..1_500 {
            mkdirat(&here, &name, Mode::from_raw_mode(0o755)).unwrap();
            if level % 500 == 0 {
                mkdirat(&here, ".keel-removed-1", Mode::from_raw_mode(0o755)).unwrap();
            }
            here = here.folder(Path::new(&name)).unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists());
    }
}
