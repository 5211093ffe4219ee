//! What tasks write to, out of a revision: tracked files are put into the source's data folder at
//! first use, and again only when their content changed in Git.
//!
//! # Invariants
//! - A file that was changed on this host is never overwritten: where Git changed it too, the
//!   host's is kept, and that is told until both are alike.
//! - What is not tracked is never touched, and nothing is ever removed.

use keel_engine::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What was decided about each file, by its path in the repository.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Seeded {
    /// The content that Git had when the file was last written, or found alike.
    written: BTreeMap<PathBuf, Digest>,
    /// Changed on both sides: the content that Git has.
    kept: BTreeMap<PathBuf, Digest>,
}

/// The two sides, and the file that remembers what was decided.
pub(crate) struct Sides<'a> {
    pub checkout: &'a Path,
    pub data: &'a Path,
    pub memory: &'a Path,
}

impl Sides<'_> {
    /// Brings what the revision holds at and below these paths into the data folder. Gives the
    /// files that differ on both sides and were left alone.
    pub fn seed(&self, paths: &BTreeSet<PathBuf>) -> io::Result<Vec<String>> {
        let mut seeded = self.recall()?;
        let before = serde_json::to_vec(&seeded)?;
        for path in paths {
            if self.data.join(path).symlink_metadata().is_err() {
                let below = |file: &PathBuf, _: &mut Digest| !file.starts_with(path);
                seeded.written.retain(below);
                seeded.kept.retain(below);
            }
            self.seed_below(path, true, &mut seeded)?;
        }
        self.compare(&mut seeded)?;
        let after = serde_json::to_vec(&seeded)?;
        if before != after {
            replace(self.memory, |file| file.write_all(&after))?;
        }
        Ok(seeded.kept.keys().map(|path| self.told(path)).collect())
    }

    fn recall(&self) -> io::Result<Seeded> {
        match fs::read(self.memory) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Seeded::default()),
            Err(error) => Err(error),
        }
    }

    /// `mounted` is the path that a container sees, which must stay the same file.
    fn seed_below(&self, path: &Path, mounted: bool, seeded: &mut Seeded) -> io::Result<()> {
        let theirs = self.checkout.join(path);
        let Ok(kind) = theirs.symlink_metadata() else { return Ok(()) };
        if !kind.is_dir() {
            return self.seed_file(path, mounted, seeded);
        }
        fs::create_dir_all(self.data.join(path))?;
        for entry in fs::read_dir(theirs)? {
            self.seed_below(&path.join(entry?.file_name()), false, seeded)?;
        }
        Ok(())
    }

    fn seed_file(&self, path: &Path, mounted: bool, seeded: &mut Seeded) -> io::Result<()> {
        let theirs = content(&self.checkout.join(path))?;
        let decided = [seeded.written.get(path), seeded.kept.get(path)];
        if theirs.is_none() || decided.contains(&theirs.as_ref()) {
            return Ok(());
        }
        let ours = content(&self.data.join(path))?;
        let untouched = ours.as_ref() == seeded.written.get(path);
        let list = if untouched || ours == theirs { &mut seeded.written } else { &mut seeded.kept };
        if untouched {
            copy(&self.checkout.join(path), &self.data.join(path), mounted)?;
        }
        list.extend(theirs.map(|theirs| (path.to_owned(), theirs)));
        Ok(())
    }

    /// A kept file that somebody made alike is no longer told.
    fn compare(&self, seeded: &mut Seeded) -> io::Result<()> {
        for (path, theirs) in std::mem::take(&mut seeded.kept) {
            let alike = content(&self.data.join(&path))?.as_ref() == Some(&theirs);
            let list = if alike { &mut seeded.written } else { &mut seeded.kept };
            list.insert(path, theirs);
        }
        Ok(())
    }

    fn told(&self, path: &Path) -> String {
        let (theirs, ours) = (self.checkout.join(path), self.data.join(path));
        format!(
            "warning: `{}` was changed both in Git and on this host, whose file is kept\n\n\
             hint: see `diff {} {}`; once they are alike, Git's changes follow again\n",
            path.display(),
            theirs.display(),
            ours.display()
        )
    }
}

