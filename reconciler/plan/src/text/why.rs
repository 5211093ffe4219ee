//! Words for what reasons and holds are made of.

use super::no_place::{in_brackets, of_cannot_move, of_no_place};
use crate::facts::short;
use crate::subject::Subject;
use crate::why::{
    Activity, Awaited, Ending, FailureCause, Followed, Hold, Holder, KeptBecause, MachineLack,
    Needs, NotRunBecause, PersonsCommand, SoleUse, Tie,
};
use keel_engine::{Failure, NodeName};
use std::fmt;

/// What failed. Of a slot's own, the slot's name is to be put before it.
#[must_use]
pub fn of_failure(cause: &FailureCause) -> String {
    use FailureCause as F;
    match cause {
        F::StoppedByPerson => "was stopped by a person".into(),
        F::KilledByPerson => "was killed by a person".into(),
        F::KilledFromOutside => "was killed from outside".into(),
        F::Ended { ending, never_restarts: true } => {
            format!("{} and its policy is `restart: no`", of_ending(ending))
        }
        F::Ended { ending, never_restarts: false } => {
            format!("{}, for the last time", of_ending(ending))
        }
        F::Crashed { ending: Some(ending), times } => {
            format!("{} {times} times", of_ending(ending))
        }
        F::Crashed { ending: None, times } => format!("crashed {times} times"),
        F::Rejected { message } => said(message.as_ref(), "the node cannot run it"),
        F::Unprepared { message } => said(message.as_ref(), "it is being prepared"),
        F::Unhealthy { after, output } => {
            format!("not healthy after {after} s{}", after_colon(output.as_ref()))
        }
        F::InSlot { slot, cause } => format!("{} {}", short(slot), of_failure(cause)),
        F::WaitsFor { slot, cause } => format!("waits for {}: {}", short(slot), of_failure(cause)),
        F::Dependency { slot, condition, late } => {
            let how = if *late { "is late" } else { "failed" };
            format!("needs {} {condition}, which {how}", short(slot))
        }
        F::Sibling { slot, late } => {
            let how = if *late { "is late" } else { "failed" };
            format!("{} {how}, so the others stay as they are", short(slot))
        }
        F::Image { reference, failure } => format!("image {reference}: {failure}"),
        F::NameTaken { name, by } => {
            let whose = by.as_ref().map_or("`keel run`".into(), |stack| format!("stack {stack}"));
            format!("a container of {whose} is called {name}; choose another `container_name`")
        }
        F::PortTaken { port, holder } => {
            format!("port {port} is taken by {holder}; publish another one, or stop {holder}")
        }
        F::FitsNoNode { nodes } => format!("fits no node there is{}", in_brackets(nodes)),
        F::NotTriedAgain => "it failed, and is not tried again".into(),
        F::Other(words) => words.clone(),
    }
}

/// How a process ended: `exited (1)`.
#[must_use]
pub fn of_ending(ending: &Ending) -> String {
    match ending {
        Ending::OutOfMemory => "ran out of its memory limit".into(),
        Ending::Exited { code, message: Some(why) } => format!("exited ({code}: {why})"),
        Ending::Exited { code, message: None } => format!("exited ({code})"),
        Ending::Unseen => "ended in an unknown way".into(),
    }
}

