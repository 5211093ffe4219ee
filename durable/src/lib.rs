//! Records on disk: written whole or not at all, also where there is no room left.
//!
//! # Invariants
//! - A reader sees the old content or the new, whole; what [`Hold::Power`] says is there after a
//!   loss of power.
//! - A folder that is made is entered in the one above it on the disk: a record in a folder that a loss of
//!   power takes away is none.
//! - A record that exists can be replaced on a disk that is full to the last byte: its new content
//!   goes to a file of the reserve, whose blocks are allocated already, and the old file takes that
//!   one's place there. So whatever ends something, or makes room, can note that it does.

mod boot;
mod free_room;
mod hold;
mod late;
mod notices;
mod remembered;
mod reserve;
mod stamp;
mod told;

pub use boot::boot_id;
pub use free_room::free_room;
pub use hold::Hold;
pub use late::{Late, Stored};
pub use notices::{Notice, take_notices};
pub use remembered::Remembered;
pub use stamp::Stamp;
pub use told::{Change, Told};

use reserve::is_full;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Replaces a file's content: write-new, rename, and as much syncing as `hold` asks for.
///
/// # Errors
/// Those of the file system; of a full one only where the reserve is used up, too.
pub fn replace(path: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<()> {
    match exchange(path, bytes, mode, hold) {
        Err(error) if is_full(&error) => reserve::replace(path, bytes, mode, hold, error)?,
        other => other?,
    }
    match (hold, path.parent()) {
        (Hold::Power, Some(folder)) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// The content of a file that is replaced as a whole, as [`replace`] does: one that has been opened stays as it is.
///
/// # Errors
/// Those of the file system.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    // Without asking once more for what is beyond its end.
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Gives a file that was written elsewhere on the same disk its name, in place of what had it. Once it
/// returns, a loss of power takes neither its content nor its name.
///
/// # Errors
/// Those of the file system.
pub fn place(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Makes a folder with those above it, where they are missing. Once it returns, a loss of power takes none
/// of them away, nor one that was made before by somebody who died meanwhile.
///
/// # Errors
/// Those of the file system.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(parent.ok_or(error)?, mode)?;
            return make_folder(path, mode);
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            return Err(error);
        }
        _ => {}
    }
    match parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all()) {
        // What is there is not to be lost any more, and nothing was made.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other,
    }
}

/// Makes the reserve of a root, or what it lacks; nothing where there is no room for it now.
///
/// # Errors
/// Those of the file system, but for a full one.
pub fn keep_reserve(root: &Path) -> io::Result<()> {
    match reserve::keep(root) {
        Err(error) if is_full(&error) => Ok(()),
        other => other,
    }
}

fn exchange(path: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<()> {
    let new = beside(path)?;
    let written = write(&new, bytes, mode, hold).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What is there of it takes room.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write(new: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(new)?;
    file.write_all(bytes)?;
    if hold == Hold::Process { Ok(()) } else { file.sync_all() }
}

/// The new file that is to take the place of `path`.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    Ok(folder.join(format!(".{name}.{}.new", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn folders_are_made_with_those_above_them_and_files_are_not_taken_for_some() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b/c");
        make_folder(&deep, 0o700).expect("it is made");
        make_folder(&deep, 0o755).expect("it is there");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&deep), mode(&folder.path().join("a"))), (0o700, 0o700));
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        for path in [file.clone(), file.join("below")] {
            assert!(make_folder(&path, 0o700).is_err(), "{}", path.display());
        }
    }
}
