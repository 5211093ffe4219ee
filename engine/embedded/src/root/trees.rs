//! Files of revisions, by digest: `trees/DIGEST/files`, a file or a folder that is never written again. Tasks
//! mount them from there.
//!
//! # Invariants
//! - A tree is there whole or not at all: it is written beside, read back, compared with its digest, written
//!   through to the disk, and moved to its place.
//! - Nothing is written but what is new, and no link is followed: entries come after their folders, and a name
//!   that is there already is an error.
//! - No inode is shared with anybody: whoever handed a file over may change it, and no task sees that. Where
//!   the file system shares blocks between copies, it does so here.

use crate::Layout;
use crate::blocking::failed;
use keel_engine::tree::{self, EntryKind, Files, Tree, TreeEntry};
use keel_engine::{Digest, EngineError, Result};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Several may be written at a time.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// What is found to be there is made young before anybody can find it old.
static FINDING: Mutex<()> = Mutex::new(());

/// Where the files of a tree are, once they are there.
pub(crate) fn place(layout: &Layout, digest: &Digest) -> PathBuf {
    layout.trees().join(digest.hex()).join("files")
}

/// Stores a tree.
pub(crate) fn take(layout: &Layout, tree: &Tree) -> Result<()> {
    let at = layout.trees().join(tree.digest.hex());
    if renewed(&at).map_err(failed("cannot store files of a revision"))? {
        return Ok(());
    }
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let fresh = layout.trees().join(format!(".{}.{number}.new", tree.digest.hex()));
    let stored = written(layout, tree, &fresh).and_then(|same| match same {
        true => moved(&fresh, &at).map(|()| true),
        false => Ok(false),
    });
    if !matches!(stored, Ok(true)) {
        // What is left goes with the next sweep.
        let _ = keel_beneath::remove(&fresh);
    }
    match stored.map_err(failed("cannot store files of a revision"))? {
        true => Ok(()),
        false => Err(EngineError::Conflict {
            what: format!("files of a revision are not what their digest {} says", tree.digest),
            hint: None,
        }),
    }
}

