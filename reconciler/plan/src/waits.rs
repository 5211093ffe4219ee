//! What has to be there before a task is started or replaced. Waiting for it counts towards no
//! deadline: there is no task yet whose time could run.

use crate::desired::{Condition, DependsOn, Owner};
use crate::draft::Draft;
use crate::facts::{Facts, Occupants, Want};
use crate::machine;
use crate::memory::is_complete;
use crate::standing::Pull;
use crate::taken_ports::{clash, holds_ports};
use crate::verdict::{Hold, Subject, Verdict};
use crate::why::{Activity, Awaited, FailureCause, Holder, KeptBecause, Needs, NotRunBecause};
use keel_engine::{
    ExitCause, Health, MountSource, NetworkMode, NodeName, ObservedTask, ObservedVolume, Phase,
    Port, PullPolicy, Slot, TaskSpec,
};

/// What other stacks hold is looked at again after this time.
const AGAIN: u64 = 15_000;

/// What stands in the way of starting a task for this slot now.
pub(crate) fn obstacle(facts: &Facts<'_>, draft: &mut Draft, want: &Want<'_>) -> Option<Hold> {
    dependency(facts, draft, want)
        .or_else(|| namespace(facts, want))
        .or_else(|| machine::lack(facts, want))
        .or_else(|| image(facts, draft, want))
        .or_else(|| resources(facts, want))
        .or_else(|| name(facts, draft, want))
        .or_else(|| port(facts, draft, want))
}

fn dependency(facts: &Facts<'_>, draft: &Draft, want: &Want<'_>) -> Option<Hold> {
    want.service.depends_on.iter().find_map(|dependency| {
        let services = facts.desired.map(|desired| &desired.services);
        if !services.is_some_and(|services| services.contains_key(&dependency.service)) {
            let subject = Subject::Service(dependency.service.clone());
            return dependency.required.then_some(Hold::NotFound { subject });
        }
        let wanted = facts.wanted_of(&dependency.service);
        let missing = wanted.into_iter().find(|(slot, all)| !is_met(facts, dependency, slot, all));
        Some(unmet(draft, dependency, missing?.0))
    })
}

/// The dependency is awaited; where it waits for a person itself, so does this.
pub(crate) fn unmet(draft: &Draft, dependency: &DependsOn, slot: &Slot) -> Hold {
    let condition = Awaited::from(dependency.condition);
    let service = dependency.service.clone();
    let Some(Verdict::Hold(hold)) = draft.of_slot(slot) else {
        return Hold::AwaitingDependency { service, condition };
    };
    let needs = || Needs { slot: slot.clone(), condition, hold: Box::new(hold.clone()) };
    match hold {
        Hold::NotRunYet { .. }
        | Hold::RunsInDocker { .. }
        | Hold::NotFound { .. }
        | Hold::Lacking { .. } => {
            let (field, because) = (format!("depends_on.{service}"), NotRunBecause::Needs(needs()));
            Hold::NotRunYet { field, because, at: None }
        }
        Hold::Stopped | Hold::Kept { .. } | Hold::ReportOnly => {
            Hold::Kept { because: KeptBecause::Needs(needs()) }
        }
        Hold::NodeUnknown { .. } | Hold::NodeDown { .. } => hold.clone(),
        // Why is told of the slot itself, once.
        Hold::Failed { .. } | Hold::KnownBad { .. } => {
            let slot = slot.clone();
            Hold::Failed { cause: FailureCause::Dependency { slot, condition, late: false } }
        }
        Hold::Late { .. } => {
            let slot = slot.clone();
            Hold::Late { cause: FailureCause::Dependency { slot, condition, late: true } }
        }
        _ => Hold::AwaitingDependency { service, condition },
    }
}

