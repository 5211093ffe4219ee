//! The tasks as they were read last, and what a change of one means for the others.
//!
//! # Invariants
//! - A change costs as much as what it touches, however many other tasks there are.

use super::tasks::{Task, Tasks};
use super::watch::Changed;
use super::zone::Zone;
use keel_engine::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All tasks, with what follows from them.
pub(super) struct Known {
    tasks: Tasks,
    zone: Zone,
    /// The tasks of each network.
    members: BTreeMap<String, BTreeSet<TaskId>>,
    /// Those with published ports.
    publishers: BTreeSet<TaskId>,
    /// Those whose shims ask to be told when nothing leads to them any more.
    draining: BTreeSet<TaskId>,
    news: News,
}

/// What changed since it was acted on last.
pub(super) struct News {
    /// These tasks were read.
    pub read: Changed,
    /// Names in these networks lead elsewhere.
    pub networks: BTreeSet<String>,
    /// A task with published ports is another one.
    pub ports: bool,
}

impl Known {
    /// Nothing yet.
    pub fn new() -> Self {
        let news = News { read: Changed::Everything, networks: BTreeSet::new(), ports: true };
        Self {
            tasks: Tasks::new(),
            zone: Zone::default(),
            members: BTreeMap::new(),
            publishers: BTreeSet::new(),
            draining: BTreeSet::new(),
            news,
        }
    }

    /// Every task.
    pub fn all(&self) -> &Tasks {
        &self.tasks
    }

