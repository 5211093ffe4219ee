//! From a snapshot to its stacks: only those are read whose files changed, with the submodules that they need.

use super::snapshot::Snapshot;
use super::{Kind, Source, SourceError, pause};
use crate::find::{self, Found};
use crate::load::{LoadedStack, StackFiles};
use crate::lookups::{Absent, Changes};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a source asks for.
pub(crate) struct Loaded {
    /// What was read, with the submodules that it needs.
    pub snapshot: Arc<Snapshot>,
    /// Every stack, each judged by itself alone.
    pub stacks: Vec<LoadedStack>,
    /// It is another revision, or something was read anew, or came, or went.
    pub news: bool,
}

impl Source {
    /// Every stack of a snapshot. Those that would be read the same as last time are not read
    /// again. `at_once`: what could not be fetched before is tried now.
    pub async fn load(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        at_once: bool,
    ) -> Result<Loaded, SourceError> {
        let before = self.last().snapshot.clone();
        let changes = self.changes(before.as_deref(), snapshot).await;
        let (source, now) = (self.clone(), snapshot.clone());
        let stacks = keel_blocking::run(move || source.load_changed(&now, &changes)).await;
        let (snapshot, mut stacks) = self.complete(snapshot.clone(), stacks, at_once).await?;
        stacks.extend(self.unreachable(&snapshot).map(|stack| (stack, false)));
        if let Kind::Directory(directory) = &self.kind {
            // What was not loaded again is watched since it was, but for folders that went and came back.
            let news = stacks.iter().filter(|(_, fresh)| *fresh || snapshot.edited.is_none());
            directory.watch_also(news.flat_map(|(stack, _)| &stack.read));
        }
        let fresh = stacks.iter().any(|(_, fresh)| *fresh);
        let same = before.as_ref().is_some_and(|before| before.revision == snapshot.revision);
        let mut last = self.last();
        let known = last.recall.knows_exactly(stacks.iter().map(|(one, _)| &one.shown));
        let news = fresh || !same || !known;
        last.recall.learn(&stacks);
        last.snapshot = Some(snapshot.clone());
        let stacks = stacks.into_iter().map(|(stack, _)| stack).collect();
        Ok(Loaded { snapshot, stacks, news })
    }

    /// Fetches the submodules that the stacks need, or that may hold some, as long as these name
    /// further ones. What was loaded without them is loaded again.
    async fn complete(
        self: &Arc<Self>,
        mut snapshot: Arc<Snapshot>,
        mut stacks: Vec<(LoadedStack, bool)>,
        at_once: bool,
    ) -> Result<(Arc<Snapshot>, Vec<(LoadedStack, bool)>), SourceError> {
        let Kind::Git(git) = &self.kind else { return Ok((snapshot, stacks)) };
        let mut tried = BTreeSet::new();
        loop {
            let mut wanted = self.wanted(&snapshot, &stacks, at_once);
            wanted.retain(|path| tried.insert(path.clone()));
            if wanted.is_empty() {
                return Ok((snapshot, stacks));
            }
            snapshot = Arc::new(git.with_submodules(&snapshot, wanted.clone()).await?);
            let (source, now) = (self.clone(), snapshot.clone());
            stacks = keel_blocking::run(move || source.load_again(&now, stacks, &wanted)).await;
        }
    }

    /// The submodules that are to be fetched now.
    fn wanted(
        &self,
        snapshot: &Snapshot,
        stacks: &[(LoadedStack, bool)],
        at_once: bool,
    ) -> BTreeSet<PathBuf> {
        let StackFiles::Checkout { submodules, .. } = &snapshot.files else {
            return BTreeSet::new();
        };
        let later = |times| if at_once { Duration::ZERO } else { pause(self.poll, times) };
        let needed = |path: &Path| stacks.iter().any(|(stack, _)| stack.wants.contains(path));
        let absent = submodules.absent().filter(|path| submodules.is_due(path, later));
        absent
            .filter(|path| needed(path) || self.may_hold_stacks(&snapshot.files, path))
            .map(Path::to_owned)
            .collect()
    }

    fn may_hold_stacks(&self, files: &StackFiles, path: &Path) -> bool {
        let Kind::Git(git) = &self.kind else { return false };
        git.config.paths.iter().any(|glob| find::may_match(files.home(), glob, path))
    }

    /// The stacks of a snapshot in which these submodules were tried: the others are as they were.
    fn load_again(
        &self,
        snapshot: &Snapshot,
        stacks: Vec<(LoadedStack, bool)>,
        tried: &BTreeSet<PathBuf>,
    ) -> Vec<(LoadedStack, bool)> {
        let mut known: BTreeMap<_, _> = stacks
            .into_iter()
            .map(|(stack, fresh)| (stack.shown.clone(), (stack, fresh)))
            .collect();
        let reading = self.reading(snapshot);
        let load = |found: &Found| {
            let known = known.remove(&found.shown);
            match known.filter(|(stack, _)| stack.wants.is_disjoint(tried)) {
                Some(known) => known,
                None => (reading.load(found), true),
            }
        };
        snapshot.found.iter().map(load).collect()
    }

    /// Submodules that may hold stacks, and cannot be fetched: each stands for what was in it.
    fn unreachable(&self, snapshot: &Snapshot) -> impl Iterator<Item = LoadedStack> {
        let StackFiles::Checkout { root, submodules, .. } = &snapshot.files else {
            return Vec::new().into_iter();
        };
        let away = submodules.absent().filter_map(|path| Some((path, submodules.lack(path)?)));
        let away = away.filter(|(path, _)| self.may_hold_stacks(&snapshot.files, path));
        let stacks: Vec<_> =
            away.map(|(path, lack)| LoadedStack::away(path, root.join(path), lack)).collect();
        stacks.into_iter()
    }

    /// Each with whether it was read anew.
    fn load_changed(&self, snapshot: &Snapshot, changes: &Changes) -> Vec<(LoadedStack, bool)> {
        let reading = self.reading(snapshot);
        let mut absent = Absent::default();
        let load = |found: &Found| {
            let (edited, files) = (snapshot.edited.as_ref(), &snapshot.files);
            let known = self
                .recall(|recall| recall.stack(&found.shown, changes, edited, files, &mut absent));
            match known {
                Some(known) => (known, false),
                None => (reading.load(found), true),
            }
        };
        snapshot.found.iter().map(load).collect()
    }
}
