//! How much room a disk has.

use std::path::Path;

/// Bytes that may still be written below a path, as anybody but root may; `None` where the file system does not say,
/// 0 where it takes no further file.
#[must_use]
pub fn free_room(path: &Path) -> Option<u64> {
    // The path itself may be missing: then it would be made where the folder above it is.
    let room = path.ancestors().find_map(|there| rustix::fs::statvfs(there).ok())?;
    let takes_no_file = room.f_files > 0 && room.f_favail == 0;
    Some(if takes_no_file { 0 } else { room.f_bavail.saturating_mul(room.f_frsize) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_missing_has_the_room_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_room(folder.path()).is_some());
        assert!(free_room(&folder.path().join("a/b")).is_some());
        assert_eq!(free_room(Path::new("/proc")), Some(0), "nothing is written there");
    }
}
