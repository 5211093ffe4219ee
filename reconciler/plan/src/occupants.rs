//! Slots: what shall be in one, and what is.

use crate::Inputs;
use crate::desired::DesiredService;
use crate::schedule::Spot;
use keel_engine::labels::NUMBER;
use keel_engine::{NodeName, ObservedTask, Opaque, Slot, TaskSpec, is_in_reach};
use std::rc::Rc;
use std::sync::Arc;

/// What shall be in a slot, and what is.
#[derive(Clone, Default)]
pub(crate) struct Occupants<'a> {
    pub want: Option<Want<'a>>,
    /// The newest task that is what it shall be, up to what can be changed in place.
    pub current: Option<&'a ObservedTask>,
    /// All others, newest first.
    pub rest: Vec<&'a ObservedTask>,
}

/// What shall be in a slot.
#[derive(Clone)]
pub(crate) struct Want<'a> {
    pub node: &'a NodeName,
    /// Whether it may be there.
    pub spot: Spot<'a>,
    pub name: &'a str,
    pub service: &'a DesiredService,
    pub spec: Arc<TaskSpec>,
    pub revision: &'a str,
    pub origins: Rc<Opaque>,
    /// It is what was good before a revision that is not proven yet: its task was lost meanwhile.
    pub is_repair: bool,
}

impl<'a> Occupants<'a> {
    pub(crate) fn of(task: &'a ObservedTask) -> Self {
        Self { want: None, current: None, rest: vec![task] }
    }

    pub(crate) fn fill(&mut self, want: Want<'a>, may_stay: impl Fn(&ObservedTask) -> bool) {
        let fits = |task: &&ObservedTask| {
            task.goal != keel_engine::Goal::Removed
                && in_reach(&task.spec, &want.spec)
                && may_stay(task)
        };
        if let Some(index) = self.rest.iter().position(fits) {
            self.current = Some(self.rest.remove(index));
        }
        self.want = Some(want);
    }

    pub fn all(&self) -> impl Iterator<Item = &'a ObservedTask> {
        self.current.into_iter().chain(self.rest.iter().copied())
    }
}

/// Whether one specification becomes the other without a new container.
pub(crate) fn in_reach(from: &TaskSpec, to: &TaskSpec) -> bool {
    is_in_reach(from, to)
}

pub(crate) fn slot(inputs: &Inputs<'_>, service: &str, number: u32) -> Slot {
    let (stack, service) = (inputs.stack.clone(), service.to_owned());
    Slot { stack, service, slot: number.to_string() }
}

/// `web.1`: a slot within its stack.
pub(crate) fn short(slot: &Slot) -> String {
    format!("{}.{}", slot.service, slot.slot)
}

/// The service's specification, with what is the slot's own.
pub(crate) fn slotted(service: &DesiredService, slot: &Slot) -> TaskSpec {
    let mut of = SlotSpec::of(service);
    of.turn_to(slot);
    of.spec
}

/// The specification of one slot of a service after the other.
pub(crate) struct SlotSpec<'a> {
    service: &'a DesiredService,
    spec: TaskSpec,
}

impl<'a> SlotSpec<'a> {
    pub fn of(service: &'a DesiredService) -> Self {
        Self { service, spec: service.spec.clone() }
    }

    fn turn_to(&mut self, slot: &Slot) {
        let (service, spec) = (self.service, &mut self.spec);
        if !service.fixed_name {
            spec.container_name = format!("{}-{}", service.spec.container_name, slot.slot);
        }
        // Who reads this label reads a number: of a global service each node has the first.
        let number = if service.placement.mode.is_global() { "1" } else { &slot.slot };
        spec.labels.insert(NUMBER.into(), number.into());
    }

    /// A slot's: the one that a task of it has already, where that is the same.
    pub fn for_slot(&mut self, slot: &Slot, there: Option<&Occupants<'_>>) -> Arc<TaskSpec> {
        self.turn_to(slot);
        let mut there = there.into_iter().flat_map(Occupants::all);
        let same = there.find(|task| *task.spec == self.spec);
        same.map_or_else(|| Arc::new(self.spec.clone()), |task| task.spec.clone())
    }
}
