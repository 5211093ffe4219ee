//! The one way from a path that a Compose file names to what is there.
//!
//! Containers write into the folders that stacks name, and whoever pushes writes the checkout: a
//! link that one of them planted must not make the controller, which is root, read the host's files
//! for it.
//!
//! # Invariants
//! - What is beneath a base (the stack's folder, the served folder, the checkout, the source's data
//!   folder, a folder of Evenkeel's own) is resolved beneath it by the kernel, however its path is
//!   spelled.
//! - Only regular files are read, and never more than a limit; nothing else is ever opened.

use keel_beneath::{Folder, Refused};
use keel_engine::{Digest, digest_of};
use keel_spec::Kind;
use keel_spec::files::tidy;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Compose files, env files and label files: what keel-spec takes at most.
pub(crate) const MOST_OF_A_TEXT: u64 = keel_spec::files::LARGEST;
/// Configs and secrets are kept in memory and in the root, one copy for each content. Docker takes
/// 500 KiB where it stores them; with Compose they are mounts of any size, so this is generous.
pub(crate) const MOST_OF_A_CONTENT: u64 = 8 << 20;
/// Files that are mounted are compared by their content up to this size, beyond by what the file
/// system notes of a change.
const MOST_COMPARED: u64 = 64 << 20;

/// A folder that nothing in it leads out of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub path: PathBuf,
    /// What people call it.
    pub called: String,
}

impl Base {
    pub fn new(path: &Path, called: impl Into<String>) -> Self {
        Self { path: path.to_owned(), called: called.into() }
    }
}

/// Where something is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Beneath a base.
    Beneath(Base, PathBuf),
    /// The host's own, which only the author of the Compose file named.
    Host(PathBuf),
    /// What a person named on a command line: a pipe, too.
    Named(PathBuf),
}

impl Place {
    /// Beneath the first of these bases that holds the path, else the host's own.
    pub fn of(path: &Path, bases: &[Base]) -> Self {
        let path = tidy(path);
        let textual = bases.iter().find_map(|base| Some((base, below(&path, &base.path)?)));
        let found = textual.or_else(|| spelled_otherwise(&path, bases));
        match found {
            Some((base, below)) => Self::Beneath(base.clone(), below),
            None => Self::Host(path),
        }
    }

    /// The path, for whoever only notes what the file system says of it.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Beneath(base, below) => base.path.join(below),
            Self::Host(path) | Self::Named(path) => path.clone(),
        }
    }

    /// What is there; what must not be looked at is [`Kind::Other`].
    pub fn kind(&self) -> Kind {
        let kind = match self {
            Self::Beneath(base, below) => {
                Folder::open(&base.path).and_then(|folder| folder.kind(below))
            }
            Self::Host(path) | Self::Named(path) => return host_kind(path),
        };
        match kind {
            Ok(keel_beneath::Kind::File) => Kind::File,
            Ok(keel_beneath::Kind::Folder) => Kind::Dir,
            Ok(keel_beneath::Kind::Other) => Kind::Other,
            Err(error) if Refused::of(&error).is_some() => Kind::Other,
            Err(_) => Kind::Missing,
        }
    }

    /// Whether a link on the way leads out of its base.
    pub fn leaves(&self) -> bool {
        let Self::Beneath(base, below) = self else { return false };
        let kind = Folder::open(&base.path).and_then(|folder| folder.kind(below));
        kind.is_err_and(|error| Refused::of(&error) == Some(Refused::Leaves))
    }

    /// The whole content, of at most so many bytes.
    pub fn read(&self, most: u64) -> io::Result<Vec<u8>> {
        let content = match self {
            Self::Beneath(base, below) => {
                Folder::open(&base.path).and_then(|folder| folder.read(below, most))
            }
            Self::Host(path) => keel_beneath::read(path, most),
            Self::Named(path) => read_named(path, most),
        };
        content.map_err(|error| self.explained(error))
    }

    /// Of the content; of a very large file, of what the file system notes of a change.
    pub fn digest(&self) -> io::Result<Digest> {
        match self.read(MOST_COMPARED) {
            Ok(content) => Ok(Digest::of(&content)),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                let meta = std::fs::metadata(self.path())?;
                let (written, part) = (meta.mtime(), meta.mtime_nsec());
                Ok(digest_of(&("large", meta.len(), written, part)))
            }
            Err(error) => Err(error),
        }
    }

    /// A refusal in words for whoever wrote the path.
    fn explained(&self, error: io::Error) -> io::Error {
        match Refused::of(&error) {
            None => error,
            Some(Refused::NotAFile) if self.kind() == Kind::Dir => ErrorKind::IsADirectory.into(),
            Some(Refused::TooLarge(most)) => {
                let words = format!("it is larger than {} MiB", most >> 20);
                io::Error::new(ErrorKind::FileTooLarge, words)
            }
            Some(Refused::Leaves) => io::Error::other(self.led_out()),
            Some(other) => io::Error::other(other.to_string()),
        }
    }

    fn led_out(&self) -> String {
        let Self::Beneath(base, below) = self else { return Refused::Leaves.to_string() };
        let link = first_link_out(base, below);
        let subject = match link.as_deref() {
            Some(link) if link != below => format!("`{}`, which it goes through,", link.display()),
            _ => "it".to_owned(),
        };
        format!(
            "{subject} is a link that leaves {}; put the file itself there, or write the path that the link leads to",
            base.called
        )
    }
}

/// Which part of the path is the link that leads out.
fn first_link_out(base: &Base, below: &Path) -> Option<PathBuf> {
    let folder = Folder::open(&base.path).ok()?;
    let mut way: Vec<_> = below.ancestors().filter(|way| !way.as_os_str().is_empty()).collect();
    way.reverse();
    let leads_out = |way: &&&Path| {
        folder.kind(way).is_err_and(|error| Refused::of(&error) == Some(Refused::Leaves))
    };
    way.iter().find(leads_out).map(|way| (*way).to_owned())
}

fn below(path: &Path, base: &Path) -> Option<PathBuf> {
    path.strip_prefix(base).ok().map(Path::to_owned)
}

/// A path that gets into a base over a link that is not beneath any.
fn spelled_otherwise<'a>(path: &Path, bases: &'a [Base]) -> Option<(&'a Base, PathBuf)> {
    let real: Vec<_> =
        bases.iter().filter_map(|base| Some((base, base.path.canonicalize().ok()?))).collect();
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    way.into_iter().find_map(|above| {
        let end = above.canonicalize().ok()?;
        let (base, inside) =
            real.iter().find_map(|(base, real)| Some((*base, below(&end, real)?)))?;
        Some((base, inside.join(path.strip_prefix(above).ok()?)))
    })
}

/// A person's own file: what they write after `-f` may be a pipe of their shell.
fn read_named(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most { Err(Refused::TooLarge(most).into()) } else { Ok(content) }
}

fn host_kind(path: &Path) -> Kind {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => Kind::File,
        Ok(meta) if meta.is_dir() => Kind::Dir,
        Ok(_) => Kind::Other,
        Err(_) => Kind::Missing,
    }
}

#[cfg(test)]
mod tests;
