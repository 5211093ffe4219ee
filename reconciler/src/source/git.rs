//! A branch of a Git repository: one bare clone, and an immutable checkout for each commit.
//!
//! # Invariants
//! - A look that finds the known commit fetches nothing.
//! - The branch is followed wherever it goes: a force push too.
//! - When the server is away, the last commit and its checkout stay.
//! - A damaged clone is made anew, once for each look.

use super::location::{Location, shown_url};
use super::{Snapshot, SourceError, checkout, transport};
use crate::blocking::off_thread;
use crate::find::stacks_matching;
use crate::load::StackFiles;
use git2::{Direction, ErrorClass, ErrorCode, FetchOptions, Oid, Remote, Repository};
use std::path::{Path, PathBuf};

/// What is fetched, and where to.
#[derive(Clone)]
pub(crate) struct Git {
    pub url: String,
    pub branch: Option<String>,
    pub path: String,
    /// `sources/NAME`.
    pub folder: PathBuf,
    /// `data/NAME`.
    pub data: PathBuf,
}

impl Git {
    /// Off the runtime's own threads: libgit2 waits for the server.
    pub async fn fetch(&self) -> Result<Snapshot, SourceError> {
        let git = self.clone();
        off_thread(move || git.fetch_now()).await
    }

    fn fetch_now(&self) -> Result<Snapshot, SourceError> {
        if Location::parse(&self.url).is_none() {
            let hint = "http(s)://, ssh://, user@host:path, file:// or a plain path".to_owned();
            return Err(self.failed("this is no address of a repository", Some(hint)));
        }
        transport::register().map_err(|error| self.told(&error))?;
        let (commit, root) = match self.checked_out() {
            Err(error) if damaged(&error) => {
                self.drop_clone()?;
                self.checked_out()?
            }
            other => other?,
        };
        let found = stacks_matching(&root, &self.path).map_err(|source| SourceError::Folder {
            path: PathBuf::from(format!("{} in {}", self.path, shown_url(&self.url))),
            source,
        })?;
        let files = StackFiles::Checkout { root, data: self.data.clone() };
        Ok(Snapshot { revision: Some(commit.to_string()), found, files })
    }

    /// The branch's commit, and the root of its files.
    fn checked_out(&self) -> Result<(Oid, PathBuf), SourceError> {
        let repo = self.repo()?;
        let commit = self.follow(&repo)?;
        Ok((commit, checkout::ensure(&repo, commit, &self.folder, &self.repo_name())?))
    }

    /// The clone; one that is none is made anew.
    fn repo(&self) -> Result<Repository, SourceError> {
        let path = self.clone_path();
        if let Ok(repo) = Repository::open_bare(&path) {
            return Ok(repo);
        }
        self.drop_clone()?;
        let made = Repository::init_bare(&path);
        made.map_err(|error| disk(format!("make the clone `{}`", path.display()), error.into()))
    }

    /// All that it holds is at the server.
    fn drop_clone(&self) -> Result<(), SourceError> {
        let path = self.clone_path();
        let gone = remove_all(&path);
        gone.map_err(|error| disk(format!("remove `{}`", path.display()), error.into()))
    }

    /// The bare clone.
    pub fn clone_path(&self) -> PathBuf {
        self.folder.join("repo")
    }

    /// Asks where the branch is, and fetches only what is not here yet.
    fn follow(&self, repo: &Repository) -> Result<Oid, SourceError> {
        let mut remote = repo.remote_anonymous(&self.url).map_err(|error| self.told(&error))?;
        remote.connect(Direction::Fetch).map_err(|error| self.told(&error))?;
        let branch = self.branch_of(&remote)?;
        let theirs = self.tip(&remote, &branch)?;
        let ours = format!("refs/keel/{branch}");
        if repo.refname_to_id(&ours).ok() != Some(theirs) {
            let spec = format!("+refs/heads/{branch}:{ours}");
            let mut options = FetchOptions::new();
            options.download_tags(git2::AutotagOption::None);
            let fetched = remote.fetch(&[spec], Some(&mut options), None);
            fetched.map_err(|error| self.broke_off(error))?;
        }
        // The server may hang up first.
        let _ = remote.disconnect();
        let commit = repo.refname_to_id(&ours).and_then(|tip| repo.find_commit(tip));
        Ok(commit.map_err(|error| self.unreadable(error))?.id())
    }

