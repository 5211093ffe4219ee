//! The checker: lists what is wrong with a plan, apart from the planner and by other means. Every
//! planner test demands that the list be empty, and a plan that fails it is refused.

mod places;

use crate::Inputs;
use crate::condition::{EXITS, available_since, exits, is_still};
use crate::desired::{Desired, DesiredService, Order};
use crate::facts::{short, slotted};
use crate::occupants::in_reach;
use crate::pace::FailureAction;
use crate::standing::AskVerb;
use crate::verdict::{Action, Hold, Plan, Reason, Subject, Verdict};
use crate::why::Activity;
use keel_engine::{
    Assignment, Goal, Health, NodeName, ObservedImage, ObservedTask, Phase, Presence, Slot,
    TaskAssignment, TaskId, TaskSpec, Wish,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Every invariant that the plan breaks, in words. Empty for a sound plan.
#[must_use]
pub fn broken(inputs: &Inputs<'_>, plan: &Plan) -> Vec<String> {
    let inputs = &crate::with_pin(inputs);
    let tasks = concerned(inputs, plan);
    let images = declared(inputs, plan);
    let mut slots: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (node, task) in inputs.nodes.placed_tasks() {
        let slot = task.place.slot().filter(|slot| slot.stack == *inputs.stack);
        if let Some(slot) = slot.filter(|_| counts(inputs, node, task)) {
            slots.entry(slot).or_default().push(task);
        }
    }
    let check = Check { inputs, plan, tasks, slots, images };
    [
        check.one_verdict_each(),
        check.generations(),
        check.nothing_of_others(),
        check.data(),
        check.one_writer(),
        check.predecessors(),
        check.two_at_most(),
        check.motion(),
        check.jobs_first(),
        check.one_job(),
        check.acts_have_wishes(),
        check.nodes_answer(),
        check.tasks_stay(),
        check.machines_have(),
        places::broken(inputs, plan, |id| check.tasks.contains_key(id)),
    ]
    .concat()
}

struct Check<'a> {
    inputs: &'a Inputs<'a>,
    plan: &'a Plan,
    /// What the plan is about, with its node.
    tasks: HashMap<&'a TaskId, (&'a NodeName, &'a ObservedTask)>,
    /// The stack's own, by their slots.
    slots: BTreeMap<&'a Slot, Vec<&'a ObservedTask>>,
    /// The images of the plan's tasks, by reference.
    images: HashMap<&'a str, Option<&'a ObservedImage>>,
}

/// The stack's own tasks, and whatever else the plan tells something.
fn concerned<'a>(
    inputs: &Inputs<'a>,
    plan: &Plan,
) -> HashMap<&'a TaskId, (&'a NodeName, &'a ObservedTask)> {
    let told: BTreeSet<&TaskId> = plan
        .wishes()
        .filter_map(|wish| match &wish.what {
            Assignment::Task(task) => Some(&task.id),
            _ => None,
        })
        .collect();
    let is_own =
        |task: &ObservedTask| task.place.slot().is_some_and(|slot| slot.stack == *inputs.stack);
    let all = inputs.nodes.placed_tasks();
    let all = all.filter(|(_, task)| is_own(task) || told.contains(&task.id));
    all.map(|(node, task)| (&task.id, (node, task))).collect()
}

/// What is known of the images of a plan's tasks: a look at every image of the pool for each of them.
fn declared<'a>(
    inputs: &Inputs<'a>,
    plan: &'a Plan,
) -> HashMap<&'a str, Option<&'a ObservedImage>> {
    let mut images = HashMap::new();
    for wish in plan.wishes() {
        if let Assignment::Task(task) = &wish.what {
            let reference = task.spec.image.as_str();
            images.entry(reference).or_insert_with(|| inputs.nodes.image(reference));
        }
    }
    images
}