/// What is under way.
#[must_use]
pub fn of_activity(activity: &Activity) -> String {
    match activity {
        Activity::Preparing { message } => said(message.as_ref(), "it is being prepared"),
        Activity::JobRuns => "it runs, and everything else waits for it".into(),
        Activity::Runs => "it runs".into(),
        Activity::TriedAgain => "it is tried again".into(),
        Activity::Stopping => "it is being stopped".into(),
        Activity::Removing => "it is being removed".into(),
        Activity::FindingOut => "it has ended, and its node finds out how".into(),
        Activity::StartingSoon => "it is started again in a moment".into(),
        Activity::AwaitingSuccessors => "the tasks that replace it start first".into(),
        Activity::StoppingPredecessor => "its predecessor is being stopped".into(),
        Activity::StoppingFirst { because } => format!(
            "its predecessor is being stopped first, despite `order: start-first`: {because}"
        ),
        Activity::EarlierRunEnds => "the run before it ends".into(),
        Activity::JobOfRevisionRuns { revision } => {
            let revision = keel_engine::short(revision);
            format!("the job of revision {revision} runs, and is left to end")
        }
        Activity::AwaitsJobOfRevision { service, revision } => {
            let revision = keel_engine::short(revision);
            format!("waits for job {service} of revision {revision} to end")
        }
        Activity::RecreatingNetwork { network } => format!("network {network} is being recreated"),
        Activity::LettingGoOfPort { holder, port } => format!("{holder} releases port {port}"),
        Activity::AwaitingRecovery { slot } => format!("{slot} is down, and is awaited first"),
        Activity::ScalingDown => "its service is scaled down first".into(),
        Activity::TasksOnNetwork => "tasks are still on it".into(),
        Activity::TasksMountVolume => "tasks still mount it".into(),
    }
}

/// Why something is kept.
#[must_use]
pub fn of_kept(because: &KeptBecause) -> String {
    match because {
        KeptBecause::Data => "it is data".into(),
        KeptBecause::DefinedOtherwise => "its definition has changed, but it is data".into(),
        KeptBecause::DataLeftSource => "it is not in the source, but it is data".into(),
        KeptBecause::PruneOff => "it is not in the source, but prune is off".into(),
        KeptBecause::TasksOnNetwork => "it is not in the source, but tasks are still on it".into(),
        KeptBecause::UntilGood => "it goes once this revision is good".into(),
        KeptBecause::NothingDesired => "the stack has no desired state".into(),
        KeptBecause::NotAsked => "it is not among the services asked for".into(),
        KeptBecause::Needs(needs) => of_needs(needs),
    }
}

fn of_needs(needs: &Needs) -> String {
    let Needs { slot, condition, hold } = needs;
    format!("needs {} {condition}: {}", short(slot), of_hold(hold))
}

/// Why something legal is not run here.
#[must_use]
pub fn of_not_run(because: &NotRunBecause) -> String {
    match because {
        NotRunBecause::Unsupported(words) => words.clone(),
        NotRunBecause::Needs(needs) => of_needs(needs),
    }
}

/// Whose something is.
#[must_use]
pub fn of_holder(holder: &Holder) -> String {
    match holder {
        Holder::Owner(owner) => owner.to_string(),
        Holder::Stack(stack) => format!("stack {stack}"),
        Holder::Maker { maker, volume } => {
            format!("{maker}: volume {volume} is left of a stack of its")
        }
        Holder::VolumeOf { stack, volume } => {
            format!("stack {stack}: volume {volume}, which `external: true` shares")
        }
    }
}

/// What others have to make, with the command that does.
pub(super) fn of_missing(subject: &Subject) -> String {
    let what = of_subject(subject);
    match subject {
        Subject::Network(name) => {
            format!("{what} does not exist: `keel network create {name}` creates it")
        }
        Subject::Volume(name) => {
            format!("{what} does not exist: `keel volume create {name}` creates it")
        }
        _ => format!("{what} does not exist"),
    }
}

fn said(failure: Option<&Failure>, otherwise: &str) -> String {
    failure.map_or_else(|| otherwise.to_owned(), ToString::to_string)
}

pub(super) fn after_colon(words: Option<&String>) -> String {
    words.map(|words| format!(": {words}")).unwrap_or_default()
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
            Self::Ready => "ready",
            Self::Removed => "removed",
        })
    }
}

impl fmt::Display for SoleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exclusive => "the service is exclusive",
            Self::Data => "its data can have only one writer",
            Self::Address => "its address is fixed",
            Self::Port => "both would publish the same port",
            Self::HostNetwork => "it uses the node's own network",
            Self::Namespace => "other services share its network",
            Self::Room => "the node has no room for both",
        })
    }
}

impl fmt::Display for PersonsCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Remove => "rm",
            Self::Down => "down",
            Self::DownVolumes => "down --volumes",
            Self::Recreate => "up --force-recreate",
        })
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => f.write_str(name),
            Self::Network(name) => write!(f, "network {name}"),
        }
    }
}

