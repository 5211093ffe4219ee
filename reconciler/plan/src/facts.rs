//! The situation, looked at once: who fills which slot, and with what.

use crate::Inputs;
use crate::condition::{self, Condition, Patience};
use crate::desired::{Desired, DesiredService, DriftPolicy};
use crate::look::{Look, Place, Places};
use crate::lost::Lost;
use crate::pace::{FailureAction, Pace};
use crate::repair::Trial;
use crate::standing::{KnownBad, Pull, Standing};
use crate::verdict::Reason;
use crate::why::{NodeRefusal, Refusal};
use keel_engine::fields::{Cost, NETWORK_FIELDS, resource_diff};
use keel_engine::labels::{KEEL_OWNER, PROJECT};
use keel_engine::{
    Digest, HealthTest, NetworkMode, NodeName, ObservedImage, ObservedNetwork, ObservedTask,
    ObservedVolume, Phase, RestartPolicy, Slot, TaskId, TaskSpec, cost_of,
};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::occupants::in_reach;
pub(crate) use crate::occupants::{Occupants, Want, short, slot, slotted};

/// What a plan is made from, in order.
pub(crate) struct Facts<'a> {
    pub inputs: &'a Inputs<'a>,
    /// The memory as this pass found it.
    pub standing: &'a Standing,
    /// What is planned towards: the revision; where that is known bad, what was good before it.
    pub desired: Option<&'a Desired>,
    /// The mark on the revision's own stack hash.
    pub bad: Option<&'a KnownBad>,
    /// Tasks made since then are part of what is being rolled out.
    pub since: Option<u64>,
    pub slots: BTreeMap<Slot, Occupants<'a>>,
    /// What is given up, and what is back.
    pub lost: Rc<Lost<'a>>,
    /// Networks of ours that have to be made anew, each with its node.
    pub stale_networks: BTreeSet<(&'a NodeName, &'a str)>,
    /// What none of that changes while a plan is made.
    pub look: Look<'a>,
    /// Where everything is placed.
    pub places: Rc<Places<'a>>,
}

impl<'a> Facts<'a> {
    pub fn new(
        inputs: &'a Inputs<'a>,
        standing: &'a Standing,
        desired: Option<&'a Desired>,
    ) -> Self {
        Self::after(&Look::at(inputs), inputs, standing, desired)
    }

    /// The same, where others were made from these inputs before.
    pub fn after(
        look: &Look<'a>,
        inputs: &'a Inputs<'a>,
        standing: &'a Standing,
        desired: Option<&'a Desired>,
    ) -> Self {
        let own = inputs.desired.map(|desired| &desired.hash);
        let bad = own.and_then(|hash| standing.bad.get(hash));
        let places = look.places(inputs, standing, desired);
        let mut facts = Self {
            inputs,
            standing,
            desired,
            bad,
            since: standing.rollout.or(bad.map(|bad| match goes_back(inputs, standing) {
                true => bad.at,
                false => bad.since,
            })),
            slots: BTreeMap::new(),
            lost: places.lost.clone(),
            stale_networks: BTreeSet::new(),
            look: look.clone(),
            places: places.clone(),
        };
        facts.stale_networks = facts.stale();
        facts.slots = facts.occupants(&places, &BTreeMap::new());
        // Again, now that it is known which tasks others share the namespace of.
        let hosts = facts.hosts();
        if !hosts.is_empty() {
            facts.slots = facts.occupants(&places, &hosts);
        }
        facts
    }

    /// Whether these are the facts for this memory and what is planned towards.
    pub fn is_of(&self, standing: &Standing, desired: Option<&Desired>) -> bool {
        let planned = self.desired.map(std::ptr::from_ref) == desired.map(std::ptr::from_ref);
        planned && std::ptr::eq(self.standing, standing)
    }

    /// Slots of global services that nodes have and should not, each with why.
    pub fn leaving(&self, slot: &Slot) -> Option<&Refusal> {
        self.places.scheduled.leaving.get(slot)
    }

