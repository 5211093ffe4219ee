//! A person's work tree: which commit it is at, what `KEEL_COMMIT` means there, and the tree that a
//! push of everything in it would bring.
//!
//! # Invariants
//! - Nothing is written to the repository: what is not committed is put together in memory.
//! - What Git ignores is no part of it, as it is none of a commit.

use crate::preview::MOST_OF_A_PACK;
use crate::reading::interpolated;
use git2::{ErrorCode, Oid, Repository, Status, StatusOptions, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Asked before Git's own stores.
const IN_MEMORY: i32 = 1000;

/// These variables with those of the commit that the folder is checked out at, where it is one of a
/// work tree. Files that name them read as they would from Git; what the caller set wins.
#[must_use]
pub fn with_commit(environment: BTreeMap<String, String>, dir: &Path) -> BTreeMap<String, String> {
    let mut all = interpolated(&BTreeMap::new(), head(dir).as_deref());
    all.extend(environment);
    all
}

fn head(dir: &Path) -> Option<String> {
    // A tree of somebody else's, or one without a commit, has none for us.
    let repo = Repository::discover(dir).ok()?;
    let commit = repo.head().ok()?.peel_to_commit().ok()?;
    Some(commit.id().to_string())
}

/// Why a work tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkTreeError {
    /// Git reads no repository that another user could have prepared.
    #[error("the repository around `{}` belongs to another user", .0.display())]
    Foreign(PathBuf),
    /// A merge is under way.
    #[error("`{0}` has a conflict that is not resolved")]
    Conflict(String),
    /// More than can be sent.
    #[error("what is not in the source yet has more than {} MiB: {largest}", MOST_OF_A_PACK >> 20)]
    TooLarge {
        /// The largest file of it.
        largest: String,
    },
    /// Something else.
    #[error("cannot read the work tree")]
    Git(#[from] git2::Error),
}

impl WorkTreeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Foreign(path) => Some(format!(
                "let Git trust it: `git config --global --add safe.directory {}`",
                path.display()
            )),
            Self::Conflict(_) => Some("resolve it, or abort the merge".to_owned()),
            Self::TooLarge { .. } => Some("let Git ignore it, or push it first".to_owned()),
            Self::Git(_) => None,
        }
    }
}

/// A work tree.
pub struct WorkTree {
    repo: Repository,
    root: PathBuf,
}

/// What a push of everything in it would bring.
pub struct Packed {
    /// The tree's id.
    pub tree: String,
    /// What of it the source lacks; empty: nothing.
    pub pack: Vec<u8>,
    /// Files that differ from the commit.
    pub uncommitted: usize,
    /// Files that Git ignores, relative to the root.
    pub ignored: Vec<String>,
}

impl WorkTree {
    /// The one that a path is in; `None`: it is in none.
    pub fn around(path: &Path) -> Result<Option<Self>, WorkTreeError> {
        let repo = match Repository::discover(path) {
            Ok(repo) => repo,
            Err(error) if error.code() == ErrorCode::Owner => {
                return Err(WorkTreeError::Foreign(path.to_owned()));
            }
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let root = repo.workdir().and_then(|root| root.canonicalize().ok());
        Ok(root.map(|root| Self { repo, root }))
    }

    /// Its own folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path is in it; empty for its root.
    #[must_use]
    pub fn below(&self, path: &Path) -> Option<String> {
        Some(path.strip_prefix(&self.root).ok()?.to_string_lossy().into_owned())
    }

    /// The addresses that it is pulled from and pushed to.
    #[must_use]
    pub fn remotes(&self) -> Vec<String> {
        let Ok(names) = self.repo.remotes() else { return vec![] };
        let remotes = names.iter().flatten().flatten();
        let remotes = remotes.filter_map(|name| self.repo.find_remote(name).ok());
        let urls = |remote: git2::Remote<'_>| {
            let push = remote.pushurl().ok().flatten().map(str::to_owned);
            remote.url().ok().map(str::to_owned).into_iter().chain(push).collect::<Vec<_>>()
        };
        remotes.flat_map(urls).collect()
    }

