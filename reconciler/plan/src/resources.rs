//! Images, networks and volumes.

use crate::desired::{Desired, DesiredNetwork, DesiredService};
use crate::draft::{Draft, Judgment, act, hold};
use crate::facts::Facts;
use crate::memory::images;
use crate::verdict::{Action, Hold, Reason, Subject};
use crate::waits::{foreign, foreign_volume, given_up};
use crate::why::{Activity, Awaited, FailureCause, KeptBecause, PersonsCommand};
use keel_engine::fields::{NETWORK_FIELDS, VOLUME_FIELDS, resource_diff};
use keel_engine::labels::KEEL_OWNER;
use keel_engine::{
    Assignment, Goal, MountSource, NodeName, Observation, ObservedNetwork, ObservedVolume,
    Presence, PullPolicy, Slot, TaskSpec,
};
use std::collections::{BTreeMap, BTreeSet};

/// A pull that failed is asked for again after this time.
const AGAIN: u64 = 15_000;

/// And at least this often.
const SELDOM: u64 = 10 * 60_000;

/// Judges every image, network and volume of the stack.
pub(crate) fn all(facts: &Facts<'_>, draft: &mut Draft) {
    let Some(desired) = facts.desired else { return };
    let used = Uses::look(facts);
    // What was good before, where a slot comes back as that.
    let repaired = used.repaired.iter().map(|reference| (*reference, PullPolicy::Missing));
    let wanted: BTreeMap<_, _> =
        repaired.chain(images(desired, facts.standing, facts.now())).collect();
    for (reference, policy) in wanted {
        for node in used.nodes(&used.images, reference) {
            let verdict = image(facts, draft, &used, node, reference, policy);
            draft.put(facts, Subject::Image(reference.to_owned()), Some(node), verdict);
        }
    }
    for (name, network) in &desired.networks {
        for node in used.nodes(&used.networks, name) {
            let verdict = on_node(facts, node, |seen| wanted_network(facts, node, seen, network));
            draft.put(facts, Subject::Network(name.clone()), Some(node), verdict);
        }
    }
    for (name, volume) in &desired.volumes {
        let is_early = is_early(facts, &used, name);
        for node in used.nodes(&used.volumes, name) {
            let verdict = on_node(facts, node, |seen| match seen.volume(name) {
                None if is_early => hold(Hold::Converged),
                observed => wanted_volume(facts, volume, observed),
            });
            draft.put(facts, Subject::Volume(name.clone()), Some(node), verdict);
        }
    }
    if facts.inputs.asked.services.is_empty() {
        leaving(facts, draft, &used);
    }
}

/// Names, each with the nodes of slots that use it.
type NodesByName<'f, 'a> = BTreeMap<&'f str, BTreeSet<&'a NodeName>>;

/// What the stack's slots use, and on which nodes: looked at once, since there may be many slots.
struct Uses<'f, 'a> {
    home: &'a NodeName,
    images: NodesByName<'f, 'a>,
    networks: NodesByName<'f, 'a>,
    volumes: NodesByName<'f, 'a>,
    /// Images of what was good before, as which lost slots come back.
    repaired: BTreeSet<&'f str>,
    /// Images that slots without a task wait for.
    needed: BTreeSet<(&'a NodeName, &'f str)>,
}

impl<'f, 'a> Uses<'f, 'a> {
    fn look(facts: &'f Facts<'a>) -> Self {
        let (images, networks, volumes, repaired, needed) = Default::default();
        let home = &facts.inputs.nodes.home;
        let mut uses = Self { home, images, networks, volumes, repaired, needed };
        let wants = facts.slots.values().filter_map(|all| Some((all, all.want.as_ref()?)));
        for (occupants, want) in wants.filter(|(_, want)| !want.spot.is_nowhere()) {
            let (node, spec) = (want.node, &want.spec);
            uses.images.entry(&spec.image).or_default().insert(node);
            if want.is_repair {
                uses.repaired.insert(&spec.image);
            }
            for attachment in &spec.networks {
                uses.networks.entry(&attachment.network).or_default().insert(node);
            }
            for mount in &spec.volumes {
                if let MountSource::Volume { name, .. } = &mount.source {
                    uses.volumes.entry(name).or_default().insert(node);
                }
            }
            if occupants.current.is_none() && want.spot.hold().is_none() {
                uses.needed.insert((node, &spec.image));
            }
        }
        uses
    }

    /// The nodes of slots that use something; the controller's own where none does.
    fn nodes(&self, users: &NodesByName<'f, 'a>, name: &str) -> BTreeSet<&'a NodeName> {
        users.get(name).cloned().unwrap_or_else(|| [self.home].into())
    }
}

