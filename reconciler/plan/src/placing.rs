//! Where a slot is by now, and what binds it to a node: nothing is moved by this.
//!
//! # Invariants
//! - A slot whose task is or was sent to a silent node stays there, unless `lost` gives it up: nobody knows that it
//!   has ended.
//! - A node that the fleet has no longer has nothing, and what was there is placed anew.

use crate::Inputs;
use crate::condition::available_since;
use crate::desired::{Desired, DesiredService};
use crate::lost::Lost;
use crate::occupants::{Occupants, in_reach, short, slotted};
use crate::standing::Standing;
use crate::ties::binds;
use keel_engine::{Goal, NodeName, ObservedTask, Slot, TaskId, TaskSpec};
use std::collections::{BTreeMap, HashMap};

/// The node of each task.
pub(crate) type Homes<'a> = HashMap<&'a TaskId, &'a NodeName>;

/// What a place is chosen by.
pub(crate) struct Site<'s, 'a> {
    pub inputs: &'a Inputs<'a>,
    pub standing: &'a Standing,
    pub desired: Option<&'a Desired>,
    /// The nodes that have the stack's tasks.
    pub homes: &'s Homes<'a>,
    /// What is given up.
    pub lost: &'s Lost<'a>,
    /// What was found in each slot so far.
    pub slots: &'s BTreeMap<Slot, Occupants<'a>>,
}

impl<'a> Site<'_, 'a> {
    /// The newest of a slot's tasks that is not going, with its node; or an older one that serves as it shall,
    /// where the newest is none that shall be.
    pub fn task(&self, slot: &Slot) -> Option<(&'a ObservedTask, &'a NodeName)> {
        self.task_of(slot, self.slots.get(slot)?)
    }

    /// The same of what was found in a slot.
    pub fn task_of(
        &self,
        slot: &Slot,
        found: &Occupants<'a>,
    ) -> Option<(&'a ObservedTask, &'a NodeName)> {
        let mut tasks = found.all().filter(|task| task.goal != Goal::Removed);
        let newest = tasks.next()?;
        let older: Vec<_> = tasks.collect();
        let task = self.serves_as_wanted(slot, newest, &older).unwrap_or(newest);
        Some((task, self.homes.get(&task.id)?))
    }

    /// Whoever comes back from what failed on another node stays where it was.
    fn serves_as_wanted(
        &self,
        slot: &Slot,
        newest: &ObservedTask,
        older: &[&'a ObservedTask],
    ) -> Option<&'a ObservedTask> {
        let serves =
            |task: &&&ObservedTask| task.goal == Goal::Running && available_since(task).is_some();
        let serving: Vec<_> = older.iter().filter(serves).collect();
        let service = self.desired.filter(|_| !serving.is_empty())?.services.get(&slot.service)?;
        let spec = slotted(service, slot);
        let fits = |task: &ObservedTask| in_reach(&task.spec, &spec);
        serving.into_iter().find(|task| fits(task) && !fits(newest)).copied()
    }

    /// How many tasks a service has.
    pub fn replicas(&self, name: &str, service: &DesiredService) -> u32 {
        self.standing.replicas(name, service, self.inputs.now)
    }

    /// Where a task was sent that nobody has seen since, because its node is silent.
    pub fn remembered(&self, slot: &Slot) -> Option<&'a NodeName> {
        let placed = Some(&self.standing.placed).filter(|placed| !placed.is_empty())?;
        let node = self.there_is(placed.get(&short(slot))?)?;
        let lost = self.lost.slots.get(&short(slot)).is_some_and(|nodes| nodes.contains(node));
        (!lost).then_some(node)
    }

    /// The slots of a service that had a task sent, though nobody may have seen it since, each with its node.
    pub fn remembered_of(&self, service: &str) -> impl Iterator<Item = (&'a str, &'a NodeName)> {
        let first = format!("{service}.");
        let placed = self.standing.placed.range(first.clone()..);
        placed.map_while(move |(slot, node)| Some((slot.strip_prefix(&first)?, node)))
    }

    /// A service's slot of this name.
    pub fn slot(&self, service: &str, name: &str) -> Slot {
        let (stack, service) = (self.inputs.stack.clone(), service.to_owned());
        Slot { stack, service, slot: name.to_owned() }
    }

    /// The node that was chosen before, of several.
    pub fn chosen(&self, slot: &Slot) -> Option<&'a NodeName> {
        let chosen = Some(&self.standing.chosen).filter(|chosen| !chosen.is_empty())?;
        self.there_is(chosen.get(&short(slot))?)
    }

    /// The node of this name, if the fleet still has it.
    pub fn there_is(&self, node: &NodeName) -> Option<&'a NodeName> {
        self.inputs.nodes.reports.get_key_value(node).map(|(node, _)| node)
    }

    /// The volumes that bind tasks to the node that has them, by full name.
    pub fn binding(&self, spec: &'a TaskSpec) -> impl Iterator<Item = &'a str> {
        spec.volumes
            .iter()
            .filter(|mount| !mount.shared)
            .filter_map(|mount| binds(self.desired, mount))
    }
}
