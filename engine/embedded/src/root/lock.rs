//! One driver for each root: whoever changes things below a root holds its lock.
//!
//! # Invariants
//! - The lock is the kernel's (`flock` on `ROOT/lock`), so it ends with its holder, however that
//!   ends. What stands in the file only tells people who that is.
//! - It is never inherited: shims and `keel net` outlive it without holding it.

use crate::{Layout, clock};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What an agent signs with.
const AGENT: &str = "keel agent";

/// A root's lock, held until dropped.
#[derive(Debug)]
pub struct RootLock {
    _file: Flock<File>,
    epoch: u64,
}

/// Who holds a root's lock, as it said itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// What it is called: `keel serve`, `keel up shop`.
    pub who: String,
    /// Which of the root's holders it is, in their order: higher than that of all before it.
    pub epoch: u64,
}

impl Holder {
    /// Whether it serves another machine's controller, for life.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        self.who == AGENT && self.stays()
    }

    /// Whether it holds the lock for life. What a dead one signed says nothing of whoever came
    /// after it and has not signed yet.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(self.who.as_str(), "keel serve" | AGENT)
            && crate::root::record::Process::find(self.pid).is_some()
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.who.as_str() {
            "" => f.write_str("another keel"),
            who => write!(f, "`{who}` (pid {})", self.pid),
        }
    }
}

/// Why a root could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else drives this root.
    #[error("{holder} drives {}", root.display())]
    Held {
        /// Who.
        holder: Holder,
        /// Which root.
        root: PathBuf,
    },
    /// The lock's file cannot be used.
    #[error("cannot lock {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl LockError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => {
                Some("stop that one, or use another root with `--root DIR`".to_owned())
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as root".to_owned())
            }
            Self::File { .. } => None,
        }
    }
}

impl RootLock {
    /// Takes the lock as `who`. With `wait`, blocks the thread until it is free.
    pub fn acquire(layout: &Layout, who: &str, wait: bool) -> Result<Self, LockError> {
        let path = layout.root().join("lock");
        let failed = |source| LockError::File { path: path.clone(), source };
        layout.make_root().map_err(failed)?;
        let file = open(&path).map_err(failed)?;
        let how = if wait { FlockArg::LockExclusive } else { FlockArg::LockExclusiveNonblock };
        let mut file = Flock::lock(file, how).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => LockError::Held {
                holder: Self::holder(layout).unwrap_or_default(),
                root: layout.root().to_owned(),
            },
            errno => failed(errno.into()),
        })?;
        let epoch = sign(layout, &mut file, who).map_err(failed)?;
        Ok(Self { _file: file, epoch })
    }

    /// Which of the root's holders this is.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Who signed the lock last: its holder, where somebody holds it.
    #[must_use]
    pub fn holder(layout: &Layout) -> Option<Holder> {
        let path = layout.root().join("lock");
        let signed = layout.late_holder().read(&path).or_else(|| fs::read(&path).ok())?;
        serde_json::from_slice(&signed).ok()
    }
}

/// A disk that takes nothing any more can still be locked, so that what runs there can be ended.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(path),
        opened => {
            let file = opened?;
            // Whoever may open a file may lock it, and keep us waiting.
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        }
    }
}

/// In the file, or in memory where the disk does not take it. Gives the epoch, which begins with the clock:
/// what a loss of power leaves of the file may be nothing.
fn sign(layout: &Layout, file: &mut File, who: &str) -> io::Result<u64> {
    let before = RootLock::holder(layout).map_or(0, |holder| holder.epoch);
    let epoch = clock::now().max(before + 1);
    let holder = Holder { pid: std::process::id(), who: who.to_owned(), epoch };
    let (bytes, path) = (serde_json::to_vec(&holder)?, layout.root().join("lock"));
    let mut write = || {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&bytes)
    };
    match write() {
        Ok(()) => layout.late_holder().forget(&path),
        Err(_) => layout.late_holder().keep(&path, &bytes)?,
    }
    Ok(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let first = RootLock::acquire(&layout, "keel serve", false).unwrap();
        let refused = RootLock::acquire(&layout, "keel up", false).unwrap_err();
        let pid = std::process::id();
        let root = folder.path().display();
        assert_eq!(refused.to_string(), format!("`keel serve` (pid {pid}) drives {root}"));
        let before = first.epoch();
        drop(first);
        let second = RootLock::acquire(&layout, "keel up", false).unwrap();
        assert!(second.epoch() > before, "each holder has a later epoch");
    }
}