/// Whether it is not known yet where a volume will be: made on some node, it would bind its service to that.
fn is_early(facts: &Facts<'_>, used: &Uses<'_, '_>, name: &str) -> bool {
    let mut wants = facts.slots.values().filter_map(|all| all.want.as_ref());
    !used.volumes.contains_key(name)
        && (facts.has_choice()
            || wants.any(|want| want.spot.is_nowhere() && mounts(&want.spec, name)))
}

/// What is decided of a thing on a node, if that answers.
fn on_node(
    facts: &Facts<'_>,
    node: &NodeName,
    decide: impl FnOnce(&Observation) -> Judgment,
) -> Judgment {
    match facts.inputs.nodes.known(node) {
        Some(seen) => decide(seen),
        None => hold(facts.unknown(node).unwrap_or(Hold::Converged)),
    }
}

fn is_on(spec: &TaskSpec, network: &str) -> bool {
    spec.networks.iter().any(|attachment| attachment.network == network)
}

fn mounts(spec: &TaskSpec, volume: &str) -> bool {
    let named =
        |source: &MountSource| matches!(source, MountSource::Volume { name, .. } if name == volume);
    spec.volumes.iter().any(|mount| named(&mount.source))
}

/// Needed while a slot has no task of it: what runs needs no registry.
fn image(
    facts: &Facts<'_>,
    draft: &mut Draft,
    used: &Uses<'_, '_>,
    node: &NodeName,
    reference: &str,
    policy: PullPolicy,
) -> Judgment {
    if let Some(unknown) = facts.unknown(node) {
        return hold(unknown);
    }
    let observed = facts.image_on(node, reference);
    let present = observed.is_some_and(|image| image.digest.is_some());
    let asked = facts.pull(node, reference);
    let beyond = asked.is_some_and(|pull| pull.beyond.is_some());
    let needed = used.needed.contains(&(node, reference));
    if (present || !needed) && !beyond {
        return hold(Hold::Converged);
    }
    if policy == PullPolicy::Never {
        return hold(Hold::NotFound { subject: Subject::Image(reference.to_owned()) });
    }
    let failure = observed.and_then(|image| image.failure.clone());
    let last = asked.filter(|pull| pull.at > 0);
    let due = last.map(|pull| {
        // Ever more seldom: it may be a misspelt name.
        let waited = pull.at.saturating_sub(pull.since);
        pull.at.saturating_add((waited / 4).clamp(AGAIN, SELDOM))
    });
    let waiting = observed.is_some_and(|image| image.pulling.is_some());
    if waiting || due.is_some_and(|due| facts.now() < due) {
        due.filter(|due| *due > facts.now()).into_iter().for_each(|due| draft.wake(due));
        let given_up =
            last.is_some_and(|pull| facts.now() >= given_up(facts, node, reference, pull));
        return hold(match failure {
            Some(failure) if given_up && !waiting && !beyond => {
                let reference = reference.to_owned();
                Hold::Failed { cause: FailureCause::Image { reference, failure } }
            }
            failure => Hold::AwaitingImage { image: reference.to_owned(), failure },
        });
    }
    draft.pulled.insert((node.clone(), reference.to_owned()));
    draft.wake(facts.now().saturating_add(AGAIN));
    let policy = if beyond { PullPolicy::Always } else { policy };
    let wish =
        Assignment::Image { reference: reference.to_owned(), policy, wanted: Presence::Present };
    act(Action::Pull, Reason::NotPulled, vec![wish])
}

fn wanted_network(
    facts: &Facts<'_>,
    node: &NodeName,
    seen: &Observation,
    network: &DesiredNetwork,
) -> Judgment {
    let name = &network.spec.name;
    let observed = seen.network(name);
    let create = Assignment::Network { spec: network.spec.clone(), wanted: Presence::Present };
    let Some(observed) = observed else {
        return match network.external {
            true => hold(Hold::NotFound { subject: Subject::Network(name.clone()) }),
            false => act(Action::Create, Reason::Missing, vec![create]),
        };
    };
    if network.external {
        return hold(Hold::Converged);
    }
    if let Some(owned) = foreign(facts, &observed.spec.labels) {
        return hold(owned);
    }
    let differences = resource_diff(NETWORK_FIELDS, &observed.spec, &network.spec);
    // One that a person made under this name is left as it is.
    let is_changed = !differences.is_empty() && facts.owns(&observed.spec.labels);
    let reason = Reason::Redefined { differences };
    if facts.is_stale(node, name) {
        return unmake(seen, observed, reason, Action::Replace);
    }
    if is_changed {
        return act(Action::Update, reason, vec![create]);
    }
    network_drift(facts, seen, network, observed).unwrap_or_else(|| hold(Hold::Converged))
}

