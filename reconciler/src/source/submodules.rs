//! Submodules: the repositories that a commit holds by a path and a commit's name alone. They are
//! fetched once a stack mounts or reads something of theirs, and are then part of the checkout.
//!
//! # Invariants
//! - A submodule is whole in a checkout or an empty folder, as in a plain `git clone`.
//! - Only the source's own server sees the source's credentials (`gitmodules`).
//! - All that a commit's submodules bring together keeps to the limits of the source itself.
//! - One that cannot be fetched is the affair of the stacks that need it, and of no other.

use super::checkout::{self, Room, Target};
use super::clones::is_filled;
use super::entries::Failure;
use super::error::{damaged, disk};
use super::git::Git;
use super::gitmodules::{self, Address, Addresses};
use super::identity::Identity;
use super::inventory::{State, Submodule, Submodules};
use super::location::shown_url;
use super::meter::Allowance;
use super::{SourceError, transport};
use crate::config::{Auth, Follow, GitConfig};
use crate::limits;
use crate::refusal::with_causes;
use git2::{ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult};
use keel_engine::Digest;
use keel_plan::lower::Lack;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A server that lets us wait so long is asked for nothing more in the same look.
const SLOW: Duration = Duration::from_secs(5);
/// A clone that no checkout was filled from for so long goes.
const UNUSED: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// One look: what has to be kept in mind over several submodules.
struct Look<'a> {
    git: &'a Git,
    root: &'a Path,
    until: Instant,
    /// Servers that let us wait, and what came of it.
    slow: BTreeMap<String, Lack>,
}

impl Git {
    /// Those of a commit, as far as its checkout has them.
    pub(super) fn submodules(
        &self,
        repo: &Repository,
        commit: Oid,
        root: &Path,
    ) -> Result<Submodules, git2::Error> {
        let mut found = Submodules::default();
        let whole = Parent { url: &self.config.url, path: Path::new(""), depth: 0 };
        self.list(repo, commit, &whole, root, &mut found)?;
        Ok(found)
    }

