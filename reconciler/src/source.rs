//! Where stacks come from: a Git repository or a folder, seen alike.
//!
//! # Invariants
//! - A source that cannot be read gives an error, never an empty answer.
//! - What a snapshot names stays readable: a checkout is immutable, and kept while tasks use it.

pub(crate) mod checkout;
mod clones;
mod commit;
mod complaints;
pub(crate) mod directory;
mod edits;
mod entries;
mod error;
pub(crate) mod git;
mod gitmodules;
mod http;
mod identity;
pub(crate) mod inventory;
mod loading;
mod local;
pub(crate) mod location;
mod look;
mod meter;
mod packs;
mod seed;
mod snapshot;
mod ssh;
mod submodules;
mod tags;
mod transport;

use crate::config::{Follow, From, SourceConfig};
use crate::load::{LoadedStack, Reading, StackFiles};
use crate::load_cache::{LoadCache, unchanged};
use crate::lookups::Changes;
use crate::preview::ServedSource;
use crate::reading::interpolated;
use crate::record::{Commit, SourceTrouble};
use crate::repos::Repos;
use directory::Directory;
use error::disk;
use git::Git;
use keel_plan::desired::{Owner, Policy};
use keel_spec::{Permission, Permits};
use seed::Sides;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub use error::SourceError;
pub(crate) use git::Ancestry;
pub(crate) use loading::Loaded;
pub(crate) use location::Location;
pub use location::shown_url;
pub(crate) use look::{Look, Wanted};
pub(crate) use snapshot::Snapshot;
pub(crate) use tags::is_range;

/// The longest pause after failures in a row.
const LONGEST: Duration = Duration::from_secs(300);
/// Who polls often wants to know soon that the server is back.
const MOST_DOUBLINGS: u32 = 3;

/// What a source takes from the machine that it is read on.
pub(crate) struct Surroundings<'a> {
    /// `sources/` below the root: clones and checkouts.
    pub sources_dir: &'a Path,
    /// `data/` below the root: what Git rightly lacks.
    pub data: &'a Path,
    /// The root.
    pub state: Option<PathBuf>,
    /// Repositories of our own.
    pub repos: &'a Repos,
    /// Variables that directory sources may interpolate.
    pub environment: &'a BTreeMap<String, String>,
    /// What `~` means in a directory source's bind mounts.
    pub home: &'a Option<PathBuf>,
    /// Defaults of every stack's policy.
    pub policy: &'a Policy,
}

enum Kind {
    Git(Box<Git>),
    Directory(Directory),
}

/// Sources by name.
pub(crate) type Sources = BTreeMap<String, Arc<Source>>;

/// One source of the configuration.
pub(crate) struct Source {
    kind: Kind,
    owner: Owner,
    environment: BTreeMap<String, String>,
    home: Option<PathBuf>,
    policy: Policy,
    allow: Option<BTreeSet<Permission>>,
    poll: Duration,
    failures: AtomicU32,
    /// A repository of our own.
    own: bool,
    /// When it was fetched last, in milliseconds since 1970; 0: not yet.
    fetched: AtomicU64,
    /// What was loaded last.
    last: Mutex<Last>,
}

/// What speeds the next refresh up or is told to whoever asks; it can be lost at any time.
#[derive(Default)]
struct Last {
    snapshot: Option<Arc<Snapshot>>,
    recall: LoadCache,
    unwritten: Option<SourceTrouble>,
}

impl Source {
    pub fn new(config: SourceConfig, around: &Surroundings<'_>) -> Self {
        let SourceConfig { name, from, env, allow, webhook: _, forge: _ } = config;
        let own =
            matches!(&from, From::Git(git) if Path::new(&git.url) == around.repos.path(&name));
        let (kind, location, mut environment, poll) = match from {
            From::Git(config) => {
                let location = shown_url(&config.url);
                let (folder, data) = (around.sources_dir.join(&name), around.data.join(&name));
                let (poll, data) = (config.poll, config.data_dir.clone().unwrap_or(data));
                let git = Git { config: *config, folder, data, state: around.state.clone() };
                (Kind::Git(Box::new(git)), location, BTreeMap::new(), poll)
            }
            From::Directory { path, globs, poll } => {
                let location = path.display().to_string();
                let directory = Directory::new(path, globs, around.state.clone());
                let environment = lent(around.environment, allow.is_some());
                let poll = poll.unwrap_or(directory::RECHECK);
                (Kind::Directory(directory), location, environment, poll)
            }
        };
        environment.extend(env);
        // What is followed is no part of it: a commit that is pinned takes no stack from anybody.
        let owner = Owner::Source { name, location };
        let (home, policy) = (around.home.clone(), around.policy.clone());
        let (failures, fetched, last) = Default::default();
        Self { kind, owner, environment, home, policy, allow, poll, failures, own, fetched, last }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().expect("nothing panics while it holds what was loaded last")
    }

