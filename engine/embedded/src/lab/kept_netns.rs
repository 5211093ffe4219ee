//! A network namespace that is kept by a mount, as `ip netns add` keeps one.
//!
//! # Invariants
//! - A file without a namespace on it (of a call that was killed, or from before a reboot) is as good as none.

use crate::network::namespace::in_new;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What statfs says of a namespace's file.
const NSFS: u64 = 0x6e73_6673;

/// A network namespace at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptNetns(PathBuf);

impl KeptNetns {
    /// The one at this path, which need not exist.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, with its loopback interface up, unless it is there.
    pub fn make(&self) -> io::Result<()> {
        if self.open()?.is_some() {
            return Ok(());
        }
        OpenOptions::new().create(true).append(true).open(&self.0)?;
        in_new(|| {
            let own = Some("/proc/thread-self/ns/net");
            mount(own, &self.0, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(io::Error::from)
        })
    }

    /// Its descriptor; `None` where there is no namespace.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let kind = u64::try_from(rustix::fs::fstatfs(&file)?.f_type).unwrap_or_default();
        Ok((kind == NSFS).then(|| file.into()))
    }

    /// Takes it away. The namespace itself ends with the last process in it.
    pub fn remove(&self) -> io::Result<()> {
        while self.open()?.is_some() {
            umount2(&self.0, MntFlags::MNT_DETACH)?;
        }
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_there_until_it_is_removed_and_a_mere_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptNetns::at(folder.path().join("net"));
        assert!(kept.open().unwrap().is_none());
        fs::write(kept.path(), "").unwrap();
        assert!(kept.open().unwrap().is_none(), "what is left after a reboot");
        let number = || rustix::fs::fstat(kept.open().unwrap().unwrap()).unwrap().st_ino;
        kept.make().unwrap();
        let first = number();
        kept.make().unwrap();
        assert_eq!(number(), first, "it is made once");
        kept.remove().unwrap();
        kept.remove().unwrap();
        assert!(!kept.path().exists());
    }
}
