//! Which submodules a checkout has, which it lacks, and why.

use super::gitmodules::Address;
use git2::Oid;
use keel_plan::lower::Lack;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Those of a checkout, by their paths in it.
#[derive(Debug, Clone, Default)]
pub struct Submodules(pub(super) BTreeMap<PathBuf, Submodule>);

#[derive(Debug, Clone)]
pub(super) struct Submodule {
    pub(super) commit: Oid,
    /// Or why it cannot be fetched at all.
    pub(super) from: Result<Address, String>,
    /// Within how many others.
    pub(super) depth: usize,
    pub(super) state: State,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    There,
    Unasked,
    Away(Away),
}

/// Why it is not there, and since when in a row.
#[derive(Debug, Clone)]
pub(super) struct Away {
    pub(super) lack: Lack,
    pub(super) asked: Instant,
    pub(super) times: u32,
}

impl Submodules {
    /// Those that are not there, and that something is in or below this path of the checkout, or in
    /// which it is.
    pub(crate) fn around<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> {
        let touches = move |one: &&Path| path.starts_with(one) || one.starts_with(path);
        self.absent().filter(touches)
    }

    /// The one that is not there, in which this path is.
    pub(crate) fn above(&self, path: &Path) -> Option<&Path> {
        self.absent().find(|one| path.starts_with(one))
    }

    /// Those that are not there.
    pub(crate) fn absent(&self) -> impl Iterator<Item = &Path> {
        let absent = self.0.iter().filter(|(_, one)| !matches!(one.state, State::There));
        absent.map(|(path, _)| path.as_path())
    }

    /// Why it could not be fetched; `None`: nobody has tried.
    pub(crate) fn lack(&self, path: &Path) -> Option<&Lack> {
        match &self.0.get(path)?.state {
            State::Away(away) => Some(&away.lack),
            State::There | State::Unasked => None,
        }
    }

    /// Whether it is to be tried (again): what failed before is left in peace for a while.
    pub(crate) fn is_due(&self, path: &Path, pause: impl Fn(u32) -> Duration) -> bool {
        match self.0.get(path).map(|one| &one.state) {
            Some(State::Unasked) => true,
            Some(State::Away(away)) => away.asked.elapsed() >= pause(away.times),
            Some(State::There) | None => false,
        }
    }

    pub(super) fn note(&mut self, path: &Path, outcome: Result<(), Lack>) {
        let Some(one) = self.0.get_mut(path) else { return };
        let before = if let State::Away(away) = &one.state { away.times + 1 } else { 0 };
        one.state = match outcome {
            Ok(()) => State::There,
            Err(lack) => State::Away(Away { lack, asked: Instant::now(), times: before }),
        };
    }
}