    /// A repository of our own that nobody has pushed to yet is as it should be.
    pub fn awaits_first_push(&self, error: &SourceError) -> bool {
        self.own && matches!(error, SourceError::NoBranch { there, .. } if there.is_empty())
    }

    /// Whether it is a repository of our own, which takes no push with a mistake in it.
    pub fn is_own(&self) -> bool {
        self.own
    }

    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// As shown to people: where it is, and what of it is followed.
    pub fn location(&self) -> String {
        let Owner::Source { location, .. } = &self.owner else { return String::new() };
        let Kind::Git(git) = &self.kind else { return location.clone() };
        let followed = match &git.config.follow {
            Follow::Branch(branch) => branch.as_deref().unwrap_or("HEAD"),
            Follow::Commit(commit) => keel_engine::short(commit),
            Follow::Tag(tag) => tag,
        };
        format!("{location} {followed}")
    }

    /// Where its stacks are looked for, as shown to people.
    pub fn sought(&self) -> String {
        match &self.kind {
            Kind::Git(git) => format!("{}, {}", self.location(), git.config.paths.join(", ")),
            Kind::Directory(_) => self.location(),
        }
    }

    /// What is there now. Waits for the source's own server at most. `edit`: a file was edited, and that is all.
    pub async fn fetch(&self, now: u64, edit: bool) -> Result<Arc<Snapshot>, SourceError> {
        let known = self.last().snapshot.clone();
        let snapshot = match &self.kind {
            Kind::Git(git) => git.fetch(known).await?,
            Kind::Directory(directory) => directory.look(known, edit, self.poll).await?,
        };
        self.fetched.store(now, Ordering::Relaxed);
        Ok(snapshot)
    }

    /// Trouble that no record could take.
    pub fn remember_unwritten(&self, trouble: Option<SourceTrouble>) {
        self.last().unwritten = trouble;
    }

    /// Trouble that no record could take.
    pub fn unwritten(&self) -> Option<SourceTrouble> {
        self.last().unwritten.clone()
    }

    /// When that went well last; 0: not since the start.
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Looks at what the last refresh came to, or notes it.
    pub fn recall<T>(&self, work: impl FnOnce(&mut LoadCache) -> T) -> T {
        work(&mut self.last().recall)
    }

