//! From a typed stack to what is desired: every default filled in, every content by its digest.
//!
//! # Invariants
//! - What Compose lets one write in any order is lowered into one order, so that a reordering
//!   has no meaning; origins follow their values.
//! - Nothing in a specification names the revision: equal meaning has equal hashes.
//! - All problems are found in one run.
//!
//! A file for each topic, as in the loader's model.

mod depends;
mod deploy;
mod grants;
mod health;
mod limits;
mod missing;
mod mounts;
mod networks;
mod nodes;
mod origins;
mod paths;
mod ports;
mod process;
mod security;
mod service;

use crate::desired::{Desired, Owner, Policy};
use crate::placement::Placement;
use keel_engine::{Content, Digest, StackName, digest_of, labels};
use keel_spec::{Code, Kind, Problem, Stack};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Facts about files. Paths are absolute but for [`Sources::tracked`].
pub trait Sources {
    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Something that tells a file's content from any other.
    fn digest(&self, path: &Path) -> io::Result<Digest> {
        self.read(path).map(|content| Digest::of(&content))
    }
    /// What is at a path.
    fn kind(&self, path: &Path) -> Kind;
    /// Whether the revision holds this path (relative to the repository's root): the digest of
    /// the content (and modes) there, of a whole folder too. Always `None` outside of Git.
    fn tracked(&self, in_repo: &Path) -> Option<Digest>;
    /// The digest of what is at the end of the links at such a path; `None`: it is no link.
    fn linked(&self, in_repo: &Path) -> Option<Digest>;
    /// Why what is to be mounted from this path is not there as its author has it: a file, or
    /// anything in a folder.
    fn lacks(&self, path: &Path) -> Option<Lack>;
    /// Whether links of the revision lead from this path to a place outside of it.
    fn leaves(&self, path: &Path) -> bool;
}

/// Why something that a path names is not there, although Git has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// In a sentence, which names the path.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<Lack> for io::Error {
    fn from(lack: Lack) -> Self {
        let hint = lack.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Self::other(format!("{}{hint}", lack.why))
    }
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
    /// [`Desired::confined`].
    pub confined: bool,
}

/// A lowered stack.
#[derive(Debug, Clone)]
#[must_use = "problems that nobody looks at are hidden"]
pub struct Lowered {
    /// What is desired; not to be used if a problem is an error.
    pub desired: Desired,
    /// The content that it names by digest, ordered by digest.
    pub contents: Vec<Content>,
    /// The files of the revision that it names by digest, and where in the repository they are.
    pub trees: BTreeMap<Digest, PathBuf>,
    /// Paths in the repository that tasks see below the source's data folder: to be made there,
    /// and seeded from the revision where it holds them, before tasks start.
    pub data: BTreeSet<PathBuf>,
    /// What was found wrong beyond what loading found.
    pub problems: Vec<Problem>,
}

/// Lowers a stack.
pub fn lower(stack: &Stack, sources: &dyn Sources, context: &Context) -> Lowered {
    let mut cx = Lowering {
        stack,
        sources,
        context,
        contents: BTreeMap::new(),
        trees: BTreeMap::new(),
        data: BTreeSet::new(),
        problems: Vec::new(),
    };
    let desired = cx.desired();
    Lowered {
        desired,
        contents: cx.contents.into_values().collect(),
        trees: cx.trees,
        data: cx.data,
        problems: cx.problems,
    }
}

/// A step that a problem can end.
type Attempt<T> = Result<T, Box<Problem>>;

/// What one run of lowering reads and collects.
struct Lowering<'a> {
    stack: &'a Stack,
    sources: &'a dyn Sources,
    context: &'a Context,
    contents: BTreeMap<Digest, Content>,
    trees: BTreeMap<Digest, PathBuf>,
    data: BTreeSet<PathBuf>,
    problems: Vec<Problem>,
}

impl Lowering<'_> {
    fn desired(&mut self) -> Desired {
        let name = self.name();
        let enabled: Vec<_> = self.stack.services.values().filter(|s| s.enabled).collect();
        let services: BTreeMap<_, _> =
            enabled.iter().map(|service| (service.name.clone(), self.service(service))).collect();
        let mut desired = Desired {
            stack: name,
            owner: self.context.owner.clone(),
            revision: self.context.revision.clone(),
            hash: Digest::of(b""),
            networks: self.networks(&enabled),
            volumes: self.volumes(&enabled),
            services,
            policy: deploy::policy(&self.stack.policy, &self.context.policy),
            confined: self.context.confined,
        };
        desired.hash = meaning(&desired);
        desired
    }

    fn name(&mut self) -> StackName {
        StackName::new(self.stack.name.clone()).unwrap_or_else(|error| {
            self.problems.push(Problem::new(Code::BadName, error.to_string()));
            StackName::new("invalid").expect("letters only")
        })
    }

    /// Labels by which docker's tools, and we, know whose a thing is.
    fn own_labels(&self) -> BTreeMap<String, String> {
        let name = &self.stack.name;
        [(labels::PROJECT, name), (labels::KEEL_STACK, name)]
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .into()
    }

    fn full_name(&self, key: &str, name: Option<&String>, external: bool) -> String {
        match name {
            Some(name) => name.clone(),
            None if external => key.to_owned(),
            None => format!("{}_{key}", self.stack.name),
        }
    }
}

/// The stack hash: of everything that makes a difference to what runs.
fn meaning(desired: &Desired) -> Digest {
    let services: BTreeMap<_, _> = desired
        .services
        .iter()
        .map(|(name, service)| {
            let container = service.fixed_name.then_some(&service.spec.container_name);
            (name, (&service.hash, service.replicas, service.order, &service.depends_on, container))
        })
        .collect();
    let networks: Vec<_> = desired.networks.values().map(|n| (&n.spec, n.external)).collect();
    let volumes: Vec<_> = desired.volumes.values().map(|v| (&v.spec, v.external)).collect();
    let jobs: Vec<_> = desired.services.iter().filter_map(|(n, s)| Some((n, s.run?))).collect();
    // A path at home is one of the mounts, which are part of each specification.
    let meant = |placement: &Placement| Placement { home_path: None, ..placement.clone() };
    let placed = desired.services.iter().map(|(name, service)| (name, meant(&service.placement)));
    let placed: Vec<_> =
        placed.filter(|(_, placement)| *placement != Placement::default()).collect();
    // What no service says is not hashed: older versions did not know it.
    match (jobs.is_empty(), placed.is_empty()) {
        (true, true) => digest_of(&(&desired.stack, services, networks, volumes)),
        (false, true) => digest_of(&(&desired.stack, services, networks, volumes, jobs)),
        (_, false) => digest_of(&(&desired.stack, services, networks, volumes, jobs, placed)),
    }
}
