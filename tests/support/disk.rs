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

    /// The same in memory.
    pub fn in_memory(host: &Host, size: &str) -> Self {
        let root = host.root();
        std::fs::create_dir_all(&root).expect("a folder");
        host.sh(&format!("mount -t tmpfs -o size={size} none {}", root.display()));
        Self(root)
    }

    /// From now on nobody can write what is named below the root, as after an error of the disk. Unlike a
    /// disk that is remounted, this one can be made [`writable`](Self::writable) again while files are open.
    pub fn read_only(&self, host: &Host) {
        let at = self.0.display();
        host.sh(&format!("mount --rbind {at} {at} && mount -o remount,bind,ro {at}"));
    }

    /// The end of that.
    pub fn writable(&self, host: &Host) {
        host.sh(&format!("umount -l {}", self.0.display()));
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
