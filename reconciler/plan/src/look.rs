//! What a plan looks at once, however often its memory changes while it is made: the tasks in their slots, and
//! where everything is placed.
//!
//! # Invariants
//! - Nothing here depends on latches, marks or pins: those change within a plan, and this does not.
//! - What is planned towards may change within a plan; what depends on that is in [`Places`].

use crate::Inputs;
use crate::desired::{Desired, DesiredService};
use crate::lost::Lost;
use crate::occupants::{Occupants, slotted};
use crate::placing::Site;
use crate::schedule::{Scheduled, Spot, schedule};
use crate::standing::{Completion, Standing};
use keel_engine::{
    Attachment, ForeignContainer, NodeName, ObservedImage, ObservedTask, Opaque, Slot, TaskId,
    TaskSpec,
};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// What is there.
#[derive(Clone)]
pub(crate) struct Look<'a> {
    /// The node of each task of this stack.
    pub homes: Rc<BTreeMap<&'a TaskId, &'a NodeName>>,
    /// Containers that are not of this stack's slots, by name: of several the first.
    pub others: Rc<BTreeMap<&'a str, &'a ObservedTask>>,
    /// What each reference means: where it is there before where it is not, on the controller's own node
    /// before others.
    pub images: Rc<BTreeMap<&'a str, &'a ObservedImage>>,
    /// Containers of other engines, each with its node.
    pub foreign: Rc<Vec<(&'a NodeName, &'a ForeignContainer)>>,
    /// Where everything was placed last.
    pub places: Option<Rc<Places<'a>>>,
}

/// Where everything is placed.
pub(crate) struct Places<'a> {
    /// What was to be placed.
    desired: Option<&'a Desired>,
    /// Jobs that were done then.
    completed: BTreeMap<String, Completion>,
    /// What is given up, and what is back.
    pub lost: Rc<Lost<'a>>,
    /// Tasks of the stack's slots, newest first.
    pub tasks: Vec<(&'a Slot, &'a ObservedTask)>,
    /// Those that are not lost, by their slots.
    pub found: BTreeMap<Slot, Occupants<'a>>,
    pub scheduled: Scheduled<'a>,
    /// Attachments with fixed addresses, each with its service.
    pub fixed: Vec<(&'a str, &'a Attachment)>,
    /// Each wanted slot.
    pub wanted: Vec<(Slot, Place<'a>)>,
}

/// What is wanted in a slot, and where.
pub(crate) struct Place<'a> {
    pub spot: Spot<'a>,
    pub name: &'a str,
    pub service: &'a DesiredService,
    pub spec: Arc<TaskSpec>,
    pub origins: Rc<Opaque>,
}

impl<'a> Look<'a> {
    pub fn at(inputs: &'a Inputs<'a>) -> Self {
        Self {
            homes: Rc::new(homes(inputs)),
            others: Rc::new(others(inputs)),
            images: Rc::new(images(inputs)),
            foreign: Rc::new(inputs.nodes.all_foreign().collect()),
            places: None,
        }
    }

    /// Where everything is: as found last, if that was asked of the same.
    pub fn places(
        &self,
        inputs: &'a Inputs<'a>,
        standing: &'a Standing,
        desired: Option<&'a Desired>,
    ) -> Rc<Places<'a>> {
        let same = |places: &&Rc<Places<'a>>| {
            let (one, other) = (places.desired, desired);
            one.map(std::ptr::from_ref) == other.map(std::ptr::from_ref)
                && places.completed == standing.completed
        };
        if let Some(places) = self.places.as_ref().filter(same) {
            return places.clone();
        }
        Rc::new(Places::made(&self.homes, inputs, standing, desired))
    }
}

impl<'a> Places<'a> {
    fn made(
        homes: &BTreeMap<&'a TaskId, &'a NodeName>,
        inputs: &'a Inputs<'a>,
        standing: &'a Standing,
        desired: Option<&'a Desired>,
    ) -> Self {
        let lost = Lost::look(inputs, standing, desired);
        let tasks = newest_first(inputs, &lost);
        let found = by_slot(tasks.iter().filter(|(_, task)| !lost.tasks.contains(&task.id)));
        let site = Site { inputs, standing, desired, homes, lost: &lost, slots: &found };
        let scheduled = schedule(&site);
        let wanted = wanted(&scheduled, desired);
        let (completed, fixed) = (standing.completed.clone(), fixed(desired));
        Self { desired, completed, lost: Rc::new(lost), tasks, found, scheduled, fixed, wanted }
    }
}

