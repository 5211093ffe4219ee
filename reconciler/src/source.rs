//! Where stacks come from: a Git repository or a folder, seen alike.
//!
//! # Invariants
//! - A source that cannot be read gives an error, never an empty answer.
//! - What a snapshot names stays readable: a checkout is immutable, and kept while tasks use it.

pub(crate) mod checkout;
mod commit;
pub(crate) mod directory;
pub(crate) mod git;
mod http;
mod location;
mod seed;
mod ssh;
mod transport;

use crate::blocking::off_thread;
use crate::config::{From, SourceConfig};
use crate::controller::Settings;
use crate::find::Found;
use crate::load::{LoadedStack, Reading, StackFiles};
use crate::queue::Queue;
use crate::record::Commit;
use directory::Directory;
use git::Git;
use keel_plan::desired::{Owner, Policy};
use seed::Sides;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use location::shown_url;

/// The longest pause after failures in a row.
const LONGEST: Duration = Duration::from_secs(300);
/// Who polls often wants to know soon that the server is back.
const MOST_DOUBLINGS: u32 = 3;

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
            Self::NoStack { .. } => Some(format!(
                "name a Compose file, a folder with one of {}, or a folder of such folders",
                crate::find::COMPOSE_FILES.join(", ")
            )),
            Self::Folder { .. } | Self::Disk { .. } => None,
        }
    }
}

/// What a source holds right now.
pub(crate) struct Snapshot {
    /// The commit; `None` for a folder.
    pub revision: Option<String>,
    pub found: Vec<Found>,
    pub files: StackFiles,
}

enum Kind {
    Git(Box<Git>),
    Directory(Directory),
}

/// One source of the configuration.
pub(crate) struct Source {
    kind: Kind,
    owner: Owner,
    environment: BTreeMap<String, String>,
    home: Option<PathBuf>,
    policy: Policy,
    poll: Duration,
    failures: AtomicU32,
}

impl Source {
    pub fn new(config: SourceConfig, settings: &Settings) -> Self {
        let name = config.name;
        let (kind, location, environment, poll) = match config.from {
            From::Git { url, branch, path, poll } => {
                let location =
                    format!("{} {}", shown_url(&url), branch.as_deref().unwrap_or("HEAD"));
                let (own, data) = (settings.sources_dir.join(&name), settings.data.join(&name));
                let git = Git { url, branch, path, folder: own, data };
                (Kind::Git(Box::new(git)), location, BTreeMap::new(), poll)
            }
            From::Directory { path } => {
                let location = path.display().to_string();
                let directory = Directory::new(path);
                let environment = settings.environment.clone();
                (Kind::Directory(directory), location, environment, directory::RECHECK)
            }
        };
        let owner = Owner::Source { name, location };
        let (home, policy) = (settings.home.clone(), settings.policy.clone());
        Self { kind, owner, environment, home, policy, poll, failures: AtomicU32::new(0) }
    }

    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// As shown to people.
    pub fn location(&self) -> String {
        match &self.owner {
            Owner::Source { location, .. } => location.clone(),
            Owner::Cli { path } => path.clone(),
        }
    }

    /// Where its stacks are looked for, as shown to people.
    pub fn sought(&self) -> String {
        match &self.kind {
            Kind::Git(git) => format!("{}, {}", self.location(), git.path),
            Kind::Directory(_) => self.location(),
        }
    }

    /// What is there now. Waits for the source's own server at most.
    pub async fn fetch(self: &Source) -> Result<Snapshot, SourceError> {
        match &self.kind {
            Kind::Git(git) => git.fetch().await,
            Kind::Directory(directory) => directory.look().await,
        }
    }

    /// Who wrote a revision, and what it says of itself.
    pub async fn commit(&self, revision: Option<&str>) -> Option<Commit> {
        let (Kind::Git(git), Some(revision)) = (&self.kind, revision) else { return None };
        let (clone, revision) = (git.clone_path(), revision.to_owned());
        off_thread(move || commit::commit_of(&clone, &revision)).await
    }

    /// Loads every stack of a snapshot, off the runtime's own threads.
    pub async fn load(&self, snapshot: &Snapshot) -> Vec<LoadedStack> {
        let reading = Reading {
            owner: self.owner.clone(),
            files: snapshot.files.clone(),
            revision: snapshot.revision.clone(),
            environment: self.environment.clone(),
            profiles: vec![],
            name: None,
            env_files: vec![],
            home: self.home.clone(),
            policy: self.policy.clone(),
        };
        let found = snapshot.found.clone();
        let work = move || found.iter().map(|found| reading.load(found)).collect::<Vec<_>>();
        let stacks = off_thread(work).await;
        if let Kind::Directory(directory) = &self.kind {
            directory.watch_also(stacks.iter().flat_map(|stack| &stack.read));
        }
        stacks
    }

    /// From now on a change in a folder is a hint on the queue.
    pub fn watch(&self, name: &str, queue: &Arc<Queue<String>>) {
        if let Kind::Directory(directory) = &self.kind {
            let (name, queue) = (name.to_owned(), queue.clone());
            directory.watch(move || queue.hint_in(name.clone(), directory::DEBOUNCE));
        }
    }

    /// Brings what a revision holds at these paths to where tasks write. Gives what to tell people.
    pub async fn seed(
        &self,
        files: &StackFiles,
        paths: &BTreeSet<PathBuf>,
    ) -> Result<Vec<String>, SourceError> {
        let (Kind::Git(git), StackFiles::Checkout { root, data }) = (&self.kind, files) else {
            return Ok(Vec::new());
        };
        let (checkout, data, paths) = (root.clone(), data.clone(), paths.clone());
        let memory = git.folder.join("seeded");
        let shown = data.display().to_string();
        let work = move || Sides { checkout: &checkout, data: &data, memory: &memory }.seed(&paths);
        let done = off_thread(work).await;
        done.map_err(|error| git::disk(format!("fill `{shown}` from the revision"), error.into()))
    }

    /// Removes old checkouts that hold none of these paths. One that cannot be removed now is
    /// tried again after the next revision.
    pub async fn tidy(&self, used: BTreeSet<PathBuf>) {
        let Kind::Git(git) = &self.kind else { return };
        let folder = git.folder.clone();
        let in_use = move |checkout: &Path| used.iter().any(|path| path.starts_with(checkout));
        let _ = off_thread(move || checkout::prune(&folder, &in_use)).await;
    }

    /// In what time to look again: after failures in a row later and later.
    pub fn next_look(&self, failed: bool) -> Duration {
        if !failed {
            self.failures.store(0, Ordering::Relaxed);
            return self.poll;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(MOST_DOUBLINGS);
        let later = self.poll.saturating_mul(1 << failures);
        later.min(LONGEST).max(self.poll)
    }
}
