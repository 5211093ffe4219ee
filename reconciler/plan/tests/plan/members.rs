//! A world with a pool: its nodes, and what is where.

use crate::node::Node;
use crate::world::{World, port};
use keel_engine::Availability;
use keel_engine::{NodeName, ObservedTask, Phase};
use keel_plan::placement::Placement;
use keel_plan::pool::NodeFacts;
use std::collections::BTreeMap;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

impl World {
    /// A member of the pool with 4 CPUs and 4 GiB, of which a fifth stays free.
    pub fn with_member(mut self, name: &str) -> Self {
        let node = NodeName::from(name);
        if *node.as_str() != *self.node.seen.node.as_str() && !self.others.contains_key(&node) {
            self = self.with_node(name);
        }
        let facts = NodeFacts { reserve: Some(0), ..NodeFacts::default() };
        self.pool.members.insert(node, facts);
        self.sized(name, 4, 4 * GIB)
    }

    pub fn with_members(self, names: &[&str]) -> Self {
        names.iter().fold(self, |world, name| world.with_member(name))
    }

    pub fn sized(mut self, name: &str, cpus: u64, memory: u64) -> Self {
        let host = std::sync::Arc::make_mut(&mut self.at(name).seen.host);
        (host.nano_cpus, host.memory) = (cpus * 1_000_000_000, memory);
        (host.os, host.architecture) = ("linux".into(), "amd64".into());
        self
    }

    pub fn at(&mut self, name: &str) -> &mut Node {
        let node = NodeName::from(name);
        self.others.get_mut(&node).unwrap_or(&mut self.node)
    }

    pub fn facts(&mut self, name: &str) -> &mut NodeFacts {
        self.pool.members.get_mut(&NodeName::from(name)).unwrap()
    }

    pub fn label(mut self, name: &str, key: &str, value: &str) -> Self {
        self.facts(name).labels.insert(key.into(), value.into());
        self
    }

    pub fn set(mut self, name: &str, availability: Availability) -> Self {
        self.facts(name).availability = availability;
        self
    }

    /// The node is gone for good.
    pub fn lose(mut self, name: &str) -> Self {
        self.others.remove(&NodeName::from(name));
        self.pool.members.remove(&NodeName::from(name));
        self
    }

    pub fn placed(self, service: &str, place: impl FnOnce(&mut Placement)) -> Self {
        self.edit(service, |service| place(&mut service.placement))
    }

    pub fn constrained(self, service: &str, constraint: &str) -> Self {
        let constraint = keel_names::constraint::Constraint::parse(constraint).unwrap();
        self.placed(service, |place| place.constraints.push(constraint))
    }

    pub fn reserves(self, service: &str, memory: u64) -> Self {
        self.edit(service, |service| service.spec.reserved_memory = Some(memory))
    }

    pub fn publishes(self, service: &str, published: u16) -> Self {
        self.edit(service, |service| service.spec.ports = vec![port(published)])
    }

    pub fn times(self, service: &str, replicas: u32) -> Self {
        self.edit(service, |service| service.replicas = replicas)
    }

    /// `n1: db.1 web.1; n2: web.2`: slots whose tasks run, or ran to their end.
    pub fn whereabouts(&self) -> String {
        let nodes: BTreeMap<_, _> = std::iter::once(&self.node)
            .chain(self.others.values())
            .map(|n| (&n.seen.node, n))
            .collect();
        let runs = |task: &&ObservedTask| matches!(task.phase, Phase::Running | Phase::Exited);
        let slots = |node: &Node| {
            let tasks = node.seen.all_tasks().filter(runs).filter_map(|task| task.place.slot());
            let mut slots: Vec<_> =
                tasks.map(|slot| format!("{}.{}", slot.service, slot.slot)).collect();
            slots.sort();
            slots.join(" ")
        };
        let shown = nodes.into_iter().map(|(name, node)| (name, slots(node)));
        let shown = shown.filter(|(_, slots)| !slots.is_empty());
        shown.map(|(name, slots)| format!("{name}: {slots}")).collect::<Vec<_>>().join("; ")
    }

    /// How many tasks each node runs, in the order of their names.
    pub fn counts(&self) -> Vec<usize> {
        let nodes = std::iter::once(&self.node).chain(self.others.values());
        nodes
            .map(|node| node.seen.tasks.iter().filter(|t| t.phase == Phase::Running).count())
            .collect()
    }

    /// Passes until the plan says so, or for a while.
    pub fn steps(mut self, times: usize) -> Self {
        for _ in 0..times {
            self.step();
        }
        self
    }
}
