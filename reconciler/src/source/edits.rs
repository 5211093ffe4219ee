//! What a watcher told of a folder since the last look at it, and what that can mean. Only files that are known
//! to decide nothing about which stacks there are spare a look at all of them.

use crate::find::{COMPOSE_FILES, Found, holds_stack};
use notify::event::{Event, EventKind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whoever tells more at once changes everything.
const MOST: usize = 1000;

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edits {
    /// These files, or what has their names.
    Paths(BTreeSet<PathBuf>),
    /// Anything.
    Unknown,
}

impl Default for Edits {
    fn default() -> Self {
        Self::Paths(BTreeSet::new())
    }
}

impl Edits {
    /// Takes what the watcher tells; says whether anything may have changed: reading a file is no change.
    pub fn note(&mut self, told: notify::Result<Event>) -> bool {
        let event = match told {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => return false,
            Ok(event) if !event.need_rescan() && !event.paths.is_empty() => event,
            // Some were lost.
            _ => {
                *self = Self::Unknown;
                return true;
            }
        };
        if let Self::Paths(paths) = self {
            paths.extend(event.paths);
            if paths.len() > MOST {
                *self = Self::Unknown;
            }
        }
        true
    }

    /// The paths, where these are still the stacks that there are.
    pub fn within(self, found: &[Found]) -> Option<BTreeSet<PathBuf>> {
        let Self::Paths(paths) = self else { return None };
        let folders: BTreeSet<_> = found.iter().map(|one| one.dir.as_path()).collect();
        let plain = found.iter().all(|one| one.files.is_empty());
        (plain && paths.iter().all(|path| is_within(path, &folders))).then_some(paths)
    }
}

/// Whether what happened at this path leaves the stacks in these folders, and makes no other one.
fn is_within(path: &Path, folders: &BTreeSet<&Path>) -> bool {
    // A link may lead to a folder.
    let is_file = path.symlink_metadata().map(|meta| meta.is_file());
    let below = || folders.range(path..).next().is_some_and(|folder| folder.starts_with(path));
    if is_file.is_ok_and(|is_file| !is_file) || below() {
        return false;
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(path);
    !COMPOSE_FILES.contains(&name) || (folders.contains(folder) && holds_stack(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, CreateKind, Flag};
    use std::fs;

    fn event(kind: EventKind, path: &Path) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.to_owned()))
    }

    const CREATED: EventKind = EventKind::Create(CreateKind::Any);

    #[test]
    fn files_that_leave_the_stacks_as_they_are_are_told_from_all_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for file in
            ["s/a/compose.yaml", "s/b/compose.yml", "s/a/.env", "s/a/conf/x", "s/new/compose.yaml"]
        {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), "").unwrap();
        }
        std::os::unix::fs::symlink("a", at("s/link")).unwrap();
        let one = |path: &str| Found { dir: at(path), files: vec![], shown: path.into() };
        let found = ["s/a", "s/b", "s/gone"].map(one);
        let cases = [
            ("s/a/compose.yaml", true),
            ("s/a/.env", true),
            ("s/a/.compose.yaml.swp", true),
            ("s/a/conf/x", true),
            ("s/common.env", true),
            // Another of its Compose files is there.
            ("s/b/compose.yaml", true),
            ("s/gone/compose.yaml", false),
            ("s/new/compose.yaml", false),
            ("s/new", false),
            ("s/a/conf", false),
            ("s/link", false),
            ("s/gone", false),
            ("s", false),
        ];
        for (path, expected) in cases {
            let mut edits = Edits::default();
            assert!(edits.note(event(CREATED, &at(path))));
            assert_eq!(edits.within(&found).is_some(), expected, "{path}");
        }
        let file = Found { files: vec![at("s/a/compose.yaml")], ..one("s/a") };
        assert_eq!(Edits::default().within(&[file]), None, "a served file");
    }

    #[test]
    fn what_was_lost_or_is_too_much_may_be_anything_and_reading_is_nothing() {
        let path = Path::new("/s/a/x");
        let mut edits = Edits::default();
        assert!(!edits.note(event(EventKind::Access(AccessKind::Any), path)));
        assert_eq!(edits, Edits::default());
        for n in 0..=MOST {
            edits.note(event(CREATED, &path.join(n.to_string())));
        }
        assert_eq!(edits, Edits::Unknown);
        for lost in [
            Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)),
            Err(notify::Error::generic("lost")),
        ] {
            let mut edits = Edits::default();
            assert!(edits.note(lost));
            assert_eq!(edits.within(&[]), None);
        }
    }
}
