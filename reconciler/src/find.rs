//! Where stacks are below a path: the one rule for sources and command lines.

use fast_glob::glob_match;
use keel_beneath::Refused;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

/// Names of Compose files, best first; each may have an `.override` beside it.
pub const COMPOSE_FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// One stack's files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The project's folder.
    pub dir: PathBuf,
    /// The Compose files in their order, where somebody named them; none: the folder's own.
    pub files: Vec<PathBuf>,
    /// As shown to people: relative to where the search began; empty for that folder itself.
    pub shown: String,
}

/// Whether the folder holds a Compose file.
#[must_use]
pub fn holds_stack(dir: &Path) -> bool {
    COMPOSE_FILES.iter().any(|name| dir.join(name).is_file())
}

/// A Compose file, a folder that holds one, or a folder whose direct subfolders do. None found is
/// an empty list; an error means that the path cannot be read.
pub fn stacks_at(path: &Path) -> io::Result<Vec<Found>> {
    if path.is_file() {
        let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        return Ok(vec![Found { dir, files: vec![path.to_owned()], shown: String::new() }]);
    }
    // Read first: a folder that is away must not look like an empty one.
    let mut folders = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    if holds_stack(path) {
        return Ok(vec![Found { dir: path.to_owned(), files: vec![], shown: String::new() }]);
    }
    folders.retain(|folder| holds_stack(folder));
    folders.sort();
    let shown = |dir: &PathBuf| dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(folders.into_iter().map(|dir| Found { shown: shown(&dir), files: vec![], dir }).collect())
}

/// Every folder below `root` that matches the glob (relative to `root`) and holds a Compose file.
/// A path without wildcards is taken as by [`stacks_at`].
pub fn stacks_matching(root: &Path, pattern: &str) -> io::Result<Vec<Found>> {
    let pattern = pattern.trim_matches('/').trim_start_matches("./");
    let plain = !pattern.contains(['*', '?', '[', '{']);
    if plain {
        let mut found = stacks_at(&root.join(if pattern == "." { "" } else { pattern }))?;
        for one in &mut found {
            one.shown = relative(root, &one.dir);
        }
        return Ok(found);
    }
    let mut folders = Vec::new();
    folders_below(root, &mut folders)?;
    folders.retain(|dir| glob_match(pattern, relative(root, dir)) && holds_stack(dir));
    folders.sort();
    Ok(folders
        .into_iter()
        .map(|dir| Found { shown: relative(root, &dir), files: vec![], dir })
        .collect())
}

