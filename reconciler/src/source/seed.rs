//! What tasks write to, out of a revision: tracked files are put into the source's data folder at
//! first use, and again only when their content changed in Git.
//!
//! # Invariants
//! - A file that was changed on this host is never overwritten: where Git changed it too, the
//!   host's is kept, and that is told until both are alike.
//! - What is not tracked is never touched, and nothing is ever removed but a tracked file or link in
//!   whose place Git has a folder now.
//! - Nothing is read or written outside of the two folders, whatever links are in them ([`Side`]).

use keel_beneath::{Refused, Side, What};
use keel_durable::Hold;
use keel_engine::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
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
    /// files that were left alone: those that differ on both sides, and those that links are in the
    /// way of.
    pub fn seed(&self, paths: &BTreeSet<PathBuf>) -> io::Result<Vec<String>> {
        let mut seeded = self.recall()?;
        let before = serde_json::to_vec(&seeded)?;
        let (theirs, ours) = (Side::following(self.checkout)?, Side::exact(self.data)?);
        let seeding = Seeding { theirs, ours };
        let mut told = Vec::new();
        for path in paths {
            match seeding.seed(path, &mut seeded) {
                Err(error) if is_in_the_way(&error) => told.push(self.blocked(path, &error)),
                other => other?,
            }
        }
        seeding.compare(&mut seeded)?;
        let after = serde_json::to_vec(&seeded)?;
        if before != after {
            keel_durable::replace(self.memory, &after, 0o600, Hold::Either)?;
        }
        told.extend(seeded.kept.keys().map(|path| self.told(path)));
        Ok(told)
    }

    fn recall(&self) -> io::Result<Seeded> {
        match fs::read(self.memory) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Seeded::default()),
            Err(error) => Err(error),
        }
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

    fn blocked(&self, path: &Path, error: &io::Error) -> String {
        format!(
            "warning: `{}` is not filled from the revision: {error}\n\n\
             hint: look for links in the revision and in `{}`\n",
            path.display(),
            self.data.display()
        )
    }
}

/// Whether it is links, or files in place of folders, that this failed for. They are one stack's affair
/// alone, which a full disk is not.
fn is_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound};
    Refused::of(error).is_some()
        || matches!(error.kind(), AlreadyExists | IsADirectory | NotADirectory | NotFound)
}

struct Seeding {
    theirs: Side,
    ours: Side,
}

impl Seeding {
    fn seed(&self, path: &Path, seeded: &mut Seeded) -> io::Result<()> {
        if self.ours.look(path)?.is_none() {
            let below = |file: &PathBuf, _: &mut Digest| !file.starts_with(path);
            seeded.written.retain(below);
            seeded.kept.retain(below);
        }
        self.seed_below(path, true, seeded)
    }

    /// `mounted` is the path that a container sees, which must stay the same file.
    fn seed_below(&self, path: &Path, mounted: bool, seeded: &mut Seeded) -> io::Result<()> {
        let Some(theirs) = self.theirs.look(path)? else { return Ok(()) };
        if theirs != What::Folder {
            return self.seed_file(path, &theirs, mounted, seeded);
        }
        if self.enter(path, seeded)? {
            for name in self.theirs.names(path)? {
                self.seed_below(&path.join(name), false, seeded)?;
            }
        }
        Ok(())
    }

    /// Whether the host has a folder where Git has one. A file or link that was Git's own gives way to it.
    fn enter(&self, path: &Path, seeded: &mut Seeded) -> io::Result<bool> {
        match self.ours.look(path)? {
            Some(What::Folder) => return Ok(true),
            Some(ours) if seeded.written.get(path) != Some(&digest(&ours)) => {
                seeded.kept.insert(path.to_owned(), digest(&What::Folder));
                return Ok(false);
            }
            Some(_) => self.ours.unlink(path)?,
            None => {}
        }
        seeded.written.remove(path);
        self.ours.make_folder(path)?;
        Ok(true)
    }