    /// Whether it was away when it was asked last.
    pub fn is_failing(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    /// Which files changed since the snapshot that was loaded last.
    async fn changes(&self, before: Option<&Snapshot>, now: &Snapshot) -> Changes {
        let Some(before) = before else { return Changes::Unknown };
        match (&self.kind, &before.revision, &now.revision) {
            (Kind::Git(git), Some(from), Some(to)) if from != to => git.changes(from, to).await,
            _ => unchanged(),
        }
    }

    /// How this commit stands to the present one; a folder has none.
    pub async fn knows(&self, revision: &str, present: &str) -> Ancestry {
        match &self.kind {
            Kind::Git(git) => git.knows(revision, present).await,
            Kind::Directory(_) => Ancestry::Unknown,
        }
    }

    /// Who wrote a revision, and what it says of itself.
    pub async fn commit(&self, revision: Option<&str>) -> Option<Commit> {
        let (Kind::Git(git), Some(revision)) = (&self.kind, revision) else { return None };
        let (clone, revision) = (git.clone_path(), revision.to_owned());
        keel_blocking::run(move || commit::commit_of(&clone, &revision)).await
    }

    fn reading(&self, snapshot: &Snapshot) -> Reading {
        Reading {
            owner: self.owner.clone(),
            files: snapshot.files.clone(),
            revision: snapshot.revision.clone(),
            environment: interpolated(&self.environment, snapshot.revision.as_deref()),
            profiles: vec![],
            name: None,
            env_files: vec![],
            home: self.home.clone(),
            policy: self.policy.clone(),
            permits: self.permits(&snapshot.files),
        }
    }

    /// Something else than what it follows; `None`: a folder has nothing else.
    pub async fn look(&self, wanted: Wanted) -> Result<Option<Look>, SourceError> {
        match &self.kind {
            Kind::Git(git) => Ok(Some(git.look(wanted).await?)),
            Kind::Directory(_) => Ok(None),
        }
    }

    /// Its folder as it is, without a word to whoever watches it; `None`: it is a repository.
    pub fn folder_now(&self) -> Result<Option<Snapshot>, SourceError> {
        match &self.kind {
            Kind::Git(_) => Ok(None),
            Kind::Directory(directory) => directory.now().map(Some),
        }
    }

    /// What can be previewed for it.
    pub fn served(&self, name: &str, revision: String) -> ServedSource {
        let location = match &self.owner {
            Owner::Source { location, .. } => location.clone(),
            Owner::Cli { .. } => String::new(),
        };
        let (branch, fixed) = match &self.kind {
            Kind::Git(git) => match &git.config.follow {
                Follow::Branch(branch) => (branch.clone(), None),
                Follow::Tag(tag) => (None, Some(format!("tag {tag}"))),
                Follow::Commit(commit) => {
                    (None, Some(format!("commit {}", keel_engine::short(commit))))
                }
            },
            Kind::Directory(_) => (None, None),
        };
        let (folder, paths) = match &self.kind {
            Kind::Git(git) => (false, git.config.paths.clone()),
            Kind::Directory(directory) => (true, directory.globs().to_vec()),
        };
        ServedSource { name: name.to_owned(), location, folder, branch, fixed, paths, revision }
    }

    /// Loads all of a snapshot, remembering nothing.
    pub fn read(&self, snapshot: &Snapshot) -> Vec<LoadedStack> {
        let reading = self.reading(snapshot);
        snapshot.found.iter().map(|found| reading.load(found)).collect()
    }

    fn permits(&self, files: &StackFiles) -> Option<Permits> {
        let Owner::Source { name, .. } = &self.owner else { return None };
        let (source, base) = (name.clone(), files.home().to_owned());
        self.allow.clone().map(|words| Permits { source, base, words })
    }

    /// From now on a change in a folder is a hint, to be followed after a pause.
    pub fn watch(&self, hint: impl Fn(Duration) + Send + 'static) {
        if let Kind::Directory(directory) = &self.kind {
            directory.watch(move || hint(directory::DEBOUNCE));
        }
    }

    /// Brings what a revision holds at these paths to where tasks write. Gives what to tell people.
    pub async fn seed(
        &self,
        files: &StackFiles,
        paths: &BTreeSet<PathBuf>,
    ) -> Result<Vec<String>, SourceError> {
        let (Kind::Git(git), StackFiles::Checkout { root, data, .. }) = (&self.kind, files) else {
            return Ok(Vec::new());
        };
        let (checkout, data, paths) = (root.clone(), data.clone(), paths.clone());
        let memory = git.folder.join("seeded");
        let shown = data.display().to_string();
        let work = move || Sides { checkout: &checkout, data: &data, memory: &memory }.seed(&paths);
        let done = keel_blocking::run(work).await;
        done.map_err(|error| disk(format!("fill `{shown}` from the revision"), error.into()))
    }

    /// How often it is looked at.
    pub fn poll(&self) -> Duration {
        self.poll
    }

    /// In what time to look again: after failures in a row later and later.
    pub fn next_look(&self, failed: bool) -> Duration {
        if !failed {
            self.failures.store(0, Ordering::Relaxed);
            return self.poll;
        }
        pause(self.poll, self.failures.fetch_add(1, Ordering::Relaxed))
    }
}

/// What of the controller's own variables a folder's stacks see: none where somebody else may write
/// them, since tokens are among them.
fn lent(own: &BTreeMap<String, String>, is_limited: bool) -> BTreeMap<String, String> {
    if is_limited { BTreeMap::new() } else { own.clone() }
}

/// After so many failures before this one. Never oftener than it is polled.
fn pause(poll: Duration, failures: u32) -> Duration {
    let later = poll.saturating_mul(1 << failures.min(MOST_DOUBLINGS));
    later.min(LONGEST).max(poll)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_tried_again_later_and_later_up_to_a_cap() {
        let cases = [
            (60, 0, 60),
            (60, 1, 120),
            (60, 2, 240),
            (60, 3, 300),
            (60, 1000, 300),
            (1, 1000, 8),
            (3600, 7, 3600),
        ];
        for (poll, failures, expected) in cases {
            let seconds = pause(Duration::from_secs(poll), failures).as_secs();
            assert_eq!(seconds, expected, "{poll} {failures}");
        }
    }
}