    /// The branch that is checked out; `None`: a commit alone is.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        let head = self.repo.find_reference("HEAD").ok()?;
        let name = head.symbolic_target().ok()??;
        name.strip_prefix("refs/heads/").map(str::to_owned)
    }

    /// The commit that is checked out; `None`: there is none yet.
    #[must_use]
    pub fn commit(&self) -> Option<String> {
        Some(self.repo.head().ok()?.peel_to_commit().ok()?.id().to_string())
    }

    /// Whether a commit is in this repository at all.
    #[must_use]
    pub fn holds(&self, commit: &str) -> bool {
        Oid::from_str(commit).is_ok_and(|commit| self.repo.find_commit(commit).is_ok())
    }

    /// Whether what is checked out contains a commit.
    #[must_use]
    pub fn contains(&self, commit: &str) -> bool {
        let contains = || -> Option<bool> {
            let wanted = Oid::from_str(commit).ok()?;
            let head = self.repo.head().ok()?.peel_to_commit().ok()?.id();
            Some(head == wanted || self.repo.graph_descendant_of(head, wanted).ok()?)
        };
        contains().unwrap_or(false)
    }

    /// All that is in it and not ignored, as one tree; `present` is the commit that the source has.
    pub fn packed(&self, present: &str) -> Result<Packed, WorkTreeError> {
        self.repo.odb()?.add_new_mempack_backend(IN_MEMORY)?;
        let mut index = self.repo.index()?;
        let mut options = StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(true);
        options.exclude_submodules(true);
        let (mut uncommitted, mut ignored, mut room) = (0, vec![], Room::default());
        for entry in self.repo.statuses(Some(&mut options))?.iter() {
            let (Ok(path), status) = (entry.path(), entry.status()) else { continue };
            // A repository within the tree is another's affair.
            if path.ends_with('/') {
                continue;
            }
            if status.is_ignored() {
                ignored.push(path.to_owned());
                continue;
            }
            if status.is_conflicted() {
                return Err(WorkTreeError::Conflict(path.to_owned()));
            }
            uncommitted += 1;
            if status.contains(Status::WT_DELETED) {
                index.remove_path(Path::new(path))?;
            } else if status.intersects(in_the_tree_alone()) {
                let size = self.root.join(path).symlink_metadata().map_or(0, |meta| meta.len());
                room.take(path, size)?;
                index.add_path(Path::new(path))?;
            }
        }
        let tree = index.write_tree()?;
        let pack = self.pack(tree, present, &mut room)?;
        Ok(Packed { tree: tree.to_string(), pack, uncommitted, ignored })
    }

    /// The objects of a tree that a commit does not have, too.
    fn pack(&self, tree: Oid, present: &str, room: &mut Room) -> Result<Vec<u8>, WorkTreeError> {
        let mut there = BTreeSet::new();
        let present = Oid::from_str(present).and_then(|commit| self.repo.find_commit(commit));
        if let Ok(commit) = present {
            self.walk(&commit.tree()?, "", &mut there, &mut |_, _| Ok(()))?;
        }
        if there.contains(&tree) {
            return Ok(vec![]);
        }
        let (mut builder, odb) = (self.repo.packbuilder()?, self.repo.odb()?);
        *room = Room::default();
        self.walk(&self.repo.find_tree(tree)?, "", &mut there, &mut |path, object| {
            room.take(path, odb.read_header(object)?.0 as u64)?;
            Ok(builder.insert_object(object, Some(path))?)
        })?;
        let mut pack = git2::Buf::new();
        builder.write_buf(&mut pack)?;
        if pack.len() > MOST_OF_A_PACK {
            return Err(room.exceeded());
        }
        Ok(pack.to_vec())
    }

    /// Each object of a tree that has not been met yet.
    fn walk(
        &self,
        tree: &Tree<'_>,
        at: &str,
        met: &mut BTreeSet<Oid>,
        each: &mut dyn FnMut(&str, Oid) -> Result<(), WorkTreeError>,
    ) -> Result<(), WorkTreeError> {
        if !met.insert(tree.id()) {
            return Ok(());
        }
        each(at, tree.id())?;
        for entry in tree {
            let path = format!("{at}/{}", String::from_utf8_lossy(entry.name_bytes()));
            match entry.kind() {
                Some(git2::ObjectType::Tree) => {
                    self.walk(&self.repo.find_tree(entry.id())?, &path, met, each)?;
                }
                Some(git2::ObjectType::Blob) if met.insert(entry.id()) => each(&path, entry.id())?,
                // The commit of a submodule is not here.
                _ => {}
            }
        }
        Ok(())
    }
}

/// What the index has otherwise.
fn in_the_tree_alone() -> Status {
    Status::WT_NEW | Status::WT_MODIFIED | Status::WT_TYPECHANGE | Status::WT_RENAMED
}