/// Why nothing is done.
#[must_use]
pub fn of_hold(hold: &Hold) -> String {
    match hold {
        Hold::Converged => "converged".into(),
        Hold::Complete => "its job is done".into(),
        Hold::RolloutFull { limit } => format!("rollout full ({limit} at a time)"),
        Hold::AwaitingHealth { service } => format!("waits for {service} to be available"),
        Hold::AwaitingDependency { service, condition } => {
            format!("waits for {service} to be {condition}")
        }
        Hold::AwaitingImage { image, failure } => {
            let failure = failure.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("waits for image {image}{failure}")
        }
        Hold::InProgress { activity } => format!("in progress: {}", of_activity(activity)),
        Hold::Failed { cause } | Hold::Late { cause } => {
            format!("failed: {}", of_failure(cause))
        }
        Hold::KnownBad { revision, cause } => {
            let revision = keel_engine::short(revision);
            format!("revision {revision} is known bad: {}", of_failure(cause))
        }
        Hold::Stopped => "stopped by a person".into(),
        Hold::Suspended { by, .. } => format!("suspended by {by}"),
        Hold::OwnedBy { holder } => format!("belongs to {}", of_holder(holder)),
        Hold::NotRunYet { field, because, at } => {
            let at = at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
            format!("not run yet: `{field}`: {}{at}", of_not_run(because))
        }
        Hold::RunsInDocker { container } => format!("runs in Docker as {container}"),
        Hold::NotFound { subject } => of_missing(subject),
        Hold::Lacking { node, service, what, at } => {
            let at = at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
            of_lack(node, service, what, &at)
        }
        Hold::Kept { because } => format!("kept: {}", of_kept(because)),
        Hold::ReportOnly => "drifted, and the policy is to report only".into(),
        Hold::NodeUnknown { node, .. } => format!("waits for node {node}, which does not answer"),
        Hold::NodeDown { node, tie: None, .. } => format!("waits for node {node}, which is down"),
        Hold::NodeDown { node, tie: Some(tie), .. } => format!(
            "waits for node {node}, which is down: {}; if that machine does not run any more, run \
             `keel node confirm-dead {node}`",
            of_tie(tie)
        ),
        Hold::NoPlace { nodes } => of_no_place(nodes),
        Hold::CannotMove { node, because, nodes } => of_cannot_move(node, because, nodes),
    }
}

/// What holds a slot to its node.
fn of_tie(tie: &Tie) -> String {
    match tie {
        Tie::Volume { volume } => format!("the data of volume {volume} is there"),
        Tie::Path { path } => format!("the data in {path} is there"),
        Tie::Exclusive => "it is exclusive, so no second one is started".into(),
    }
}

/// What a node's machine lacks for a service, and what to do about it.
fn of_lack(node: &NodeName, service: &str, what: &MachineLack, at: &str) -> String {
    match what {
        MachineLack::Device { path } => format!(
            "node {node} has no device {path}, which service {service} asks for{at}: attach the device, or \
             remove it from `devices`"
        ),
        MachineLack::Limit { limit } => format!(
            "the kernel of node {node} cannot limit {limit}, which service {service} asks for{at}: enable the \
             cgroup controller, or remove the limit"
        ),
    }
}

/// What a verdict is about: `web.1`, `network hello_default`.
#[must_use]
pub fn of_subject(subject: &Subject) -> String {
    match subject {
        Subject::Image(name) => format!("image {name}"),
        Subject::Network(name) => format!("network {name}"),
        Subject::Volume(name) => format!("volume {name}"),
        Subject::Service(name) => format!("service {name}"),
        Subject::Stack(name) => format!("stack {name}"),
        Subject::Slot(slot) => short(slot),
    }
}

/// Whether both are the same failure. Of one that an older version recorded only the words are known.
#[must_use]
pub fn is_same_failure(one: &FailureCause, other: &FailureCause) -> bool {
    match (one, other) {
        (FailureCause::Other(words), typed) | (typed, FailureCause::Other(words)) => {
            of_failure(typed) == *words
        }
        _ => one == other,
    }
}
