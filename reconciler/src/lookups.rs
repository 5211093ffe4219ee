//! What the files said that a stack was loaded from: it is loaded again only where one of them
//! would say something else now.
//!
//! # Invariants
//! - What cannot be told to be the same counts as changed: a file that was written a moment ago, a
//!   link on the way, a commit that cannot be compared.
//! - A file of a revision is compared by what Git says of two commits; any other by its stamp.

use crate::stack_files::StackFiles;
use keel_engine::Digest;
use keel_plan::lower::{Lack, Sources};
use keel_spec::{Files, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// Two writes within this time may leave the same stamp: some file systems count in steps of two
/// seconds.
const STEP: Duration = Duration::from_secs(3);
/// A file that names these says something else at each commit.
const COMMIT_NAMES: [&[u8]; 2] = [b"KEEL_COMMIT", b"KEEL_SHORT_COMMIT"];

/// Which files of a revision differ from another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changes {
    /// These, relative to the repository's root; none: it is the same commit.
    Paths(BTreeSet<PathBuf>),
    /// Nobody knows.
    Unknown,
}

/// What was asked while a stack was loaded, and answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadSet {
    /// Paths of the revision, relative to the repository's root, whether they are there or not.
    tracked: BTreeSet<PathBuf>,
    /// What is outside of the revision.
    outside: BTreeMap<PathBuf, Answer>,
    /// Something depends on the commit's name.
    names_commit: bool,
    /// Something of the revision was reached over a link, so where it is, is not where it was sought.
    over_a_link: bool,
}

/// As far as it can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Kind(Kind),
    Content(Option<Stamp>),
    /// It may have changed since without a trace.
    Unsure,
}

/// What a file system notes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl ReadSet {
    /// Whether all would be answered the same now, at a revision that differs so from the one that
    /// was asked.
    pub fn hold(&self, changes: &Changes, files: &StackFiles, absent: &mut Absent) -> bool {
        let Changes::Paths(paths) = changes else { return false };
        let moved = !paths.is_empty();
        if moved && (self.names_commit || self.over_a_link) {
            return false;
        }
        !self.tracked.iter().any(|path| touched(paths, path))
            && self.outside.iter().all(|(path, answer)| match answer {
                Answer::Kind(Kind::Missing) if absent.is(path) => true,
                answer => answer.holds(path, files),
            })
    }

    /// Whether nothing of what was asked for the stack in this folder, which was watched before it was read, can be
    /// answered otherwise because of what happened at these paths.
    pub fn is_apart_from(&self, edited: &BTreeSet<PathBuf>, dir: &Path) -> bool {
        let is_apart = |(path, answer): (&PathBuf, &Answer)| {
            let sure = *answer != Answer::Unsure || path.parent() == Some(dir);
            sure && !touched(edited, path)
        };
        self.outside.iter().all(is_apart)
    }

    fn note_tracked(&mut self, root: &Path, in_repo: &Path) {
        self.over_a_link |= is_over_a_link(root, in_repo);
        self.tracked.insert(in_repo.to_owned());
    }

    fn note(&mut self, path: PathBuf, answer: Answer) {
        // Whether it is there is part of what it holds.
        if !matches!(answer, Answer::Kind(_)) || !self.outside.contains_key(&path) {
            self.outside.insert(path, answer);
        }
    }
}

/// Whether one of the changed paths is this one, below it or above it.
fn touched(changed: &BTreeSet<PathBuf>, path: &Path) -> bool {
    let below = changed.range(path.to_owned()..).next().is_some_and(|one| one.starts_with(path));
    below || path.ancestors().skip(1).any(|above| changed.contains(above))
}

/// Folders that are not there, nor anything in them, as of one look: most of what is looked for beside a stack's
/// files is in one folder, and never there.
#[derive(Debug, Default)]
pub(crate) struct Absent(BTreeMap<PathBuf, bool>);

impl Absent {
    fn is(&mut self, path: &Path) -> bool {
        path.parent().is_some_and(|folder| self.has(folder)) || is_absent(path)
    }

    fn has(&mut self, folder: &Path) -> bool {
        if let Some(known) = self.0.get(folder) {
            return *known;
        }
        let absent = self.is(folder);
        self.0.insert(folder.to_owned(), absent);
        absent
    }
}

fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

