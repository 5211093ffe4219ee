//! Where a path of the stack is on the host.

use super::{Attempt, Base, Lowering};
use keel_spec::files::tidy;
use keel_spec::stack::HostPath;
use keel_spec::{Code, Problem};
use std::path::{Component, Path, PathBuf};

/// A path of a Compose file, placed.
pub(super) enum Place {
    /// The host's own.
    Host(PathBuf),
    /// The served folder's: absolute.
    Folder(PathBuf),
    /// In the repository, relative to its root.
    Repo(PathBuf),
}

impl Lowering<'_> {
    pub(super) fn place(&self, path: &HostPath) -> Attempt<Place> {
        if let Some(rest) = path.home() {
            let home = self.context.home.as_ref().ok_or_else(|| {
                let message = format!("`{}` needs a home directory", path.written);
                Box::new(Problem::new(Code::NoHome, message))
            })?;
            return Ok(Place::Host(if rest.is_empty() { home.clone() } else { home.join(rest) }));
        }
        if !path.is_relative() {
            return Ok(Place::Host(tidy(&path.path())));
        }
        match &self.context.base {
            Base::Folder { root } => Ok(Place::Folder(tidy(&root.join(path.path())))),
            Base::Git { checkout, .. } => {
                let inside = in_repo(checkout, &path.path());
                let stays = |inside: &PathBuf| !self.sources.leaves(&checkout.join(inside));
                inside.filter(stays).map(Place::Repo).ok_or_else(|| {
                    let message = format!("`{}` leaves the repository", path.written);
                    let problem = Problem::new(Code::OutsideRepository, message);
                    Box::new(problem.hint("use an absolute path for what belongs to the host"))
                })
            }
        }
    }

    /// A path of the checkout as people know it.
    pub(super) fn in_repository<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        match &self.context.base {
            Base::Folder { .. } => None,
            Base::Git { checkout, .. } => path.strip_prefix(checkout).ok(),
        }
    }

    /// A path of the stack that stays the same from revision to revision.
    pub(super) fn stable(&self, path: &Path) -> PathBuf {
        match &self.context.base {
            Base::Folder { root } => tidy(&root.join(path)),
            Base::Git { checkout, data } => {
                in_repo(checkout, path).map_or_else(|| data.clone(), |path| tidy(&data.join(path)))
            }
        }
    }
}

fn in_repo(checkout: &Path, path: &Path) -> Option<PathBuf> {
    let path = tidy(path);
    let inside = if path.is_absolute() { path.strip_prefix(checkout).ok()? } else { &path };
    let escapes = inside.components().any(|part| part == Component::ParentDir);
    (!escapes).then(|| inside.to_owned())
}