    /// Global services that run nowhere, each with what keeps it from the nodes.
    pub fn nowhere(&self) -> impl Iterator<Item = (&String, &Vec<NodeRefusal>)> {
        self.places.scheduled.nowhere.iter()
    }

    /// Whether slots could be on several nodes.
    pub fn has_choice(&self) -> bool {
        self.places.scheduled.has_choice
    }

    /// The first container of this name that is not of this stack's slots.
    pub fn of_others(&self, name: &str) -> Option<&'a ObservedTask> {
        self.look.of_others(name)
    }

    pub fn now(&self) -> u64 {
        self.inputs.now
    }

    /// How many tasks a service has.
    pub fn replicas(&self, name: &str, service: &DesiredService) -> u32 {
        self.standing.replicas(name, service, self.now())
    }

    /// That a service has this many, and who says so.
    pub fn scaled(&self, name: &str, service: &DesiredService) -> Reason {
        let scale = self.standing.scale(name, service, self.now());
        let by = scale.map(|scale| scale.by.clone());
        Reason::Scaled { replicas: self.replicas(name, service), by }
    }

    /// What is known of an image, on whichever node it is.
    pub fn image(&self, reference: &str) -> Option<&'a ObservedImage> {
        self.look.images.get(reference).copied()
    }

    /// What a node says of an image.
    pub fn image_on(&self, node: &NodeName, reference: &str) -> Option<&'a ObservedImage> {
        self.inputs.nodes.known(node)?.image(reference)
    }

    /// The pull that a node was asked for, if its answer has not been used yet.
    pub fn pull(&self, node: &NodeName, reference: &str) -> Option<&'a Pull> {
        self.standing.pulls.get(node)?.get(reference)
    }

    /// The node that has a task of this stack.
    pub fn node_of(&self, task: &TaskId) -> Option<&'a NodeName> {
        self.look.homes.get(task).copied()
    }

    /// The slots of a service, by name.
    pub fn slots_of<'f>(
        &'f self,
        service: &str,
    ) -> impl Iterator<Item = (&'f Slot, &'f Occupants<'a>)> + use<'f, 'a> {
        let first = Slot {
            stack: self.inputs.stack.clone(),
            service: service.to_owned(),
            slot: String::new(),
        };
        let service = first.service.clone();
        self.slots.range(first..).take_while(move |(slot, _)| slot.service == service)
    }

    /// Those that something is wanted in, in the order of their numbers.
    pub fn wanted_of(&self, service: &str) -> Vec<(&Slot, &Occupants<'a>)> {
        let mut all: Vec<_> =
            self.slots_of(service).filter(|(_, all)| all.want.is_some()).collect();
        all.sort_by_key(|(slot, _)| (slot.slot.len(), &slot.slot));
        all
    }

    /// The node that a slot is on, or will be.
    pub fn place(&self, slot: &Slot) -> Option<&'a NodeName> {
        self.place_of(self.slots.get(slot)?)
    }

    /// The same of a slot with these occupants.
    pub fn place_of(&self, occupants: &Occupants<'a>) -> Option<&'a NodeName> {
        let wanted = occupants.want.as_ref().filter(|want| !want.spot.is_nowhere());
        let wanted = wanted.map(|want| want.node);
        wanted.or_else(|| self.node_of(&occupants.all().next()?.id))
    }

    /// Whether a person stopped a slot.
    pub fn is_stopped(&self, slot: &Slot) -> bool {
        let stopped = &self.standing.stopped;
        !stopped.is_empty() && stopped.contains(&short(slot))
    }

    /// Whether a network of ours has to be made anew on this node.
    pub fn is_stale(&self, node: &NodeName, network: &str) -> bool {
        self.stale_networks.contains(&(node, network))
    }

    /// The first of a task's networks that has to be made anew.
    pub fn stale_network_of<'t>(&self, task: &'t ObservedTask) -> Option<&'t str> {
        let node = self.node_of(&task.id).filter(|_| !self.stale_networks.is_empty())?;
        let names = task.spec.networks.iter().map(|attachment| attachment.network.as_str());
        names.into_iter().find(|name| self.is_stale(node, name))
    }

    /// What a new task's image is: what the reference meant when the revision was good, where the
    /// stack comes back to one; else what it means now.
    pub fn digest(&self, reference: &str) -> Option<&'a Digest> {
        let (standing, desired) = (self.standing, self.desired?);
        let good = standing.good_desired.as_deref().filter(|_| self.bad.is_some());
        let back = good.is_some_and(|good| good.hash == desired.hash);
        let pinned = standing.pinned.as_deref();
        let pinned = pinned.filter(|pinned| pinned.desired.hash == desired.hash);
        let then = pinned.map(|pinned| &pinned.images);
        let then = then.or(back.then_some(&standing.good_images));
        let then = then.and_then(|images| images.get(reference));
        // What a slot comes back as for a while may be in the good revision alone.
        then.or(standing.pins.get(reference)).or(standing.good_images.get(reference))
    }

    /// Tasks of this stack's slots, newest first.
    pub fn tasks(&self) -> impl Iterator<Item = (&'a Slot, &'a ObservedTask)> {
        self.places.tasks.iter().copied()
    }

    fn occupants(
        &self,
        places: &Places<'a>,
        hosts: &BTreeMap<&'a str, TaskId>,
    ) -> BTreeMap<Slot, Occupants<'a>> {
        let repairs = self.repairs(places);
        // Both are in order: thousands of slots are not looked up one by one.
        let mut found = places.found.iter().peekable();
        let mut slots: Vec<(Slot, Occupants<'a>)> = Vec::with_capacity(places.wanted.len());
        let unwanted = |(slot, all): (&Slot, &Occupants<'a>)| (slot.clone(), all.clone());
        for (slot, place) in &places.wanted {
            slots.extend(
                std::iter::from_fn(|| found.next_if(|(other, _)| *other < slot)).map(unwanted),
            );
            let there = found.next_if(|(other, _)| *other == slot);
            let mut occupants = there.map(|(_, all)| all.clone()).unwrap_or_default();
            let want = match repairs.get(slot) {
                Some(before) => self.want_before(slot, place, *before),
                None => self.want(place, &occupants.rest),
            };
            let is_here = |task: &ObservedTask| self.node_of(&task.id) == Some(place.spot.node);
            let service = place.service;
            occupants.fill(want, |task| is_here(task) && self.is_kept(slot, task, service, hosts));
            slots.push((slot.clone(), occupants));
        }
        slots.extend(found.map(unwanted));
        slots.into_iter().collect()
    }

    /// Slots whose task was lost, or has to leave its node, and that come back as they were before, each with that.
    fn repairs<'f>(
        &'f self,
        places: &'f Places<'a>,
    ) -> BTreeMap<Slot, (&'a str, &'a DesiredService)> {
        let (standing, is_frozen, now) = (self.standing, self.is_frozen(), self.now());
        let open = self.desired.filter(|_| self.bad.is_none() || is_frozen);
        let Some(desired) = open else { return BTreeMap::new() };
        let slots = &places.found;
        let trial = Trial { standing, desired, is_frozen, slots, now };
        let empty = |slot: &Slot| slots.get(slot).is_none_or(|all| all.rest.is_empty());
        let is_lost = |slot: &Slot| self.lost.slots.contains_key(&short(slot)) && empty(slot);
        // The same for every slot of a service, and a look at all of them.
        let mut before = BTreeMap::new();
        let mut before = |name: &'f str| *before.entry(name).or_insert_with(|| trial.before(name));
        let all = places.wanted.iter().filter_map(|(slot, place)| {
            let is_moving = place.spot.is_moving();
            let concerns = is_moving || (!self.lost.slots.is_empty() && is_lost(slot));
            let (name, good) = concerns.then(|| before(&slot.service))??;
            let is_so = !is_moving || trial.is_as_before(slot, good);
            is_so.then(|| (slot.clone(), (name, good)))
        });
        all.collect()
    }

    fn want_before(
        &self,
        slot: &Slot,
        place: &Place<'a>,
        (name, service): (&'a str, &'a DesiredService),
    ) -> Want<'a> {
        let good = self.standing.good_desired.as_deref();
        Want {
            node: place.spot.node,
            spot: place.spot.clone(),
            name,
            service,
            spec: Arc::new(slotted(service, slot)),
            revision: good.map_or("", |good| &good.revision),
            origins: Rc::new(serde_json::to_value(&service.origins).unwrap_or_default()),
            is_repair: true,
        }
    }

    fn want(&self, place: &Place<'a>, tasks: &[&'a ObservedTask]) -> Want<'a> {
        let want = Want {
            node: place.spot.node,
            spot: place.spot.clone(),
            name: place.name,
            service: place.service,
            spec: place.spec.clone(),
            revision: self.desired.map_or("", |desired| &desired.revision),
            origins: place.origins.clone(),
            is_repair: false,
        };
        // Known bad, and nothing good on record: what was applied before is what stays.
        let given_up = self.given_up().is_some() && !self.is_frozen();
        if !given_up || self.standing.good_desired.is_some() {
            return want;
        }
        match tasks.iter().find(|task| !in_reach(&task.spec, &want.spec)) {
            Some(old) => Want {
                spec: old.spec.clone(),
                revision: &old.revision,
                origins: Rc::new(old.origins.clone()),
                ..want
            },
            None => want,
        }
    }

    /// Whether a task of the right specification may stay.
    fn is_kept(
        &self,
        slot: &Slot,
        task: &ObservedTask,
        service: &DesiredService,
        hosts: &BTreeMap<&'a str, TaskId>,
    ) -> bool {
        if service.runs_before_deploy() && !self.is_of_this_deploy(&slot.service, task) {
            return false;
        }
        let recreate = &self.standing.recreate;
        let again = !recreate.is_empty()
            && recreate.get(&short(slot)).is_some_and(|one| one.task == task.id);
        let host = match &service.spec.network_mode {
            NetworkMode::Service(host) => hosts.get(host.as_str()),
            _ => None,
        };
        let follows = host.is_none_or(|host| task.joins.as_ref() == Some(host));
        !again && follows
    }

    /// Whether a job's task was started for what is planned towards.
    fn is_of_this_deploy(&self, service: &str, task: &ObservedTask) -> bool {
        let (Some(desired), Some(job)) = (self.desired, self.standing.jobs.get(service)) else {
            return false;
        };
        job.task == task.id && job.of == desired.hash
    }

    /// Whether what was good before is come back to, and not what the revision says.
    pub fn comes_back(&self) -> bool {
        let other = |desired: &Desired| {
            self.inputs.desired.is_some_and(|revision| revision.hash != desired.hash)
        };
        self.standing.pinned.is_some() || self.desired.is_some_and(other)
    }

    /// Whether the failed revision stays where it is, by policy.
    pub fn is_frozen(&self) -> bool {
        self.failure_action() == Some(FailureAction::Pause)
    }

    /// Whether the rollout of the failed revision goes on, by the word of its file.
    pub fn goes_on(&self) -> bool {
        self.failure_action() == Some(FailureAction::Continue)
    }

    /// The mark on the revision, unless its rollout goes on all the same.
    pub fn given_up(&self) -> Option<&'a KnownBad> {
        self.bad.filter(|_| !self.goes_on())
    }

    fn failure_action(&self) -> Option<FailureAction> {
        let desired = self.inputs.desired.filter(|_| self.bad.is_some())?;
        Some(self.standing.failure_action(desired))
    }

    /// The running tasks whose namespace others share, by service.
    fn hosts(&self) -> BTreeMap<&'a str, TaskId> {
        let shared = self.desired.iter().flat_map(|desired| desired.services.values());
        let shared: BTreeSet<&str> = shared
            .filter_map(|service| match &service.spec.network_mode {
                NetworkMode::Service(host) => Some(host.as_str()),
                _ => None,
            })
            .collect();
        shared.into_iter().filter_map(|name| Some((name, self.host(name)?.id.clone()))).collect()
    }

    /// The task of a service whose namespace others may share now.
    pub fn host(&self, service: &str) -> Option<&'a ObservedTask> {
        let occupants = self.slots.get(&slot(self.inputs, service, 1))?;
        occupants.current.filter(|task| task.phase == Phase::Running)
    }

    /// Whether others share the namespace of this service's task.
    pub fn is_joined(&self, service: &str) -> bool {
        let mut services = self.desired.iter().flat_map(|desired| desired.services.values());
        services.any(|other| match &other.spec.network_mode {
            NetworkMode::Service(host) => host == service,
            _ => false,
        })
    }

    fn stale(&self) -> BTreeSet<(&'a NodeName, &'a str)> {
        let Some(desired) = self.desired else { return BTreeSet::new() };
        let differs = |network: &ObservedNetwork| {
            let Some(want) = desired.networks.get(&network.spec.name) else { return false };
            let differences = resource_diff(NETWORK_FIELDS, &network.spec, &want.spec);
            !want.external
                && self.owns(&network.spec.labels)
                && cost_of(&differences) == Some(Cost::Replace)
        };
        let networks = self.inputs.nodes.all_networks().filter(|(_, network)| differs(network));
        networks.map(|(node, network)| (node, network.spec.name.as_str())).collect()
    }

    /// Whether a volume is this stack's, and not what another source's stack of this name left.
    pub fn owns_volume(&self, volume: &ObservedVolume) -> bool {
        !volume.anonymous
            && self.owns(&volume.spec.labels)
            && self.maker_elsewhere(volume).is_none()
    }

    /// Who made a volume of this stack's name, if its source may have nobody else's.
    pub fn maker_elsewhere<'v>(&self, volume: &'v ObservedVolume) -> Option<&'v str> {
        let desired = self.inputs.desired.filter(|desired| desired.confined)?;
        let maker = volume.spec.labels.get(KEEL_OWNER)?;
        (*maker != desired.owner.label()).then_some(maker)
    }

    /// Whether labels say that a thing is this stack's.
    pub fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(PROJECT).is_some_and(|stack| stack == self.inputs.stack.as_str())
    }

    /// How a task is. On a silent node time proves nothing against it.
    pub fn condition(&self, want: &Want<'_>, task: &ObservedTask) -> Condition {
        let any = !self.look.silent.is_empty();
        let node = any.then(|| self.node_of(&task.id)).flatten();
        let silent = node.and_then(|node| self.unknown(node));
        if let Some(hold) = silent {
            return Condition::Waiting { hold, until: None };
        }
        condition::of(task, self.patience(want, task), want.name, self.now())
    }

    pub fn patience(&self, want: &Want<'_>, task: &ObservedTask) -> Patience {
        let (settle, health) = self
            .desired
            .map_or((0, None), |desired| (desired.policy.settle, desired.policy.health_timeout));
        let changed = self.changed(task);
        let begun = changed.unwrap_or(task.created);
        let settle = self.window(want.service, settle);
        let is_new = self.since.is_some_and(|since| begun >= since) || self.is_brought(task);
        Patience {
            settle,
            health: want.service.health_timeout.or(health),
            fresh: is_new && !self.has_proven(want.service, task, settle),
            changed: changed.filter(|at| self.since.is_some_and(|since| *at >= since)),
            job: self.is_job(want.service),
            before_deploy: want.service.runs_before_deploy(),
            latched: task.place.slot().is_some_and(|slot| self.is_stopped(slot)),
        }
    }

    /// How a service's slots are replaced: forward, or back to what was good before.
    pub fn pace<'s>(&self, service: &'s DesiredService) -> &'s Pace {
        if self.comes_back() { &service.rollback } else { &service.update }
    }

    /// How long a new task of a service must stay available.
    fn window(&self, service: &DesiredService, settle: u64) -> u64 {
        self.pace(service).window(service.settle.unwrap_or(settle))
    }

    /// Whether it ended after the time in which its file wants it watched: that is for its restart
    /// policy alone. Where the file says none, its revision is to blame until its rollout is over.
    fn has_proven(&self, service: &DesiredService, task: &ObservedTask, window: u64) -> bool {
        let is_said = self.pace(service).monitor.is_some() && !self.has_check(service);
        let lived = task.started.zip(task.finished);
        let lived = lived.map(|(started, finished)| finished.saturating_sub(started));
        is_said && lived.is_some_and(|lived| lived >= window)
    }

    /// Whether what is being rolled out brought it, whatever the clock of its node says.
    fn is_brought(&self, task: &ObservedTask) -> bool {
        let newest = || self.standing.brought.get(&short(task.place.slot()?));
        self.since.is_some() && newest() == Some(&task.id)
    }

    /// When it was changed in place, if it was so that its health may suffer.
    fn changed(&self, task: &ObservedTask) -> Option<u64> {
        let all = Some(&self.standing.changed).filter(|all| !all.is_empty())?;
        let changed = all.get(&short(task.place.slot()?))?;
        (changed.task == task.id).then_some(changed.at)
    }

    pub fn drift_policy(&self, service: &DesiredService) -> DriftPolicy {
        let stack = self.desired.map(|desired| desired.policy.drift).unwrap_or_default();
        service.drift.unwrap_or(stack)
    }

    /// Whether it may end well: nobody waits for it at a port, and nothing asks how it is.
    pub fn is_job(&self, service: &DesiredService) -> bool {
        let ends =
            matches!(service.spec.restart, RestartPolicy::No | RestartPolicy::OnFailure { .. });
        service.runs_before_deploy()
            || service.placement.mode.is_job()
            || (ends && service.spec.ports.is_empty() && !self.has_check(service))
    }

    pub fn has_check(&self, service: &DesiredService) -> bool {
        match &service.spec.healthcheck {
            Some(check) => check.test != HealthTest::Disabled,
            None => self.image(&service.spec.image).is_some_and(|image| image.has_healthcheck),
        }
    }

    /// Whether it has data of its own, which has one writer: a writable volume or host path, or a
    /// volume that its image declares, which passes from task to task.
    pub fn has_own_data(&self, spec: &TaskSpec) -> bool {
        let declared = self.image(&spec.image).map_or(&[][..], |image| &image.volumes);
        spec.writes_data() || !spec.uncovered(declared).is_empty()
    }

    /// Services in the order of their dependencies, then by name; jobs before the deploy first.
    pub fn ordered(&self) -> Vec<&'a str> {
        let mut order = self.first();
        let mut seen = order.iter().copied().collect();
        if let Some(desired) = self.desired {
            for name in desired.services.keys() {
                visit(desired, name, &mut seen, &mut order);
            }
        }
        order
    }

    /// Jobs before the deploy, and what they need: everything else waits for those.
    pub fn first(&self) -> Vec<&'a str> {
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        let Some(desired) = self.desired else { return order };
        for (name, _) in desired.services.iter().filter(|(_, s)| s.runs_before_deploy()) {
            visit(desired, name, &mut seen, &mut order);
        }
        order
    }
}

/// Whether a revision that failed gives way to another.
pub(crate) fn goes_back(inputs: &Inputs<'_>, standing: &Standing) -> bool {
    let allowed = inputs
        .desired
        .is_none_or(|desired| standing.failure_action(desired) == FailureAction::Rollback);
    standing.good_desired.is_some() && allowed
}

/// Dependencies first. A cycle, which no loaded stack has, is cut where it closes.
fn visit<'a>(
    desired: &'a Desired,
    name: &'a str,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'a str>,
) {
    let Some(service) = desired.services.get(name) else { return };
    if !seen.insert(name) {
        return;
    }
    for dependency in &service.depends_on {
        visit(desired, &dependency.service, seen, order);
    }
    order.push(name);
}
