//! Names of a commit's files that are never written, and how the file that a checkout failed for is
//! told. Pure.
//!
//! Git refuses such names where it makes a commit, but not everybody makes commits by Git
//! (CVE-2014-9390): `..` leads out of the checkout, and a folder `.git` is obeyed by every `git` that
//! is called in the checkout, down to programs that its settings name.

use git2::ErrorClass;
use std::ffi::OsStr;
use std::io::{Error, ErrorKind};
use std::path::{Component, Path};

/// Why a checkout failed.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why an entry of a tree with this name is not written.
pub(super) fn fault(name: &OsStr) -> Option<&'static str> {
    if Path::new(name).components().collect::<Vec<_>>() != [Component::Normal(name)] {
        return Some("its name is not one of a file");
    }
    is_obeyed_by_git(&name.to_string_lossy()).then_some("Git would obey what is in it")
}

/// Whether some file system takes this name for `.git`: none of them minds the case, some drop what
/// nobody sees, dots and blanks at the end, or what follows a colon, and some know a short name.
fn is_obeyed_by_git(name: &str) -> bool {
    let seen: String = name.chars().filter(|c| !is_ignorable(*c)).collect();
    let base = seen.split(':').next().unwrap_or_default();
    let base = base.trim_end_matches([' ', '.']).to_lowercase();
    matches!(base.as_str(), ".git" | "git~1")
}

/// Those that HFS+ leaves out when it compares names.
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// The file of a commit that cannot be checked out, and why.
#[derive(Debug, thiserror::Error)]
#[error("the commit holds a file named `{path}`: {why}")]
struct Entry {
    path: String,
    why: String,
}

/// Such an entry.
pub(super) fn told(name: &OsStr, why: &str) -> Failure {
    Box::new(Entry { path: name.to_string_lossy().into_owned(), why: why.to_owned() })
}

/// What went wrong within the folder, or with the file, of this name. What the disk or the clone is to
/// blame for stays as it is.
pub(super) fn within(name: &OsStr, error: Failure) -> Failure {
    let error = match error.downcast::<Entry>() {
        Ok(below) => {
            let path = format!("{}/{}", name.to_string_lossy(), below.path);
            return Box::new(Entry { path, why: below.why });
        }
        Err(other) => other,
    };
    let why =
        error.downcast_ref().and_then(of_system).or_else(|| error.downcast_ref().and_then(of_git));
    why.map_or(error, |why| told(name, why))
}

fn of_system(error: &Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::AlreadyExists => Some("its folder has a second one of that name"),
        ErrorKind::InvalidInput => Some("where it leads to is not a path"),
        ErrorKind::NotFound => Some("it is a link that leads to nothing at all"),
        ErrorKind::InvalidFilename => Some("its name is too long"),
        _ => None,
    }
}

/// A file that is said to be a folder, and the like.
fn of_git(error: &git2::Error) -> Option<&'static str> {
    (error.class() == ErrorClass::Invalid).then_some("it is not of the kind that its folder says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_lead_elsewhere_or_that_git_obeys_are_refused() {
        let refused = [
            "",
            ".",
            "..",
            "a/b",
            "/a",
            "a/",
            ".git",
            ".Git",
            "GIT~1",
            ".git.",
            ".git ",
            ".git . .",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".git:stream",
            ".git::$INDEX_ALLOCATION",
        ];
        for name in refused {
            assert!(fault(OsStr::new(name)).is_some(), "{name:?}");
        }
        let sound =
            [".gitignore", ".github", "git", "git~2", "...", "a b\r", ".git-hooks", "x.git", "-x"];
        for name in sound {
            assert_eq!(fault(OsStr::new(name)), None, "{name:?}");
        }
    }

    #[test]
    fn the_whole_path_is_told() {
        let exists = within(OsStr::new("d"), Error::from(ErrorKind::AlreadyExists).into());
        let told = within(OsStr::new("sub"), exists).to_string();
        assert!(told.starts_with("the commit holds a file named `sub/d`: "), "{told}");
        let full = Error::other("No space left on device");
        assert_eq!(within(OsStr::new("d"), full.into()).to_string(), "No space left on device");
    }
}
