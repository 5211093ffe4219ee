//! Images, networks and volumes.

use crate::desired::{Desired, DesiredService};
use crate::draft::{Draft, act, hold};
use crate::facts::Facts;
use crate::memory::images;
use crate::verdict::{Action, Hold, Reason, Subject, Verdict};
use crate::waits::{foreign, foreign_volume, given_up};
use keel_engine::labels::KEEL_OWNER;
use keel_engine::{
    Assignment, Goal, ObservedNetwork, ObservedVolume, Presence, PullPolicy, Slot, TaskSpec,
};

/// A pull that failed is asked for again after this time.
const AGAIN: u64 = 15_000;

/// And at least this often.
const SELDOM: u64 = 10 * 60_000;

/// Judges every image, network and volume of the stack.
pub(crate) fn all(facts: &Facts<'_>, draft: &mut Draft) {
    let Some(desired) = facts.desired else { return };
    for (reference, policy) in images(desired) {
        let verdict = image(facts, draft, reference, policy);
        draft.put(Subject::Image(reference.to_owned()), verdict);
    }
    let observation = facts.inputs.observation;
    for (name, network) in &desired.networks {
        let observed = observation.network(name);
        draft.put(Subject::Network(name.clone()), wanted_network(facts, network, observed));
    }
    for (name, volume) in &desired.volumes {
        let observed = observation.volume(name);
        draft.put(Subject::Volume(name.clone()), wanted_volume(facts, volume, observed));
    }
    if facts.inputs.asked.services.is_empty() {
        leaving(facts, draft);
    }
}

/// Needed while a slot has no task of it: what runs needs no registry.
fn image(facts: &Facts<'_>, draft: &mut Draft, reference: &str, policy: PullPolicy) -> Verdict {
    let observed = facts.image(reference);
    let present = observed.is_some_and(|image| image.digest.is_some());
    let asked = facts.standing.pulls.get(reference);
    let beyond = asked.is_some_and(|pull| pull.beyond.is_some());
    let needed = facts.slots.values().any(|occupants| {
        let wants = |spec: &TaskSpec| spec.image == reference;
        occupants.current.is_none() && occupants.want.as_ref().is_some_and(|w| wants(&w.spec))
    });
    if (present || !needed) && !beyond {
        return hold(Hold::Converged);
    }
    if policy == PullPolicy::Never {
        return hold(Hold::NotFound { what: format!("image {reference}") });
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
        let given_up = last.is_some_and(|pull| facts.now() >= given_up(facts, reference, pull));
        return hold(match failure {
            Some(cause) if given_up && !waiting && !beyond => {
                Hold::Failed { what: format!("image {reference}: {cause}") }
            }
            failure => Hold::AwaitingImage { image: reference.to_owned(), failure },
        });
    }
    draft.pulled.insert(reference.to_owned());
    draft.wake(facts.now().saturating_add(AGAIN));
    let policy = if beyond { PullPolicy::Always } else { policy };
    let wish =
        Assignment::Image { reference: reference.to_owned(), policy, wanted: Presence::Present };
    act(Action::Pull, Reason::NotPulled, vec![wish])
}

fn wanted_network(
    facts: &Facts<'_>,
    network: &crate::desired::DesiredNetwork,
    observed: Option<&ObservedNetwork>,
) -> Verdict {
    let name = &network.spec.name;
    let create = Assignment::Network { spec: network.spec.clone(), wanted: Presence::Present };
    let Some(observed) = observed else {
        return match network.external {
            true => hold(Hold::NotFound { what: format!("network {name}") }),
            false => act(Action::Create, Reason::Missing, vec![create]),
        };
    };
    if network.external {
        return hold(Hold::Converged);
    }
    if let Some(owned) = foreign(facts, &observed.spec.labels) {
        return hold(owned);
    }
    if facts.stale_networks.contains(name.as_str()) {
        return unmake(facts, observed, Reason::Missing, Action::Replace);
    }
    network_drift(facts, network, observed).unwrap_or_else(|| hold(Hold::Converged))
}

