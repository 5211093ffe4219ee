//! Every node as a place for tasks: what it is, and how much of it is taken.

use crate::Inputs;
use crate::condition::is_still;
use crate::lost::Lost;
use crate::pool::NodeFacts;
use crate::pool::Room;
use crate::taken_ports::{clash, holds_ports};
use keel_engine::Availability;
use keel_engine::{Digest, NodeName, Observation, Port, Protocol, StackName, TaskSpec};
use keel_names::constraint::NodeAttributes;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Every node, by name.
pub(crate) struct Cluster<'a> {
    pub hosts: Vec<Host<'a>>,
    index: HashMap<&'a NodeName, usize>,
}

/// One node.
pub(crate) struct Host<'a> {
    pub name: &'a NodeName,
    /// It belongs to the pool.
    pub is_member: bool,
    pub facts: &'a NodeFacts,
    /// Tasks of this stack that were replaced while it was down still run on it.
    pub is_returning: bool,
    /// What it says now.
    pub known: Option<&'a Observation>,
    /// What its tasks may reserve.
    pub room: Room,
    /// What they do reserve.
    pub held: Reserved,
    /// How many it runs.
    pub tasks: u32,
    /// Ports that are taken, each with whose they are.
    ports: BTreeMap<(Protocol, u16), Vec<Taken<'a>>>,
    /// Tells the node from others where all else is equal.
    pub salt: u64,
}

/// What a task keeps for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reserved {
    pub memory: u64,
    pub cpus: u64,
}

impl Reserved {
    pub fn of(spec: &TaskSpec) -> Self {
        let (memory, cpus) = (spec.reserved_memory, spec.reserved_cpus);
        Self { memory: memory.unwrap_or(0), cpus: cpus.unwrap_or(0) }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            cpus: self.cpus.saturating_add(other.cpus),
        }
    }

    pub fn minus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(other.memory),
            cpus: self.cpus.saturating_sub(other.cpus),
        }
    }

    /// What a node lacks of it.
    pub fn beyond(self, room: Room) -> Self {
        let lacks = |asked: u64, room: Option<u64>| asked.saturating_sub(room.unwrap_or(asked));
        Self { memory: lacks(self.memory, room.memory), cpus: lacks(self.cpus, room.cpus) }
    }
}

#[derive(Clone, Copy)]
struct Taken<'a> {
    port: &'a Port,
    /// `None`: a task that is in no slot.
    service: Option<(&'a StackName, &'a str)>,
}

impl<'a> Cluster<'a> {
    /// What there is now. Which ports the stack's own services keep is for whoever places them to add.
    pub fn look(inputs: &'a Inputs<'a>, lost: &Lost<'a>) -> Self {
        let nodes = inputs.nodes.reports.iter();
        let hosts: Vec<_> = nodes
            .map(|(name, report)| {
                let mut host = Host::new(inputs, name, report.known());
                report.seen().into_iter().for_each(|seen| host.count(seen, inputs.stack));
                host.is_returning = is_returning(inputs, lost, report.known());
                host
            })
            .collect();
        let index = hosts.iter().enumerate().map(|(at, host)| (host.name, at)).collect();
        Self { hosts, index }
    }

    pub fn at(&self, node: &NodeName) -> Option<usize> {
        self.index.get(node).copied()
    }

    /// Those that belong to the pool.
    pub fn members(&self) -> BTreeSet<usize> {
        let all = self.hosts.iter().enumerate();
        all.filter(|(_, host)| host.is_member).map(|(at, _)| at).collect()
    }
}

impl<'a> Host<'a> {
    fn new(inputs: &'a Inputs<'a>, name: &'a NodeName, known: Option<&'a Observation>) -> Self {
        let facts = inputs.pool.facts(name);
        let machine = known.map(|seen| &seen.host);
        Self {
            name,
            is_member: inputs.pool.has(name, &inputs.nodes.home),
            facts,
            is_returning: false,
            known,
            room: machine
                .map(|machine| inputs.pool.room(name, &inputs.nodes.home, machine))
                .unwrap_or_default(),
            held: Reserved::default(),
            tasks: 0,
            ports: BTreeMap::new(),
            salt: salt(name.as_str()),
        }
    }

