//! From a typed stack to what is desired: every default filled in, every content by its digest.

use crate::desired::{Desired, Owner, Policy};
use keel_engine::{Content, Digest};
use keel_spec::{Kind, Problem};
use std::io;
use std::path::{Path, PathBuf};

/// Facts about files. Paths are absolute but for [`Sources::tracked`].
pub trait Sources {
    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What is at a path.
    fn kind(&self, path: &Path) -> Kind;
    /// Whether the revision holds this path (relative to the repository's root): the digest of
    /// the content (and modes) there, of a whole folder too. Always `None` outside of Git.
    fn tracked(&self, in_repo: &Path) -> Option<Digest>;
}

/// Where the stack's own paths start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A folder that is served, or named on the command line: its paths are its own.
    Folder {
        /// Absolute; what the stack's paths are relative to.
        root: PathBuf,
    },
    /// A revision of a repository.
    Git {
        /// The immutable checkout's folder. Paths of the stack are relative to it, or below it.
        checkout: PathBuf,
        /// Where the source's untracked and written files are (`data/SOURCE`).
        data: PathBuf,
    },
}

/// What lowering needs to know beside the stack.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who decides about the stack.
    pub owner: Owner,
    /// As shown to people.
    pub revision: String,
    /// Where its paths start.
    pub base: Base,
    /// What `~` means.
    pub home: Option<PathBuf>,
    /// What `keel.yaml` says; `x-keel` of the stack and its services wins.
    pub policy: Policy,
}

/// A lowered stack.
#[derive(Debug, Clone)]
#[must_use = "problems that nobody looks at are hidden"]
pub struct Lowered {
    /// What is desired; not to be used if a problem is an error.
    pub desired: Desired,
    /// The content that it names by digest, ordered by digest.
    pub contents: Vec<Content>,
    /// What was found wrong beyond what loading found.
    pub problems: Vec<Problem>,
}

/// Lowers a stack.
pub fn lower(_stack: &keel_spec::Stack, _sources: &dyn Sources, context: &Context) -> Lowered {
    let desired = Desired {
        stack: keel_engine::StackName::new(_stack.name.clone()).expect("the loader checks names"),
        owner: context.owner.clone(),
        revision: context.revision.clone(),
        hash: Digest::of(b""),
        services: Default::default(),
        networks: Default::default(),
        volumes: Default::default(),
        policy: context.policy.clone(),
    };
    Lowered { desired, contents: Vec::new(), problems: Vec::new() }
}