/// A bridge or rule of the network that somebody touched: asked for again, it is put right.
fn network_drift(
    facts: &Facts<'_>,
    seen: &Observation,
    network: &DesiredNetwork,
    observed: &ObservedNetwork,
) -> Option<Judgment> {
    let stack = Some(facts.inputs.stack);
    let findings: Vec<_> = seen
        .findings
        .iter()
        .filter(|finding| finding.stack() == stack && !finding.fixed)
        .cloned()
        .collect();
    // One network of the stack carries what belongs to none in particular.
    let first = facts.desired?.networks.values().find(|network| !network.external)?;
    if findings.is_empty() || first.spec.name != network.spec.name {
        return None;
    }
    if facts.desired?.policy.drift == crate::desired::DriftPolicy::Report {
        return Some(hold(Hold::ReportOnly));
    }
    let spec = observed.spec.clone();
    let wish = Assignment::Network { spec, wanted: Presence::Present };
    Some(act(Action::Heal, Reason::Drifted { findings }, vec![wish]))
}

fn is_used(seen: &Observation, network: &ObservedNetwork) -> bool {
    let mut tasks = seen.all_tasks();
    tasks.any(|task| is_on(&task.spec, &network.spec.name)) || !network.tasks.is_empty()
}

/// Away with a network, once nobody is on it.
fn unmake(
    seen: &Observation,
    network: &ObservedNetwork,
    reason: Reason,
    action: Action,
) -> Judgment {
    if is_used(seen, network) {
        return hold(Hold::InProgress { activity: Activity::TasksOnNetwork });
    }
    let wish = Assignment::Network { spec: network.spec.clone(), wanted: Presence::Absent };
    act(action, reason, vec![wish])
}

fn wanted_volume(
    facts: &Facts<'_>,
    volume: &crate::desired::DesiredVolume,
    observed: Option<&ObservedVolume>,
) -> Judgment {
    let name = &volume.spec.name;
    let Some(observed) = observed else {
        let mut spec = volume.spec.clone();
        let maker = facts.desired.map(|desired| desired.owner.label());
        spec.labels.extend(maker.map(|maker| (KEEL_OWNER.to_owned(), maker)));
        let wish = Assignment::Volume { spec, wanted: Presence::Present };
        return match volume.external {
            true => hold(Hold::NotFound { subject: Subject::Volume(name.clone()) }),
            false => act(Action::Create, Reason::Missing, vec![wish]),
        };
    };
    if let Some(owned) = foreign_volume(facts, observed).filter(|_| !volume.external) {
        return hold(owned);
    }
    let same = resource_diff(VOLUME_FIELDS, &observed.spec, &volume.spec).is_empty();
    match same || volume.external {
        true => hold(Hold::Converged),
        false => hold(Hold::Kept { because: KeptBecause::DefinedOtherwise }),
    }
}

/// Ours by their labels, and not named any more; or on a node where nothing of the stack is any more.
fn leaving(facts: &Facts<'_>, draft: &mut Draft, used: &Uses<'_, '_>) {
    let Some(desired) = facts.desired else { return };
    for (node, network) in own_networks(facts) {
        let name = &network.spec.name;
        let wanted = || used.nodes(&used.networks, name).contains(node);
        if desired.networks.contains_key(name) && wanted() {
            continue;
        }
        let verdict = on_node(facts, node, |seen| leaving_network(desired, seen, network));
        draft.put(facts, Subject::Network(name.clone()), Some(node), verdict);
    }
    let volumes = own_volumes(facts);
    for (node, volume) in volumes.filter(|(_, v)| !desired.volumes.contains_key(&v.spec.name)) {
        let verdict = match facts.unknown(node) {
            Some(unknown) => hold(unknown),
            None => leaving_volume(facts, draft, desired, (node, volume)),
        };
        draft.put(facts, Subject::Volume(volume.spec.name.clone()), Some(node), verdict);
    }
}

fn own_networks<'a>(
    facts: &Facts<'a>,
) -> impl Iterator<Item = (&'a NodeName, &'a ObservedNetwork)> {
    facts.inputs.nodes.all_networks().filter(|(_, network)| facts.owns(&network.spec.labels))
}

fn own_volumes<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a NodeName, &'a ObservedVolume)> {
    facts.inputs.nodes.all_volumes().filter(|(_, volume)| facts.owns_volume(volume))
}

fn leaving_network(desired: &Desired, seen: &Observation, network: &ObservedNetwork) -> Judgment {
    match desired.policy.prune {
        // Those on it may stay for long: what follows them is held, say.
        true if is_used(seen, network) => hold(Hold::Kept { because: KeptBecause::TasksOnNetwork }),
        true => unmake(seen, network, Reason::NotInSource, Action::Remove),
        false => hold(Hold::Kept { because: KeptBecause::PruneOff }),
    }
}

