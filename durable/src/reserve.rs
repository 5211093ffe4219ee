//! Files of a root whose blocks are allocated before they are needed.
//!
//! Each is claimed by renaming it, filled, and exchanged with the record that it replaces. So the
//! reserve keeps its size however often records are replaced; only a record that is new costs one.

use crate::hold::Hold;
use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder, below the root.
const FOLDER: &str = "reserve";
/// So many files.
const FILES: usize = 64;
/// Bytes allocated for each; records are mostly shorter than a quarter of it.
const SIZE: u64 = 16 << 10;

/// Makes what is missing.
pub(crate) fn keep(root: &Path) -> io::Result<()> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
    // Claimed by processes that were killed.
    for entry in fs::read_dir(&folder)?.flatten() {
        if is_orphan(&entry.file_name().to_string_lossy()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    for number in 0..FILES {
        let path = folder.join(number.to_string());
        if !path.exists() {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            if let Err(error) = fallocate(&file, FallocateFlags::KEEP_SIZE, 0, SIZE) {
                fs::remove_file(&path)?;
                return Err(error.into());
            }
        }
    }
    Ok(())
}

fn is_orphan(name: &str) -> bool {
    let pid = name.split_once('-').map(|(_, pid)| pid);
    pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
}

/// Replaces a record by a file of the reserve; `full` is what the usual way came to.
pub(crate) fn replace(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    hold: Hold,
    full: io::Error,
) -> io::Result<()> {
    let folder = path.ancestors().map(|above| above.join(FOLDER)).find(|found| found.is_dir());
    let Some(claimed) = folder.and_then(|folder| claim(&folder, bytes.len() as u64)) else {
        return Err(full);
    };
    let put = fill(&claimed.path, bytes, mode, hold).and_then(|()| put(&claimed.path, path));
    // What has the name now is the record before, or what could not be put in its place.
    let _ = fs::rename(&claimed.path, &claimed.home);
    put.map_err(|error| if is_full(&error) { full } else { error })
}

struct Claimed {
    home: PathBuf,
    path: PathBuf,
}

/// One with enough blocks; nobody else takes it meanwhile.
fn claim(folder: &Path, length: u64) -> Option<Claimed> {
    let fits = |path: &Path| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.blocks() * 512 >= length)
    };
    (0..FILES).find_map(|number| {
        let home = folder.join(number.to_string());
        let path = folder.join(format!("{number}-{}", std::process::id()));
        (fits(&home) && fs::rename(&home, &path).is_ok()).then_some(Claimed { home, path })
    })
}

/// Writes over what is allocated, and cuts only what would be read of the content before.
fn fill(path: &Path, bytes: &[u8], mode: u32, hold: Hold) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).open(path)?;
    file.write_all(bytes)?;
    if file.metadata()?.len() > bytes.len() as u64 {
        file.set_len(bytes.len() as u64)?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    if hold == Hold::Process { Ok(()) } else { file.sync_all() }
}

fn put(new: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // There is none before it, or this file system cannot exchange.
        Err(_) => fs::rename(new, path),
    }
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

    /// A small disk in memory that is full.
    struct Full(tempfile::TempDir);

    impl Full {
        /// With a record, and the reserve made before it is filled.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = Some(c"size=4m");
            mount("none", folder.path(), "tmpfs", MountFlags::empty(), options).unwrap();
            let disk = Self(folder);
            fs::create_dir(disk.path("tasks")).unwrap();
            crate::keep_reserve(disk.0.path()).unwrap();
            crate::replace(&disk.path("tasks/one"), b"before", 0o600, Hold::Power).unwrap();
            let mut fill = File::create(disk.path("fill")).unwrap();
            let chunk = vec![7; 4096];
            while fill.write_all(&chunk).is_ok() {}
            disk
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
    }

    impl Drop for Full {
        fn drop(&mut self) {
            let _ = unmount(self.0.path(), UnmountFlags::DETACH);
        }
    }

    /// Needs root, as mounting does.
    #[test]
    fn records_are_replaced_on_a_full_disk_as_often_as_one_likes() {
        let disk = Full::new();
        let record = disk.path("tasks/one");
        assert!(fs::write(disk.path("more"), [1; 9000]).is_err(), "it is full");
        for round in 0..500 {
            let text = "x".repeat(10 + round * 7);
            crate::replace(&record, text.as_bytes(), 0o640, Hold::Power).unwrap();
            assert_eq!(fs::read_to_string(&record).unwrap(), text, "{round}");
        }
        assert_eq!(fs::metadata(&record).unwrap().mode() & 0o777, 0o640);
        for number in 0..10 {
            let new = disk.path(&format!("tasks/new-{number}"));
            crate::replace(&new, b"a record that is new", 0o600, Hold::Either).unwrap();
        }
        let long = vec![1; 1 << 20];
        let error = crate::replace(&record, &long, 0o600, Hold::Power).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "no reserve is that large");
        assert_eq!(fs::read(&record).unwrap().len(), 10 + 499 * 7, "and nothing is lost by it");
        let left = fs::read_dir(disk.path("tasks")).unwrap().count();
        assert_eq!(left, 11, "no half of a file is left");
    }

    #[test]
    fn what_a_killed_process_had_claimed_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path()).unwrap();
        let reserve = folder.path().join(FOLDER);
        fs::rename(reserve.join("3"), reserve.join("3-4194305")).unwrap();
        keep(folder.path()).unwrap();
        assert!(reserve.join("3").exists() && !reserve.join("3-4194305").exists());
        assert_eq!(fs::read_dir(&reserve).unwrap().count(), FILES);
    }
}
