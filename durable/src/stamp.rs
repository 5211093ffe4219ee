//! What a file system notes of a file's last change, by which two contents of it are told apart.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Longer than a tick of the kernel's clock for files, which is 10 ms at most.
const RECENT: Duration = Duration::from_millis(50);

/// What tells one content of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
    written: (i64, i64),
}

impl Stamp {
    /// Of the file at this path, not of what a link there leads to; `None` where there is none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let stat = path.symlink_metadata().ok()?;
        Some(Self {
            file: (stat.dev(), stat.ino()),
            size: stat.size(),
            changed: (stat.ctime(), stat.ctime_nsec()),
            written: (stat.mtime(), stat.mtime_nsec()),
        })
    }

    /// Whether another change may leave the same stamp: two within one tick of the file system's clock look
    /// alike.
    #[must_use]
    pub fn is_recent(&self) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return true;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        // A time to come says nothing: the clock was set back.
        SystemTime::now().duration_since(changed).map_or(true, |age| age < RECENT)
    }
}
