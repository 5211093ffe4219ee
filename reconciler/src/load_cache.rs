//! What the last refresh of a source read and stored, so that what nothing has happened to is
//! neither read nor stored again. In memory only: a start reads everything.
//!
//! # Invariants
//! - A stack is taken from here only while all that its files were asked would be answered the same,
//!   and what it mounts of its revision is there.
//! - A refresh that has left something undone is not skipped: it is tried again.

use crate::load::LoadedStack;
use crate::lookups::{Absent, Changes};
use crate::stack_files::StackFiles;
use keel_plan::desired::Desired;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is known of a source.
#[derive(Default)]
pub(crate) struct LoadCache {
    /// By the folder's name as shown.
    stacks: BTreeMap<String, Kept>,
    /// The last refresh did all that there was to do, and nothing is awaited from anybody.
    pub settled: bool,
}

struct Kept {
    /// As it was loaded, judged by itself alone.
    stack: LoadedStack,
    /// The store's revision of what is desired, once that was stored.
    stored: Option<u64>,
}

impl LoadCache {
    /// The stack of this folder, if it would be loaded the same. `edited`: the only files of a folder that may
    /// have changed, where somebody knows.
    pub fn stack(
        &self,
        shown: &str,
        changes: &Changes,
        edited: Option<&BTreeSet<PathBuf>>,
        files: &StackFiles,
        absent: &mut Absent,
    ) -> Option<LoadedStack> {
        let stack = &self.stacks.get(shown)?.stack;
        let printed_with_commit = stack.lowered.is_none() && *changes != unchanged();
        let whole = stack.lowered.as_ref().is_none_or(|(desired, _)| has_its_files(desired));
        let untouched =
            edited.is_some_and(|edited| stack.answers.is_apart_from(edited, &stack.dir));
        let mut holds =
            || untouched || stack.answers.hold(changes, &files.again(&stack.dir), absent);
        (!printed_with_commit && whole && holds()).then(|| stack.clone())
    }

    /// Remembers exactly these, each with whether it was loaded anew.
    pub fn learn(&mut self, stacks: &[(LoadedStack, bool)]) {
        let mut before = std::mem::take(&mut self.stacks);
        let kept = |(stack, fresh): &(LoadedStack, bool)| {
            let stored = before.remove(&stack.shown).filter(|_| !fresh);
            let stored = stored.and_then(|kept| kept.stored);
            (stack.shown.clone(), Kept { stack: stack.clone(), stored })
        };
        self.stacks = stacks.iter().map(kept).collect();
        self.settled &= stacks.iter().all(|(_, fresh)| !fresh);
    }

    /// At which of the store's revisions it was stored; `None`: it is still to be.
    pub fn stored(&self, shown: &str) -> Option<u64> {
        self.stacks.get(shown)?.stored
    }

    /// Remembers that.
    pub fn note_stored(&mut self, shown: &str, revision: Option<u64>) {
        if let Some(kept) = self.stacks.get_mut(shown) {
            kept.stored = revision;
        }
    }

    /// Whether these are the folders that are known.
    pub fn knows_exactly<'a>(&self, shown: impl Iterator<Item = &'a String>) -> bool {
        shown.eq(self.stacks.keys())
    }
}

/// The same commit.
pub(crate) fn unchanged() -> Changes {
    Changes::Paths(BTreeSet::new())
}

/// Whether what its tasks mount of a checkout is there, as an earlier version left it.
pub(crate) fn has_its_files(desired: &Desired) -> bool {
    let mut mounts = desired.services.values().flat_map(|service| &service.spec.volumes);
    mounts.all(|mount| {
        let path = mount.source.checkout_path();
        path.is_none_or(|path| Path::new(path).symlink_metadata().is_ok())
    })
}
