//! Looks at the machines from outside, whatever the controller believes, and says which promise is broken.

use super::machine::Machine;
use super::shop::{ALONE, WEB};
use super::story::Story;
use keel_engine::{Assignment, Goal, Health, Lease, ObservedTask, Phase, Result, Slot, TaskId};
use keel_plan::verdict::{Action, Hold, Plan, Subject, Verdict};
use keel_plan::why::Activity;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// Whoever watches; all clones are the same one.
#[derive(Clone)]
pub(super) struct Promises {
    story: Story,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    machines: Vec<Arc<Machine>>,
    /// Slots of `web` that are down since the controller stopped what served there.
    down: BTreeSet<Slot>,
    /// So many slots of `web` the controller may have stopped at a time.
    allowed: usize,
    /// Tasks of machines that a person has said to be dead: what they do is theirs.
    forsaken: BTreeSet<TaskId>,
}

impl Promises {
    pub fn new(story: Story) -> Self {
        Self { story, seen: Arc::default() }
    }

    pub fn story(&self) -> &Story {
        &self.story
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub fn add(&self, machine: Arc<Machine>) {
        self.seen().machines.push(machine);
    }

    fn machines(&self) -> Vec<Arc<Machine>> {
        self.seen().machines.clone()
    }

    /// A person says that this machine does not run any more.
    pub fn forsake(&self, machine: &Machine) {
        let tasks = machine.tasks();
        self.seen().forsaken.extend(tasks.iter().map(|task| task.id.clone()));
    }

    /// From now on so many slots of `web` may be stopped at a time.
    pub fn allow(&self, slots: u32) {
        let mut seen = self.seen();
        seen.allowed = seen.allowed.max(usize::try_from(slots).unwrap());
    }

    /// Hands a message to its node, and looks at what that did.
    pub fn deliver(
        &self,
        machine: &Machine,
        (epoch, lease): (u64, &Lease),
        wishes: &[Assignment],
        now: u64,
    ) -> Result<()> {
        let (before, served) = (generations(machine), self.serving());
        let taken = machine.take(epoch, lease, wishes, now);
        self.tell(machine, wishes, &taken);
        for (id, generation) in generations(machine) {
            if before.get(&id).is_some_and(|before| *before > generation) {
                self.story.broken(&format!("an older plan was accepted: task {id}"));
            }
        }
        let serving = self.serving();
        let stopped: Vec<_> =
            served.difference(&serving).filter(|slot| self.is_there(slot)).collect();
        self.seen().down.extend(stopped.into_iter().cloned());
        self.look();
        taken
    }

    fn tell(&self, machine: &Machine, wishes: &[Assignment], taken: &Result<()>) {
        if !self.story.is_told {
            return;
        }
        let said: Vec<_> = wishes.iter().map(said).collect();
        let refused = taken.as_ref().err().map(|error| format!(", which it REFUSES: {error}"));
        let line = format!("is told: {}{}", said.join(", "), refused.unwrap_or_default());
        self.story.tell(machine.name.as_str(), &line);
    }

    /// Of some services two tasks never run at a time.
    pub fn look(&self) {
        for service in ALONE {
            let mut running = Vec::new();
            for machine in self.machines().iter().filter(|machine| machine.is_on()) {
                let live = machine.tasks().into_iter().filter(|task| {
                    is_of(task, service) && matches!(task.phase, Phase::Running | Phase::Draining)
                });
                let forsaken = &self.seen().forsaken;
                let live = live.filter(|task| !forsaken.contains(&task.id));
                running.extend(live.map(|task| format!("{} on {}", shown(&task), machine.name)));
            }
            if running.len() > 1 {
                let both = running.join(" and ");
                self.story.broken(&format!("two tasks of {service} run at a time: {both}"));
            }
        }
    }

    /// After a pass: how many slots its service's rollout has down. What leaves is not missed.
    pub fn after(&self, plan: &Plan) {
        let serving = self.serving();
        let mut seen = self.seen();
        seen.down.retain(|slot| !serving.contains(slot) && is_wanted(plan, slot));
        let names: Vec<_> = seen.down.iter().map(|slot| format!("web.{}", slot.slot)).collect();
        if names.len() > seen.allowed {
            let names = names.join(", ");
            self.story.broken(&format!("too many tasks are down by our own hand: {names}"));
        }
    }

    /// Something else than the controller puts tasks down: what is down since is not its doing.
    pub fn forgive(&self) {
        self.seen().down.clear();
    }

    /// Slots of `web` with a task that is of use.
    fn serving(&self) -> BTreeSet<Slot> {
        let machines = self.machines();
        let tasks = machines.iter().filter(|machine| machine.is_on()).flat_map(|one| one.tasks());
        let of_use = tasks.filter(|task| is_of(task, WEB) && is_of_use(task));
        of_use.filter_map(|task| task.place.slot().cloned()).collect()
    }

    /// Whether a slot has a task that is to stay. Where all go the slot does.
    fn is_there(&self, slot: &Slot) -> bool {
        let machines = self.machines().into_iter().filter(|machine| machine.is_on());
        let tasks = machines.flat_map(|machine| machine.tasks());
        let mut own = tasks.into_iter().filter(|task| task.place.slot() == Some(slot));
        own.any(|task| task.goal != Goal::Removed)
    }
}

/// Whether a plan says of a slot that it shall be there.
fn is_wanted(plan: &Plan, slot: &Slot) -> bool {
    let of = |subject: &Subject| matches!(subject, Subject::Slot(one) if one == slot);
    let entry = plan.entries.iter().find(|entry| of(&entry.subject));
    entry.is_some_and(|entry| {
        !matches!(
            entry.verdict,
            Verdict::Act { action: Action::Remove, .. }
                | Verdict::Hold(Hold::InProgress { activity: Activity::Removing })
        )
    })
}

fn generations(machine: &Machine) -> BTreeMap<TaskId, u64> {
    machine.tasks().iter().map(|task| (task.id.clone(), task.generation)).collect()
}

/// Whether it serves: it runs, and its check (if any) agrees.
pub(super) fn is_of_use(task: &ObservedTask) -> bool {
    task.phase == Phase::Running
        && task.goal == Goal::Running
        && matches!(task.health, Health::None | Health::Healthy)
}

pub(super) fn is_of(task: &ObservedTask, service: &str) -> bool {
    task.place.slot().is_some_and(|slot| slot.service == service)
}

pub(super) fn shown(task: &ObservedTask) -> String {
    let slot = task.place.slot().map(|slot| format!("{}.{}", slot.service, slot.slot));
    format!("{} [{}]", slot.unwrap_or_default(), task.id.short())
}

fn said(wish: &Assignment) -> String {
    match wish {
        Assignment::Task(wish) => {
            let slot = wish.place.slot().map(|slot| format!("{}.{}", slot.service, slot.slot));
            let id = wish.id.short();
            let (slot, image) = (slot.unwrap_or_default(), &wish.spec.image);
            let anew = if wish.anew { " anew" } else { "" };
            format!("{slot} [{id}] {image} {:?}{anew} by plan {}", wish.goal, wish.generation)
        }
        Assignment::Image { reference, wanted, .. } => format!("image {reference} {wanted:?}"),
        Assignment::Volume { spec, wanted } => format!("volume {} {wanted:?}", spec.name),
        Assignment::Network { spec, wanted } => format!("network {} {wanted:?}", spec.name),
        Assignment::Content(_) | Assignment::Tree(_) => "files".to_owned(),
    }
}
