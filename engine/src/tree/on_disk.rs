//! A tree of files on disk that never change: its digest, and the files as nodes are handed them.
//!
//! A file is read when a node takes it: nothing is held in memory meanwhile.

use super::{EntryKind, Files, Tree, TreeEntry, digest_by, link_digest};
use crate::Digest;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of content and modes of a file, or of all below a folder. A link is what it points to.
pub fn digest_at(path: &Path) -> io::Result<Digest> {
    if path.symlink_metadata()?.is_symlink() {
        return Ok(link_digest(&path.read_link()?));
    }
    let folder = Folder(path.to_owned());
    digest_by(&entries(path)?, |below| Ok(Digest::of_reader(folder.file(below)?)?.0))
}

/// The files at a path, which is no link, of this digest.
pub fn tree_at(digest: Digest, path: PathBuf) -> io::Result<Tree> {
    let entries = entries(&path)?;
    Tree::new(digest, entries, Arc::new(Folder(path))).map_err(io::Error::other)
}

struct Folder(PathBuf);

impl Folder {
    fn at(&self, below: &Path) -> PathBuf {
        if below.as_os_str().is_empty() { self.0.clone() } else { self.0.join(below) }
    }

    fn file(&self, below: &Path) -> io::Result<File> {
        File::open(self.at(below))
    }
}

impl Files for Folder {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(self.at(path))
    }

    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        self.file(path).map(Some)
    }
}

/// Folders before what is in them, in the order of their names.
fn entries(root: &Path) -> io::Result<Vec<TreeEntry>> {
    let mut entries = Vec::new();
    collect(root, PathBuf::new(), &mut entries)?;
    Ok(entries)
}

fn collect(at: &Path, path: PathBuf, entries: &mut Vec<TreeEntry>) -> io::Result<()> {
    let meta = at.symlink_metadata()?;
    let kind = if meta.is_symlink() {
        EntryKind::Link(at.read_link()?)
    } else if meta.is_file() {
        EntryKind::File { executable: meta.permissions().mode() & 0o111 != 0, size: meta.len() }
    } else {
        EntryKind::Folder
    };
    let is_folder = kind == EntryKind::Folder;
    entries.push(TreeEntry { path: path.clone(), kind });
    if is_folder {
        let mut names: Vec<_> =
            at.read_dir()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            collect(&at.join(&name), path.join(&name), entries)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// What tasks of earlier versions mean: another digest would restart them.
    #[test]
    fn the_digest_is_that_of_earlier_versions() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("site/empty")).unwrap();
        fs::write(at("site/page"), "page").unwrap();
        fs::write(at("site/run"), "run").unwrap();
        fs::set_permissions(at("site/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("page", at("site/link")).unwrap();
        symlink("site", at("current")).unwrap();
        let known = [
            ("site", "ac514abbce127f3cbb5727f5f15c3b62fe40f76a858d41c21c9e438871d93df2"),
            ("site/page", "7d7c56af5160aa3c66657f3da451d8be6b342f8232f925779b2dd77f6535fa0a"),
            ("current", "376601ec903053ec7c220a5458ed2dc2914dd81e5e21dbad2eb969e60300a4d6"),
            ("current/page", "7d7c56af5160aa3c66657f3da451d8be6b342f8232f925779b2dd77f6535fa0a"),
        ];
        for (path, known) in known {
            assert_eq!(
                digest_at(&at(path)).unwrap().to_string(),
                format!("sha256:{known}"),
                "{path}"
            );
        }
    }
}
