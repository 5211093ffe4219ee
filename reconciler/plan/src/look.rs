//! What a plan looks at once, however often its memory changes while it is made: the tasks in their slots, and
//! where everything is placed.
//!
//! # Invariants
//! - Nothing here depends on latches, marks or pins: those change within a plan, and this does not.
//! - What is planned towards may change within a plan; what depends on that is in [`Places`].

use crate::Inputs;
use crate::desired::{Desired, DesiredService};
use crate::lost::Lost;
use crate::occupants::{Occupants, SlotSpec};
use crate::ordered::{self, Id};
use crate::placing::{Homes, Site};
use crate::schedule::{Scheduled, Spot, schedule};
use crate::standing::{Completion, Standing};
use keel_engine::{
    Attachment, ForeignContainer, NodeName, ObservedImage, ObservedTask, Opaque, Slot, TaskSpec,
};
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

/// What is there.
#[derive(Clone)]
pub(crate) struct Look<'a> {
    /// The node of each task of this stack.
    pub homes: Rc<Homes<'a>>,
    /// Tasks of this stack's slots, node by node.
    own: Rc<Vec<Slotted<'a>>>,
    /// Containers that are not of this stack's slots.
    others: Rc<Vec<&'a ObservedTask>>,
    /// Their places among those, by a hash of their names, once somebody asked.
    named: Rc<OnceCell<Vec<(u64, usize)>>>,
    /// What each reference means: where it is there before where it is not, on the controller's own node
    /// before others.
    pub images: Rc<BTreeMap<&'a str, &'a ObservedImage>>,
    /// Containers of other engines, each with its node.
    pub foreign: Rc<Vec<(&'a NodeName, &'a ForeignContainer)>>,
    /// Nodes that do not answer.
    pub silent: Rc<BTreeSet<&'a NodeName>>,
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
        let (homes, own, others) = tasks(inputs);
        Self {
            homes: Rc::new(homes),
            own: Rc::new(own),
            others: Rc::new(others),
            named: Rc::default(),
            images: Rc::new(images(inputs)),
            foreign: Rc::new(inputs.nodes.all_foreign().collect()),
            silent: Rc::new(inputs.nodes.all_silent().map(|silent| silent.node).collect()),
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
        Rc::new(Places::made(self, inputs, standing, desired))
    }

    /// The first container of this name that is not of this stack's slots.
    pub fn of_others(&self, name: &str) -> Option<&'a ObservedTask> {
        let named = self.named.get_or_init(|| named(&self.others));
        let hash = hash_of(name);
        let first = named.partition_point(|(other, _)| *other < hash);
        let alike = named[first..].iter().take_while(|(other, _)| *other == hash);
        let mut alike = alike.map(|(_, at)| self.others[*at]);
        alike.find(|task| task.spec.container_name == name)
    }
}

impl<'a> Places<'a> {
    fn made(
        look: &Look<'a>,
        inputs: &'a Inputs<'a>,
        standing: &'a Standing,
        desired: Option<&'a Desired>,
    ) -> Self {
        let lost = Lost::look(inputs, standing, desired);
        let tasks = newest_first(&look.own, &lost);
        let found = by_slot(tasks.iter().filter(|(_, task)| !lost.tasks.contains(&task.id)));
        let site =
            Site { inputs, standing, desired, homes: &look.homes, lost: &lost, slots: &found };
        let scheduled = schedule(&site);
        let wanted = wanted(&scheduled, desired, &found);
        let (completed, fixed) = (standing.completed.clone(), fixed(desired));
        Self { desired, completed, lost: Rc::new(lost), tasks, found, scheduled, fixed, wanted }
    }
}

fn by_slot<'t, 'a: 't>(
    tasks: impl Iterator<Item = &'t Slotted<'a>>,
) -> BTreeMap<Slot, Occupants<'a>> {
    let mut found: HashMap<&Slot, Occupants<'a>> = HashMap::new();
    for (slot, task) in tasks {
        match found.entry(*slot) {
            Entry::Occupied(mut there) => there.get_mut().rest.push(task),
            Entry::Vacant(empty) => drop(empty.insert(Occupants::of(task))),
        }
    }
    ordered::by_slot(found.into_iter().map(|(slot, all)| (slot.clone(), all)).collect())
}

fn wanted<'a>(
    scheduled: &Scheduled<'a>,
    desired: Option<&'a Desired>,
    found: &BTreeMap<Slot, Occupants<'a>>,
) -> Vec<(Slot, Place<'a>)> {
    let mut last: Option<(&str, SlotSpec<'a>, Rc<Opaque>)> = None;
    let mut found = found.iter().peekable();
    let places = scheduled.spots.iter().filter_map(|(slot, spot)| {
        let (name, service) = desired?.services.get_key_value(&slot.service)?;
        // The slots of a service follow each other.
        let (_, spec, origins) = match &mut last {
            Some(last) if last.0 == name => last,
            last => last.insert((name, SlotSpec::of(service), written(service))),
        };
        while found.next_if(|(other, _)| *other < slot).is_some() {}
        let there = found.peek().filter(|(other, _)| *other == slot).map(|(_, all)| *all);
        let (spec, spot) = (spec.for_slot(slot, there), spot.clone());
        Some((slot.clone(), Place { spot, name, service, spec, origins: origins.clone() }))
    });
    places.collect()
}

/// Where each of a service's fields was written, as tasks carry it.
fn written(service: &DesiredService) -> Rc<Opaque> {
    Rc::new(serde_json::to_value(&service.origins).unwrap_or_default())
}

fn fixed(desired: Option<&Desired>) -> Vec<(&str, &Attachment)> {
    let services = desired.into_iter().flat_map(|desired| &desired.services);
    let all = services.flat_map(|(name, service)| {
        service.spec.networks.iter().map(move |attachment| (name.as_str(), attachment))
    });
    all.filter(|(_, attachment)| !attachment.addresses.is_empty()).collect()
}

fn newest_first<'a>(own: &[Slotted<'a>], lost: &Lost<'a>) -> Vec<Slotted<'a>> {
    let since = |task: &ObservedTask| (lost.rank(&task.id), task.created, task.generation);
    let key = |task: &'a ObservedTask| Reverse((since(task), Id::from(&task.id)));
    let mut keyed: Vec<_> = own.iter().map(|one| (key(one.1), *one)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, one)| one).collect()
}

/// A task of the stack's slots.
type Slotted<'a> = (&'a Slot, &'a ObservedTask);

/// The tasks of the stack's slots, with the node of each, and all others.
fn tasks<'a>(inputs: &'a Inputs<'a>) -> (Homes<'a>, Vec<Slotted<'a>>, Vec<&'a ObservedTask>) {
    let (mut homes, mut own, mut others) = (Homes::new(), Vec::new(), Vec::new());
    for (node, task) in inputs.nodes.placed_tasks() {
        match task.place.slot().filter(|slot| slot.stack == *inputs.stack) {
            Some(slot) => {
                homes.insert(&task.id, node);
                own.push((slot, task));
            }
            None => others.push(task),
        }
    }
    (homes, own, others)
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

fn named(others: &[&ObservedTask]) -> Vec<(u64, usize)> {
    let names = others.iter().map(|task| hash_of(&task.spec.container_name));
    let mut names: Vec<_> = names.zip(0..).collect();
    names.sort_unstable();
    names
}

fn hash_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
