//! The one way to read files: a folder, a Git tree and memory look alike from here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file that can be read.
    File,
    /// A folder.
    Dir,
    /// Something else: a device, a socket.
    Other,
    /// Nothing is there, or it cannot be seen.
    Missing,
}

/// Larger files are refused: no Compose or env file is written by hand at that size.
pub const LARGEST: u64 = 16 << 20;

/// Reads files by paths; what they are relative to is the implementor's.
pub trait Files: Send + Sync {
    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What is at a path, symbolic links followed.
    fn kind(&self, path: &Path) -> Kind;
    /// Whether what is in a file may be quoted in problems, which get into records and messages:
    /// not that of a file that only happens to be named, such as one of the host.
    fn is_quotable(&self, _path: &Path) -> bool {
        true
    }
}

/// The file system. Relative paths are relative to `root`.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Reads below `root`; absolute paths are read as they are.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Files for Folder {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(self.root.join(path))
    }

    fn kind(&self, path: &Path) -> Kind {
        match std::fs::metadata(self.root.join(path)) {
            Ok(meta) if meta.is_file() => Kind::File,
            Ok(meta) if meta.is_dir() => Kind::Dir,
            Ok(_) => Kind::Other,
            Err(_) => Kind::Missing,
        }
    }
}

/// Files that are only in memory, by path. Folders exist by the files in them.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Memory {
    /// The same files and one more.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(tidy(path.as_ref()), content.into());
        self
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(&tidy(path)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn kind(&self, path: &Path) -> Kind {
        let path = tidy(path);
        match self.files.contains_key(&path) {
            true => Kind::File,
            false if self.files.keys().any(|file| file.starts_with(&path)) => Kind::Dir,
            false => Kind::Missing,
        }
    }
}

/// The path without `.` and with `..` taken back, by text alone.
#[must_use]
pub fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_and_memory_are_alike() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/b"), "two").unwrap();
        std::fs::write(dir.path().join("a"), "one").unwrap();
        let folder = Folder::new(dir.path());
        let memory = Memory::default().with("a", "one").with("sub/b", "two");
        let both: [&dyn Files; 2] = [&folder, &memory];
        for files in both {
            assert_eq!(files.read("sub/../a".as_ref()).unwrap(), b"one");
            let kinds = ["a", "sub", "nope"].map(|path| files.kind(path.as_ref()));
            assert_eq!(kinds, [Kind::File, Kind::Dir, Kind::Missing]);
            assert_eq!(files.read("nope".as_ref()).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn tidy_paths() {
        let cases = [
            ("a/./b/../c", "a/c"),
            ("../a", "../a"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("a/../..", ".."),
            ("", ""),
        ];
        for (path, wanted) in cases {
            assert_eq!(tidy(path.as_ref()), PathBuf::from(wanted), "{path}");
        }
    }
}
