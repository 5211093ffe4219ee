//! The view itself: one value for each thing, and the observation made of them.
//!
//! # Invariants
//! - What did not change keeps its very value, so that whoever has the one before can tell by comparing them.
//! - A change costs as much as what it touches, however many other things there are.

use super::users::{Moved, Users};
use super::values;
use crate::network::stored::Stored;
use crate::task::records::Records;
use crate::task::step::Alive;
use crate::volumes::Volume;
use crate::{Layout, root::late, task::namespaces};
use keel_engine::{
    Failure, FailureKind, HostFacts, NetworkMode, Observation, ObservedImage, ObservedNetwork,
    ObservedTask, ObservedVolume, TaskId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All that is known.
#[derive(Default)]
pub(super) struct Kept {
    tasks: BTreeMap<TaskId, (Arc<Records>, Arc<ObservedTask>)>,
    networks: BTreeMap<String, (Arc<Stored>, Arc<ObservedNetwork>)>,
    volumes: BTreeMap<String, (Arc<Volume>, Arc<ObservedVolume>)>,
    images: Vec<Arc<ObservedImage>>,
    host: Arc<HostFacts>,
    users: Users,
    /// Tasks that share another one's network namespace, with whose it is.
    sharing: BTreeMap<TaskId, Option<TaskId>>,
    /// Tasks whose own records or processes changed since [`settle`](Self::settle).
    touched: BTreeSet<TaskId>,
    /// What is used by others than before since then.
    moved: Moved,
    version: u64,
    /// As of `version`; `None` since something changed.
    whole: Option<Observation>,
}

impl Kept {
    pub(super) fn records(&self) -> Vec<Arc<Records>> {
        self.tasks.values().map(|(records, _)| Arc::clone(records)).collect()
    }

    pub(super) fn stored_networks(&self) -> Vec<Arc<Stored>> {
        self.networks.values().map(|(stored, _)| Arc::clone(stored)).collect()
    }

    pub(super) fn stored_volumes(&self) -> Vec<Arc<Volume>> {
        self.volumes.values().map(|(stored, _)| Arc::clone(stored)).collect()
    }

    /// The names of all that is known.
    pub(super) fn names(&self) -> (Vec<TaskId>, Vec<String>, Vec<String>) {
        let (networks, volumes) = (self.networks.keys(), self.volumes.keys());
        (
            self.tasks.keys().cloned().collect(),
            networks.cloned().collect(),
            volumes.cloned().collect(),
        )
    }

    /// Images as tasks write them.
    pub(super) fn written(&self) -> BTreeSet<String> {
        self.users.images()
    }

    /// Takes what a task's records say now, and what lives of it; `None` where it is gone. `is_late`: some
    /// records are in memory.
    pub(super) fn put_task(
        &mut self,
        layout: &Layout,
        id: &TaskId,
        now: Option<(Arc<Records>, Alive)>,
        is_late: bool,
    ) {
        let (records, alive) = now.unzip();
        let known = self.tasks.get(id);
        let was = known.map(|(records, _)| Arc::clone(records));
        let moved = self.users.note(id, was.as_deref(), records.as_deref());
        self.moved.networks.extend(moved.networks);
        self.moved.volumes.extend(moved.volumes);
        self.moved.images |= moved.images;
        self.touched.insert(id.clone());
        let Some(records) = records else {
            self.sharing.remove(id);
            let changed = keep(&mut self.tasks, id, None);
            return self.note(changed);
        };
        let mut task = values::task(&records, alive.unwrap_or_default());
        if is_late && late::late_wish(&layout.task(id)).is_some() {
            task.message =
                Some(Failure { kind: FailureKind::ReadOnly, text: values::UNNOTED.to_owned() });
        }
        match &records.latest().spec.network_mode {
            NetworkMode::Service(_) | NetworkMode::Container(_) => {
                self.sharing.entry(id.clone()).or_default();
            }
            _ => drop(self.sharing.remove(id)),
        }
        task.apart = self.tasks.get(id).is_some_and(|(_, shown)| shown.apart);
        let changed = keep(&mut self.tasks, id, Some((records, task)));
        self.note(changed);
    }

    /// The same of a network.
    pub(super) fn put_network(&mut self, name: &str, stored: Option<Arc<Stored>>) {
        let users = || self.users.of_network(name);
        let now = stored.map(|stored| (Arc::clone(&stored), values::network(&stored, users())));
        let changed = keep(&mut self.networks, &name.to_owned(), now);
        self.note(changed);
    }

    /// The same of a volume.
    pub(super) fn put_volume(&mut self, layout: &Layout, name: &str, stored: Option<Arc<Volume>>) {
        let users = || self.users.of_volume(name);
        let now =
            stored.map(|stored| (Arc::clone(&stored), values::volume(layout, &stored, users())));
        let changed = keep(&mut self.volumes, &name.to_owned(), now);
        self.note(changed);
    }

    /// Whether the images that tasks write are others than at the last look at images.
    pub(super) fn takes_written(&mut self) -> bool {
        std::mem::take(&mut self.moved.images)
    }

    /// Takes what images there are now.
    pub(super) fn put_images(&mut self, images: Vec<ObservedImage>) {
        let same = self.images.iter().map(|image| &**image).eq(&images);
        if !same {
            self.images = images.into_iter().map(Arc::new).collect();
            self.note(true);
        }
    }

    /// Takes what the machine is now.
    pub(super) fn put_host(&mut self, host: HostFacts) {
        if *self.host != host {
            self.host = Arc::new(host);
            self.note(true);
        }
    }

    /// Brings to what was taken since the last time what it means for other things.
    pub(super) fn settle(&mut self, layout: &Layout) {
        for name in std::mem::take(&mut self.moved.networks) {
            let stored = self.networks.get(&name).map(|(stored, _)| Arc::clone(stored));
            self.put_network(&name, stored);
        }
        for name in std::mem::take(&mut self.moved.volumes) {
            let stored = self.volumes.get(&name).map(|(stored, _)| Arc::clone(stored));
            self.put_volume(layout, &name, stored);
        }
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() && !self.sharing.is_empty() {
            self.settle_sharing(&touched);
        }
    }

    /// Whether tasks are still in the namespace that they share.
    fn settle_sharing(&mut self, touched: &BTreeSet<TaskId>) {
        let all = self.records();
        for (id, known) in std::mem::take(&mut self.sharing) {
            let Some((records, shown)) = self.tasks.get(&id) else { continue };
            let host = namespaces::host_of(records, &all).map(|host| host.wish.id.clone());
            let is_touched =
                [Some(&id), host.as_ref()].into_iter().flatten().any(|id| touched.contains(id));
            let apart = match is_touched || host != known {
                true => namespaces::is_apart(records, &all),
                false => shown.apart,
            };
            if apart != shown.apart {
                let task = ObservedTask { apart, ..ObservedTask::clone(shown) };
                self.tasks.insert(id.clone(), (Arc::clone(records), Arc::new(task)));
                self.note(true);
            }
            self.sharing.insert(id, host);
        }
    }

    fn note(&mut self, changed: bool) {
        if changed {
            self.version += 1;
            self.whole = None;
        }
    }

    /// All of it as one value.
    pub(super) fn observation(&mut self) -> Observation {
        let made = self.whole.take().unwrap_or_else(|| Observation {
            version: self.version,
            tasks: self.tasks.values().map(|(_, shown)| Arc::clone(shown)).collect(),
            networks: self.networks.values().map(|(_, shown)| Arc::clone(shown)).collect(),
            volumes: self.volumes.values().map(|(_, shown)| Arc::clone(shown)).collect(),
            images: self.images.clone(),
            host: Arc::clone(&self.host),
            ..Observation::default()
        });
        self.whole.insert(made).clone()
    }
}

/// Takes what a thing's record says now, and the value made of it; `None` where it is gone. Says whether that is
/// another value than before: one that is the same stays.
fn keep<K: Ord + Clone, R, V: PartialEq>(
    all: &mut BTreeMap<K, (Arc<R>, Arc<V>)>,
    key: &K,
    now: Option<(Arc<R>, V)>,
) -> bool {
    let Some((record, value)) = now else { return all.remove(key).is_some() };
    let known = all.get(key).map(|(_, known)| Arc::clone(known));
    let same = known.filter(|known| **known == value);
    let changed = same.is_none();
    all.insert(key.clone(), (record, same.unwrap_or_else(|| Arc::new(value))));
    changed
}
