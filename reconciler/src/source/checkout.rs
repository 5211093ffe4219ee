//! Immutable checkouts: `sources/NAME/checkouts/COMMIT/REPO`, whole or not there.
//!
//! The whole revision is checked out, not only the folders that hold stacks: they may name files
//! beside them (`../common.env`).
//!
//! # Invariants
//! - A checkout can be made again from the clone, so it is not written through to the disk: one that
//!   was made before the machine started is compared with the commit before it is used. What tasks
//!   mount of it, nodes have a copy of.

use super::SourceError;
use super::clones::{clones, is_filled};
use super::entries::{self, Failure};
use super::error::disk;
use super::meter::Allowance;
use crate::limits;
use git2::{
    Blob, FileMode, ObjectType, Oid, Repository, Tree, TreeEntry, TreeWalkMode, TreeWalkResult,
};
use keel_engine::Value;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Beside a checkout: the start of the machine in which it was made or compared last.
const MADE: &str = ".made";

/// The root of the commit's files; made where it is missing.
pub(crate) fn ensure(
    repo: &Repository,
    commit: Oid,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, SourceError> {
    let whole = folder.join("checkouts").join(commit.to_string());
    let (root, boot) = (whole.join(name), keel_durable::boot_id());
    if root.is_dir() {
        let this_boot = fs::read_to_string(whole.join(MADE)).is_ok_and(|made| made == boot);
        if this_boot || is_whole(repo, commit, &root, &clones(folder)) {
            // Without the note it is only compared once more.
            let _ = if this_boot { Ok(()) } else { fs::write(whole.join(MADE), &boot) };
            return Ok(root);
        }
    }
    let failed = |source| disk(format!("check out `{}`", whole.display()), source);
    let fresh = folder.join("checkouts").join(format!(".{commit}.new"));
    let made = || -> Result<(), Failure> {
        for leftover in [&fresh, &whole] {
            if leftover.exists() {
                fs::remove_dir_all(leftover)?;
            }
        }
        export(repo, Target::Commit(commit), &fresh.join(name))?;
        fs::write(fresh.join(MADE), &boot)?;
        Ok(fs::rename(&fresh, &whole)?)
    };
    made().map_err(|error| {
        // What was begun would only cost room.
        let _ = fs::remove_dir_all(&fresh);
        failed(error)
    })?;
    Ok(root)
}

/// Whether a checkout holds all that the commit does.
fn is_whole(repo: &Repository, commit: Oid, root: &Path, modules: &[Repository]) -> bool {
    let compare = || -> Result<bool, Failure> {
        let tree = repo.find_commit(commit)?.tree()?;
        let mut whole = true;
        tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            let path = root.join(folder).join(OsStr::from_bytes(entry.name_bytes()));
            whole &= is_alike(repo, entry, &path, modules).unwrap_or(false);
            if whole { TreeWalkResult::Ok } else { TreeWalkResult::Abort }
        })?;
        Ok(whole)
    };
    compare().unwrap_or(false)
}

fn is_alike(
    repo: &Repository,
    entry: &TreeEntry<'_>,
    path: &Path,
    modules: &[Repository],
) -> Result<bool, Failure> {
    if entry.kind() == Some(ObjectType::Commit) && is_filled(path) {
        return Ok(modules.iter().any(|module| is_whole(module, entry.id(), path, modules)));
    }
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(path.symlink_metadata()?.is_dir());
    }
    let blob = repo.find_blob(entry.id())?;
    if entry.filemode() == i32::from(FileMode::Link) {
        return Ok(fs::read_link(path)?.as_os_str().as_bytes() == blob.content());
    }
    let executable = entry.filemode() == i32::from(FileMode::BlobExecutable);
    let mode = path.symlink_metadata()?.permissions().mode();
    Ok((mode & 0o100 != 0) == executable && fs::read(path)? == blob.content())
}

/// What is written out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The files of a commit.
    Commit(Oid),
    /// A tree that no commit has yet.
    Tree(Oid),
}