/// Data goes by explicit policy only, and not before the revision that left it out is good: one
/// that fails gives way to what still needs it.
fn leaving_volume(
    facts: &Facts<'_>,
    draft: &mut Draft,
    desired: &Desired,
    (node, volume): (&NodeName, &ObservedVolume),
) -> Judgment {
    if !(desired.policy.prune && desired.policy.prune_volumes) {
        return hold(Hold::Kept { because: KeptBecause::DataLeftSource });
    }
    if !is_good_for_good(facts, desired) {
        draft.prunes_once_good = true;
        return hold(Hold::Kept { because: KeptBecause::UntilGood });
    }
    unmake_volume(facts, node, volume, Reason::NotInSource)
}

/// Whether what the source says is what was good last, with nothing else under way.
fn is_good_for_good(facts: &Facts<'_>, desired: &Desired) -> bool {
    let standing = facts.standing;
    standing.good.as_ref() == Some(&desired.hash)
        && standing.rollout.is_none()
        && standing.pinned.is_none()
        && facts.bad.is_none()
}

/// What is left of a stack that goes: its networks after its tasks, its volumes on a person's
/// word only.
pub(crate) fn removal(facts: &Facts<'_>, draft: &mut Draft, volumes: bool) {
    for (node, network) in own_networks(facts) {
        let verdict =
            on_node(facts, node, |seen| unmake(seen, network, Reason::NotInSource, Action::Remove));
        draft.put(facts, Subject::Network(network.spec.name.clone()), Some(node), verdict);
    }
    for (node, volume) in own_volumes(facts) {
        let verdict = match volumes {
            true => unmake_volume(facts, node, volume, why_volumes_go(facts)),
            false => hold(Hold::Kept { because: KeptBecause::Data }),
        };
        draft.put(facts, Subject::Volume(volume.spec.name.clone()), Some(node), verdict);
    }
}

/// By `prune-volumes`, or because a person said so.
fn why_volumes_go(facts: &Facts<'_>) -> Reason {
    match facts.inputs.desired.is_some_and(|desired| desired.policy.prune_volumes) {
        true => Reason::NotInSource,
        false => Reason::Asked { command: PersonsCommand::DownVolumes },
    }
}

fn unmake_volume(
    facts: &Facts<'_>,
    node: &NodeName,
    volume: &ObservedVolume,
    reason: Reason,
) -> Judgment {
    on_node(facts, node, |seen| {
        let used = seen.all_tasks().any(|task| mounts(&task.spec, &volume.spec.name));
        if used || !volume.tasks.is_empty() {
            return hold(Hold::InProgress { activity: Activity::TasksMountVolume });
        }
        let wish = Assignment::Volume { spec: volume.spec.clone(), wanted: Presence::Absent };
        act(Action::Remove, reason, vec![wish])
    })
}

/// Tasks of a stack that goes.
pub(crate) fn removed_tasks(facts: &Facts<'_>, draft: &mut Draft, volumes: bool) {
    for (slot, occupants) in &facts.slots {
        let reason = Reason::Asked { command: PersonsCommand::Down };
        let gone = |task: &keel_engine::ObservedTask| task.goal == Goal::Removed;
        let verdict = match (occupants.all().next(), facts.out_of_reach(slot, occupants)) {
            // It was sent to a node that has not said since what became of it.
            (None, Some(away)) if facts.may_be_away(slot) => hold(away),
            (None, _) => continue,
            (Some(_), Some(away)) => hold(away),
            _ if occupants.all().all(gone) => {
                hold(Hold::InProgress { activity: Activity::Removing })
            }
            _ => match remaining_dependent(facts, slot) {
                Some(service) => {
                    hold(Hold::AwaitingDependency { service, condition: Awaited::Removed })
                }
                None => {
                    crate::judge::remove_all(occupants.all(), reason, volumes, draft.generation)
                }
            },
        };
        draft.put_slot(facts, slot, verdict);
    }
}

/// A service that needs this slot's and has tasks: an application goes before its database.
fn remaining_dependent(facts: &Facts<'_>, slot: &Slot) -> Option<String> {
    let services = &facts.inputs.desired?.services;
    let there = |name: &str| {
        let mut slots = facts.slots_of(name);
        slots.any(|(_, occupants)| occupants.all().next().is_some())
    };
    let needs = |service: &DesiredService| {
        service.depends_on.iter().any(|other| other.service == slot.service)
    };
    let mut found = services.iter().filter(|(_, service)| needs(service));
    found.find(|(name, _)| there(name)).map(|(name, _)| name.clone())
}
