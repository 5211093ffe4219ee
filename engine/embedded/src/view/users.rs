//! Which tasks use which network, volume and image: kept while tasks come and go.

use crate::task::records::Records;
use keel_engine::{Mount, MountSource, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// By name, the tasks that use it.
type By = BTreeMap<String, BTreeSet<TaskId>>;

/// What all tasks use.
#[derive(Debug, Default)]
pub(super) struct Users {
    networks: By,
    volumes: By,
    /// As they write them.
    images: By,
}

/// What is used by other tasks than before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) networks: BTreeSet<String>,
    pub(super) volumes: BTreeSet<String>,
    /// An image is written by a task for the first time, or by none any more.
    pub(super) images: bool,
}

impl Users {
    /// A task is there now with these records instead of those.
    pub(super) fn note(
        &mut self,
        id: &TaskId,
        was: Option<&Records>,
        is: Option<&Records>,
    ) -> Moved {
        let (images, before) = (image(is), image(was));
        let mut written = self.images.len();
        exchange(&mut self.images, id, &before, &images);
        written = written.abs_diff(self.images.len());
        Moved {
            networks: exchange(&mut self.networks, id, &networks(was), &networks(is)),
            volumes: exchange(&mut self.volumes, id, &volumes(was), &volumes(is)),
            images: written > 0 || images != before,
        }
    }

    pub(super) fn of_network(&self, name: &str) -> Vec<TaskId> {
        of(&self.networks, name)
    }

    pub(super) fn of_volume(&self, name: &str) -> Vec<TaskId> {
        of(&self.volumes, name)
    }

    /// Every image, as tasks write it.
    pub(super) fn images(&self) -> BTreeSet<String> {
        self.images.keys().cloned().collect()
    }
}

fn of(by: &By, name: &str) -> Vec<TaskId> {
    by.get(name).into_iter().flatten().cloned().collect()
}

/// Gives the names in which it makes a difference.
fn exchange(
    by: &mut By,
    id: &TaskId,
    was: &BTreeSet<&str>,
    is: &BTreeSet<&str>,
) -> BTreeSet<String> {
    for name in was.difference(is) {
        let users = by.get_mut(*name);
        if users.is_some_and(|users| users.remove(id) && users.is_empty()) {
            by.remove(*name);
        }
    }
    for name in is.difference(was) {
        by.entry((*name).to_owned()).or_default().insert(id.clone());
    }
    was.symmetric_difference(is).map(|name| (*name).to_owned()).collect()
}

fn networks(records: Option<&Records>) -> BTreeSet<&str> {
    let attachments = records.into_iter().flat_map(|records| &records.wish.spec.networks);
    attachments.map(|attachment| attachment.network.as_str()).collect()
}

fn volumes<'a>(records: Option<&'a Records>) -> BTreeSet<&'a str> {
    let named = |mount: &'a Mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(name.as_str()),
        _ => None,
    };
    let mounts = records.into_iter().flat_map(|records| &records.wish.spec.volumes);
    let anonymous = records.into_iter().flat_map(|records| records.work.anonymous.values());
    mounts.filter_map(named).chain(anonymous.map(String::as_str)).collect()
}

fn image(records: Option<&Records>) -> BTreeSet<&str> {
    records.into_iter().map(|records| records.wish.spec.image.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::record::Work;
    use crate::task::records::sample;
    use keel_engine::{Attachment, Goal};
    use std::sync::Arc;

    fn on(networks: &[&str], image: &str) -> Records {
        let mut wish = sample::wish(1, Goal::Running);
        let spec = Arc::make_mut(&mut wish.spec);
        image.clone_into(&mut spec.image);
        let attached =
            |name: &&str| Attachment { network: (*name).into(), ..Attachment::default() };
        spec.networks = networks.iter().map(attached).collect();
        sample::records(wish, Work::default(), None)
    }

    #[test]
    fn only_what_changed_hands_is_told() {
        let (mut users, web) = (Users::default(), TaskId::from_seed("web"));
        let (a, b) = (on(&["front", "back"], "nginx"), on(&["back"], "caddy"));
        let moved = users.note(&web, None, Some(&a));
        assert_eq!(moved.networks, ["back".into(), "front".into()].into());
        assert!(moved.images);
        assert_eq!(users.note(&web, Some(&a), Some(&a)), Moved::default());
        let moved = users.note(&web, Some(&a), Some(&b));
        assert_eq!((moved.networks, moved.images), (["front".into()].into(), true));
        assert_eq!(users.of_network("back"), std::slice::from_ref(&web));
        assert_eq!((users.of_network("front"), users.images()), (vec![], ["caddy".into()].into()));
        users.note(&web, Some(&b), None);
        assert!(users.images.is_empty() && users.networks.is_empty());
    }
}
