//! Why a source cannot be read, and what to do about it.

use git2::ErrorClass;
use keel_engine::FailureKind;
use std::path::{Path, PathBuf};

/// Folders, tags and branches that a hint names.
const SHOWN: usize = 5;
/// Less room than this holds no pack of a few files with its index.
const LITTLE: u64 = 256 << 10;

/// Why a source cannot be read. The cause is told in our own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The folder.
    #[error("cannot read `{path}`")]
    Folder {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Nothing in it is a stack.
    #[error("no Compose file in `{path}` or the folders in it")]
    NoStack {
        /// Where.
        path: String,
        /// Folders of the revision that hold one all the same.
        elsewhere: Vec<String>,
    },
    /// A file that holds a secret or key.
    #[error("cannot read `{path}`, which `auth` names")]
    Credentials {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It has no such tag.
    #[error("{url} has no tag `{tag}`, nor one in that range")]
    NoTag {
        /// Without credentials.
        url: String,
        /// What was asked for.
        tag: String,
        /// What is there.
        there: Vec<String>,
    },
    /// It has no such commit.
    #[error("{url} has no commit {commit} in any branch or tag")]
    NoCommit {
        /// Without credentials.
        url: String,
        /// What was asked for.
        commit: String,
    },
    /// It has no such branch, tag or commit.
    #[error("{url} has no branch, tag or commit `{revision}`")]
    NoRevision {
        /// Without credentials.
        url: String,
        /// What was asked for.
        revision: String,
        /// What was meant, perhaps.
        nearest: Option<String>,
        /// Some of what is there.
        there: Vec<String>,
    },
    /// The repository, or its server.
    #[error("cannot fetch {url}: {what}")]
    Fetch {
        /// Without credentials.
        url: String,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It has no such branch.
    #[error("{url} has no branch `{branch}`")]
    NoBranch {
        /// Without credentials.
        url: String,
        /// What was asked for.
        branch: String,
        /// What is there.
        there: Vec<String>,
    },
    /// The clone or checkout on this machine.
    #[error("cannot {what}")]
    Disk {
        /// What was tried, and where.
        what: String,
        /// The disk has no room for it.
        full: bool,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SourceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch { hint, .. } => hint.clone(),
            Self::NoBranch { there, .. } if there.is_empty() => {
                Some("the repository is empty: push a commit first".to_owned())
            }
            Self::NoBranch { there, .. } => Some(format!("it has {}", there.join(", "))),
            Self::NoStack { elsewhere, .. } if !elsewhere.is_empty() => {
                let some = elsewhere.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
                Some(format!("there are Compose files in {some}: let `path` match them"))
            }
            Self::NoStack { .. } => Some(format!(
                "name a Compose file, a folder with one of {}, or a folder of such folders",
                crate::find::COMPOSE_FILES.join(", ")
            )),
            Self::Disk { full: true, .. } => {
                Some("the disk is full: free some room, and it continues automatically".to_owned())
            }
            Self::NoTag { there, .. } if there.is_empty() => {
                Some("it has no tags at all: push one".to_owned())
            }
            Self::NoTag { there, .. } => {
                let newest: Vec<_> = there.iter().rev().take(SHOWN).map(String::as_str).collect();
                Some(format!("it has {}", newest.join(", ")))
            }
            Self::NoRevision { nearest: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::NoRevision { there, .. } if there.is_empty() => {
                Some("it has no branches at all: push one".to_owned())
            }
            Self::NoRevision { there, .. } => Some(format!("it has {}", there.join(", "))),
            Self::NoCommit { .. } => Some("was it pushed? a squashed commit is gone".to_owned()),
            Self::Credentials { .. } => Some("`keel serve --check` looks at all such files".into()),
            Self::Folder { .. } => {
                Some("is it mounted, and readable for root? it is retried automatically".to_owned())
            }
            Self::Disk { .. } => None,
        }
    }
}

/// Whether the clone on this machine lacks or garbles what it should hold. A full disk is no damage.
pub(super) fn damaged(error: &SourceError) -> bool {
    use ErrorClass::{Config, Indexer, Object, Odb, Reference, Repository, Sha1, Tree, Zlib};
    let SourceError::Disk { full: false, source, .. } = error else { return false };
    source.downcast_ref::<git2::Error>().is_some_and(|error| {
        let kinds = [Config, Indexer, Object, Odb, Reference, Repository, Sha1, Tree, Zlib];
        kinds.contains(&error.class())
    })
}

/// What failed on this machine's disk: the kernel says whether that is full.
pub(super) fn disk(what: String, source: Box<dyn std::error::Error + Send + Sync>) -> SourceError {
    let full = FailureKind::of(&*source) == FailureKind::DiskFull;
    SourceError::Disk { what, full, source }
}

/// What libgit2 could not do (`verb`) with the clone at `path`. It hands on no error number, so the file system is
/// asked; `written` bytes may have been given back to it by now.
pub(super) fn clone_failed(
    verb: &str,
    path: &Path,
    written: u64,
    error: git2::Error,
) -> SourceError {
    let full = has_no_room(path, written);
    let verb = if full { "write" } else { verb };
    let what = format!("{verb} the clone `{}`", path.display());
    SourceError::Disk { what, full, source: error.into() }
}

/// Whether the file system has no more room than what was given up, and a little.
fn has_no_room(path: &Path, given_up: u64) -> bool {
    keel_durable::free_room(path).is_some_and(|room| room <= given_up.saturating_add(LITTLE))
}