/// Whether a task is reckoned with: not what is given up with its node and harms nobody, if it still runs.
fn counts(inputs: &Inputs<'_>, node: &NodeName, task: &ObservedTask) -> bool {
    let Some(silent) = inputs.nodes.silent(node) else { return true };
    let slot = task.place.slot().filter(|slot| slot.stack == *inputs.stack);
    let replaced = slot.is_some_and(|slot| {
        let nodes = inputs.standing.replaced.get(&short(slot));
        let replaced = nodes.and_then(|nodes| nodes.get(node));
        replaced.is_some_and(|replaced| task.generation <= replaced.generation)
    });
    let service = slot.and_then(|slot| inputs.desired?.services.get(&slot.service));
    let exclusive = service.is_some_and(|service| service.placement.exclusive);
    let alone = task.spec.writes_data() || exclusive;
    let is_dead = inputs.pool.facts(node).dead.is_some();
    !(replaced || is_dead || (silent.is_down && !alone))
}

impl<'a> Check<'a> {
    fn observed(&self) -> impl Iterator<Item = (&'a Slot, &'a ObservedTask)> {
        self.slots.iter().flat_map(|(slot, tasks)| tasks.iter().map(|task| (*slot, *task)))
    }

    fn in_slot(&self, slot: &Slot) -> impl Iterator<Item = &'a ObservedTask> {
        self.slots.get(slot).into_iter().flatten().copied()
    }

    fn task_wishes(&self) -> impl Iterator<Item = &'a TaskAssignment> {
        self.plan.wishes().filter_map(|wish| match &wish.what {
            Assignment::Task(task) => Some(task.as_ref()),
            _ => None,
        })
    }

    fn known(&self, wish: &TaskAssignment) -> Option<&'a ObservedTask> {
        self.tasks.get(&wish.id).map(|(_, task)| *task)
    }

    fn one_verdict_each(&self) -> Vec<String> {
        let slots: BTreeSet<Slot> = self.observed().map(|(slot, _)| slot.clone()).collect();
        let mut seen: BTreeMap<(&Subject, Option<&NodeName>), usize> = BTreeMap::new();
        for entry in &self.plan.entries {
            // A slot is in one place; a resource of one name may be on several nodes.
            let is_slot = matches!(entry.subject, Subject::Slot(_));
            let node = entry.node.as_ref().filter(|_| !is_slot);
            *seen.entry((&entry.subject, node)).or_default() += 1;
        }
        let twice = seen.iter().filter(|(_, count)| **count > 1);
        let twice = twice.map(|((subject, _), _)| format!("two verdicts for {subject:?}"));
        let slots = slots.into_iter().map(Subject::Slot);
        let none = slots.filter(|slot| !seen.contains_key(&(slot, None)));
        let none = none.map(|slot| format!("no verdict for {slot:?}"));
        twice.chain(none).chain(self.too_few()).collect()
    }

    /// Each service has as many slots as it shall have. Those of a global one are for the nodes to say.
    fn too_few(&self) -> Vec<String> {
        if self.plan.standing.removed.is_some() {
            return vec![];
        }
        let mut slots: BTreeMap<&str, u32> = BTreeMap::new();
        for entry in &self.plan.entries {
            if let Subject::Slot(slot) = &entry.subject {
                *slots.entry(&slot.service).or_default() += 1;
            }
        }
        let services = self.inputs.desired.iter().flat_map(|desired| &desired.services);
        let numbered = services.filter(|(_, service)| !service.placement.mode.is_global());
        let few = numbered.filter_map(|(name, service)| {
            let (has, wanted) = (slots.get(name.as_str()), self.replicas(name, service));
            let has = has.copied().unwrap_or(0);
            (has < wanted).then(|| format!("{has} of {wanted} slots of {name} have a verdict"))
        });
        few.collect()
    }

    fn generations(&self) -> Vec<String> {
        let generation = self.plan.standing.generation;
        let wrong = self.task_wishes().filter(|wish| {
            let has = self.known(wish).map_or(0, |task| task.generation);
            wish.generation <= has || wish.generation != generation
        });
        let mut broken: Vec<_> = wrong
            .map(|wish| format!("task {} is assigned generation {}", wish.id, wish.generation))
            .collect();
        if generation < self.inputs.standing.generation {
            broken.push("the stack's generation goes back".into());
        }
        broken
    }

    fn nothing_of_others(&self) -> Vec<String> {
        let stack = self.inputs.stack;
        let ours = |wish: &TaskAssignment| {
            let new = wish.place.slot().is_some_and(|slot| slot.stack == *stack);
            new && self.known(wish).is_none_or(|task| task.place == wish.place)
        };
        let tasks = self.task_wishes().filter(|wish| !ours(wish));
        let mut broken: Vec<_> =
            tasks.map(|wish| format!("task {} is not this stack's", wish.id)).collect();
        for wish in self.plan.wishes() {
            let (name, labels) = match &wish.what {
                Assignment::Network { spec, .. } => (&spec.name, &spec.labels),
                Assignment::Volume { spec, .. } => (&spec.name, &spec.labels),
                _ => continue,
            };
            if labels.get(keel_engine::labels::PROJECT).map(String::as_str) != Some(stack.as_str())
            {
                broken.push(format!("{name} is not this stack's"));
            }
        }
        broken
    }

    fn data(&self) -> Vec<String> {
        let word = self.inputs.standing.removed.is_some_and(|removal| removal.volumes);
        let volumes = self.plan.wishes().filter_map(|wish| match &wish.what {
            Assignment::Volume { spec, wanted: Presence::Absent } => Some(spec.name.clone()),
            _ => None,
        });
        let asked = |wish: &TaskAssignment| {
            let ask = self.inputs.standing.asks.get(&wish.id);
            ask.is_some_and(|ask| ask.verb == AskVerb::Remove { volumes: true })
        };
        let anonymous = self.task_wishes().filter(|wish| wish.remove_volumes && !asked(wish));
        let anonymous = anonymous.map(|wish| format!("those of {}", wish.id));
        let by_policy = |name: &String| {
            let Some(desired) = self.inputs.desired else { return false };
            let standing = &self.inputs.standing;
            desired.policy.prune_volumes
                && standing.good.as_ref() == Some(&desired.hash)
                && !desired.volumes.contains_key(name)
        };
        let volumes = volumes.filter(|name| !by_policy(name));
        let gone = volumes.chain(anonymous).filter(|_| !word);
        gone.map(|name| format!("volume {name} is removed without a person's word")).collect()
    }

    /// To data that has one writer: its own, or what its image declares.
    fn writes(&self, spec: &TaskSpec) -> bool {
        let known = self.images.get(spec.image.as_str()).copied();
        let image = known.unwrap_or_else(|| self.inputs.nodes.image(&spec.image));
        let declared = image.map_or(&[][..], |image| &image.volumes);
        spec.writes_data() || !spec.uncovered(declared).is_empty()
    }

    /// A slot whose task writes to data, or is exclusive, never has two that run.
    fn one_writer(&self) -> Vec<String> {
        let starts = self.task_wishes().filter(|wish| {
            let waits = |task: &ObservedTask| is_still(task) || task.goal == Goal::Ready;
            let begins = self.known(wish).is_none_or(waits);
            let service = wish.place.slot().and_then(|slot| self.service(slot));
            let exclusive = service.is_some_and(|service| service.placement.exclusive);
            wish.goal == Goal::Running && (exclusive || self.writes(&wish.spec)) && begins
        });
        starts
            .filter(|wish| {
                let mut tasks = wish.place.slot().into_iter().flat_map(|slot| self.in_slot(slot));
                // What is to run does so again after its machine's next start.
                let may_run = |task: &ObservedTask| !is_still(task) || task.goal == Goal::Running;
                tasks.any(|task| task.id != wish.id && may_run(task) && task.goal != Goal::Ready)
            })
            .map(|wish| format!("{} would run beside its predecessor", wish.spec.container_name))
            .collect()
    }

    /// Start-first: the old task goes only once its successor is available.
    fn predecessors(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (slot, reason, wishes) in self.acts() {
            let ends = self.leaves_nobody(slot, wishes);
            let standing = &self.plan.standing;
            let is_bad = |desired: &Desired| standing.bad.contains_key(&desired.hash);
            let back = standing.pinned.is_some() || self.inputs.desired.is_some_and(is_bad);
            let order = self.service(slot).and_then(|service| service.order);
            // On the way back, what was good before says in which order.
            let start_first = order == Some(Order::StartFirst) && !back;
            let writes = self.service(slot).is_some_and(|service| self.writes(&service.spec));
            let replaces = matches!(reason, Reason::Changed { .. });
            if ends && replaces && start_first && !writes && !self.must_stop(slot) {
                broken.push(format!("{} is stopped before its successor runs", short(slot)));
            }
            if matches!(reason, Reason::Superseded) && ends && !self.has_successor(slot, wishes) {
                broken.push(format!("{} goes without a successor", short(slot)));
            }
        }
        broken
    }

    /// Whether tasks are ended, and none of the others is of use.
    fn leaves_nobody(&self, slot: &Slot, wishes: &[Wish]) -> bool {
        let ended = |id: &keel_engine::TaskId| {
            wishes.iter().any(|wish| {
                matches!(&wish.what, Assignment::Task(task) if task.id == *id && task.goal >= Goal::Stopped)
            })
        };
        let tasks: Vec<_> = self.in_slot(slot).collect();
        tasks.iter().any(|task| ended(&task.id))
            && !tasks.iter().any(|task| available_since(task).is_some() && !ended(&task.id))
    }

    /// A new task is made beside one old one at most, however fast pushes follow each other.
    fn two_at_most(&self) -> Vec<String> {
        let new = self.task_wishes().filter(|wish| self.known(wish).is_none());
        let slots = new.filter_map(|wish| wish.place.slot());
        let crowded = slots.filter(|slot| {
            let goes = |task: &ObservedTask| {
                let removed =
                    |wish: &TaskAssignment| wish.id == task.id && wish.goal == Goal::Removed;
                task.goal == Goal::Removed || self.task_wishes().any(removed)
            };
            self.in_slot(slot).filter(|task| !goes(task)).count() > 1
        });
        crowded.map(|slot| format!("{} would hold more than two tasks", short(slot))).collect()
    }

    /// Things of which there can be but one.
    fn must_stop(&self, slot: &Slot) -> bool {
        let Some(service) = self.service(slot) else { return false };
        let spec = &service.spec;
        let reserves = spec.reserved_memory.is_some() || spec.reserved_cpus.is_some();
        reserves
            || service.placement.exclusive
            || spec.network_mode != keel_engine::NetworkMode::Networks
            || !spec.ports.is_empty()
            || spec.networks.iter().any(|network| !network.addresses.is_empty())
            || spec.volumes.iter().any(|m| m.source == keel_engine::MountSource::Anonymous)
            || self.inputs.desired.is_some_and(|desired| {
                desired.services.values().any(|other| {
                    other.spec.network_mode
                        == keel_engine::NetworkMode::Service(slot.service.clone())
                })
            })
    }

    fn has_successor(&self, slot: &Slot, wishes: &[Wish]) -> bool {
        let goes = |task: &ObservedTask| {
            wishes.iter().any(|wish| matches!(&wish.what, Assignment::Task(w) if w.id == task.id))
        };
        let done = |task: &ObservedTask| task.phase == Phase::Exited && task.exit_code == Some(0);
        let complete = self.plan.standing.completions.contains_key(&slot.service);
        let unhealthy_but_old = |task: &ObservedTask| task.phase == Phase::Running;
        complete
            || self.in_slot(slot).any(|task| {
                !goes(task)
                    && (available_since(task).is_some() || done(task) || unhealthy_but_old(task))
            })
    }

    /// No more slots of a service begin to be replaced than its file allows at a time. More may be under way: nodes
    /// that come back bring theirs along.
    fn motion(&self) -> Vec<String> {
        let living = self.living();
        let is_double = |slot: &Slot| living.get(slot).is_some_and(|count| *count > 1);
        let mut moving: BTreeMap<&str, BTreeSet<&Slot>> = BTreeMap::new();
        for entry in &self.plan.entries {
            let (Subject::Slot(slot), Verdict::Act { action: Action::Replace, wishes, .. }) =
                (&entry.subject, &entry.verdict)
            else {
                continue;
            };
            // Jobs begin all at once.
            let job = self.service(slot).is_some_and(|service| service.placement.mode.is_job());
            let served = self.in_slot(slot).any(|task| available_since(task).is_some());
            let hands_over = served && self.leaves_nobody(slot, wishes);
            if !job && (self.in_slot(slot).count() < 2 || hands_over) {
                moving.entry(&slot.service).or_default().insert(slot);
            }
        }
        for slot in living.keys().filter(|slot| is_double(slot) && self.is_under_way(slot)) {
            if let Some(slots) = moving.get_mut(slot.service.as_str()) {
                slots.insert(slot);
            }
        }
        let many = moving.into_iter().filter(|(name, slots)| slots.len() > self.limit(name));
        many.map(|(service, slots)| format!("{} slots of {service} move at once", slots.len()))
            .collect()
    }

    /// How many slots of a service may be replaced at a time: the file that they are brought to says it.
    fn limit(&self, name: &str) -> usize {
        let (service, is_back) = self.aim(name);
        let pace = service.map(|service| if is_back { &service.rollback } else { &service.update });
        match pace.map_or(1, |pace| pace.parallelism) {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }

    /// What a service is brought to, and whether it was that before.
    fn aim(&self, name: &str) -> (Option<&DesiredService>, bool) {
        let standing = &self.plan.standing;
        let Some(desired) = self.inputs.desired else { return (None, false) };
        let fails = standing.bad.contains_key(&desired.hash)
            && standing.failure_action(desired) == FailureAction::Rollback;
        let good = standing.good_desired.as_deref().filter(|_| fails);
        let is_back = good.is_some() || standing.pinned.is_some();
        (good.unwrap_or(desired).services.get(name), is_back)
    }

    /// Whether a slot has what it is brought to, and that may still come to something. Of what failed
    /// nobody waits for more, and what runs of other revisions is not under way. Nor is what waits for the
    /// word to run while another serves.
    fn is_under_way(&self, slot: &Slot) -> bool {
        let Some(service) = self.aim(&slot.service).0 else { return true };
        let spec = slotted(service, slot);
        let failed = |task: &ObservedTask| {
            is_still(task)
                || task.phase == Phase::Backoff
                || task.health == Health::Unhealthy
                || exits(task) >= EXITS
        };
        // One that is to be made anew is an old one, whatever it is like.
        let made_anew = self.plan.standing.recreate.get(&short(slot)).map(|one| &one.task);
        let is_new = |task: &ObservedTask| {
            in_reach(&task.spec, &spec) && made_anew.is_none_or(|anew| *anew != task.id)
        };
        // What was there before is not under way, though it is what is come back to.
        let stays = self.in_slot(slot).filter(|task| task.goal != Goal::Removed);
        let newest = stays.map(|task| task.generation).max();
        let is_served = self.in_slot(slot).any(|task| available_since(task).is_some());
        let waits = |task: &ObservedTask| is_served && task.goal == Goal::Ready;
        let begun = self.in_slot(slot).filter(|task| newest == Some(task.generation));
        let mut begun = begun.filter(|task| is_new(task) && task.goal < Goal::Stopped);
        begun.any(|task| !failed(task) && !waits(task))
    }

    /// While a job before the deploy is not done, nothing is changed but what the jobs need.
    fn jobs_first(&self) -> Vec<String> {
        let (Some(desired), standing) = (self.inputs.desired, &self.plan.standing) else {
            return vec![];
        };
        let aside = standing.bad.contains_key(&desired.hash)
            || standing.pinned.is_some()
            || standing.removed.is_some();
        let jobs: Vec<_> =
            desired.services.iter().filter(|(_, service)| service.runs_before_deploy()).collect();
        let is_done = |name: &String| {
            let completion = standing.completions.get(name);
            completion.is_some_and(|completion| completion.of.as_ref() == Some(&desired.hash))
        };
        let done =
            standing.prepared.contains(&desired.hash) || jobs.iter().all(|(name, _)| is_done(name));
        if aside || done {
            return vec![];
        }
        let mut first: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = jobs.iter().map(|(name, _)| name.as_str()).collect();
        while let Some(name) = next.pop() {
            if let Some(service) = desired.services.get(name).filter(|_| first.insert(name)) {
                next.extend(service.depends_on.iter().map(|other| other.service.as_str()));
            }
        }
        let early = self.acts().filter(|(slot, reason, wishes)| {
            let changes = wishes.iter().any(|wish| match &wish.what {
                Assignment::Task(task) => {
                    let known = self.known(task);
                    known.is_none_or(|known| known.spec != task.spec)
                        || (task.goal >= Goal::Stopped
                            && !matches!(reason, Reason::Asked { .. } | Reason::Follows { .. }))
                }
                _ => false,
            });
            // A network that is made anew cannot wait.
            let follows = matches!(reason, Reason::Follows { .. });
            !first.contains(slot.service.as_str()) && changes && !follows
        });
        early.map(|(slot, ..)| format!("{} is changed before the job", short(slot))).collect()
    }

    /// A job never runs beside another run of it.
    fn one_job(&self) -> Vec<String> {
        let is_job =
            |slot: &Slot| self.service(slot).is_some_and(DesiredService::runs_before_deploy);
        let begins = self
            .task_wishes()
            .filter(|wish| wish.goal == Goal::Running && self.known(wish).is_none_or(is_still));
        let slots = begins.filter_map(|wish| Some((wish, wish.place.slot()?)));
        let beside = slots.filter(|(wish, slot)| {
            let mut tasks = self.observed();
            is_job(slot)
                && tasks.any(|(s, task)| s == *slot && task.id != wish.id && !is_still(task))
        });
        beside.map(|(_, slot)| format!("{} would run twice at a time", short(slot))).collect()
    }

    fn acts_have_wishes(&self) -> Vec<String> {
        let empty = self.plan.entries.iter().filter(
            |entry| matches!(&entry.verdict, Verdict::Act { wishes, .. } if wishes.is_empty()),
        );
        empty.map(|entry| format!("nothing carries out {:?}", entry.subject)).collect()
    }

    /// Nothing is said to a node that is silent, or that there is not.
    fn nodes_answer(&self) -> Vec<String> {
        let nodes = self.inputs.nodes;
        let away = self.plan.wishes().filter(|wish| nodes.known(&wish.node).is_none());
        away.map(|wish| format!("node {} is told something, and is not there", wish.node)).collect()
    }

    /// A task is told on the node that has it, and stays there.
    fn tasks_stay(&self) -> Vec<String> {
        let elsewhere = self.plan.wishes().filter_map(|wish| {
            let Assignment::Task(task) = &wish.what else { return None };
            let (has, _) = self.tasks.get(&task.id)?;
            (**has != wish.node).then(|| format!("task {} is told on node {}", task.id, wish.node))
        });
        elsewhere.collect()
    }

    /// No new task asks its node's machine for what that lacks.
    fn machines_have(&self) -> Vec<String> {
        let lacking = self.plan.wishes().filter_map(|wish| {
            let Assignment::Task(task) = &wish.what else { return None };
            let is_new = self.known(task).is_none() && task.goal <= Goal::Running;
            let host =
                is_new.then(|| self.inputs.nodes.known(&wish.node))?.map(|seen| &seen.host)?;
            let mut devices = task.spec.devices.iter();
            let device = devices.find(|device| host.has_device(&device.source) == Some(false))?;
            Some(format!("task {} asks node {} for {}", task.id, wish.node, device.source))
        });
        lacking.collect()
    }

    fn acts(&self) -> impl Iterator<Item = (&'a Slot, &'a Reason, &'a [Wish])> {
        self.plan.entries.iter().filter_map(|entry| match (&entry.subject, &entry.verdict) {
            (Subject::Slot(slot), Verdict::Act { reason, wishes, .. }) => {
                Some((slot, reason, wishes.as_slice()))
            }
            _ => None,
        })
    }

    /// How many tasks each slot has. What was stopped moves nowhere, nor does what goes altogether.
    fn living(&self) -> BTreeMap<&'a Slot, usize> {
        let going = self.going();
        let wanted = |slot: &Slot| {
            self.service(slot).is_some_and(|service| match service.placement.mode.is_global() {
                true => self.inputs.nodes.reports.contains_key(&slot.slot.as_str().into()),
                false => !going.contains(slot) && !self.may_be_surplus(slot, service, &going),
            })
        };
        let latched =
            |slot: &Slot| self.inputs.standing.stopped.contains(&short(slot)) || !wanted(slot);
        let counted = self.observed().filter(|(slot, task)| !self.was_replaced(slot, task));
        let mut living = BTreeMap::new();
        for (slot, _) in counted.filter(|(slot, _)| !latched(slot)) {
            *living.entry(slot).or_default() += 1;
        }
        living
    }

    /// Whether it may be one of those that are more than are wanted: of a silent node's the plan does not say it.
    fn may_be_surplus(
        &self,
        slot: &Slot,
        service: &DesiredService,
        going: &BTreeSet<&Slot>,
    ) -> bool {
        let nodes = self.in_slot(slot).filter_map(|task| self.tasks.get(&task.id));
        let mut silent = nodes.filter(|(node, _)| self.inputs.nodes.silent(node).is_some());
        if silent.next().is_none() {
            return false;
        }
        let all = self.slots.keys().filter(|one| one.service == slot.service);
        let stay = all.filter(|one| !going.contains(*one)).count();
        let wanted = usize::try_from(self.replicas(&slot.service, service));
        wanted.is_ok_and(|wanted| stay > wanted)
    }

    /// Whether it was replaced while its node was down, and goes or will: that takes nothing from its slot.
    fn was_replaced(&self, slot: &Slot, task: &ObservedTask) -> bool {
        let nodes = self.inputs.standing.replaced.get(&short(slot));
        let node = self.tasks.get(&task.id).map(|(node, _)| *node);
        let replaced = nodes.zip(node).and_then(|(nodes, node)| nodes.get(node));
        let goes = |generation| task.goal == Goal::Removed || task.generation <= generation;
        replaced.is_some_and(|one| goes(one.generation))
    }

    /// Slots that are taken away altogether.
    fn going(&self) -> BTreeSet<&'a Slot> {
        let entries = self.plan.entries.iter().filter_map(|entry| match &entry.subject {
            Subject::Slot(slot) => Some((slot, &entry.verdict)),
            _ => None,
        });
        let goes = |verdict: &Verdict| match verdict {
            Verdict::Act { action: Action::Remove, reason, .. } => {
                matches!(reason, Reason::Scaled { .. } | Reason::NotInSource)
            }
            Verdict::Hold(hold) => matches!(
                hold,
                Hold::Kept { .. } | Hold::InProgress { activity: Activity::Removing }
            ),
            Verdict::Act { .. } => false,
        };
        entries.filter(|(_, verdict)| goes(verdict)).map(|(slot, _)| slot).collect()
    }

    fn replicas(&self, name: &str, service: &DesiredService) -> u32 {
        self.inputs.standing.replicas(name, service, self.inputs.now)
    }

    fn service(&self, slot: &Slot) -> Option<&'a DesiredService> {
        self.inputs.desired?.services.get(&slot.service)
    }
}
