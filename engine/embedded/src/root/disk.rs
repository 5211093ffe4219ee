//! The disk that the root is on.

use crate::Layout;
use keel_engine::Disk;

/// Its size, and what is free of it.
pub(crate) fn disk(layout: &Layout) -> Option<Disk> {
    let found = rustix::fs::statvfs(layout.root()).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    // What only root may fill counts as free: it is root who writes here.
    Some(Disk { total: bytes(found.f_blocks), free: bytes(found.f_bfree) })
}
