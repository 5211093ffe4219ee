//! The folders of the host that containers write to, and how a path below one of them is opened.
//!
//! A container that writes to a folder may leave links there, and another that mounts something
//! below it may start at any time: by its policy, after a reboot, long after the first is gone. So
//! which folders those are stands in a file of the root, that only grows, and that every run of
//! every container goes by ([`Places::open`]). Folders of the host's own are none: who may write
//! there may write a Compose file as well.
//!
//! # Invariants
//! - A folder is noted before a container that writes to it starts first.
//! - Folders are noted by their place with all links followed, so that no spelling gets around it.
//! - A volume's folder and a task's own layer are such places without being noted.

use crate::Layout;
use crate::blocking::failed;
use crate::root::record;
use crate::task::records;
use crate::volumes;
use keel_beneath::{Found, Left, Walk};
use keel_engine::{Mount, MountSource, Result, TaskAssignment};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// More than so many are looked through for those that are gone. Not before: a disk that is not
/// mounted now comes back with the links that are on it.
const MANY: usize = 1_000;

/// Drivers of one process note side by side; processes take turns.
static NOTING: Mutex<()> = Mutex::new(());

/// What stands in `written`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    places: BTreeSet<PathBuf>,
}

/// The folders that containers of a root write to.
#[derive(Debug)]
pub(crate) struct Places {
    /// As it is called, and where it is.
    root: (PathBuf, PathBuf),
    written: Written,
}

impl Places {
    /// As they stand now.
    pub(crate) fn load(layout: &Layout) -> io::Result<Self> {
        Self::with(layout, record::load(&layout.written())?.unwrap_or_default())
    }

    fn with(layout: &Layout, written: Written) -> io::Result<Self> {
        let root = layout.root();
        Ok(Self { root: (root.to_owned(), fs::canonicalize(root)?), written })
    }

    /// What is at a path, without leaving any of these folders by a link in it, nor the folder
    /// `beneath`.
    pub(crate) fn open(&self, path: &Path, beneath: Option<&Path>) -> io::Result<Found> {
        self.walk(path, beneath, false)
    }

    /// The same; folders that are missing on the way are made.
    pub(crate) fn open_or_make(&self, path: &Path) -> io::Result<Found> {
        self.walk(path, None, true)
    }

    fn walk(&self, path: &Path, beneath: Option<&Path>, make: bool) -> io::Result<Found> {
        let (path, beneath) = (self.placed(path), beneath.map(|path| self.placed(path)));
        let strangers = |path: &Path| self.has(path);
        Walk { strangers: &strangers, beneath: beneath.as_deref(), make }.open(&path)
    }

    /// What is below the root is found by where that is, whatever leads to it.
    fn placed(&self, path: &Path) -> PathBuf {
        let (called, is) = &self.root;
        path.strip_prefix(called).map_or_else(|_| path.to_owned(), |inside| is.join(inside))
    }

    fn has(&self, path: &Path) -> bool {
        self.written.places.contains(path) || self.is_own(path)
    }

    fn is_own(&self, path: &Path) -> bool {
        let Ok(inside) = path.strip_prefix(&self.root.1) else { return false };
        let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
        matches!(parts[..], ["volumes", _, "data"] | ["tasks", _, "upper"])
    }

    /// Whether it was added.
    fn add(&mut self, path: &Path, beneath: Option<&Path>) -> bool {
        // What is missing has nothing in it; whoever mounts it makes it first, and asks again.
        let Ok(found) = self.open(path, beneath) else { return false };
        let is_new = found.is_folder && found.path != Path::new("/") && !self.has(&found.path);
        is_new && self.written.places.insert(found.path)
    }
}

/// Why a path could not be opened, for people.
pub(crate) fn in_words(error: &io::Error) -> String {
    match Left::of(error) {
        Some(left) => format!(
            "{left}, which containers write: mount the place itself by its absolute path, or \
             remove the link"
        ),
        None => error.to_string(),
    }
}

/// Notes the folders that a task will write to.
pub(crate) fn note(layout: &Layout, wish: &TaskAssignment) -> Result<()> {
    let path = layout.written();
    let _alone = NOTING.lock().unwrap_or_else(PoisonError::into_inner);
    let known: Option<Written> =
        record::load(&path).map_err(failed(format!("cannot read {}", path.display())))?;
    let is_first = known.is_none();
    let mut all = written_by(layout, wish)?;
    if is_first {
        // Tasks of before there was this file.
        for task in records::load_all(layout)? {
            all.extend(written_by(layout, &task.wish)?);
        }
    }
    // Parents before what is below them, which then does not lead out.
    all.sort_by_key(|(path, _)| path.components().count());
    let unwritable = || failed(format!("cannot write {}", path.display()));
    let mut places = Places::with(layout, known.unwrap_or_default()).map_err(unwritable())?;
    let mut is_news = is_first;
    for (path, beneath) in &all {
        is_news |= places.add(path, beneath.as_deref());
    }
    if !is_news {
        return Ok(());
    }
    if places.written.places.len() > MANY {
        places.written.places.retain(|place| place.symlink_metadata().is_ok());
    }
    record::store(&path, &places.written).map_err(unwritable())
}

