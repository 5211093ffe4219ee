//! The files of a mount, as they go to a node: a list of what there is, by the digest of all of it.
//!
//! # Invariants
//! - Each entry's folder comes before it, no path is there twice, and none leads anywhere but below the root:
//!   whoever writes the entries out in order, and overwrites nothing, writes nowhere else.
//! - The digest is over names, content, links and who may execute; a link is what it points to. It is part of
//!   what tasks mean, so its form never changes.

mod on_disk;
mod told;

pub use on_disk::{digest_at, tree_at};

use crate::{Digest, digest_of};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// More entries below the root are refused: it is what a checkout may hold.
pub const MOST_ENTRIES: usize = 500_000;
/// Folders within folders beyond this are refused, likewise.
pub const MOST_DEPTH: usize = 128;

/// A file, or a folder with all that is in it.
#[derive(Clone)]
pub struct Tree {
    /// Of the root, by [`file_digest`], [`link_digest`] and [`folder_digest`].
    pub digest: Digest,
    entries: Vec<TreeEntry>,
    files: Arc<dyn Files>,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Below the root; empty: the root itself.
    pub path: PathBuf,
    /// What is there.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A link to this. It is not followed here.
    Link(PathBuf),
    /// A file.
    File {
        /// Whoever may read it may execute it.
        executable: bool,
        /// Its bytes.
        size: u64,
    },
}

/// Where the files' content is, until the node has it. In one process that need not be in memory.
pub trait Files: Send + Sync {
    /// The content of the file at this path below the root.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The same as an open file, where it is one.
    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        let _ = path;
        Ok(None)
    }
}

/// Files in memory.
impl Files for BTreeMap<PathBuf, Vec<u8>> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Why entries are no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The first entry is neither a file nor a folder, at the root.
    #[error("it has no root")]
    Root,
    /// A name that leads elsewhere, or that comes twice.
    #[error("`{}` is not a path in it", .0.display())]
    Path(PathBuf),
    /// More than anybody mounts.
    #[error("it has more than {MOST_ENTRIES} files")]
    Many,
    /// The same.
    #[error("it has folders within folders, more than {MOST_DEPTH}")]
    Deep,
}

impl Tree {
    /// Entries in an order in which folders come before what is in them.
    pub fn new(
        digest: Digest,
        entries: Vec<TreeEntry>,
        files: Arc<dyn Files>,
    ) -> Result<Self, TreeError> {
        checked(&entries)?;
        Ok(Self { digest, entries, files })
    }

    /// What there is, the root first.
    #[must_use]
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// Where the content of its files is.
    #[must_use]
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }
}