/// A bridge or rule of the network that somebody touched: asked for again, it is put right.
fn network_drift(
    facts: &Facts<'_>,
    network: &crate::desired::DesiredNetwork,
    observed: &ObservedNetwork,
) -> Option<Verdict> {
    let stack = Some(facts.inputs.stack);
    let findings: Vec<_> = facts
        .inputs
        .observation
        .findings
        .iter()
        .filter(|finding| finding.stack.as_ref() == stack && !finding.fixed)
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

fn is_used(facts: &Facts<'_>, network: &ObservedNetwork) -> bool {
    let name = &network.spec.name;
    let on = |spec: &TaskSpec| spec.networks.iter().any(|attachment| attachment.network == *name);
    let mut tasks = facts.inputs.observation.all_tasks();
    tasks.any(|task| on(&task.spec)) || !network.tasks.is_empty()
}

/// Away with a network, once nobody is on it.
fn unmake(facts: &Facts<'_>, network: &ObservedNetwork, reason: Reason, action: Action) -> Verdict {
    if is_used(facts, network) {
        return hold(Hold::InProgress { what: "tasks are still on it".into() });
    }
    let wish = Assignment::Network { spec: network.spec.clone(), wanted: Presence::Absent };
    act(action, reason, vec![wish])
}

fn wanted_volume(
    facts: &Facts<'_>,
    volume: &crate::desired::DesiredVolume,
    observed: Option<&ObservedVolume>,
) -> Verdict {
    let name = &volume.spec.name;
    let Some(observed) = observed else {
        let mut spec = volume.spec.clone();
        let maker = facts.desired.map(|desired| desired.owner.label());
        spec.labels.extend(maker.map(|maker| (KEEL_OWNER.to_owned(), maker)));
        let wish = Assignment::Volume { spec, wanted: Presence::Present };
        return match volume.external {
            true => hold(Hold::NotFound { what: format!("volume {name}") }),
            false => act(Action::Create, Reason::Missing, vec![wish]),
        };
    };
    if let Some(owned) = foreign_volume(facts, observed).filter(|_| !volume.external) {
        return hold(owned);
    }
    let same = (&observed.spec.driver, &observed.spec.driver_opts)
        == (&volume.spec.driver, &volume.spec.driver_opts);
    match same || volume.external {
        true => hold(Hold::Converged),
        false => hold(Hold::Kept { why: "it is defined otherwise, but it is data".into() }),
    }
}

/// Ours by their labels, and not named any more.
fn leaving(facts: &Facts<'_>, draft: &mut Draft) {
    let Some(desired) = facts.desired else { return };
    let observation = facts.inputs.observation;
    let networks = observation.networks.iter().filter(|n| facts.owns(&n.spec.labels));
    for network in networks.filter(|n| !desired.networks.contains_key(&n.spec.name)) {
        let verdict = match desired.policy.prune {
            // Those on it may stay for long: what follows them is held, say.
            true if is_used(facts, network) => hold(Hold::Kept {
                why: "it is not in the source, but tasks are still on it".into(),
            }),
            true => unmake(facts, network, Reason::NotInSource, Action::Remove),
            false => hold(Hold::Kept { why: "it is not in the source, but prune is off".into() }),
        };
        draft.put(Subject::Network(network.spec.name.clone()), verdict);
    }
    let volumes = observation.volumes.iter().filter(|v| facts.owns_volume(v));
    for volume in volumes.filter(|v| !desired.volumes.contains_key(&v.spec.name)) {
        let verdict = leaving_volume(facts, draft, desired, volume);
        draft.put(Subject::Volume(volume.spec.name.clone()), verdict);
    }
}

/// Data goes by explicit policy only, and not before the revision that left it out is good: one
/// that fails gives way to what still needs it.
fn leaving_volume(
    facts: &Facts<'_>,
    draft: &mut Draft,
    desired: &Desired,
    volume: &ObservedVolume,
) -> Verdict {
    if !(desired.policy.prune && desired.policy.prune_volumes) {
        return hold(Hold::Kept { why: "it is not in the source, but it is data".into() });
    }
    if !is_good_for_good(facts, desired) {
        draft.prunes_once_good = true;
        return hold(Hold::Kept { why: "it goes once this revision is good".into() });
    }
    unmake_volume(facts, volume, Reason::NotInSource)
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
    let observation = facts.inputs.observation;
    for network in observation.networks.iter().filter(|n| facts.owns(&n.spec.labels)) {
        let verdict = unmake(facts, network, Reason::NotInSource, Action::Remove);
        draft.put(Subject::Network(network.spec.name.clone()), verdict);
    }
    for volume in observation.volumes.iter().filter(|v| facts.owns_volume(v)) {
        let verdict = match volumes {
            true => unmake_volume(facts, volume, why_volumes_go(facts)),
            false => hold(Hold::Kept { why: "it is data".into() }),
        };
        draft.put(Subject::Volume(volume.spec.name.clone()), verdict);
    }
}

/// By `prune-volumes`, or because a person said so.
fn why_volumes_go(facts: &Facts<'_>) -> Reason {
    match facts.inputs.desired.is_some_and(|desired| desired.policy.prune_volumes) {
        true => Reason::NotInSource,
        false => Reason::Asked { command: "down --volumes".into() },
    }
}

fn unmake_volume(facts: &Facts<'_>, volume: &ObservedVolume, reason: Reason) -> Verdict {
    let name = &volume.spec.name;
    let used = facts.inputs.observation.all_tasks().any(|task| {
        task.spec.volumes.iter().any(|mount| {
            matches!(&mount.source, keel_engine::MountSource::Volume { name: n, .. } if n == name)
        })
    });
    if used || !volume.tasks.is_empty() {
        return hold(Hold::InProgress { what: "tasks still mount it".into() });
    }
    let wish = Assignment::Volume { spec: volume.spec.clone(), wanted: Presence::Absent };
    act(Action::Remove, reason, vec![wish])
}

/// Tasks of a stack that goes.
pub(crate) fn removed_tasks(facts: &Facts<'_>, draft: &mut Draft, volumes: bool) {
    for (slot, occupants) in &facts.slots {
        let reason = Reason::Asked { command: "down".into() };
        let gone = |task: &keel_engine::ObservedTask| task.goal == Goal::Removed;
        let verdict = match occupants.all().next() {
            None => continue,
            Some(_) if occupants.all().all(gone) => {
                hold(Hold::InProgress { what: "it is being removed".into() })
            }
            Some(_) => match remaining_dependent(facts, slot) {
                Some(service) => {
                    hold(Hold::AwaitingDependency { service, condition: "removed".into() })
                }
                None => {
                    crate::judge::remove_all(occupants.all(), reason, volumes, draft.generation)
                }
            },
        };
        draft.put(Subject::Slot(slot.clone()), verdict);
    }
}

/// A service that needs this slot's and has tasks: an application goes before its database.
fn remaining_dependent(facts: &Facts<'_>, slot: &Slot) -> Option<String> {
    let services = &facts.inputs.desired?.services;
    let there = |name: &str| {
        let mut slots = facts.slots.iter().filter(|(slot, _)| slot.service == name);
        slots.any(|(_, occupants)| occupants.all().next().is_some())
    };
    let needs = |service: &DesiredService| {
        service.depends_on.iter().any(|other| other.service == slot.service)
    };
    let mut found = services.iter().filter(|(_, service)| needs(service));
    found.find(|(name, _)| there(name)).map(|(name, _)| name.clone())
}