/// Its files, in a folder that is made for them.
pub(crate) fn export(repo: &Repository, what: Target, folder: &Path) -> Result<(), Failure> {
    export_within(repo, what, folder, &mut Room::beside(0, 0, Allowance::present().bytes))
}

/// The same, where there is not all of the room.
pub(super) fn export_within(
    repo: &Repository,
    what: Target,
    folder: &Path,
    room: &mut Room,
) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let tree = match what {
        Target::Commit(commit) => repo.find_commit(commit)?.tree()?,
        Target::Tree(tree) => repo.find_tree(tree)?,
    };
    write_tree(repo, &tree, folder, room, 0)
}

/// What a checkout may hold yet. A tree that holds itself, as one name of many, is small in a pack.
pub(super) struct Room {
    entries: u64,
    bytes: u64,
    most: u64,
}

impl Room {
    /// Beside so many files and bytes that are there already.
    pub fn beside(entries: u64, bytes: u64, most: u64) -> Self {
        let entries = limits::CHECKOUT_ENTRIES.saturating_sub(entries);
        Self { entries, bytes: most.saturating_sub(bytes), most }
    }

    fn take(&mut self, bytes: u64) -> Result<(), String> {
        let (entries, most) = (limits::CHECKOUT_ENTRIES, Value::Bytes(self.most));
        let left = self.entries.checked_sub(1);
        self.entries = left.ok_or(format!("the commit holds more than {entries} files"))?;
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or(format!("the commit's files have more than {most}"))?;
        Ok(())
    }
}

/// By hand, since a checkout of libgit2 refuses a bare clone whose tree names a submodule, and
/// would obey attributes. A submodule is an empty folder, as in a plain `git clone`, until a stack needs
/// it (`submodules`).
fn write_tree(
    repo: &Repository,
    tree: &Tree<'_>,
    target: &Path,
    room: &mut Room,
    depth: usize,
) -> Result<(), Failure> {
    if depth > limits::CHECKOUT_DEPTH {
        let most = limits::CHECKOUT_DEPTH;
        return Err(format!("the commit has folders within folders, more than {most}").into());
    }
    for entry in tree {
        let name = OsStr::from_bytes(entry.name_bytes());
        if let Some(fault) = entries::fault(name) {
            return Err(entries::told(name, fault));
        }
        write_entry(repo, &entry, &target.join(name), room, depth)
            .map_err(|error| entries::within(name, error))?;
    }
    Ok(())
}

fn write_entry(
    repo: &Repository,
    entry: &TreeEntry<'_>,
    path: &Path,
    room: &mut Room,
    depth: usize,
) -> Result<(), Failure> {
    match entry.kind() {
        Some(ObjectType::Tree) => {
            fs::create_dir(path)?;
            room.take(0)?;
            write_tree(repo, &repo.find_tree(entry.id())?, path, room, depth + 1)
        }
        Some(ObjectType::Blob) => {
            // Its size is known before its content is unpacked.
            let (size, _) = repo.odb()?.read_header(entry.id())?;
            room.take(size as u64)?;
            Ok(write_blob(&repo.find_blob(entry.id())?, path, entry)?)
        }
        _ => {
            room.take(0)?;
            Ok(fs::create_dir(path)?)
        }
    }
}

fn write_blob(blob: &Blob<'_>, path: &Path, entry: &TreeEntry<'_>) -> io::Result<()> {
    if entry.filemode() == i32::from(FileMode::Link) {
        return std::os::unix::fs::symlink(OsStr::from_bytes(blob.content()), path);
    }
    let executable = entry.filemode() == i32::from(FileMode::BlobExecutable);
    let mut file = File::create_new(path)?;
    file.set_permissions(Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    file.write_all(blob.content())
}

/// The folders of all sources.
pub(crate) fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    listed(folder)
}