    pub fn get(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// Takes what all tasks are now.
    pub fn put_all(&mut self, mut now: Tasks) {
        let gone: Vec<_> = self.tasks.keys().filter(|id| !now.contains_key(*id)).cloned().collect();
        let gone = gone.into_iter().map(|id| (id, None));
        let here = std::mem::take(&mut now).into_iter().map(|(id, task)| (id, Some(task)));
        gone.chain(here).for_each(|(id, task)| self.put(id, task));
        self.news.read = Changed::Everything;
    }

    /// Takes what a task is now; `None` where it is gone.
    pub fn put(&mut self, id: TaskId, now: Option<Task>) {
        if let Changed::Tasks(read) = &mut self.news.read {
            read.insert(id.clone());
        }
        let was = self.tasks.remove(&id);
        if was != now {
            was.iter().for_each(|was| self.forget(&id, was));
            now.iter().for_each(|now| self.learn(&id, now));
        }
        self.tasks.extend(now.map(|now| (id, now)));
    }

    fn forget(&mut self, id: &TaskId, was: &Task) {
        for endpoint in &was.endpoints {
            let members = self.members.get_mut(&endpoint.network);
            if members.is_some_and(|members| members.remove(id) && members.is_empty()) {
                self.members.remove(&endpoint.network);
            }
            self.news.networks.insert(endpoint.network.clone());
        }
        self.draining.remove(id);
        self.news.ports |= self.publishers.remove(id);
    }

    fn learn(&mut self, id: &TaskId, now: &Task) {
        for endpoint in &now.endpoints {
            self.members.entry(endpoint.network.clone()).or_default().insert(id.clone());
            self.news.networks.insert(endpoint.network.clone());
        }
        if now.draining.is_some() {
            self.draining.insert(id.clone());
        }
        if !now.ports.is_empty() {
            self.publishers.insert(id.clone());
            self.news.ports = true;
        }
    }

    pub fn news(&self) -> &News {
        &self.news
    }

    pub fn was_read(&self, id: &TaskId) -> bool {
        match &self.news.read {
            Changed::Everything => true,
            Changed::Tasks(read) => read.contains(id),
        }
    }

    /// Ports are as they shall be, and so is what had to be marked.
    pub fn is_settled(&mut self) {
        (self.news.read, self.news.ports) = (Changed::Tasks(BTreeSet::new()), false);
    }

    /// Tasks that publish ports.
    pub fn publishers(&self) -> impl Iterator<Item = &Task> {
        self.publishers.iter().filter_map(|id| self.tasks.get(id))
    }

    /// Tasks that may have to be told that they are drained, or are so no longer.
    pub fn to_mark(&self) -> Vec<(&TaskId, &Task)> {
        let read: Vec<&TaskId> = match &self.news.read {
            Changed::Everything => self.tasks.keys().collect(),
            Changed::Tasks(read) => read.union(&self.draining).collect(),
        };
        read.into_iter().filter_map(|id| self.tasks.get_key_value(id)).collect()
    }

    /// Brings the names up to date, and gives the tasks that were read or see other names now.
    pub fn take_names(&mut self) -> BTreeSet<TaskId> {
        let mut seeing = BTreeSet::new();
        for network in std::mem::take(&mut self.news.networks) {
            let members = self.members.get(&network).into_iter().flatten();
            seeing.extend(members.clone().cloned());
            self.zone.set(&network, members.filter_map(|id| self.tasks.get(id)));
        }
        match &self.news.read {
            Changed::Everything => seeing.extend(self.tasks.keys().cloned()),
            Changed::Tasks(read) => seeing.extend(read.iter().cloned()),
        }
        seeing
    }

    /// The names that a task sees.
    pub fn names_of(&self, task: &Task) -> Arc<Zone> {
        let networks = task.endpoints.iter().map(|endpoint| endpoint.network.as_str());
        Arc::new(self.zone.within(networks))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tasks::Availability;
    use super::*;
    use crate::root::record::Endpoint;
    use keel_engine::{Protocol, PublishedPort};

    fn task(network: &str, ipv4: &str) -> Task {
        Task {
            standing: Availability::Available,
            endpoints: vec![Endpoint {
                network: network.into(),
                addresses: vec![format!("{ipv4}/24").parse().unwrap()],
                names: vec!["web".into()],
                ..Endpoint::default()
            }],
            ports: Vec::new(),
            reserves: true,
            draining: None,
            processes: Vec::new(),
            dns: Vec::new(),
        }
    }

    fn ids<const N: usize>(seeds: [&str; N]) -> BTreeSet<TaskId> {
        seeds.map(TaskId::from_seed).into()
    }

    /// Three tasks in two networks, of which nothing is news any more.
    fn settled() -> Known {
        let mut known = Known::new();
        let all = [("a", "blog", "10.0.0.2"), ("b", "blog", "10.0.0.3"), ("c", "shop", "10.1.0.2")];
        let all = all.map(|(seed, network, at)| (TaskId::from_seed(seed), task(network, at)));
        known.put_all(all.into());
        known.take_names();
        known.is_settled();
        known
    }

    fn web(known: &Known, seed: &str) -> usize {
        let task = known.get(&TaskId::from_seed(seed)).unwrap();
        let networks = [task.endpoints[0].network.clone()];
        known.names_of(task).addresses(&networks, "web").map_or(0, <[_]>::len)
    }

    #[test]
    fn a_change_concerns_those_who_share_a_network_with_it_and_nobody_else() {
        let mut known = settled();
        assert_eq!((web(&known, "a"), web(&known, "c")), (2, 1));
        let a = TaskId::from_seed("a");
        known.put(a.clone(), Some(task("blog", "10.0.0.2")));
        assert_eq!(known.take_names(), ids(["a"]), "it is as it was");
        known.is_settled();
        known.put(a.clone(), Some(task("shop", "10.1.0.3")));
        assert_eq!(known.take_names(), ids(["a", "b", "c"]), "it moved");
        assert_eq!((web(&known, "b"), web(&known, "c")), (1, 2));
        known.is_settled();
        known.put(a, None);
        assert_eq!((known.take_names(), web(&known, "c")), (ids(["a", "c"]), 1));
        known.is_settled();
        assert_eq!(known.take_names(), ids([]));
        known.put_all([(TaskId::from_seed("c"), task("shop", "10.1.0.2"))].into());
        assert_eq!(known.take_names(), ids(["c"]));
        assert!(known.get(&TaskId::from_seed("b")).is_none());
    }

    #[test]
    fn ports_and_marks_are_looked_at_where_there_are_any() {
        let mut known = settled();
        let (a, b) = (TaskId::from_seed("a"), TaskId::from_seed("b"));
        known.put(b.clone(), None);
        assert!(!known.news().ports && known.publishers().next().is_none());
        let port = PublishedPort {
            host_ip: "0.0.0.0".parse().unwrap(),
            published: 8080,
            target: 80,
            protocol: Protocol::Tcp,
        };
        let publishing = Task { ports: vec![port], ..task("blog", "10.0.0.2") };
        known.put(a.clone(), Some(publishing));
        assert!(known.news().ports && known.publishers().count() == 1);
        known.is_settled();
        assert!(known.to_mark().is_empty());
        let shim = crate::root::record::Process { pid: 1, start_time: 1, boot: "b".into() };
        known.put(a.clone(), Some(Task { draining: Some(shim), ..task("blog", "10.0.0.2") }));
        assert!(known.news().ports, "it publishes nothing any more");
        known.is_settled();
        let marked: Vec<_> = known.to_mark().into_iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(marked, [a], "until it is known to be told");
    }
}