/// The digest of a file's bytes, or of where a link leads; `None` where there is neither.
fn content(path: &Path) -> io::Result<Option<Digest>> {
    let kind = match path.symlink_metadata() {
        Ok(meta) => meta.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if kind.is_symlink() {
        let link = [b"link ", fs::read_link(path)?.as_os_str().as_bytes()].concat();
        return Ok(Some(Digest::of(&link)));
    }
    // What is neither was made by somebody else, and is no content of Git's.
    if kind.is_file() { Ok(Some(Digest::of(&fs::read(path)?))) } else { Ok(Some(Digest::of(b""))) }
}

fn copy(from: &Path, to: &Path, in_place: bool) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let meta = from.symlink_metadata()?;
    if meta.is_symlink() {
        return link(from, to);
    }
    let bytes = fs::read(from)?;
    if in_place && to.is_file() {
        let mut file = File::options().write(true).truncate(true).open(to)?;
        file.write_all(&bytes)?;
        return file.sync_all();
    }
    replace(to, |file| {
        file.set_permissions(meta.permissions())?;
        file.write_all(&bytes)
    })
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

/// Write-new, fsync, rename.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".keel-new");
    let mut file = File::create(&fresh)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World(tempfile::TempDir);

    impl World {
        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.path().join(name)).unwrap_or_else(|_| "-".into())
        }

        fn seed(&self) -> Vec<String> {
            let root = self.0.path();
            let (checkout, data) = (&root.join("git"), &root.join("data"));
            let sides = Sides { checkout, data, memory: &root.join("seeded") };
            sides.seed(&["a".into(), "one".into(), "away".into()].into()).unwrap()
        }
    }

    fn world() -> World {
        let world = World(tempfile::tempdir().unwrap());
        for name in ["git/a/sub/file", "git/a/other", "git/one"] {
            world.write(name, "1");
        }
        assert_eq!(world.seed(), Vec::<String>::new());
        world
    }

    #[test]
    fn first_everything_is_there_with_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let world = World(tempfile::tempdir().unwrap());
        world.write("git/a/sub/run", "1");
        let run = world.0.path().join("git/a/sub/run");
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("sub/run", world.0.path().join("git/a/link")).unwrap();
        world.seed();
        let mode = |name: &str| {
            let meta = fs::metadata(world.0.path().join(name)).unwrap();
            meta.permissions().mode() & 0o777
        };
        assert_eq!(mode("data/a/sub/run"), 0o755);
        assert_eq!(world.read("data/a/link"), "1");
        assert_eq!(
            fs::read_link(world.0.path().join("data/a/link")).unwrap(),
            Path::new("sub/run")
        );
    }

    #[test]
    fn later_only_what_changed_in_git_is_written() {
        let world = world();
        world.write("data/a/other", "mine");
        world.write("data/a/untracked", "mine");
        fs::remove_file(world.0.path().join("data/one")).unwrap();
        world.write("git/a/sub/file", "2");
        assert_eq!(world.seed(), Vec::<String>::new());
        let read = |name| world.read(name);
        assert_eq!(read("data/a/sub/file"), "2");
        assert_eq!(read("data/a/other"), "mine", "changed here alone");
        assert_eq!(read("data/a/untracked"), "mine");
        assert_eq!(read("data/one"), "1", "a mounted path that went is made anew");
    }

    #[test]
    fn a_file_changed_on_both_sides_is_kept_and_told_until_both_are_alike() {
        let world = world();
        world.write("data/a/other", "mine");
        world.write("git/a/other", "2");
        for _ in 0..2 {
            let told = world.seed().concat();
            assert!(told.contains("`a/other` was changed both"), "{told}");
            assert_eq!(world.read("data/a/other"), "mine");
        }
        world.write("data/a/other", "2");
        assert_eq!(world.seed(), Vec::<String>::new());
        world.write("git/a/other", "3");
        assert_eq!(world.seed(), Vec::<String>::new());
        assert_eq!(world.read("data/a/other"), "3");
    }

    #[test]
    fn a_mounted_file_stays_the_same_file() {
        use std::os::unix::fs::MetadataExt;
        let world = world();
        let inode = || fs::metadata(world.0.path().join("data/one")).unwrap().ino();
        let before = inode();
        world.write("git/one", "2");
        world.seed();
        assert_eq!((world.read("data/one"), inode()), ("2".into(), before));
    }
}