/// Only by a task of what is desired now: dependencies order updates, too.
fn is_met(
    facts: &Facts<'_>,
    dependency: &DependsOn,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> bool {
    if is_complete(facts, slot) {
        return true;
    }
    let Some(task) = occupants.current else { return false };
    if facts.node_of(&task.id).is_some_and(|node| facts.unknown(node).is_some()) {
        return false;
    }
    let ended_well = task.phase == Phase::Exited
        && task.exit_code == Some(0)
        && task.exit_cause != Some(ExitCause::Stopped);
    match dependency.condition {
        Condition::Started => matches!(task.phase, Phase::Running | Phase::Backoff) || ended_well,
        // Without a check nobody can say more than that it runs.
        Condition::Healthy => {
            task.phase == Phase::Running && matches!(task.health, Health::Healthy | Health::None)
        }
        Condition::Completed => ended_well,
    }
}

/// Whose namespace it shares has to run first.
fn namespace(facts: &Facts<'_>, want: &Want<'_>) -> Option<Hold> {
    let NetworkMode::Service(host) = &want.spec.network_mode else { return None };
    let hold = Hold::AwaitingDependency { service: host.clone(), condition: Awaited::Started };
    facts.host(host).is_none().then_some(hold)
}

fn image(facts: &Facts<'_>, draft: &mut Draft, want: &Want<'_>) -> Option<Hold> {
    let reference = &want.spec.image;
    let observed = facts.image_on(want.node, reference);
    let present = observed.is_some_and(|image| image.digest.is_some());
    let asked = facts.pull(want.node, reference);
    if present && asked.is_none_or(|pull| pull.beyond.is_none()) {
        return None;
    }
    if !present && want.service.spec.pull_policy == PullPolicy::Never {
        return Some(Hold::NotFound { subject: Subject::Image(reference.clone()) });
    }
    let failure = observed.and_then(|image| image.failure.clone());
    let last = asked.filter(|pull| pull.beyond.is_none());
    if let Some((pull, failure)) = last.zip(failure.as_ref()) {
        let until = given_up(facts, want.node, reference, pull);
        if facts.now() >= until {
            let (reference, failure) = (reference.clone(), failure.clone());
            return Some(Hold::Failed { cause: FailureCause::Image { reference, failure } });
        }
        draft.wake(until);
    }
    Some(Hold::AwaitingImage { image: reference.clone(), failure })
}

/// What others have to give, and the revision still lacks: devices, images, ports, external networks and
/// volumes. Until all of it is there, nothing old is touched. What comes back after a failure takes
/// what there is.
pub(crate) fn lacking(facts: &Facts<'_>, draft: &mut Draft, asks: &Slot) -> Option<Hold> {
    if facts.given_up().is_some() || facts.comes_back() {
        return None;
    }
    // The same for every slot of the plan, and a look at all of them.
    let known = draft.lacking.take();
    let lacking = known.unwrap_or_else(|| find_lacking(facts, draft));
    draft.lacking = Some(lacking.clone());
    let (slot, hold) = lacking?;
    Some(match hold {
        // An image is nobody's own.
        Hold::Failed { cause } if slot != *asks && !matches!(cause, FailureCause::Image { .. }) => {
            Hold::Failed { cause: FailureCause::WaitsFor { slot, cause: Box::new(cause) } }
        }
        hold => hold,
    })
}

/// The first slot that lacks something, with what.
fn find_lacking(facts: &Facts<'_>, draft: &mut Draft) -> Option<(Slot, Hold)> {
    let wants: Vec<_> =
        facts.slots.iter().filter_map(|(slot, all)| to_start(facts, slot, all)).collect();
    wants.into_iter().find_map(|(slot, want)| {
        let external = |want| resources(facts, want).filter(|h| matches!(h, Hold::NotFound { .. }));
        let hold = machine::lack(facts, want)
            .or_else(|| image(facts, draft, want))
            .or_else(|| external(want))
            .or_else(|| name(facts, draft, want))
            .or_else(|| port(facts, draft, want))?;
        Some((slot.clone(), hold))
    })
}

/// What is to be started in a slot, and nothing but the host's state is in its way.
fn to_start<'f, 'a>(
    facts: &Facts<'_>,
    slot: &'f Slot,
    occupants: &'f Occupants<'a>,
) -> Option<(&'f Slot, &'f Want<'a>)> {
    let want = occupants.want.as_ref().filter(|_| occupants.current.is_none())?;
    let idle = facts.is_stopped(slot)
        || is_complete(facts, slot)
        || want.spot.hold().is_some()
        // What is asked of a silent node keeps nobody else waiting.
        || facts.out_of_reach(slot, occupants).is_some()
        || crate::untouched::not_here(facts, want).is_some();
    (!idle).then_some((slot, want))
}

/// When an image is not waited for any more. Whoever runs a command is told at once that there
/// is no such image.
pub(crate) fn given_up(facts: &Facts<'_>, node: &NodeName, reference: &str, pull: &Pull) -> u64 {
    let by_hand = facts.desired.is_some_and(|desired| matches!(desired.owner, Owner::Cli { .. }));
    let failure = facts.image_on(node, reference).map(|image| image.failure.as_ref());
    let may_pass = failure.is_none_or(|known| known.is_some_and(|why| why.kind.may_pass()));
    pull.since + if by_hand && !may_pass { 0 } else { image_wait(facts, reference) }
}

/// The longest time that a service which uses it gives it.
fn image_wait(facts: &Facts<'_>, reference: &str) -> u64 {
    let Some(desired) = facts.desired else { return 0 };
    let users = desired.services.values().filter(|service| service.spec.image == reference);
    let waits = users.map(|service| service.image_wait.unwrap_or(desired.policy.image_wait));
    waits.max().unwrap_or(desired.policy.image_wait)
}

/// What others have to make: external networks and volumes. And ours that are being made anew.
fn resources(facts: &Facts<'_>, want: &Want<'_>) -> Option<Hold> {
    let desired = facts.desired?;
    let observation = facts.inputs.nodes.known(want.node)?;
    let network = want.spec.networks.iter().find_map(|attachment| {
        let name = &attachment.network;
        let observed = observation.network(name);
        let known = desired.networks.get(name)?;
        if facts.is_stale(want.node, name) {
            let activity = Activity::RecreatingNetwork { network: name.clone() };
            return Some(Hold::InProgress { activity });
        }
        match observed {
            None if known.external => {
                Some(Hold::NotFound { subject: Subject::Network(name.clone()) })
            }
            Some(network) if !known.external => foreign(facts, &network.spec.labels),
            _ => None,
        }
    });
    network.or_else(|| {
        want.spec.volumes.iter().find_map(|mount| {
            let MountSource::Volume { name, .. } = &mount.source else { return None };
            let known = desired.volumes.get(name)?;
            match observation.volume(name) {
                None if known.external => {
                    Some(Hold::NotFound { subject: Subject::Volume(name.clone()) })
                }
                Some(volume) if !known.external => foreign_volume(facts, volume),
                _ => None,
            }
        })
    })
}

/// The stack whose thing it is, if that is another one.
pub(crate) fn foreign(
    facts: &Facts<'_>,
    labels: &std::collections::BTreeMap<String, String>,
) -> Option<Hold> {
    let stack = labels.get(keel_engine::labels::PROJECT)?;
    let holder = Holder::Stack(stack.clone());
    (!facts.owns(labels)).then_some(Hold::OwnedBy { holder })
}

/// The stack or source whose data it is, if that is another one. Two stacks' names and keys can make one volume's
/// (`a` and `b_data`, `a_b` and `data`): who wants to share says so.
pub(crate) fn foreign_volume(facts: &Facts<'_>, volume: &ObservedVolume) -> Option<Hold> {
    let (name, labels) = (volume.spec.name.clone(), &volume.spec.labels);
    if let Some(maker) = facts.maker_elsewhere(volume) {
        let holder = Holder::Maker { maker: maker.to_owned(), volume: name };
        return Some(Hold::OwnedBy { holder });
    }
    let stack = labels.get(keel_engine::labels::PROJECT).filter(|_| !facts.owns(labels))?;
    let holder = Holder::VolumeOf { stack: stack.clone(), volume: name };
    Some(Hold::OwnedBy { holder })
}

/// A name that another stack's container has, or one of `run`: whoever names it means that one.
fn name(facts: &Facts<'_>, draft: &mut Draft, want: &Want<'_>) -> Option<Hold> {
    let name = &want.spec.container_name;
    let other = facts.of_others(name)?;
    draft.wake(facts.now().saturating_add(AGAIN));
    let by = other.place.slot().map(|slot| slot.stack.clone());
    Some(Hold::Failed { cause: FailureCause::NameTaken { name: name.clone(), by } })
}

/// A published port that somebody else holds, and keeps. Tasks of one service share theirs. That
/// another stack lets go of it is no event of this one's.
fn port(facts: &Facts<'_>, draft: &mut Draft, want: &Want<'_>) -> Option<Hold> {
    let keeps = |task: &ObservedTask| {
        !is_ours(facts, task) || want.spec.ports.iter().any(|port| keeps(facts, task, port))
    };
    let (port, holder) = holder(facts, want.node, want.name, &want.spec, keeps)?;
    draft.wake(facts.now().saturating_add(AGAIN));
    let (port, holder) = (port.clone(), holder.spec.container_name.clone());
    Some(Hold::Failed { cause: FailureCause::PortTaken { port, holder } })
}

/// A port that a task of this stack is about to give up. It keeps nothing old from being
/// stopped, else two that swap theirs would wait for each other.
pub(crate) fn port_on_the_move(facts: &Facts<'_>, want: &Want<'_>) -> Option<Hold> {
    let (port, holder) =
        holder(facts, want.node, want.name, &want.spec, |task| is_ours(facts, task))?;
    let (port, holder) = (port.clone(), holder.spec.container_name.clone());
    Some(Hold::InProgress { activity: Activity::LettingGoOfPort { holder, port } })
}

/// A port that a task of this very stack holds, and is about to give up. Two services that swap
/// their ports come to an end only if both let go first.
pub(crate) fn port_of_our_own<'a>(
    facts: &Facts<'a>,
    node: &NodeName,
    name: &str,
    spec: &TaskSpec,
) -> Option<&'a ObservedTask> {
    holder(facts, node, name, spec, |task| is_ours(facts, task)).map(|(_, task)| task)
}