    fn list(
        &self,
        repo: &Repository,
        commit: Oid,
        parent: &Parent<'_>,
        root: &Path,
        found: &mut Submodules,
    ) -> Result<(), git2::Error> {
        let tree = repo.find_commit(commit)?.tree()?;
        let mut links = Vec::new();
        tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() == Some(ObjectType::Commit) {
                let inside = Path::new(folder).join(OsStr::from_bytes(entry.name_bytes()));
                links.push((inside, entry.id()));
            }
            TreeWalkResult::Ok
        })?;
        let addresses = if links.is_empty() { Addresses::new() } else { addresses(repo, &tree) };
        for (inside, commit) in links {
            let path = parent.path.join(&inside);
            let from = self.address(&addresses, &inside, parent.url);
            let there = is_filled(&root.join(&path));
            let state = if there { State::There } else { State::Unasked };
            let one = Submodule { commit, from, depth: parent.depth, state };
            if let (true, Ok(address)) = (there, &one.from)
                && let Ok(module) = Repository::open_bare(self.module(address).clone_path())
            {
                let within = Parent { url: &address.url, path: &path, depth: parent.depth + 1 };
                // What of it cannot be read here is not known, and nothing is looked for in it.
                let _ = self.list(&module, commit, &within, root, found);
            }
            found.0.insert(path, one);
        }
        Ok(())
    }

    fn address(&self, known: &Addresses, path: &Path, parent: &str) -> Result<Address, String> {
        let written = path.to_str().and_then(|path| known.get(path));
        let written = written.ok_or("no `.gitmodules` says where it is")?;
        gitmodules::address(&self.config.url, parent, written)
    }

    /// The repository of a submodule, as a source that follows one commit.
    fn module(&self, address: &Address) -> Self {
        let auth = self.config.auth.clone().filter(|_| address.own);
        let config =
            GitConfig { auth, follow: Follow::Branch(None), ..GitConfig::new(&address.url) };
        // What was fetched with credentials is not found by who has none.
        let name = Digest::of(format!("{} {}", address.own, address.url).as_bytes());
        let folder = self.modules().join(name.short());
        Self { config, folder, data: self.data.clone(), state: self.state.clone() }
    }

    fn modules(&self) -> PathBuf {
        self.folder.join("modules")
    }

    /// Fetches these, and puts their files where the checkout has their empty folders.
    pub(super) fn fill(
        &self,
        root: &Path,
        known: &Submodules,
        wanted: &BTreeSet<PathBuf>,
    ) -> Submodules {
        let mut after = known.clone();
        let until = Allowance::new(self.config.max_size).until;
        let mut look = Look { git: self, root, until, slow: BTreeMap::new() };
        self.drop_unused(known);
        for path in wanted {
            let Some(one) = known.0.get(path) else { continue };
            let filled = after.0.values().filter(|one| matches!(one.state, State::There)).count();
            let outcome = look.fill(path, one, filled);
            after.note(path, outcome.as_ref().map(drop).map_err(Clone::clone));
            if let (Ok(module), Ok(address)) = (outcome, &one.from) {
                let within = Parent { url: &address.url, path, depth: one.depth + 1 };
                let _ = self.list(&module, one.commit, &within, root, &mut after);
            }
        }
        after
    }

    /// Clones that no submodule of this commit is in, and that were of no use for long; all such where
    /// they leave no room for others.
    fn drop_unused(&self, known: &Submodules) {
        let named = known.0.values().filter_map(|one| one.from.as_ref().ok());
        let named: BTreeSet<_> = named.map(|address| self.module(address).folder).collect();
        let full = size_of(&self.modules()).1 > self.config.max_size / 2;
        let Ok(clones) = fs::read_dir(self.modules()) else { return };
        let others =
            clones.flatten().map(|entry| entry.path()).filter(|path| !named.contains(path));
        for clone in others.filter(|path| full || is_unused(path)) {
            // It costs room only, and is tried again.
            let _ = fs::remove_dir_all(clone);
        }
    }
}

/// The repository that names a submodule.
struct Parent<'a> {
    url: &'a str,
    /// In the checkout.
    path: &'a Path,
    depth: usize,
}

impl Look<'_> {
    fn fill(&mut self, path: &Path, one: &Submodule, filled: usize) -> Result<Repository, Lack> {
        let address = one.from.as_ref().map_err(|why| lack(path, why, None))?;
        if one.depth >= limits::SUBMODULE_DEPTH {
            let most = limits::SUBMODULE_DEPTH;
            return Err(lack(
                path,
                &format!("it lies within {most} others, which is too deep"),
                None,
            ));
        }
        if filled >= limits::SUBMODULES {
            let most = limits::SUBMODULES;
            return Err(lack(
                path,
                &format!("there are {most} others already, which are enough"),
                None,
            ));
        }
        let server = server_of(&address.url);
        if let Some(known) = self.slow.get(&server) {
            return Err(lack(path, &known.why, known.hint.clone()));
        }
        let began = Instant::now();
        let done = self.bring(path, one.commit, address);
        done.map_err(|error| {
            let hint = error.hint().filter(|_| address.own).or_else(|| foreign(address.own));
            let why = with_causes(&error);
            if began.elapsed() >= SLOW {
                self.slow.insert(server, Lack { why: why.clone(), hint: hint.clone() });
            }
            lack(path, &why, hint)
        })
    }

    fn bring(&self, path: &Path, commit: Oid, from: &Address) -> Result<Repository, SourceError> {
        let module = self.git.module(from);
        let most = self.git.config.max_size;
        let bytes = most.saturating_sub(size_of(&self.git.modules()).1);
        let identity = identity(module.config.auth.as_ref())?;
        let allowance = Allowance { bytes, until: self.until };
        transport::register().map_err(|error| module.told(&error))?;
        let fetch = || -> Result<Repository, SourceError> {
            let repo = module.repo()?;
            module.keep(&repo, &commit.to_string())?;
            self.check_out(&repo, commit, path, most)?;
            Ok(repo)
        };
        let again = || match fetch() {
            Err(error) if damaged(&error) => module.drop_clone().and_then(|()| fetch()),
            other => other,
        };
        let repo = identity.during(|| allowance.during(again))?;
        touch(&module.folder);
        Ok(repo)
    }

    /// Beside the checkout first: in it, it is there at once.
    fn check_out(
        &self,
        repo: &Repository,
        commit: Oid,
        path: &Path,
        most: u64,
    ) -> Result<(), SourceError> {
        let target = self.root.join(path);
        let fresh = self.root.with_file_name(".submodule.new");
        let work = || -> Result<(), Failure> {
            remove_all(&fresh)?;
            let (entries, bytes) = size_of(self.root);
            let mut room = Room::beside(entries, bytes, most);
            checkout::export_within(repo, Target::Commit(commit), &fresh, &mut room)?;
            Ok(put(&fresh, self.root, path)?)
        };
        work().map_err(|error| {
            let _ = remove_all(&fresh);
            disk(format!("check out `{}`", target.display()), error)
        })
    }
}

