//! What is or may be on nodes that do not answer, so that nothing is decided about it.

use crate::facts::{Facts, Occupants, short};
use crate::lost;
use crate::ties::tie;
use crate::verdict::Hold;
use crate::why::Tie;
use keel_engine::{NodeName, Slot};

impl<'a> Facts<'a> {
    /// Whether a slot's task was sent to a node that does not answer, so that it may be there.
    pub fn may_be_away(&self, slot: &Slot) -> bool {
        let any = !self.look.silent.is_empty();
        let node = any.then(|| self.standing.placed.get(&short(slot))).flatten();
        node.is_some_and(|node| self.inputs.nodes.silent(node).is_some())
    }

    /// Why nothing can be decided about a slot: it is on a node that is silent, or a task of it is or may be.
    pub fn out_of_reach(&self, slot: &Slot, occupants: &Occupants<'a>) -> Option<Hold> {
        if self.look.silent.is_empty() {
            return None;
        }
        let tasks = occupants.all().filter_map(|task| self.node_of(&task.id));
        let name = short(slot);
        let is_lost = |node: &&NodeName| {
            self.lost.slots.get(&name).is_some_and(|nodes| nodes.contains(*node))
        };
        let sent = self.standing.placed.get(&name).filter(|node| !is_lost(node));
        let unheard = self.unheard(occupants);
        let mut nodes =
            self.place_of(occupants).into_iter().chain(tasks).chain(sent).chain(unheard);
        nodes.find_map(|node| self.away(slot, node))
    }

    /// A node that may have a slot's only task, or its data, without the controller's knowledge: its records are those
    /// of a backup, and the node was not heard since.
    fn unheard(&self, occupants: &Occupants<'_>) -> Option<&'a NodeName> {
        let want = occupants.want.as_ref().filter(|_| occupants.all().next().is_none())?;
        let mut nodes = self.inputs.nodes.reports.keys();
        let node = nodes.find(|node| {
            let facts = self.inputs.pool.facts(node);
            let is_away = self.inputs.nodes.silent(node).is_some() && facts.dead.is_none();
            is_away && facts.is_unheard
        })?;
        let is_here = match tie(self.desired?, want.service)? {
            Tie::Volume { volume } => {
                self.inputs.nodes.all_volumes().any(|(_, known)| known.spec.name == volume)
            }
            Tie::Exclusive | Tie::Path { .. } => false,
        };
        (!is_here).then_some(node)
    }

    fn away(&self, slot: &Slot, node: &NodeName) -> Option<Hold> {
        self.look.silent.get(node)?;
        if !lost::is_given_up(self.inputs, node) {
            return self.unknown(node);
        }
        let silent = self.inputs.nodes.silent(node)?;
        let desired = self.desired.filter(|_| self.standing.removed.is_none());
        let service = desired.and_then(|desired| desired.services.get(&slot.service));
        let wanted = service.filter(|service| !service.placement.mode.is_global());
        let tied = desired.zip(wanted).and_then(|(desired, service)| tie(desired, service));
        Some(Hold::NodeDown { node: node.clone(), since: silent.since, tie: tied })
    }

    /// The hold of what is on this node, where that is silent.
    pub fn unknown(&self, node: &NodeName) -> Option<Hold> {
        self.look.silent.get(node)?;
        let silent = self.inputs.nodes.silent(node)?;
        let (node, since) = (silent.node.clone(), silent.since);
        Some(match lost::is_given_up(self.inputs, &node) {
            true => Hold::NodeDown { node, since, tie: None },
            false => Hold::NodeUnknown { node, since },
        })
    }
}
