//! A branch, tag or commit of a Git repository: one bare clone, and an immutable checkout for each
//! commit.
//!
//! # Invariants
//! - A look that finds the known commit fetches nothing; a pinned commit that is here asks nobody.
//! - The branch is followed wherever it goes: a force push too.
//! - When the server is away, the last commit and its checkout stay.
//! - A damaged clone is made anew, once for each look. A full disk is no damage.
//! - No secret is written anywhere: see `identity`.

use super::error::{clone_failed, damaged, disk};
use super::identity::Identity;
use super::inventory::Submodules;
use super::location::{Location, shown_url};
use super::meter::{Allowance, TOO_LONG};
use super::snapshot::Snapshot;
use super::tags::Range;
use super::{SourceError, checkout, complaints, local, transport};
use crate::config::{Follow, GitConfig};
use crate::find::{holding_stacks, stacks_in_checkout};
use crate::limits;
use crate::load::StackFiles;
use crate::lookups::Changes;
use git2::{
    DiffDelta, Direction, ErrorClass, FetchOptions, Oid, Remote, RemoteCallbacks, Repository,
};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// What is fetched, and where to.
#[derive(Clone)]
pub(crate) struct Git {
    pub config: GitConfig,
    /// `sources/NAME`.
    pub folder: PathBuf,
    /// `data/NAME`.
    pub data: PathBuf,
    /// Evenkeel's own root.
    pub state: Option<PathBuf>,
}

/// How a commit stands to the one that a source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ancestry {
    /// It is that one.
    Present,
    /// It came before.
    Past,
    /// The source does not lead to it.
    Unknown,
}

impl Git {
    /// Off the runtime's own threads: libgit2 waits for the server.
    /// Where the known commit is found, what was known of it is the answer.
    pub async fn fetch(&self, known: Option<Arc<Snapshot>>) -> Result<Arc<Snapshot>, SourceError> {
        let git = self.clone();
        keel_blocking::run(move || git.fetch_now(known)).await
    }

    fn fetch_now(&self, known: Option<Arc<Snapshot>>) -> Result<Arc<Snapshot>, SourceError> {
        self.has_address()?;
        transport::register().map_err(|error| self.told(&error))?;
        let identity = Identity::of(self.config.auth.as_ref())
            .map_err(|(path, source)| SourceError::Credentials { path, source })?;
        let allowance = Allowance::new(self.config.max_size);
        let looked = || match self.checked_out() {
            Err(error) if damaged(&error) => {
                self.drop_clone()?;
                self.checked_out()
            }
            other => other,
        };
        let (oid, root) = identity.during(|| allowance.during(looked))?;
        let commit = oid.to_string();
        if let Some(known) = known.filter(|known| known.revision.as_ref() == Some(&commit)) {
            return Ok(known);
        }
        let repo = self.repo()?;
        let submodules = self.submodules(&repo, oid, &root).map_err(|e| self.unreadable(e))?;
        Ok(Arc::new(self.snapshot(&root, commit, submodules)?))
    }

    fn snapshot(
        &self,
        root: &Path,
        commit: String,
        submodules: Submodules,
    ) -> Result<Snapshot, SourceError> {
        let globs = &self.config.paths;
        let found = stacks_in_checkout(root, globs).map_err(|source| SourceError::Folder {
            path: PathBuf::from(format!("{} in {}", globs.join(", "), shown_url(&self.config.url))),
            source,
        })?;
        // For the hint alone, so that a failure to look for it changes nothing.
        let elsewhere = if found.is_empty() { holding_stacks(root).ok() } else { None };
        let elsewhere = elsewhere.unwrap_or_default();
        let files = StackFiles::Checkout {
            root: root.to_owned(),
            data: self.data.clone(),
            state: self.state.clone(),
            submodules: Arc::new(submodules),
        };
        Ok(Snapshot { revision: Some(commit), found, files, elsewhere, edited: None })
    }