fn is_ours(facts: &Facts<'_>, task: &ObservedTask) -> bool {
    task.place.slot().is_some_and(|slot| slot.stack == *facts.inputs.stack)
}

/// Whether the holder of a port still wants it.
fn keeps(facts: &Facts<'_>, task: &ObservedTask, port: &Port) -> bool {
    let wants = |slot| facts.slots.get(slot)?.want.as_ref().map(|want| want.spec.clone());
    task.place.slot().and_then(wants).is_some_and(|spec| spec.ports.iter().any(|p| clash(p, port)))
}

/// Who holds a port on a node that this service needs there.
fn holder<'a, 's>(
    facts: &Facts<'a>,
    node: &NodeName,
    name: &str,
    spec: &'s TaskSpec,
    which: impl Fn(&ObservedTask) -> bool,
) -> Option<(&'s Port, &'a ObservedTask)> {
    if spec.ports.is_empty() {
        return None;
    }
    let there = facts.inputs.nodes.known(node)?.all_tasks();
    let others = there.filter(|task| {
        let same = task
            .place
            .slot()
            .is_some_and(|slot| slot.stack == *facts.inputs.stack && slot.service == name);
        !same && holds_ports(task) && which(task)
    });
    let pairs = others.flat_map(|task| spec.ports.iter().map(move |port| (port, task)));
    let clashing =
        pairs.filter(|(port, task)| task.spec.ports.iter().any(|other| clash(port, other)));
    // The first that has it, before any that is on its way.
    clashing.min_by_key(|(_, task)| task.pid.is_none())
}