    fn seed_file(
        &self,
        path: &Path,
        theirs: &What,
        mounted: bool,
        seeded: &mut Seeded,
    ) -> io::Result<()> {
        let wanted = digest(theirs);
        if [seeded.written.get(path), seeded.kept.get(path)].contains(&Some(&wanted)) {
            return Ok(());
        }
        let ours = self.ours.look(path)?.map(|ours| digest(&ours));
        let untouched = ours.as_ref() == seeded.written.get(path);
        let alike = ours.as_ref() == Some(&wanted);
        if untouched {
            self.ours.put(path, theirs, mounted)?;
        }
        let list = if untouched || alike { &mut seeded.written } else { &mut seeded.kept };
        list.insert(path.to_owned(), wanted);
        Ok(())
    }

    /// A kept file that somebody made alike is no longer told.
    fn compare(&self, seeded: &mut Seeded) -> io::Result<()> {
        for (path, theirs) in std::mem::take(&mut seeded.kept) {
            let alike = self.ours.look(&path)?.is_some_and(|ours| digest(&ours) == theirs);
            let list = if alike { &mut seeded.written } else { &mut seeded.kept };
            list.insert(path, theirs);
        }
        Ok(())
    }
}

/// The digest of a file's bytes, or of where a link leads. All else was made by somebody else, and is no
/// content of Git's.
fn digest(what: &What) -> Digest {
    match what {
        What::File { bytes, .. } => Digest::of(bytes),
        What::Link(target) => Digest::of(&[b"link ", target.as_bytes()].concat()),
        What::Folder | What::Other => Digest::of(b""),
    }
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

    #[test]
    fn a_link_of_the_revision_before_is_never_a_folder_of_this_one() {
        let world = World(tempfile::tempdir().unwrap());
        let path = |name: &str| world.0.path().join(name);
        fs::create_dir_all(path("outside")).unwrap();
        fs::create_dir_all(path("git/a")).unwrap();
        std::os::unix::fs::symlink("../../outside", path("git/a/sub")).unwrap();
        assert_eq!(world.seed(), Vec::<String>::new());
        assert!(path("data/a/sub").is_symlink());
        fs::remove_file(path("git/a/sub")).unwrap();
        world.write("git/a/sub/file", "1");
        assert_eq!(world.seed(), Vec::<String>::new());
        assert_eq!(
            (world.read("data/a/sub/file"), world.read("outside/file")),
            ("1".into(), "-".into())
        );

        // One that a container made is its own affair, and told.
        fs::rename(path("data/a/sub"), path("data/a/aside")).unwrap();
        std::os::unix::fs::symlink("../../outside", path("data/a/sub")).unwrap();
        world.write("git/a/sub/file", "2");
        assert!(world.seed().concat().contains("`a/sub` was changed both"));
        assert_eq!(world.read("outside/file"), "-");
    }

    #[test]
    fn nothing_is_written_through_links_or_read_over_those_that_leave() {
        use std::os::unix::fs::symlink;
        let world = world();
        let path = |name: &str| world.0.path().join(name);
        world.write("outside/file", "mine");
        symlink(path("outside/file"), path("data/a/other.keel-new")).unwrap();
        fs::remove_file(path("data/one")).unwrap();
        symlink(path("outside/file"), path("data/one")).unwrap();
        world.write("git/a/other", "2");
        world.write("git/one", "2");
        symlink(path("outside"), path("git/away")).unwrap();
        let (checkout, data) = (&path("git"), &path("data"));
        let sides = Sides { checkout, data, memory: &path("seeded") };
        let told =
            sides.seed(&["a".into(), "one".into(), "away/file".into()].into()).unwrap().concat();
        assert!(
            told.contains("`away/file` is not filled") && told.contains("`one` was changed"),
            "{told}"
        );
        assert_eq!(
            (world.read("data/a/other"), world.read("outside/file")),
            ("2".into(), "mine".into())
        );
        assert!(!path("data/away").exists());
    }
}
