//! A branch of a Git repository: one bare clone, and an immutable checkout for each commit.
//!
//! # Invariants
//! - A look that finds the known commit fetches nothing.
//! - The branch is followed wherever it goes: a force push too.
//! - When the server is away, the last commit and its checkout stay.

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
        let repo = self.repo()?;
        let commit = self.follow(&repo)?;
        let root = checkout::ensure(&repo, commit, &self.folder, &self.repo_name())?;
        let found = stacks_matching(&root, &self.path)
            .map_err(|source| SourceError::Folder { path: PathBuf::from(&self.path), source })?;
        let files = StackFiles::Checkout { root, data: self.data.clone() };
        Ok(Snapshot { revision: Some(commit.to_string()), found, files })
    }

    /// The clone; a damaged one is made anew, since all that it holds is at the server.
    fn repo(&self) -> Result<Repository, SourceError> {
        let path = self.folder.join("repo");
        if let Ok(repo) = Repository::open_bare(&path) {
            return Ok(repo);
        }
        let made =
            remove_all(&path).map_err(Into::into).and_then(|()| Ok(Repository::init_bare(&path)?));
        made.map_err(|source| disk(format!("make the clone `{}`", path.display()), source))
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
            remote.fetch(&[spec], Some(&mut options), None).map_err(|error| self.told(&error))?;
        }
        // The server may hang up first.
        let _ = remote.disconnect();
        let commit = repo.refname_to_id(&ours).and_then(|tip| repo.find_commit(tip));
        Ok(commit.map_err(|error| self.told(&error))?.id())
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
            (_, ErrorClass::Net) if local => {
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