fn by_slot<'t, 'a: 't>(
    tasks: impl Iterator<Item = &'t (&'a Slot, &'a ObservedTask)>,
) -> BTreeMap<Slot, Occupants<'a>> {
    let mut found: BTreeMap<Slot, Occupants<'a>> = BTreeMap::new();
    for (slot, task) in tasks {
        match found.get_mut(*slot) {
            Some(occupants) => occupants.rest.push(task),
            None => drop(found.insert((*slot).clone(), Occupants::of(task))),
        }
    }
    found
}

fn wanted<'a>(scheduled: &Scheduled<'a>, desired: Option<&'a Desired>) -> Vec<(Slot, Place<'a>)> {
    let mut origins: Option<(&str, Rc<Opaque>)> = None;
    let places = scheduled.spots.iter().filter_map(|(slot, spot)| {
        let (name, service) = desired?.services.get_key_value(&slot.service)?;
        let written = match &origins {
            // The slots of a service follow each other.
            Some((service, origins)) if service == name => origins.clone(),
            _ => Rc::new(serde_json::to_value(&service.origins).unwrap_or_default()),
        };
        origins = Some((name, written.clone()));
        let (spec, spot) = (Arc::new(slotted(service, slot)), spot.clone());
        Some((slot.clone(), Place { spot, name, service, spec, origins: written }))
    });
    places.collect()
}

fn fixed(desired: Option<&Desired>) -> Vec<(&str, &Attachment)> {
    let services = desired.into_iter().flat_map(|desired| &desired.services);
    let all = services.flat_map(|(name, service)| {
        service.spec.networks.iter().map(move |attachment| (name.as_str(), attachment))
    });
    all.filter(|(_, attachment)| !attachment.addresses.is_empty()).collect()
}

fn newest_first<'a>(inputs: &'a Inputs<'a>, lost: &Lost<'a>) -> Vec<(&'a Slot, &'a ObservedTask)> {
    let mut tasks: Vec<_> = inputs.nodes.tasks_of(inputs.stack).collect();
    tasks.sort_by(|(_, a), (_, b)| {
        let since = |task: &ObservedTask| (lost.rank(&task.id), task.created, task.generation);
        since(b).cmp(&since(a)).then_with(|| b.id.cmp(&a.id))
    });
    tasks
}

fn homes<'a>(inputs: &'a Inputs<'a>) -> BTreeMap<&'a TaskId, &'a NodeName> {
    let seen = inputs.nodes.seen();
    seen.flat_map(|(node, seen)| seen.tasks_of(inputs.stack).map(move |(_, task)| (&task.id, node)))
        .collect()
}

fn images<'a>(inputs: &'a Inputs<'a>) -> BTreeMap<&'a str, &'a ObservedImage> {
    let mut images: BTreeMap<&str, ((bool, bool), &ObservedImage)> = BTreeMap::new();
    for (node, image) in inputs.nodes.all_images() {
        let rank = (image.digest.is_none(), *node != inputs.nodes.home);
        let first = images.entry(&image.reference).or_insert((rank, image));
        if rank < first.0 {
            *first = (rank, image);
        }
    }
    images.into_iter().map(|(reference, (_, image))| (reference, image)).collect()
}

fn others<'a>(inputs: &'a Inputs<'a>) -> BTreeMap<&'a str, &'a ObservedTask> {
    let is_ours =
        |task: &ObservedTask| task.place.slot().is_some_and(|slot| slot.stack == *inputs.stack);
    let mut names = BTreeMap::new();
    for task in inputs.nodes.all_tasks().filter(|task| !is_ours(task)) {
        names.entry(task.spec.container_name.as_str()).or_insert(task);
    }
    names
}
