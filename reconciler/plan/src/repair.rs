//! At which specification a slot comes back whose task was lost, or leaves its node, while a revision is rolled out:
//! at the revision's once a slot of the service has settled there, and until then at what was good before.

use crate::condition::available_since;
use crate::desired::{Desired, DesiredService};
use crate::occupants::{Occupants, in_reach, slotted};
use crate::standing::Standing;
use keel_engine::{Goal, Slot};
use std::collections::BTreeMap;

/// What is known of a revision that may be unproven.
pub(crate) struct Trial<'t, 'a> {
    pub standing: &'a Standing,
    pub desired: &'a Desired,
    /// It failed, and stays where it is by policy.
    pub is_frozen: bool,
    pub slots: &'t BTreeMap<Slot, Occupants<'a>>,
    pub now: u64,
}

impl<'a> Trial<'_, 'a> {
    /// The service as it was good before, if a lost slot comes back as that.
    pub fn before(&self, name: &str) -> Option<(&'a str, &'a DesiredService)> {
        let is_open = self.standing.rollout.is_some() || self.is_frozen;
        let good = self.standing.good_desired.as_deref().filter(|_| is_open)?;
        let (name, before) = good.services.get_key_value(name)?;
        let now = self.desired.services.get(name)?;
        let differs = !in_reach(&before.spec, &now.spec);
        (differs && (self.is_frozen || !self.is_proven(name, now))).then_some((name, before))
    }

    /// Whether what is in a slot is what was good before and serves, and nothing of the revision is.
    pub fn is_as_before(&self, slot: &Slot, before: &DesiredService) -> bool {
        let tasks = self.slots.get(slot).into_iter().flat_map(Occupants::all);
        let tasks: Vec<_> = tasks.filter(|task| task.goal != Goal::Removed).collect();
        let spec = slotted(before, slot);
        tasks.iter().any(|task| available_since(task).is_some())
            && tasks.iter().all(|task| in_reach(&task.spec, &spec))
    }

    fn is_proven(&self, name: &str, service: &DesiredService) -> bool {
        let settle = service.settle.unwrap_or(self.desired.policy.settle);
        let settle = service.update.window(settle);
        let slots = self.slots.iter().filter(|(slot, _)| slot.service == name);
        let mut tasks = slots.flat_map(|(slot, all)| all.all().map(move |task| (slot, task)));
        tasks.any(|(slot, task)| {
            let since = available_since(task).filter(|_| task.goal == Goal::Running);
            let settled = since.is_some_and(|since| since.saturating_add(settle) <= self.now);
            settled && in_reach(&task.spec, &slotted(service, slot))
        })
    }
}