    /// Fetches these of a snapshot's submodules; the snapshot with what came of it.
    pub async fn with_submodules(
        &self,
        snapshot: &Snapshot,
        wanted: BTreeSet<PathBuf>,
    ) -> Result<Snapshot, SourceError> {
        let StackFiles::Checkout { root, submodules, .. } = &snapshot.files else {
            unreachable!("a Git source has a checkout")
        };
        let (git, root, submodules) = (self.clone(), root.clone(), submodules.clone());
        let revision = snapshot.revision.clone().unwrap_or_default();
        let work = move || {
            let after = git.fill(&root, &submodules, &wanted);
            git.snapshot(&root, revision, after)
        };
        keel_blocking::run(work).await
    }

    /// One that comes from the command line was not judged with the configuration.
    pub(super) fn has_address(&self) -> Result<(), SourceError> {
        if Location::parse(&self.config.url).is_none() {
            let hint = "http(s)://, ssh://, user@host:path, file:// or a plain path".to_owned();
            return Err(self.failed(("this is not the address of a repository".into(), Some(hint))));
        }
        Ok(())
    }

    /// Which files differ between two commits.
    pub async fn changes(&self, from: &str, to: &str) -> Changes {
        let (path, from, to) = (self.clone_path(), from.to_owned(), to.to_owned());
        let look = move || {
            let repo = Repository::open_bare(path).ok()?;
            let tree = |name: &str| repo.find_commit(Oid::from_str(name).ok()?).ok()?.tree().ok();
            let (from, to) = (tree(&from)?, tree(&to)?);
            let all = repo.diff_tree_to_tree(Some(&from), Some(&to), None).ok()?;
            let sides = |delta: DiffDelta<'_>| {
                [delta.old_file(), delta.new_file()].map(|file| file.path().map(Path::to_owned))
            };
            all.deltas().flat_map(sides).collect::<Option<_>>()
        };
        keel_blocking::run(look).await.map_or(Changes::Unknown, Changes::Paths)
    }

    /// The commit that is wanted, and the root of its files.
    fn checked_out(&self) -> Result<(Oid, PathBuf), SourceError> {
        let repo = self.repo()?;
        let commit = match &self.config.follow {
            Follow::Branch(branch) => self.follow(&repo, branch.as_deref())?,
            Follow::Commit(commit) => self.keep(&repo, commit)?,
            Follow::Tag(tag) => self.tagged(&repo, tag)?,
        };
        Ok((commit, checkout::ensure(&repo, commit, &self.folder, &self.repo_name())?))
    }

    /// How this commit stands to the present one.
    pub async fn knows(&self, revision: &str, present: &str) -> Ancestry {
        let (path, revision, present) =
            (self.clone_path(), revision.to_owned(), present.to_owned());
        let look = move || {
            if present.starts_with(&revision) {
                return Some(Ancestry::Present);
            }
            let repo = Repository::open_bare(&path).ok()?;
            let asked = repo.revparse_single(&revision).ok()?.peel_to_commit().ok()?.id();
            let present = Oid::from_str(&present).ok()?;
            let past = repo.graph_descendant_of(present, asked).ok()?;
            Some(if past { Ancestry::Past } else { Ancestry::Unknown })
        };
        keel_blocking::run(look).await.unwrap_or(Ancestry::Unknown)
    }

    /// The clone; one that is none is made anew.
    pub(super) fn repo(&self) -> Result<Repository, SourceError> {
        let path = self.clone_path();
        if let Ok(repo) = Repository::open_bare(&path) {
            drop_begun_packs(&path);
            return Ok(repo);
        }
        self.drop_clone()?;
        let made = Repository::init_bare(&path);
        made.map_err(|error| clone_failed("make", &path, 0, error))
    }

    /// All that it holds is at the server.
    pub(super) fn drop_clone(&self) -> Result<(), SourceError> {
        let path = self.clone_path();
        let gone = remove_all(&path);
        gone.map_err(|error| disk(format!("remove `{}`", path.display()), error.into()))
    }

    /// The bare clone.
    pub fn clone_path(&self) -> PathBuf {
        self.folder.join("repo")
    }

    pub(super) fn connected<'a>(&self, repo: &'a Repository) -> Result<Remote<'a>, SourceError> {
        let mut remote = repo.remote_anonymous(&self.config.url).map_err(|e| self.told(&e))?;
        // Rules such as `insteadOf` change the address after it was judged, and to whom a login goes.
        if remote.url().ok() != Some(self.config.url.as_str()) {
            return Err(self.failed(complaints::led_elsewhere()));
        }
        if Location::parse(&self.config.url) == Some(Location::Local)
            && let Some((what, hint)) = local::leads_elsewhere(&self.config.url)
        {
            return Err(self.failed((what, Some(hint).filter(|hint| !hint.is_empty()))));
        }
        remote.connect(Direction::Fetch).map_err(|error| self.told(&error))?;
        Ok(remote)
    }

    /// Asks where the branch is, and fetches only what is not here yet.
    fn follow(&self, repo: &Repository, branch: Option<&str>) -> Result<Oid, SourceError> {
        let mut remote = self.connected(repo)?;
        let branch = branch.map_or_else(|| head_of(&remote), str::to_owned);
        let theirs = self.tip(&remote, &branch)?;
        let ours = format!("refs/keel/{branch}");
        if repo.refname_to_id(&ours).ok() != Some(theirs) {
            self.bring(&mut remote, &[format!("+refs/heads/{branch}:{ours}")])?;
        }
        // The server may hang up first.
        let _ = remote.disconnect();
        let commit = repo.refname_to_id(&ours).and_then(|tip| repo.find_commit(tip));
        Ok(commit.map_err(|error| self.unreadable(error))?.id())
    }

    /// One commit: servers need not hand out a commit by its name, so all branches and tags come.
    pub(super) fn keep(&self, repo: &Repository, commit: &str) -> Result<Oid, SourceError> {
        let missing = || SourceError::NoCommit {
            url: shown_url(&self.config.url),
            commit: commit.to_owned(),
        };
        let wanted = Oid::from_str(commit).map_err(|_| missing())?;
        let here =
            |repo: &Repository| repo.find_commit(wanted).and_then(|commit| commit.tree()).is_ok();
        if !here(repo) {
            let specs = ["+refs/heads/*:refs/keel/*", "+refs/tags/*:refs/keel-tags/*"];
            let mut remote = self.connected(repo)?;
            let count = remote.list().map_err(|error| self.told(&error))?.len();
            if count > limits::GIT_REFERENCES {
                return Err(self.failed((many(count), Some(FOLLOW.to_owned()))));
            }
            self.bring(&mut remote, &specs.map(str::to_owned))?;
            let _ = remote.disconnect();
        }
        if here(repo) { Ok(wanted) } else { Err(missing()) }
    }

    /// The tag of this name, or the highest of this range; annotated or not.
    fn tagged(&self, repo: &Repository, wanted: &str) -> Result<Oid, SourceError> {
        let mut remote = self.connected(repo)?;
        let heads = remote.list().map_err(|error| self.told(&error))?;
        let tag = |name: &str, oid| Some((name.strip_prefix("refs/tags/")?.to_owned(), oid));
        let tags: Vec<(String, Oid)> =
            heads.iter().filter_map(|head| tag(head.name(), head.oid())).collect();
        let names =
            || tags.iter().map(|(name, _)| name.as_str()).filter(|name| !name.ends_with("^{}"));
        let named = names().find(|name| *name == wanted);
        let best = || Range::parse(wanted).and_then(|range| range.best(names()));
        let Some(name) = named.or_else(best) else {
            let (url, there) = (shown_url(&self.config.url), names().map(str::to_owned).collect());
            return Err(SourceError::NoTag { url, tag: wanted.to_owned(), there });
        };
        let theirs = tags.iter().find(|(tag, _)| tag == name).map(|(_, oid)| *oid);
        let ours = format!("refs/keel-tags/{name}");
        if repo.refname_to_id(&ours).ok() != theirs {
            self.bring(&mut remote, &[format!("+refs/tags/{name}:{ours}")])?;
        }
        let _ = remote.disconnect();
        let commit = repo.find_reference(&ours).and_then(|tag| tag.peel_to_commit());
        Ok(commit.map_err(|error| self.unreadable(error))?.id())
    }

    pub(super) fn bring(
        &self,
        remote: &mut Remote<'_>,
        specs: &[String],
    ) -> Result<(), SourceError> {
        let (mut options, mut told) = (FetchOptions::new(), RemoteCallbacks::new());
        let allowance = Allowance::present();
        // Also while deltas are unpacked, when nothing is read any more.
        let written = Rc::new(Cell::new(0));
        let counted = Rc::clone(&written);
        told.transfer_progress(move |progress| {
            counted.set(progress.received_bytes() as u64);
            !allowance.left().is_zero()
        });
        options.download_tags(git2::AutotagOption::None).update_fetchhead(false);
        options.remote_callbacks(told);
        let fetched = remote.fetch(specs, Some(&mut options), Some("fetch"));
        fetched.map_err(|error| match allowance.left().is_zero() {
            true => self.failed((TOO_LONG.to_owned(), None)),
            false => self.broke_off(error, written.get()),
        })
    }

    /// A fetch that began well: what the clone's own files are to blame for is told apart.
    fn broke_off(&self, error: git2::Error, written: u64) -> SourceError {
        let server = [ErrorClass::Net, ErrorClass::Http, ErrorClass::Ssh, ErrorClass::Ssl];
        match server.contains(&error.class()) {
            true => self.told(&error),
            false => clone_failed("read", &self.clone_path(), written, error),
        }
    }

    fn unreadable(&self, error: git2::Error) -> SourceError {
        clone_failed("read", &self.clone_path(), 0, error)
    }

    fn tip(&self, remote: &Remote<'_>, branch: &str) -> Result<Oid, SourceError> {
        let heads = remote.list().map_err(|error| self.told(&error))?;
        let full = format!("refs/heads/{branch}");
        if let Some(head) = heads.iter().find(|head| head.name() == full) {
            return Ok(head.oid());
        }
        let names = heads.iter().filter_map(|head| head.name().strip_prefix("refs/heads/"));
        let there = names.map(str::to_owned).collect();
        let url = shown_url(&self.config.url);
        Err(SourceError::NoBranch { url, branch: branch.to_owned(), there })
    }

    /// The folder that a repository's own root is shown as: the last word of its address.
    pub(super) fn repo_name(&self) -> String {
        let url = self.config.url.trim_end_matches('/');
        let last = url.rsplit(['/', ':']).next().unwrap_or_default();
        let name = last.strip_suffix(".git").unwrap_or(last);
        let sound = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = name.trim_start_matches('.').chars().map(sound).collect();
        if name.is_empty() { "repo".to_owned() } else { name }
    }

    fn failed(&self, (what, hint): complaints::Words) -> SourceError {
        SourceError::Fetch { url: shown_url(&self.config.url), what, hint }
    }

    pub(super) fn told(&self, error: &git2::Error) -> SourceError {
        self.failed(complaints::of(&self.config, error.code(), error.class(), error.message()))
    }
}

fn head_of(remote: &Remote<'_>) -> String {
    let head = remote.default_branch().ok();
    let name = head.as_ref().and_then(|head| head.as_str().ok());
    let branch = name.and_then(|name| name.strip_prefix("refs/heads/"));
    branch.unwrap_or("main").to_owned()
}

fn many(count: usize) -> String {
    let most = limits::GIT_REFERENCES;
    format!(
        "the server has {count} branches and tags, and at most {most} are searched for a commit"
    )
}

const FOLLOW: &str = "follow a `branch` or `tag` instead";

/// What a fetch left that did not come to its end: nobody else fetches into this clone.
fn drop_begun_packs(clone: &Path) {
    let Ok(packs) = std::fs::read_dir(clone.join("objects/pack")) else { return };
    let begun = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"pack_");
    for pack in packs.flatten().filter(|pack| begun(&pack.file_name())) {
        // It costs room, and is tried again at the next look.
        let _ = std::fs::remove_file(pack.path());
    }
}

fn remove_all(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