    /// A fetch that began well: what the clone's own files are to blame for is told apart.
    fn broke_off(&self, error: git2::Error) -> SourceError {
        let server = [ErrorClass::Net, ErrorClass::Http, ErrorClass::Ssh, ErrorClass::Ssl];
        if server.contains(&error.class()) { self.told(&error) } else { self.unreadable(error) }
    }

    fn unreadable(&self, error: git2::Error) -> SourceError {
        disk(format!("read the clone `{}`", self.clone_path().display()), error.into())
    }

    fn branch_of(&self, remote: &Remote<'_>) -> Result<String, SourceError> {
        if let Some(branch) = &self.branch {
            return Ok(branch.clone());
        }
        let head = remote.default_branch().ok();
        let name = head.as_ref().and_then(|head| head.as_str().ok());
        let branch = name.and_then(|name| name.strip_prefix("refs/heads/"));
        Ok(branch.unwrap_or("main").to_owned())
    }

    fn tip(&self, remote: &Remote<'_>, branch: &str) -> Result<Oid, SourceError> {
        let heads = remote.list().map_err(|error| self.told(&error))?;
        let full = format!("refs/heads/{branch}");
        if let Some(head) = heads.iter().find(|head| head.name() == full) {
            return Ok(head.oid());
        }
        let names = heads.iter().filter_map(|head| head.name().strip_prefix("refs/heads/"));
        let there = names.map(str::to_owned).collect();
        Err(SourceError::NoBranch { url: shown_url(&self.url), branch: branch.to_owned(), there })
    }

    /// The folder that a repository's own root is shown as: the last word of its address.
    fn repo_name(&self) -> String {
        let last = self.url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let name = last.strip_suffix(".git").unwrap_or(last);
        let sound = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = name.trim_start_matches('.').chars().map(sound).collect();
        if name.is_empty() { "repo".to_owned() } else { name }
    }

    fn failed(&self, what: impl Into<String>, hint: Option<String>) -> SourceError {
        SourceError::Fetch { url: shown_url(&self.url), what: what.into(), hint }
    }

    /// What libgit2 says, in words that say what to do.
    fn told(&self, error: &git2::Error) -> SourceError {
        let location = Location::parse(&self.url);
        let ssh = matches!(location, Some(Location::Ssh { .. }));
        let local = location == Some(Location::Local);
        let (what, hint) = match (error.code(), error.class()) {
            (ErrorCode::Auth, _) => (
                error.message().to_owned(),
                Some(
                    "put a user and token into the URL, `https://USER:TOKEN@host/repo.git`".into(),
                ),
            ),
            (ErrorCode::Owner, _) => (
                "the repository belongs to another user, and Git trusts it only when told to"
                    .into(),
                Some(format!("git config --system --add safe.directory {}", self.url)),
            ),
            (ErrorCode::NotFound, ErrorClass::Http) => (
                error.message().to_owned(),
                Some("check the URL; a private repository may look like none".to_owned()),
            ),
            (ErrorCode::NotFound, _) | (_, ErrorClass::Repository) => {
                ("there is no Git repository at that address".to_owned(), None)
            }
            // A path that does not exist is taken for an unknown protocol.
            (_, ErrorClass::Net | ErrorClass::Os) if local => {
                ("there is no Git repository at that address".to_owned(), None)
            }
            _ if ssh => (
                error.message().to_owned(),
                Some(format!("try `ssh -o BatchMode=yes {}` as this user", ssh_host(&self.url))),
            ),
            _ => (error.message().to_owned(), None),
        };
        self.failed(what, hint)
    }
}

/// Whether the clone on this machine lacks or garbles what it should hold. A full disk is none.
fn damaged(error: &SourceError) -> bool {
    use ErrorClass::{Config, Indexer, Object, Odb, Reference, Repository, Sha1, Tree, Zlib};
    let SourceError::Disk { source, .. } = error else { return false };
    source.downcast_ref::<git2::Error>().is_some_and(|error| {
        let kinds = [Config, Indexer, Object, Odb, Reference, Repository, Sha1, Tree, Zlib];
        kinds.contains(&error.class())
    })
}

fn ssh_host(url: &str) -> String {
    match Location::parse(url) {
        Some(Location::Ssh { destination, port: Some(port), .. }) => {
            format!("-p {port} {destination}")
        }
        Some(Location::Ssh { destination, .. }) => destination,
        _ => String::new(),
    }
}

pub(super) fn disk(what: String, source: Box<dyn std::error::Error + Send + Sync>) -> SourceError {
    SourceError::Disk { what, source }
}

fn remove_all(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
