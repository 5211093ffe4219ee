//! A look at something else than what a source follows: a work tree that has not been pushed, or
//! another branch, tag or commit. Nothing of the source is changed.
//!
//! # Invariants
//! - What is fetched and checked out for a look goes with it; the source's clone is only read.

use super::checkout::{self, Target};
use super::entries::Failure;
use super::error::disk;
use super::git::Git;
use super::identity::Identity;
use super::meter::Allowance;
use super::snapshot::Snapshot;
use super::{SourceError, transport};
use crate::find::stacks_in_checkout;
use crate::limits;
use crate::load::StackFiles;
use git2::{Oid, Repository};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Branches and tags that an error names.
const NAMED: usize = 5;
/// Digits of the shortest name of a commit.
const SHORTEST: usize = 4;

/// What is looked at.
pub(crate) enum Wanted {
    /// A tree, what of it the clone lacks, and the commit that it stands for.
    Tree { commit: String, tree: String, pack: Vec<u8> },
    /// A branch, tag or commit.
    Revision(String),
}

/// What was found; its files go with it.
pub(crate) struct Look {
    pub snapshot: Snapshot,
    _scratch: Scratch,
}

/// A folder among the checkouts that is swept away with what else was begun there, should the process
/// die.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: &Path) -> std::io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join("checkouts").join(format!(".look-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it goes with the next sweep.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Git {
    /// Looks. Waits for the source's server where a revision is to be found there.
    pub async fn look(&self, wanted: Wanted) -> Result<Look, SourceError> {
        let git = self.clone();
        keel_blocking::run(move || git.look_now(&wanted)).await
    }

    fn look_now(&self, wanted: &Wanted) -> Result<Look, SourceError> {
        transport::register().map_err(|error| self.told(&error))?;
        let failed = |what: &str, error: Failure| disk(what.to_owned(), error);
        let scratch = Scratch::new(&self.folder)
            .map_err(|error| failed("make room for a look at the revision", error.into()))?;
        let repo = self
            .beside(&scratch.0.join("repo"))
            .map_err(|error| failed("read the clone", error.into()))?;
        let root = scratch.0.join(self.repo_name());
        let allowance = Allowance::new(self.config.max_size);
        let revision = allowance.during(|| match wanted {
            Wanted::Tree { commit, tree, pack } => {
                let written = written(&repo, pack, tree, &root);
                written.map_err(|error| failed("read the tree that was sent", error))?;
                Ok(commit.clone())
            }
            Wanted::Revision(name) => {
                let commit = self.resolved(&repo, name)?;
                let done = checkout::export(&repo, Target::Commit(commit), &root);
                done.map_err(|error| failed(&format!("check out `{name}`"), error))?;
                Ok(commit.to_string())
            }
        })?;
        let found = stacks_in_checkout(&root, &self.config.paths);
        let found = found.map_err(|source| SourceError::Folder {
            path: PathBuf::from(self.config.paths.join(", ")),
            source,
        })?;
        let (data, state) = (self.data.clone(), self.state.clone());
        let submodules = Arc::default();
        let files = StackFiles::Checkout { root, data, state, submodules };
        let revision = Some(revision);
        let snapshot = Snapshot { revision, found, files, elsewhere: vec![], edited: None };
        Ok(Look { snapshot, _scratch: scratch })
    }

    /// A repository that has what the clone has, and keeps to itself what else comes.
    fn beside(&self, path: &Path) -> Result<Repository, git2::Error> {
        let repo = Repository::init_bare(path)?;
        let Ok(clone) = Repository::open_bare(self.clone_path()) else { return Ok(repo) };
        let objects = self.clone_path().join("objects");
        repo.odb()?.add_disk_alternate(&objects.to_string_lossy())?;
        // So that a server is told what need not be sent.
        for reference in clone.references_glob("refs/keel*")?.flatten() {
            if let (Ok(name), Some(target)) = (reference.name(), reference.target()) {
                repo.reference(name, target, true, "look")?;
            }
        }
        Ok(repo)
    }

    /// The commit that a name means, of a branch before a tag before a commit, as Git has it.
    fn resolved(&self, repo: &Repository, name: &str) -> Result<Oid, SourceError> {
        let here = |wanted: &str| commit_named(repo, wanted);
        if name.len() == 40
            && let Some(commit) = here(name)
        {
            return Ok(commit);
        }
        match self.brought(repo, name) {
            Ok(commit) => Ok(commit),
            // The server is away, or lacks it by now: what is here is here.
            Err(error) => here(name).ok_or(error),
        }
    }

    /// The same, asked of the server.
    fn brought(&self, repo: &Repository, name: &str) -> Result<Oid, SourceError> {
        self.has_address()?;
        let identity = Identity::of(self.config.auth.as_ref())
            .map_err(|(path, source)| SourceError::Credentials { path, source })?;
        identity.during(|| {
            let mut remote = self.connected(repo)?;
            let heads = remote.list().map_err(|error| self.told(&error))?;
            let names: Vec<String> = heads.iter().map(|head| head.name().to_owned()).collect();
            let full = [format!("refs/heads/{name}"), format!("refs/tags/{name}"), name.to_owned()];
            if let Some(full) = full.iter().find(|full| names.contains(full)) {
                self.bring(&mut remote, &[format!("+{full}:refs/look/named")])?;
                let _ = remote.disconnect();
                let commit = repo.find_reference("refs/look/named");
                let commit = commit.and_then(|found| found.peel_to_commit());
                return Ok(commit.map_err(|error| self.told(&error))?.id());
            }
            if is_digits(name) && names.len() <= limits::GIT_REFERENCES {
                let all = ["+refs/heads/*:refs/look/heads/*", "+refs/tags/*:refs/look/tags/*"];
                self.bring(&mut remote, &all.map(str::to_owned))?;
            }
            let _ = remote.disconnect();
            commit_named(repo, name).ok_or_else(|| self.unknown(name, &names))
        })
    }

    fn unknown(&self, name: &str, there: &[String]) -> SourceError {
        let short = |full: &String| {
            let short = full.strip_prefix("refs/heads/").or(full.strip_prefix("refs/tags/"))?;
            (!short.ends_with("^{}")).then(|| short.to_owned())
        };
        let there: Vec<_> = there.iter().filter_map(short).collect();
        let nearest = keel_spec::nearest::of(name, there.iter().map(String::as_str));
        let nearest = nearest.map(str::to_owned);
        let there = there.into_iter().take(NAMED).collect();
        let url = super::shown_url(&self.config.url);
        SourceError::NoRevision { url, revision: name.to_owned(), nearest, there }
    }
}

/// The commit that begins with these digits, where there is exactly one.
fn commit_named(repo: &Repository, name: &str) -> Option<Oid> {
    let name = name.to_ascii_lowercase();
    let found = is_digits(&name).then(|| repo.revparse_single(&name).ok()).flatten()?;
    Some(found.peel_to_commit().ok()?.id())
}

fn is_digits(name: &str) -> bool {
    (SHORTEST..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Takes a pack in, and writes a tree of it.
fn written(repo: &Repository, pack: &[u8], tree: &str, root: &Path) -> Result<(), Failure> {
    if !pack.is_empty() {
        let odb = repo.odb()?;
        let mut writer = odb.packwriter()?;
        writer.write_all(pack)?;
        writer.commit()?;
    }
    checkout::export(repo, Target::Tree(Oid::from_str(tree)?), root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_name_a_commit() {
        for (name, expected) in
            [("3f9c", true), ("3F9C2A", true), ("3f9", false), ("main", false), ("beef-1", false)]
        {
            assert_eq!(is_digits(name), expected, "{name}");
        }
    }
}