impl Answer {
    fn holds(&self, path: &Path, files: &StackFiles) -> bool {
        match self {
            Self::Kind(kind) => Files::kind(files, path) == *kind,
            Self::Content(stamp) => Stamp::of(path) == *stamp,
            Self::Unsure => false,
        }
    }

    fn content(path: &Path) -> Self {
        match Stamp::of(path) {
            Some(stamp) if !stamp.is_settled(SystemTime::now()) => Self::Unsure,
            stamp => Self::Content(stamp),
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (meta.dev(), meta.ino()),
            size: meta.len(),
            written: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Another write from now on would show. A file system that knows no times never says so.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let newest = self.written.0.max(self.changed.0);
        let newest = Duration::from_secs(u64::try_from(newest).unwrap_or_default());
        !newest.is_zero() && newest + STEP < now
    }
}

/// Files that note what they were asked.
pub(crate) struct Asked<'a> {
    files: &'a StackFiles,
    answers: Mutex<ReadSet>,
    wants: Mutex<BTreeSet<PathBuf>>,
}

impl<'a> Asked<'a> {
    pub fn new(files: &'a StackFiles) -> Self {
        Self { files, answers: Mutex::default(), wants: Mutex::default() }
    }

    /// The submodules that were missed, and what was asked and answered.
    pub fn answers(self) -> (BTreeSet<PathBuf>, ReadSet) {
        let wants = self.wants.into_inner().expect("nothing panics while it holds them");
        (wants, self.answers.into_inner().expect("nothing panics while it holds the answers"))
    }

    /// Notes which submodules would have to be here for an answer; `whole`: also those below the path.
    fn miss(&self, path: &Path, whole: bool) {
        let missed = self.files.wants(path, whole);
        self.wants.lock().expect("nothing panics while it holds them").extend(missed);
    }

    fn noted(&self) -> MutexGuard<'_, ReadSet> {
        self.answers.lock().expect("nothing panics while it holds the answers")
    }

    /// Notes that a path was asked for, before it is answered: what changes meanwhile is seen.
    fn note(&self, path: &Path, answer: impl FnOnce(&Path) -> Answer) {
        self.miss(path, false);
        let mut answers = self.noted();
        let place = self.files.place(path).path();
        if let StackFiles::Checkout { root, .. } = self.files
            && let Ok(in_repo) = path.strip_prefix(root)
        {
            answers.note_tracked(root, in_repo);
            if place == path {
                return;
            }
        }
        let answer = answer(&place);
        answers.note(place, answer);
    }
}

/// Whether a link leads on the way from the checkout's root to this path, as far as it is there.
fn is_over_a_link(root: &Path, in_repo: &Path) -> bool {
    let mut ways = in_repo.ancestors().filter(|way| !way.as_os_str().is_empty());
    ways.any(|way| root.join(way).symlink_metadata().is_ok_and(|meta| meta.is_symlink()))
}

impl Files for Asked<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path, Answer::content);
        let content = Files::read(self.files, path)?;
        let names = |name: &&[u8]| content.windows(name.len()).any(|part| part == *name);
        let named = COMMIT_NAMES.iter().any(names);
        self.noted().names_commit |= named;
        Ok(content)
    }

    fn kind(&self, path: &Path) -> Kind {
        let kind = Files::kind(self.files, path);
        self.note(path, |_| Answer::Kind(kind));
        kind
    }

    fn is_quotable(&self, path: &Path) -> bool {
        Files::is_quotable(self.files, path)
    }
}