/// How much there is, so that nobody's memory is filled with what is too large to be sent.
#[derive(Default)]
struct Room {
    taken: u64,
    largest: (u64, String),
}

/// Text and the like shrink in a pack.
const SHRINKS: u64 = 8;

impl Room {
    fn take(&mut self, path: &str, size: u64) -> Result<(), WorkTreeError> {
        self.taken += size;
        if size > self.largest.0 {
            self.largest = (size, path.trim_start_matches('/').to_owned());
        }
        match self.taken > SHRINKS * MOST_OF_A_PACK as u64 {
            true => Err(self.exceeded()),
            false => Ok(()),
        }
    }

    fn exceeded(&self) -> WorkTreeError {
        let (size, path) = &self.largest;
        WorkTreeError::TooLarge { largest: format!("`{path}` alone has {} KiB", size >> 10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree() -> (tempfile::TempDir, Repository, Oid) {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repository::init(folder.path()).unwrap();
        for (name, text) in [("kept", "1"), ("gone", "2"), ("changed", "3"), (".gitignore", "*.no")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let commit = {
            let mut index = repo.index().unwrap();
            index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
            index.write().unwrap();
            let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
            let ann = git2::Signature::now("Ann", "ann@example.org").unwrap();
            repo.commit(Some("HEAD"), &ann, &ann, "first", &tree, &[]).unwrap()
        };
        (folder, repo, commit)
    }

    fn names(repo: &Path, packed: &Packed) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let taken = Repository::init_bare(scratch.path()).unwrap();
        let odb = taken.odb().unwrap();
        odb.add_disk_alternate(&repo.join(".git/objects").to_string_lossy()).unwrap();
        if !packed.pack.is_empty() {
            let mut writer = odb.packwriter().unwrap();
            std::io::Write::write_all(&mut writer, &packed.pack).unwrap();
            writer.commit().unwrap();
        }
        let tree = taken.find_tree(Oid::from_str(&packed.tree).unwrap()).unwrap();
        let shown = |entry: git2::TreeEntry<'_>| {
            let object = entry.to_object(&taken).unwrap();
            let text = object.as_blob().map(|blob| String::from_utf8_lossy(blob.content()).into());
            format!("{}={}", entry.name().unwrap(), text.unwrap_or_else(|| "/".to_owned()))
        };
        tree.iter().map(shown).collect()
    }

    fn objects(folder: &Path) -> usize {
        fs::read_dir(folder.join(".git/objects")).unwrap().count()
    }

    #[test]
    fn what_is_not_committed_is_part_of_the_tree_and_what_is_ignored_is_not() {
        let (folder, _repo, commit) = tree();
        let root = folder.path();
        let found = WorkTree::around(root).unwrap().unwrap();
        let clean = found.packed(&commit.to_string()).unwrap();
        assert_eq!((clean.pack.len(), clean.uncommitted), (0, 0));
        fs::remove_file(root.join("gone")).unwrap();
        fs::write(root.join("changed"), "4").unwrap();
        fs::create_dir(root.join("new")).unwrap();
        fs::write(root.join("new/file"), "5").unwrap();
        fs::write(root.join("x.no"), "6").unwrap();
        let before = objects(root);
        let found = WorkTree::around(root).unwrap().unwrap();
        let packed = found.packed(&commit.to_string()).unwrap();
        assert_eq!(names(root, &packed), [".gitignore=*.no", "changed=4", "kept=1", "new=/"]);
        assert_eq!((packed.uncommitted, packed.ignored), (3, vec!["x.no".to_owned()]));
        assert_eq!(objects(root), before, "nothing is written to the repository");
        // Nothing is known to be there: all of it is sent.
        let found = WorkTree::around(root).unwrap().unwrap();
        assert!(found.packed("").unwrap().pack.len() > packed.pack.len());
    }

    #[test]
    fn a_folder_that_is_in_no_work_tree_is_in_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(WorkTree::around(folder.path()).unwrap().is_none());
        let (tree, _repo, commit) = tree();
        let found = WorkTree::around(tree.path()).unwrap().unwrap();
        assert!(found.holds(&commit.to_string()) && found.contains(&commit.to_string()));
        assert!(!found.holds(&"1".repeat(40)));
        let path = tree.path().canonicalize().unwrap();
        assert_eq!(found.below(&path.join("a/b")).as_deref(), Some("a/b"));
        assert_eq!(found.below(&path).as_deref(), Some(""));
    }
}