/// Whether it is there: young again, since a task that names it is on its way.
fn renewed(at: &Path) -> io::Result<bool> {
    let _alone = FINDING.lock().unwrap_or_else(PoisonError::into_inner);
    match File::open(at) {
        Ok(folder) => folder.set_modified(SystemTime::now()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether what was written is what the digest says.
fn written(layout: &Layout, tree: &Tree, fresh: &Path) -> io::Result<bool> {
    if !layout.trees().is_dir() {
        keel_durable::make_folder(&layout.trees(), 0o700)?;
    }
    // Of a process that is gone.
    keel_beneath::remove(fresh)?;
    DirBuilder::new().mode(0o700).create(fresh)?;
    let files = fresh.join("files");
    let at = |entry: &TreeEntry| match entry.path.as_os_str().is_empty() {
        true => files.clone(),
        false => files.join(&entry.path),
    };
    for entry in tree.entries() {
        write(&at(entry), entry, tree.files())?;
    }
    let content = |path: &Path| {
        let path = if path.as_os_str().is_empty() { files.clone() } else { files.join(path) };
        content_digest(&path)
    };
    if tree::digest_by(tree.entries(), content)? != tree.digest {
        return Ok(false);
    }
    for entry in tree.entries().iter().filter(|entry| !matches!(entry.kind, EntryKind::Link(_))) {
        File::open(at(entry))?.sync_all()?;
    }
    File::open(fresh)?.sync_all()?;
    Ok(true)
}

fn write(at: &Path, entry: &TreeEntry, files: &dyn Files) -> io::Result<()> {
    match &entry.kind {
        EntryKind::Folder => {
            DirBuilder::new().mode(0o755).create(at)?;
            fs::set_permissions(at, Permissions::from_mode(0o755))
        }
        EntryKind::Link(target) => symlink(target, at),
        EntryKind::File { executable, .. } => {
            let mode = if *executable { 0o755 } else { 0o644 };
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(at)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            match files.open(&entry.path)? {
                Some(mut from) => {
                    from.rewind()?;
                    // By the kernel, which shares the blocks where the file system can.
                    io::copy(&mut from, &mut file).map(drop)
                }
                None => io::Write::write_all(&mut file, &files.read(&entry.path)?),
            }
        }
    }
}

fn content_digest(path: &Path) -> io::Result<Digest> {
    Digest::of_reader(File::open(path)?).map(|(digest, _)| digest)
}

fn moved(fresh: &Path, at: &Path) -> io::Result<()> {
    match fs::rename(fresh, at) {
        // Another one of the same was faster, and is as young.
        Err(error)
            if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) =>
        {
            keel_beneath::remove(fresh)
        }
        moved => moved,
    }?;
    File::open(at.parent().unwrap_or(at))?.sync_all()
}

/// Moves trees away that nobody needs and that came before then, and what dead processes left. Gives where
/// they are now; with `dry` they stay there.
pub(crate) fn set_aside(
    layout: &Layout,
    kept: &BTreeSet<String>,
    before: SystemTime,
    dry: bool,
) -> Vec<PathBuf> {
    let _alone = FINDING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut aside = Vec::new();
    for entry in fs::read_dir(layout.trees()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let old = |found: fs::Metadata| found.modified().is_ok_and(|at| at < before);
        if kept.contains(&name) || !entry.metadata().is_ok_and(old) {
            continue;
        }
        let gone = layout.trees().join(format!(".{}.gone", name.trim_start_matches('.')));
        if dry {
            aside.push(entry.path());
        } else if fs::rename(entry.path(), &gone).is_ok() {
            // One that cannot be moved now is tried again with the next sweep.
            aside.push(gone);
        }
    }
    aside
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    /// Files of a folder that others may change.
    struct Folder(PathBuf);

    impl Files for Folder {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            fs::read(self.0.join(path))
        }

        fn open(&self, path: &Path) -> io::Result<Option<File>> {
            File::open(self.0.join(path)).map(Some)
        }
    }

    fn entry(path: &str, kind: EntryKind) -> TreeEntry {
        TreeEntry { path: path.into(), kind }
    }

    fn file(executable: bool) -> EntryKind {
        EntryKind::File { executable, size: 1 }
    }

    fn entries() -> Vec<TreeEntry> {
        vec![
            entry("", EntryKind::Folder),
            entry("bin", EntryKind::Folder),
            entry("bin/run", file(true)),
            entry("out", EntryKind::Link("../../../../outside".into())),
            entry("page", file(false)),
        ]
    }

    struct World {
        _folder: tempfile::TempDir,
        layout: Layout,
        given: PathBuf,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let (layout, given) =
            (Layout::new(&folder.path().join("root")), folder.path().join("given"));
        fs::create_dir_all(given.join("bin")).unwrap();
        fs::create_dir_all(layout.root()).unwrap();
        fs::write(given.join("bin/run"), "run").unwrap();
        fs::write(given.join("page"), "page").unwrap();
        World { _folder: folder, layout, given }
    }

    fn digest_of(given: &Path) -> Digest {
        tree::digest_by(&entries(), |path| content_digest(&given.join(path))).unwrap()
    }

    impl World {
        fn tree(&self, digest: Digest) -> Tree {
            Tree::new(digest, entries(), Arc::new(Folder(self.given.clone()))).unwrap()
        }

        /// What is in `trees`, by name.
        fn there(&self) -> Vec<String> {
            let all = fs::read_dir(self.layout.trees()).into_iter().flatten().flatten();
            all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        }
    }

    #[test]
    fn a_tree_is_a_copy_that_nobody_else_can_change() {
        let world = world();
        let tree = world.tree(digest_of(&world.given));
        take(&world.layout, &tree).unwrap();
        let at = place(&world.layout, &tree.digest);
        fs::write(world.given.join("page"), "changed").unwrap();
        assert_eq!(fs::read_to_string(at.join("page")).unwrap(), "page");
        let mode = |path: &str| at.join(path).symlink_metadata().unwrap().mode() & 0o777;
        assert_eq!((mode("bin"), mode("bin/run"), mode("page")), (0o755, 0o755, 0o644));
        let link = fs::read_link(at.join("out")).unwrap();
        assert_eq!(
            link,
            Path::new("../../../../outside"),
            "it stays what it was, and is not followed"
        );
        assert_ne!(
            at.join("bin/run").metadata().unwrap().ino(),
            world.given.join("bin/run").metadata().unwrap().ino()
        );
        let closed = world.layout.trees().metadata().unwrap().mode() & 0o777;
        assert_eq!(closed, 0o700, "nobody comes by but through a mount");
    }

    #[test]
    fn what_is_not_what_its_digest_says_leaves_nothing() {
        let world = world();
        let tree = world.tree(Digest::of(b"another"));
        let refused = take(&world.layout, &tree).unwrap_err();
        assert!(matches!(refused, EngineError::Conflict { .. }), "{refused:?}");
        fs::remove_file(world.given.join("page")).unwrap();
        let refused = take(&world.layout, &world.tree(Digest::of(b"gone"))).unwrap_err();
        assert!(matches!(refused, EngineError::Failed { .. }), "{refused:?}");
        assert_eq!(world.there(), Vec::<String>::new());
    }

    #[test]
    fn a_single_file_is_a_tree() {
        let world = world();
        let entries = vec![entry("", file(false))];
        let digest = tree::digest_by(&entries, |_| Ok(Digest::of(b"text"))).unwrap();
        let content = BTreeMap::from([(PathBuf::new(), b"text".to_vec())]);
        take(&world.layout, &Tree::new(digest, entries, Arc::new(content)).unwrap()).unwrap();
        assert_eq!(fs::read_to_string(place(&world.layout, &digest)).unwrap(), "text");
    }

    #[test]
    fn what_a_killed_process_left_is_no_tree_and_goes() {
        let world = world();
        let digest = digest_of(&world.given);
        let left = world.layout.trees().join(format!(".{}.0.new", digest.hex()));
        fs::create_dir_all(left.join("files/bin")).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        take(&world.layout, &world.tree(digest)).unwrap();
        let kept = [digest.hex().clone()].into();
        for path in set_aside(&world.layout, &kept, later, false) {
            keel_beneath::remove(&path).unwrap();
        }
        assert_eq!(world.there(), [digest.hex().clone()]);
        let young = SystemTime::UNIX_EPOCH;
        assert_eq!(set_aside(&world.layout, &BTreeSet::new(), young, false), Vec::<PathBuf>::new());
        let aside = set_aside(&world.layout, &BTreeSet::new(), later, true);
        assert_eq!((aside.len(), world.there().len()), (1, 1), "told only");
        let aside = set_aside(&world.layout, &BTreeSet::new(), later, false);
        assert!(!place(&world.layout, &digest).exists() && aside[0].join("files/page").exists());
    }
}