/// Whether a path is a glob to people: it has wildcards, and nothing is called so.
#[must_use]
pub fn is_glob(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[', '{'])) && !path.exists()
}

/// The folder that a glob starts from, and the rest of it.
#[must_use]
pub fn split_glob(path: &Path) -> (PathBuf, String) {
    let wild = |part: &std::path::Component<'_>| {
        part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{'])
    };
    let parts: Vec<_> = path.components().collect();
    let first = parts.iter().position(wild).unwrap_or(parts.len());
    let joined = |parts: &[std::path::Component<'_>]| parts.iter().collect::<PathBuf>();
    (joined(&parts[..first]), joined(&parts[first..]).to_string_lossy().into_owned())
}

/// How deep below a folder its stacks are looked for, and among how many entries: it may be the
/// root of a file system.
const DEEP: usize = 5;
const MANY: usize = 20_000;

/// Every stack below a folder. Hidden folders hold none, nor do those that cannot be read.
pub fn stacks_below(root: &Path) -> io::Result<Vec<Found>> {
    std::fs::read_dir(root)?;
    let (mut found, mut level, mut seen) = (Vec::new(), vec![root.to_owned()], 0);
    for _ in 0..=DEEP {
        let entries = level.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let entries: Vec<_> = entries.flatten().flatten().take(MANY - seen).collect();
        seen += entries.len();
        let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
        let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let folders =
            entries.iter().filter(|entry| is_folder(entry) && !hidden(&entry.file_name()));
        level = folders.map(DirEntry::path).collect();
        found.extend(level.iter().filter(|dir| holds_stack(dir)).cloned());
    }
    found.sort();
    let shown = |dir: PathBuf| Found { shown: relative(root, &dir), files: vec![], dir };
    Ok(found.into_iter().map(shown).collect())
}

/// The same for any of several globs; each stack once. A path below `root` that is not there matches
/// nothing, as a glob would.
pub fn stacks_matching_any(root: &Path, patterns: &[String]) -> io::Result<Vec<Found>> {
    // Read first: a folder that is away must not look like one where nothing matches.
    std::fs::read_dir(root)?;
    let mut found = Vec::new();
    for pattern in patterns {
        match stacks_matching(root, pattern) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            more => found.extend(more?),
        }
    }
    found.sort_by(|one, other| one.dir.cmp(&other.dir));
    found.dedup_by(|one, other| one.dir == other.dir);
    Ok(found)
}

/// Whether this glob may mean a folder (relative to `root`) that is not there yet, one in it or below it.
pub fn may_match(root: &Path, pattern: &str, folder: &Path) -> bool {
    let pattern = pattern.trim_matches('/').trim_start_matches("./");
    let pattern = if pattern == "." { "" } else { pattern };
    if !pattern.contains(['*', '?', '[', '{']) {
        // A folder with a Compose file is a stack; without one, the folders in it may be some.
        let nested =
            folder.parent() == Some(Path::new(pattern)) && !holds_stack(&root.join(pattern));
        return nested || Path::new(pattern).starts_with(folder);
    }
    // Braces and `**` may hold any number of parts.
    if pattern.contains('{') {
        return true;
    }
    let mut parts = pattern.split('/');
    for name in folder.iter().map(|name| name.to_string_lossy()) {
        match parts.next() {
            Some("**") => return true,
            Some(part) if glob_match(part, &*name) => {}
            _ => return false,
        }
    }
    true
}

/// Folders below `root` that hold no Compose file, but where one that comes makes a stack, or a folder that comes may
/// hold one; at most so many. What a stack has in its folder is its own.
#[must_use]
pub fn folders_to_come(root: &Path, patterns: &[String], most: usize) -> Vec<PathBuf> {
    let is_wanted = |folder: &Path| {
        let below = folder.strip_prefix(root).unwrap_or(folder);
        patterns.iter().any(|pattern| may_match(root, pattern, below)) && !holds_stack(folder)
    };
    let (mut wanted, mut next) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = next.pop() {
        // One that cannot be read is told by whoever looks for stacks.
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let folders = entries.filter(is_folder).map(|entry| entry.path());
        let room = most - wanted.len();
        let found: Vec<_> = folders.filter(|folder| is_wanted(folder)).take(room).collect();
        next.extend(found.iter().cloned());
        wanted.extend(found);
    }
    wanted
}

/// The same in a checkout, whose links are of whoever pushes: none of them makes a folder of the host
/// be listed.
pub fn stacks_in_checkout(root: &Path, patterns: &[String]) -> io::Result<Vec<Found>> {
    let within = keel_beneath::Folder::open(root)?;
    let leads_out = |pattern: &&String| {
        let path = pattern.trim_matches('/');
        within.kind(path.as_ref()).is_err_and(|error| Refused::of(&error) == Some(Refused::Leaves))
    };
    match patterns.iter().find(leads_out) {
        Some(_) => Err(io::Error::other("it is a link that leaves the repository")),
        None => stacks_matching_any(root, patterns),
    }
}

/// Every folder below `root` that holds a Compose file, relative to it: for people whose globs
/// match none.
pub fn holding_stacks(root: &Path) -> io::Result<Vec<String>> {
    let mut folders = vec![root.to_owned()];
    folders_below(root, &mut folders)?;
    folders.retain(|dir| holds_stack(dir));
    folders.sort();
    let shown = |dir: &PathBuf| match relative(root, dir) {
        root if root.is_empty() => ".".to_owned(),
        below => below,
    };
    Ok(folders.iter().map(shown).collect())
}

fn relative(root: &Path, dir: &Path) -> String {
    dir.strip_prefix(root).unwrap_or(dir).to_string_lossy().into_owned()
}

/// Symbolic links are not followed: they could lead in a circle, or out of the revision.
fn folders_below(dir: &Path, folders: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
            folders_below(&entry.path(), folders)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "services: {}\n").unwrap();
        }
        root
    }

    fn shown(found: &[Found]) -> Vec<&str> {
        found.iter().map(|one| one.shown.as_str()).collect()
    }

    #[test]
    fn a_path_is_a_file_a_folder_or_a_folder_of_folders() {
        let root = tree(&["one/compose.yml", "two/docker-compose.yaml", "three/readme.md"]);
        assert_eq!(shown(&stacks_at(root.path()).unwrap()), ["one", "two"]);
        let one = stacks_at(&root.path().join("one")).unwrap();
        assert_eq!((one.len(), one[0].files.is_empty()), (1, true));
        let file = stacks_at(&root.path().join("one/compose.yml")).unwrap();
        assert_eq!(file[0].files, [root.path().join("one/compose.yml")]);
        assert!(stacks_at(&root.path().join("away")).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_yet_may_match() {
        let root = tree(&["stack/compose.yaml", "sub/readme.md"]);
        let cases = [
            ("stacks/*", "stacks/a", true),
            ("stacks/*", "stacks/a/b", false),
            ("stacks/*", "vendor/a", false),
            ("stacks/*/prod", "stacks/a", true),
            ("vendor/a/prod", "vendor/a", true),
            ("vendor/a", "vendor/a", true),
            ("vendor/ab", "vendor/a", false),
            ("**", "x/y", true),
            ("stacks/**", "x/y", false),
            ("{a,b/c}", "b/c", true),
            (".", "x", true),
            (".", "x/y", false),
            ("stack", "stack/x", false),
            ("sub", "sub/x", true),
            ("./sub/", "sub/x", true),
        ];
        for (pattern, folder, expected) in cases {
            let found = may_match(root.path(), pattern, Path::new(folder));
            assert_eq!(found, expected, "{pattern} {folder}");
        }
    }

    #[test]
    fn folders_where_a_stack_may_come_are_those_that_hold_none() {
        let root = tree(&["a/compose.yaml", "a/data/x", "b/notes", "c/d/notes", "c/d/e/notes"]);
        let folders = |pattern: &str, most| {
            let found = folders_to_come(root.path(), &[pattern.to_owned()], most);
            let mut shown: Vec<_> = found.iter().map(|dir| relative(root.path(), dir)).collect();
            shown.sort();
            shown
        };
        assert_eq!(folders("*", 9), ["b", "c"]);
        assert_eq!(folders(".", 9), ["b", "c"]);
        assert_eq!(folders("c/*", 9), ["c", "c/d"]);
        assert_eq!(folders("c/d", 9), ["c", "c/d", "c/d/e"]);
        assert_eq!(folders("**", 9), ["b", "c", "c/d", "c/d/e"]);
        assert_eq!(folders("**", 2).len(), 2);
    }

    #[test]
    fn a_glob_names_every_folder_that_matches() {
        let root = tree(&["s/a/compose.yaml", "s/b/c/compose.yaml", "t/compose.yaml", "s/x/y"]);
        let cases = [
            ("s/*", vec!["s/a"]),
            ("s/**", vec!["s/a", "s/b/c"]),
            ("*", vec!["t"]),
            ("./s/", vec!["s/a"]),
            (".", vec!["t"]),
            ("{s/a,t}", vec!["s/a", "t"]),
        ];
        let several = ["t".to_owned(), "away".to_owned(), "s/*".to_owned(), "s/a".to_owned()];
        assert_eq!(shown(&stacks_matching_any(root.path(), &several).unwrap()), ["s/a", "t"]);
        assert!(stacks_matching_any(&root.path().join("away"), &several).is_err());
        for (pattern, expected) in cases {
            assert_eq!(
                shown(&stacks_matching(root.path(), pattern).unwrap()),
                expected,
                "{pattern}"
            );
        }
    }
}