    /// A task takes its room until its node says that it has ended, whatever it was told.
    fn count(&mut self, seen: &'a Observation, own: &StackName) {
        for task in seen.all_tasks().filter(|task| !is_still(task)) {
            self.held = self.held.plus(Reserved::of(&task.spec));
            self.tasks += 1;
            let service = match task.place.slot() {
                Some(slot) if slot.stack == *own => continue,
                Some(slot) => Some((&slot.stack, slot.service.as_str())),
                None => None,
            };
            if holds_ports(task) {
                self.take(&task.spec.ports, service);
            }
        }
    }

    /// A task comes here.
    pub fn add(&mut self, reserved: Reserved) {
        self.held = self.held.plus(reserved);
        self.tasks += 1;
    }

    /// A service has, or will have, these ports here.
    pub fn take(&mut self, ports: &'a [Port], service: Option<(&'a StackName, &'a str)>) {
        for port in ports {
            let Some(published) = port.published else { continue };
            let taken = self.ports.entry((port.protocol, published)).or_default();
            // Tasks of one service share theirs.
            if !taken.iter().any(|other| other.service == service && other.port == port) {
                taken.push(Taken { port, service });
            }
        }
    }

    /// Whether another service has this port here.
    pub fn is_taken(&self, port: &Port, service: (&StackName, &str)) -> bool {
        let Some(published) = port.published.filter(|_| !self.ports.is_empty()) else {
            return false;
        };
        let taken = self.ports.get(&(port.protocol, published)).map_or(&[][..], Vec::as_slice);
        taken.iter().any(|other| other.service != Some(service) && clash(other.port, port))
    }

    /// What is missing for a task that would come here.
    pub fn lacks(&self, reserved: Reserved) -> Reserved {
        // What is asked for none of is missed by nobody, however much others took.
        let lacks = self.held.plus(reserved).beyond(self.room);
        let asked = |asked: u64, lacks: u64| if asked == 0 { 0 } else { lacks };
        Reserved {
            memory: asked(reserved.memory, lacks.memory),
            cpus: asked(reserved.cpus, lacks.cpus),
        }
    }

    /// Of what is scarcer here, CPU time or memory, the sixteenths that would be left.
    pub fn sixteenths_left(&self, reserved: Reserved) -> u64 {
        let held = self.held.plus(reserved);
        let left = |held: u64, room: Option<u64>| match room {
            Some(room) if room > 0 => {
                let left = room.saturating_sub(held);
                match left.checked_mul(16) {
                    Some(sixteenfold) => sixteenfold / room,
                    None => u64::try_from(u128::from(left) * 16 / u128::from(room)).unwrap_or(16),
                }
            }
            Some(_) => 0,
            None => 16,
        };
        left(held.cpus, self.room.cpus).min(left(held.memory, self.room.memory))
    }

    pub fn is_drained(&self) -> bool {
        self.facts.availability == Availability::Drain
    }

    pub fn attributes(&self) -> NodeAttributes<'a> {
        static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
        let machine = self.known.map(|seen| &seen.host);
        NodeAttributes {
            id: &self.facts.id,
            hostname: machine.map_or("", |machine| &machine.hostname),
            role: self.facts.role.word(),
            addresses: machine.map_or(&[], |machine| &machine.addresses),
            os: machine.map_or("", |machine| &machine.os),
            architecture: machine.map_or("", |machine| &machine.architecture),
            labels: &self.facts.labels,
            engine_labels: machine.map_or(&NO_LABELS, |machine| &machine.labels),
        }
    }
}

fn is_returning(inputs: &Inputs<'_>, lost: &Lost<'_>, known: Option<&Observation>) -> bool {
    if lost.returned.is_empty() {
        return false;
    }
    let tasks = known.into_iter().flat_map(|seen| seen.tasks_of(inputs.stack));
    let goes = |task: &keel_engine::ObservedTask| {
        lost.returned.contains(&task.id) && !lost.reclaimed.contains(&task.id) && !is_still(task)
    };
    tasks.into_iter().any(|(_, task)| goes(task))
}

/// A number that stands for a name, the same on every machine and in every version.
pub(crate) fn salt(name: &str) -> u64 {
    Digest::of(name.as_bytes()).tail()
}