/// The digest of entries in such an order, by that of each file's content.
pub fn digest_by(
    entries: &[TreeEntry],
    mut content: impl FnMut(&Path) -> io::Result<Digest>,
) -> io::Result<Digest> {
    let mut folders: BTreeMap<PathBuf, BTreeMap<PathBuf, Digest>> = BTreeMap::new();
    for entry in entries.iter().rev() {
        let digest = match &entry.kind {
            EntryKind::Folder => folder_digest(&folders.remove(&entry.path).unwrap_or_default()),
            EntryKind::Link(target) => link_digest(target),
            EntryKind::File { executable, .. } => file_digest(*executable, content(&entry.path)?),
        };
        match (entry.path.parent(), entry.path.file_name()) {
            (Some(above), Some(name)) => {
                folders.entry(above.to_owned()).or_default().insert(name.into(), digest);
            }
            _ => return Ok(digest),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn checked(entries: &[TreeEntry]) -> Result<(), TreeError> {
    if entries.len() > MOST_ENTRIES + 1 {
        return Err(TreeError::Many);
    }
    let root = entries.first().filter(|entry| entry.path.as_os_str().is_empty());
    match root.map(|root| &root.kind) {
        None | Some(EntryKind::Link(_)) => return Err(TreeError::Root),
        Some(EntryKind::Folder | EntryKind::File { .. }) => {}
    }
    let (mut all, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let path = entry.path.as_path();
        let above = path.parent();
        let sound = is_plain(path) && above.is_none_or(|above| folders.contains(above));
        if !sound || !all.insert(path) {
            return Err(TreeError::Path(path.to_owned()));
        }
        if entry.kind == EntryKind::Folder {
            if path.components().count() > MOST_DEPTH {
                return Err(TreeError::Deep);
            }
            folders.insert(path);
        }
    }
    Ok(())
}

/// Nothing but names, written in the one way that they are compared by.
fn is_plain(path: &Path) -> bool {
    let names = path.components().all(|part| matches!(part, Component::Normal(_)));
    let again: PathBuf = path.components().collect();
    names && again.as_os_str() == path.as_os_str() && !path.as_os_str().as_bytes().contains(&0)
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.entries == other.entries
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({}, {} entries)", self.digest, self.entries.len())
    }
}

/// Of a file, by the digest of its content.
#[must_use]
pub fn file_digest(executable: bool, content: Digest) -> Digest {
    digest_of(&("file", executable, content))
}

/// Of a link.
#[must_use]
pub fn link_digest(target: &Path) -> Digest {
    digest_of(&("link", target.to_string_lossy()))
}

/// Of a folder, by the digests of what is in it.
#[must_use]
pub fn folder_digest(below: &BTreeMap<PathBuf, Digest>) -> Digest {
    let text = |name: &PathBuf| name.to_string_lossy().into_owned();
    let named: BTreeMap<_, _> = below.iter().map(|(name, one)| (text(name), one)).collect();
    if named.len() == below.len() {
        return digest_of(&("folder", named));
    }
    // Names that only differ in what is no text, so that one would hide another.
    let exact: Vec<_> =
        below.iter().map(|(name, one)| (name.as_os_str().as_bytes(), one)).collect();
    digest_of(&("folder-2", exact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Assignment;
    use std::ffi::OsStr;

    fn entry(path: &str, kind: EntryKind) -> TreeEntry {
        TreeEntry { path: path.into(), kind }
    }

    fn file() -> EntryKind {
        EntryKind::File { executable: false, size: 1 }
    }

    fn tree(entries: Vec<TreeEntry>) -> Result<Tree, TreeError> {
        let files = BTreeMap::from([(PathBuf::from("a/b"), b"x".to_vec())]);
        Tree::new(Digest::of(b"x"), entries, Arc::new(files))
    }

    #[test]
    fn only_what_stays_below_the_root_is_a_tree() {
        let folder = || EntryKind::Folder;
        let root = || entry("", folder());
        let sound = [
            vec![root()],
            vec![entry("", file())],
            vec![root(), entry("a", folder()), entry("a/b", file())],
            vec![root(), entry("...", file()), entry("a b", EntryKind::Link("../../etc".into()))],
        ];
        for entries in sound {
            assert!(tree(entries.clone()).is_ok(), "{entries:?}");
        }
        let refused = [
            vec![],
            vec![entry("a", file())],
            vec![entry("", EntryKind::Link("/etc".into()))],
            vec![root(), entry("..", file())],
            vec![root(), entry("/etc/passwd", file())],
            vec![root(), entry("a/../b", file())],
            vec![root(), entry("a", folder()), entry("a/./b", file())],
            vec![root(), entry("a", folder()), entry("a//b", file())],
            vec![root(), entry("a", folder()), entry("a/", file())],
            vec![root(), entry("a\0b", file())],
            vec![root(), entry("a", file()), entry("a", file())],
            vec![root(), entry("a/b", file()), entry("a", folder())],
            vec![root(), entry("a", EntryKind::Link("/etc".into())), entry("a/b", file())],
            vec![entry("", file()), entry("a", file())],
        ];
        for entries in refused {
            assert!(tree(entries.clone()).is_err(), "{entries:?}");
        }
        let deep = (1..=MOST_DEPTH + 1).map(|depth| entry(&vec!["a"; depth].join("/"), folder()));
        let deep: Vec<_> = std::iter::once(root()).chain(deep).collect();
        assert_eq!(tree(deep.clone()).unwrap_err(), TreeError::Deep);
        assert!(tree(deep[..=MOST_DEPTH].to_vec()).is_ok());
    }

    #[test]
    fn a_tree_travels_with_its_files_and_is_judged_again_where_it_arrives() {
        let entries =
            vec![entry("", EntryKind::Folder), entry("a", EntryKind::Folder), entry("a/b", file())];
        let mut tree = tree(entries).unwrap();
        let name: PathBuf = OsStr::from_bytes(b"a/\xff").into();
        tree.entries.push(TreeEntry { path: name.clone(), kind: EntryKind::Link(name) });
        let text = serde_json::to_string(&Assignment::Tree(tree.clone())).unwrap();
        let read: Assignment = serde_json::from_str(&text).unwrap();
        let Assignment::Tree(read) = read else { panic!("{read:?}") };
        assert_eq!(read, tree, "also names that are no text");
        assert_eq!(read.files().read(Path::new("a/b")).unwrap(), b"x");
        for wrong in [text.replace("\"a/b\"", "\"a/../../b\""), text.replace("\"a\"", "\"/etc\"")] {
            assert!(serde_json::from_str::<Assignment>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_is_gone_is_an_error_and_no_empty_file() {
        let entries = vec![entry("", EntryKind::Folder), entry("gone", file())];
        let tree = Assignment::Tree(tree(entries).unwrap());
        assert!(serde_json::to_string(&tree).is_err());
    }

    #[test]
    fn the_digest_tells_trees_apart() {
        let content = Digest::of(b"x");
        let plain = file_digest(false, content);
        let folder = |name: &[u8], one| (PathBuf::from(OsStr::from_bytes(name)), one);
        let one = |name: &[u8], digest| folder_digest(&[folder(name, digest)].into());
        assert_ne!(plain, file_digest(true, content), "who may execute it");
        assert_ne!(one(b"a", plain), one(b"b", plain), "a name");
        assert_ne!(one(b"a", link_digest(Path::new("x"))), one(b"a", plain), "a link");
        let both = |first, second| {
            folder_digest(&[folder(b"\xfe", first), folder(b"\xff", second)].into())
        };
        let other = file_digest(true, content);
        assert_ne!(both(plain, other), both(other, plain), "names that print alike");
    }

    /// It stands in records, and tells whether tasks mean the same: another one would restart them.
    #[test]
    fn the_digest_never_changes() {
        let entries = [
            entry("", EntryKind::Folder),
            entry("a", EntryKind::Folder),
            entry("a/b", EntryKind::File { executable: true, size: 1 }),
            entry("a/c", EntryKind::Link("b".into())),
            entry("d", file()),
        ];
        let digest = digest_by(&entries, |path| Ok(Digest::of(path.as_os_str().as_bytes())));
        assert_eq!(
            digest.unwrap().to_string(),
            "sha256:b029987523b044460b3156aa9efab7abaa25a2fe533c369c0fb3cf78cb64de86"
        );
    }
}