/// The same for all tasks of a root that nothing was noted for yet: an older keel made them.
pub(crate) fn begin(layout: &Layout) -> Result<()> {
    if layout.written().exists() {
        return Ok(());
    }
    match records::load_all(layout)?.first() {
        Some(task) => note(layout, &task.wish),
        None => Ok(()),
    }
}

/// What a task writes to on the host, as it names it, and the folder that it does not leave.
fn written_by(layout: &Layout, wish: &TaskAssignment) -> Result<Vec<(PathBuf, Option<PathBuf>)>> {
    let mut all = Vec::new();
    for mount in wish.spec.volumes.iter().filter(|mount| !mount.read_only) {
        all.extend(written_in(layout, mount)?);
    }
    Ok(all)
}

/// What a task mounts of the host, but for what is the root's own.
pub(crate) fn of_host(layout: &Layout, mounts: &[Mount]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for mount in mounts {
        all.extend(written_in(layout, mount)?.map(|(path, _)| path));
    }
    all.retain(|path| !path.starts_with(layout.root()));
    Ok(all)
}

fn written_in(layout: &Layout, mount: &Mount) -> Result<Option<(PathBuf, Option<PathBuf>)>> {
    Ok(match &mount.source {
        MountSource::Bind { path, .. } => Some((path.into(), None)),
        MountSource::Volume { name, subpath, .. } => match volumes::load(layout, name)? {
            Some(volume) => Some(volumes::place(layout, &volume, subpath.as_deref())?),
            None => None,
        },
        MountSource::Anonymous | MountSource::Revision { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::records::sample;
    use keel_engine::Goal;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    fn binding(path: &Path) -> TaskAssignment {
        let mut wish = sample::wish(1, Goal::Running);
        let path = path.display().to_string();
        Arc::make_mut(&mut wish.spec).volumes = vec![Mount {
            source: MountSource::Bind { path, create: true },
            target: "/data".into(),
            read_only: false,
            shared: false,
            propagation: None,
            digest: None,
        }];
        wish
    }

    #[test]
    fn what_is_written_stays_known_by_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().canonicalize().unwrap().join(path);
        fs::create_dir_all(at("root")).unwrap();
        fs::create_dir_all(at("srv/data/sub")).unwrap();
        symlink("srv", at("called")).unwrap();
        symlink("/etc", at("srv/data/link")).unwrap();
        let layout = Layout::new(&at("root"));
        let refused = |path: &str| {
            let opened = Places::load(&layout).unwrap().open(&at(path), None);
            opened.err().map(|error| in_words(&error)).unwrap_or_default()
        };
        assert_eq!(refused("srv/data/link/passwd"), "", "nobody untrusted wrote it");
        note(&layout, &binding(&at("called/data"))).unwrap();
        let words = format!("`{}` is a link that leaves", at("srv/data/link").display());
        for path in ["srv/data/link/passwd", "called/data/link"] {
            assert!(refused(path).starts_with(&words), "{path}: {}", refused(path));
        }
        note(&layout, &binding(&at("srv/other"))).unwrap();
        assert!(refused("srv/data/link").starts_with(&words), "it is not forgotten");
        assert_eq!(refused("srv/data/sub"), "");
    }

    #[test]
    fn volumes_and_layers_are_such_places_by_themselves() {
        let folder = tempfile::tempdir().unwrap();
        symlink("is", folder.path().join("called")).unwrap();
        let layout = Layout::new(&folder.path().join("called"));
        for inside in ["volumes/a/data", "tasks/b/upper"] {
            let place = folder.path().join("is").join(inside);
            fs::create_dir_all(&place).unwrap();
            symlink("/etc", place.join("link")).unwrap();
            let path = layout.root().join(inside).join("link");
            let opened = Places::load(&layout).unwrap().open(&path, None);
            assert!(Left::of(&opened.unwrap_err()).is_some(), "{inside}");
        }
    }

    #[test]
    fn tasks_of_an_older_keel_are_noted_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().canonicalize().unwrap().join(path);
        let layout = Layout::new(&at("root"));
        fs::create_dir_all(at("srv/data")).unwrap();
        begin(&{
            fs::create_dir_all(at("root")).unwrap();
            layout.clone()
        })
        .unwrap();
        assert!(!layout.written().exists());
        let taken = records::Taken::Now(Box::new(binding(&at("srv/data"))));
        records::store(&layout, &taken, 1).unwrap();
        begin(&layout).unwrap();
        let written: Written = record::load(&layout.written()).unwrap().unwrap();
        assert_eq!(written.places, [at("srv/data")].into());
    }
}
