//! A disk of a test's own, to be filled.

use super::Host;
use std::path::PathBuf;

/// A small disk as the root, gone with the test.
pub struct Disk(PathBuf);

impl Disk {
    /// An empty one of this size (as `truncate` takes it), mounted where the host has its root.
    pub fn mount(host: &Host, size: &str) -> Self {
        let (disk, root) = (host.path("disk"), host.root());
        let (disk, at) = (disk.display(), root.display());
        std::fs::create_dir_all(&root).expect("a folder");
        host.sh(&format!("truncate -s {size} {disk} && mkfs.ext4 -q -m 0 {disk}"));
        host.sh(&format!("mount -o loop {disk} {at}"));
        Self(root)
    }

    /// Fills it to the last byte; gives the file that is to be removed for room.
    pub fn fill(&self, host: &Host) -> PathBuf {
        let fill = self.0.join("fill");
        // Twice: what was promised to others meanwhile may not have been needed.
        let more = format!("cat /dev/zero >>{0} 2>/dev/null; sync -f {0}", fill.display());
        host.sh(&format!("{more}; {more}; true"));
        fill
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failed test has still got tasks there, which its host ends after this.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
