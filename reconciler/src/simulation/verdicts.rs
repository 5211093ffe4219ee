//! What each plan is held to, beside what the planner's own checker asks of it.

use super::shop::{ALONE, Behavior, DISK, WEB, behavior};
use super::story::Story;
use super::watcher::{is_of, is_of_use, shown};
use crate::pass::Passed;
use keel_engine::{Assignment, Availability, Goal, NodeName, ObservedTask, Phase, Slot, Wish};
use keel_plan::desired::Desired;
use keel_plan::pool::Pool;
use keel_plan::standing::Standing;
use std::collections::BTreeSet;

/// What a pass decided, and by what.
pub(super) struct Decision<'a> {
    pub passed: &'a Passed,
    pub pool: &'a Pool,
    pub desired: &'a Desired,
}

impl Decision<'_> {
    pub fn check(&self, story: &Story) {
        self.nothing_new_where_nothing_may_be(story);
        for service in [WEB].into_iter().chain(ALONE) {
            self.what_is_right_stays(service, story);
        }
    }

    fn standing(&self) -> &Standing {
        &self.passed.plan.standing
    }

    fn told(&self) -> impl Iterator<Item = (&Wish, &keel_engine::TaskAssignment)> {
        self.passed.plan.wishes().filter_map(|wish| match &wish.what {
            Assignment::Task(task) => Some((wish, &**task)),
            _ => None,
        })
    }

    /// No task that nobody has seen yet is sent to a node that takes none, unless what it needs is there alone.
    fn nothing_new_where_nothing_may_be(&self, story: &Story) {
        for (wish, task) in self.told() {
            let Some(slot) = task.place.slot() else { continue };
            let is_new = self.passed.nodes.task(&task.id).is_none();
            let has_others = self
                .passed
                .nodes
                .placed_tasks()
                .any(|(node, other)| *node == wish.node && other.place.slot() == Some(slot));
            let availability = self.pool.facts(&wish.node).availability;
            if is_new && !has_others && availability != Availability::Active {
                let (slot, node) = (format!("{}.{}", slot.service, slot.slot), &wish.node);
                story.broken(&format!("{availability:?} node gets a new task: {slot} on {node}"));
            }
            let silent = self.passed.nodes.silent(&wish.node).is_some();
            if silent {
                story.broken(&format!("a silent node is told something: {}", wish.node));
            }
        }
    }

    /// A task that is as it shall be is stopped only where there are more of them than shall be, where its
    /// successor is ready beside it, or where what replaced it while its node was down serves.
    fn what_is_right_stays(&self, service: &str, story: &Story) {
        let Some(wanted) = self.wanted(service) else { return };
        let right: Vec<_> = self
            .passed
            .nodes
            .placed_tasks()
            .filter(|(node, task)| is_of(task, service) && self.is_right(node, task))
            .map(|(_, task)| task)
            .collect();
        let ended = |task: &ObservedTask| {
            self.told()
                .any(|(_, told)| told.id == task.id && (told.goal > Goal::Running || told.anew))
        };
        let slots = |tasks: &mut dyn Iterator<Item = &&ObservedTask>| -> BTreeSet<Slot> {
            tasks.filter_map(|task| task.place.slot().cloned()).collect()
        };
        let goes_well = |task: &ObservedTask| self.hands_over(task) || self.was_replaced(task);
        let stays = |task: &&&ObservedTask| !ended(task) || goes_well(task);
        let (before, after) = (slots(&mut right.iter()), slots(&mut right.iter().filter(stays)));
        // Which ones go where fewer are wanted is the planner's to say.
        if after.len() < before.len().min(wanted) {
            let names: Vec<_> =
                right.iter().filter(|task| ended(task)).map(|task| shown(task)).collect();
            story.broken(&format!("a task that was right is stopped: {}", names.join(", ")));
        }
    }

    /// The other tasks of its slot.
    fn beside<'t>(&'t self, task: &'t ObservedTask) -> impl Iterator<Item = &'t ObservedTask> {
        let others = self.passed.nodes.placed_tasks().map(|(_, other)| other);
        others.filter(|other| other.id != task.id && other.place == task.place)
    }

    /// Whether another task of its slot is ready, and waits for its end.
    fn hands_over(&self, task: &ObservedTask) -> bool {
        self.beside(task).any(|other| other.goal == Goal::Ready && other.phase == Phase::Ready)
    }

    fn was_replaced(&self, task: &ObservedTask) -> bool {
        let (Some(slot), Some(node)) = (task.place.slot(), self.passed.nodes.node_of(&task.id))
        else {
            return false;
        };
        let nodes = self.standing().replaced.get(&format!("{}.{}", slot.service, slot.slot));
        let replaced = nodes.and_then(|nodes| nodes.get(node));
        let is_older = replaced.is_some_and(|one| task.generation <= one.generation);
        is_older && self.beside(task).any(is_of_use)
    }

    fn wanted(&self, name: &str) -> Option<usize> {
        let service = self.planned().services.get(name)?;
        // What a person set is on record for as long as the plan reckons with it.
        usize::try_from(self.standing().replicas(name, service, 0)).ok()
    }

    /// What is planned towards.
    fn planned(&self) -> &Desired {
        let good = self.standing().good_desired.as_deref();
        let is_bad = self.standing().bad.contains_key(&self.desired.hash);
        good.filter(|_| is_bad).unwrap_or(self.desired)
    }

    fn is_right(&self, node: &NodeName, task: &ObservedTask) -> bool {
        let Some(slot) = task.place.slot() else { return false };
        let Some(service) = self.planned().services.get(&slot.service) else { return false };
        let facts = self.pool.facts(node);
        let fast = facts.labels.get(DISK).is_some_and(|disk| disk == "fast");
        let may_be_here = facts.availability != Availability::Drain
            && (service.placement.constraints.is_empty() || fast);
        let name = format!("{}.{}", slot.service, slot.slot);
        let replaced = self.standing().replaced.get(&name).and_then(|nodes| nodes.get(node));
        let is_given_up =
            replaced.is_some_and(|one| one.for_good && self.beside(task).next().is_some());
        let (has, wants) = (&task.spec, &service.spec);
        let fits = behavior(&has.image) == Behavior::Well
            && has.image == wants.image
            && has.healthcheck == wants.healthcheck
            && has.ports == wants.ports;
        let is_known = self.passed.nodes.known(node).is_some();
        is_known && is_of_use(task) && may_be_here && fits && !is_given_up
    }
}