/// Puts a folder in the place of an empty one. Nothing on the way may be a link, whoever made it.
fn put(fresh: &Path, root: &Path, path: &Path) -> io::Result<()> {
    for above in path.ancestors().filter(|above| !above.as_os_str().is_empty()) {
        if !root.join(above).symlink_metadata()?.is_dir() {
            let words = format!("`{}` is not a folder", above.display());
            return Err(io::Error::other(words));
        }
    }
    fs::rename(fresh, root.join(path))
}

fn identity(auth: Option<&Auth>) -> Result<Identity, SourceError> {
    Identity::of(auth).map_err(|(path, source)| SourceError::Credentials { path, source })
}

fn lack(path: &Path, why: &str, hint: Option<String>) -> Lack {
    let why = format!("the submodule `{}` is not here: {why}", path.display());
    Lack { why, hint }
}

fn foreign(own: bool) -> Option<String> {
    let words = "only the source's own server sees the source's credentials: others must let everybody read";
    (!own).then(|| words.to_owned())
}

fn server_of(url: &str) -> String {
    let shown = shown_url(url);
    let rest = shown.split_once("://").map_or(shown.as_str(), |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// What the file says that is at the commit's root; a link is none (CVE-2024-32002).
fn addresses(repo: &Repository, tree: &git2::Tree<'_>) -> Addresses {
    let read = || {
        let entry = tree.get_name(".gitmodules")?;
        if entry.filemode() == i32::from(git2::FileMode::Link) {
            return None;
        }
        let (size, _) = repo.odb().ok()?.read_header(entry.id()).ok()?;
        if size as u64 > limits::GITMODULES {
            return None;
        }
        let blob = repo.find_blob(entry.id()).ok()?;
        Some(gitmodules::parse(&String::from_utf8_lossy(blob.content())))
    };
    read().unwrap_or_default()
}

fn touch(folder: &Path) {
    // A clone that seems older than it is, is only fetched once more.
    let _ = fs::File::open(folder).and_then(|file| file.set_modified(SystemTime::now()));
}

fn is_unused(folder: &Path) -> bool {
    let used = folder.metadata().and_then(|meta| meta.modified());
    used.is_ok_and(|used| used.elapsed().is_ok_and(|since| since > UNUSED))
}

/// How many files and bytes are in a folder.
fn size_of(folder: &Path) -> (u64, u64) {
    let (mut entries, mut bytes) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            entries += 1;
            match meta.is_dir() {
                true => folders.push(entry.path()),
                false => bytes += meta.len(),
            }
        }
    }
    (entries, bytes)
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
