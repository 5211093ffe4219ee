//! Leaves room on the disk: what a stranger sends must not fill it to the brim, since the records
//! of all stacks, and whatever the containers write, are on the same one.

use std::io;
use std::os::fd::AsFd;

/// How much may be written before the disk is looked at again.
const STEP: u64 = 1 << 20;
/// What an entry costs besides its content, at least.
const ENTRY: u64 = 4096;
/// Kept free: a part of the disk, and at most so much.
const PART: u64 = 64;
const MOST_BYTES: u64 = 512 << 20;
const MOST_ENTRIES: u64 = 20_000;

/// Counts what is written.
#[derive(Debug, Default)]
pub(crate) struct Room {
    since: u64,
}

/// What a disk has.
struct Disk {
    bytes: u64,
    free: u64,
    /// 0 where the file system does not count.
    entries: u64,
    free_entries: u64,
}

impl Room {
    /// To be called before an entry is made on the disk of `place`.
    pub(crate) fn entry(&mut self, place: impl AsFd) -> io::Result<()> {
        self.bytes(place, ENTRY)
    }

    /// To be called before so much is written there.
    pub(crate) fn bytes(&mut self, place: impl AsFd, bytes: u64) -> io::Result<()> {
        self.since += bytes;
        if self.since < STEP {
            return Ok(());
        }
        self.since = 0;
        let stat = rustix::fs::fstatvfs(place)?;
        check(&Disk {
            bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bfree.saturating_mul(stat.f_frsize),
            entries: stat.f_files,
            free_entries: stat.f_ffree,
        })
    }
}

fn check(disk: &Disk) -> io::Result<()> {
    let bytes = (disk.bytes / PART).min(MOST_BYTES);
    let entries = (disk.entries / PART).min(MOST_ENTRIES);
    let full = |what: String| Err(io::Error::new(io::ErrorKind::StorageFull, what));
    if disk.free < bytes {
        return full(format!("no more than {bytes} bytes would be left on the disk"));
    }
    match disk.entries > 0 && disk.free_entries < entries {
        true => full(format!("no more than {entries} files would be left on the disk")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_disk_stays_free() {
        const GIB: u64 = 1 << 30;
        let cases = [
            (100 * GIB, GIB, 1_000_000, 500_000, true),
            (100 * GIB, GIB / 4, 1_000_000, 500_000, false),
            (GIB, GIB / 32, 1_000_000, 500_000, true),
            (GIB, GIB / 128, 1_000_000, 500_000, false),
            (100 * GIB, 50 * GIB, 1_000_000, 1_000, false),
            (100 * GIB, 50 * GIB, 0, 0, true),
        ];
        for (bytes, free, entries, free_entries, fits) in cases {
            let found = check(&Disk { bytes, free, entries, free_entries });
            assert_eq!(found.is_ok(), fits, "{free} of {bytes}, {free_entries} of {entries}");
            let kind = found.err().map(|error| error.kind());
            assert!(kind.is_none_or(|kind| kind == io::ErrorKind::StorageFull));
        }
    }
}