/// All checkouts of a source, and what was being made or deleted when a process died.
pub(crate) fn all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    listed(&folder.join("checkouts"))
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// Those that may go: not in use, and not among the last few.
pub(crate) fn old(all: Vec<PathBuf>, kept: usize, in_use: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let made = |path: &PathBuf| path.metadata().and_then(|found| found.modified()).ok();
    let (mut old, mut whole): (Vec<_>, Vec<_>) = all.into_iter().partition(|path| is_rest(path));
    whole.sort_by_key(|path| (made(path), path.clone()));
    whole.truncate(whole.len().saturating_sub(kept));
    old.extend(whole.into_iter().filter(|path| !in_use(path)));
    old
}

fn is_rest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."))
}

/// Takes those away that may go: gives them under the names that they have until they are deleted.
/// None is being made meanwhile.
pub(crate) fn set_aside(
    folder: &Path,
    kept: usize,
    in_use: &dyn Fn(&Path) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let aside = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_rest(&path) {
            return Ok(path);
        }
        let gone = path.with_file_name(format!(".{name}.gone"));
        fs::rename(&path, &gone).map(|()| gone)
    };
    old(all(folder)?, kept, in_use).into_iter().map(aside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree that holds the one before it under each of these names, so often.
    fn nested(repo: &Repository, names: &[&str], depth: usize) -> Oid {
        let blob = repo.blob(b"x").unwrap();
        let mut builder = repo.treebuilder(None).unwrap();
        builder.insert("file", blob, 0o100_644).unwrap();
        let mut tree = builder.write().unwrap();
        for _ in 0..depth {
            let mut builder = repo.treebuilder(None).unwrap();
            for name in names {
                builder.insert(name, tree, 0o040_000).unwrap();
            }
            tree = builder.write().unwrap();
        }
        tree
    }

    #[test]
    fn a_commit_that_unfolds_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repository::init_bare(folder.path().join("repo")).unwrap();
        let written = |tree: Oid, entries: u64, bytes: u64| {
            let target = tempfile::tempdir().unwrap();
            let mut room = Room { entries, bytes, most: bytes };
            let tree = repo.find_tree(tree).unwrap();
            let done = write_tree(&repo, &tree, target.path(), &mut room, 0);
            done.map_err(|error| error.to_string())
        };
        let bomb = nested(&repo, &["a", "b", "c", "d"], 40);
        let told = written(bomb, 300, 1 << 20).unwrap_err();
        assert!(told.contains("more than 500000 files"), "{told}");
        let told = written(nested(&repo, &["a"], 200), 300, 1 << 20).unwrap_err();
        assert!(told.contains("folders within folders, more than 128"), "{told}");
        let many = nested(&repo, &["a", "b"], 3);
        let told = written(many, 300, 7).unwrap_err();
        assert!(told.contains("more than 7B"), "{told}");
        assert_eq!(written(many, 22, 8), Ok(()));
    }

    #[test]
    fn the_last_few_and_those_in_use_stay() {
        let folder = tempfile::tempdir().unwrap();
        let checkouts = folder.path().join("checkouts");
        for (age, name) in ["a", "b", "c", "d", "e"].iter().enumerate() {
            fs::create_dir_all(checkouts.join(name)).unwrap();
            let made =
                std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64);
            File::open(checkouts.join(name)).unwrap().set_modified(made).unwrap();
        }
        fs::create_dir_all(checkouts.join(".f.new")).unwrap();
        let aside = set_aside(folder.path(), 3, &|path| path.ends_with("a")).unwrap();
        let mut aside: Vec<_> = aside.iter().map(|path| path.file_name().unwrap()).collect();
        aside.sort();
        assert_eq!(aside, [".b.gone", ".f.new"]);
        let left = |name: &&str| checkouts.join(name).exists();
        let left: Vec<_> = ["a", "b", "c", "d", "e"].iter().filter(|name| left(name)).collect();
        assert_eq!(left, [&"a", &"c", &"d", &"e"]);
    }
}