impl Sources for Asked<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path, Answer::content);
        Sources::read(self.files, path)
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        self.note(path, Answer::content);
        self.files.digest(path)
    }

    fn kind(&self, path: &Path) -> Kind {
        Files::kind(self, path)
    }

    fn tracked(&self, in_repo: &Path) -> Option<Digest> {
        if let StackFiles::Checkout { root, .. } = self.files {
            self.noted().note_tracked(root, in_repo);
        }
        self.files.tracked(in_repo)
    }

    fn linked(&self, in_repo: &Path) -> Option<Digest> {
        // It was noted when it was asked whether it is tracked.
        self.files.linked(in_repo)
    }

    fn lacks(&self, path: &Path) -> Option<Lack> {
        self.miss(path, true);
        self.files.lacks(path)
    }

    fn leaves(&self, path: &Path) -> bool {
        if let StackFiles::Checkout { root, .. } = self.files
            && let Ok(in_repo) = path.strip_prefix(root)
        {
            self.noted().note_tracked(root, in_repo);
        }
        self.files.leaves(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn a_folder() -> StackFiles {
        StackFiles::Folder(crate::stack_files::FolderFiles::default())
    }

    fn changes(paths: &[&str]) -> Changes {
        Changes::Paths(paths.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn a_path_is_touched_by_what_is_at_it_below_it_or_above_it() {
        let cases = [
            ("a/compose.yaml", true),
            ("a", true),
            ("conf/sub/file", true),
            ("conf", true),
            ("a/compose.yaml.bak", false),
            ("confused/x", false),
            ("README.md", false),
            ("missing.env", true),
        ];
        let asked = ["a/compose.yaml", "conf", "missing.env"].map(PathBuf::from);
        let answers = ReadSet { tracked: asked.into(), ..ReadSet::default() };
        for (path, expected) in cases {
            let held = answers.hold(&changes(&[path]), &a_folder(), &mut Absent::default());
            assert_eq!(!held, expected, "{path}");
        }
        assert!(
            answers.hold(&changes(&[]), &a_folder(), &mut Absent::default()),
            "the same commit"
        );
        assert!(!answers.hold(&Changes::Unknown, &a_folder(), &mut Absent::default()));
    }

    /// As if it had been written long ago.
    fn settle(path: &Path) {
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
    }

    #[test]
    fn what_the_revision_lacks_is_looked_for_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, data) = (folder.path().join("checkout"), folder.path().join("data"));
        fs::create_dir_all(root.join("a")).unwrap();
        fs::create_dir_all(&data).unwrap();
        fs::write(root.join("a/compose.yaml"), "image: x").unwrap();
        fs::write(root.join("a/commit.yaml"), "image: x:${KEEL_SHORT_COMMIT}").unwrap();
        std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        let (submodules, state) = Default::default();
        let files =
            StackFiles::Checkout { root: root.clone(), data: data.clone(), state, submodules };
        let asked = |path: &str| {
            let asked = Asked::new(&files);
            let _ = Files::read(&asked, &root.join(path));
            asked.answers().1
        };
        let same = changes(&[]);
        let (plain, absent) = (asked("a/compose.yaml"), asked("a/.env"));
        assert!(
            plain.hold(&same, &files, &mut Absent::default())
                && absent.hold(&same, &files, &mut Absent::default())
        );
        assert!(plain.hold(&changes(&["a/.env"]), &files, &mut Absent::default()));
        assert!(
            !absent.hold(&changes(&["a/.env"]), &files, &mut Absent::default()),
            "Git has it now"
        );
        fs::create_dir_all(data.join("a")).unwrap();
        fs::write(data.join("a/.env"), "A=1").unwrap();
        assert!(!absent.hold(&same, &files, &mut Absent::default()), "it is there now");
        assert!(
            !asked("a/.env").hold(&same, &files, &mut Absent::default()),
            "it was written a moment ago"
        );
        let elsewhere = changes(&["b/compose.yaml"]);
        assert!(
            !asked("a/commit.yaml").hold(&elsewhere, &files, &mut Absent::default()),
            "another commit"
        );
        assert!(asked("a/commit.yaml").hold(&same, &files, &mut Absent::default()));
        assert!(
            !asked("link/compose.yaml").hold(&elsewhere, &files, &mut Absent::default()),
            "over a link"
        );
        assert!(
            !asked("link/new").hold(&elsewhere, &files, &mut Absent::default()),
            "not there, over a link"
        );
    }

    #[test]
    fn a_file_of_this_machine_is_known_by_its_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "1").unwrap();
        settle(&path);
        let stamp = Stamp::of(&path).unwrap();
        let now = SystemTime::now();
        assert!(!stamp.is_settled(now), "its record was changed a moment ago");
        assert!(stamp.is_settled(now + STEP + Duration::from_secs(1)));
        let answer = Answer::Content(Some(stamp));
        assert!(answer.holds(&path, &a_folder()));
        let other = folder.path().join("other");
        fs::write(&other, "2").unwrap();
        settle(&other);
        fs::rename(&other, &path).unwrap();
        assert!(!answer.holds(&path, &a_folder()), "another of the same size and time");
        fs::remove_file(&path).unwrap();
        assert!(!answer.holds(&path, &a_folder()));
    }
}
