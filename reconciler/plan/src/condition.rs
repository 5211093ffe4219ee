//! How one task is, judged by what its node reports and the time that it is given.

use crate::verdict::Hold;
use crate::why::{Activity, Ending, FailureCause};
use keel_engine::{ExitCause, Goal, Health, ObservedTask, Phase, RestartPolicy};

/// Under a policy that restarts, so many exits make a failure: sloppy stacks crash until their
/// database is up.
pub(crate) const EXITS: u32 = 3;

/// A task that we start again ourselves, and that ended so soon, waits so long.
const AGAIN: u64 = 10_000;

/// A change in place has reached its task after so long.
const TAKEN: u64 = 1_000;

/// The least time to get healthy.
const PATIENCE: u64 = 120_000;

/// What a task is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long a new task must stay available; milliseconds.
    pub settle: u64,
    /// The time to get healthy, where somebody said one.
    pub health: Option<u64>,
    /// It is new: part of what is being rolled out.
    pub fresh: bool,
    /// When it was changed in place by what is being rolled out: from then on it is judged anew.
    pub changed: Option<u64>,
    /// It is one of a job's: it may end well.
    pub job: bool,
    /// A person stopped its slot.
    pub latched: bool,
    /// Of a job that everything else waits for: it is awaited for as long as it runs.
    pub before_deploy: bool,
}

/// What became of a task that does not do what it shall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ended, or cannot be run.
    Broken,
    /// It runs, but is not healthy in time.
    Late,
    /// The node cannot make it now, and goes on trying: a port that is taken, a disk that is full.
    /// That says nothing of the revision.
    Passing,
}

/// How a task is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// It does what it shall.
    Well,
    /// It was a job, and is done.
    Complete,
    /// Not yet; by time alone it changes at `until`.
    Waiting { hold: Hold, until: Option<u64> },
    /// It does not, and will not by itself; but for what passes.
    Failed { cause: FailureCause, fault: Fault },
    /// All that it needs is there, and it waits for the word to run.
    Ready,
    /// Somebody else's signal ended it; it may be started again from `from`.
    Killed { from: u64 },
    /// It ended in a way that its policy does not allow for; it may be started from `from`.
    Ended { exit_code: Option<i32>, from: u64 },
    /// It was told to stop, and is at it.
    Stopping,
    /// It was told to stop, and has.
    Stopped,
    /// It was told to go, and is at it.
    Going,
}

/// Whether no process of it runs or will, as far as its node knows.
pub(crate) fn is_still(task: &ObservedTask) -> bool {
    match task.phase {
        Phase::Exited | Phase::Rejected => true,
        Phase::Pending | Phase::Preparing | Phase::Ready => task.goal >= Goal::Stopped,
        Phase::Running | Phase::Backoff | Phase::Draining => false,
    }
}

/// Since when it has been of use: it runs, and its check (if any) agrees.
pub(crate) fn available_since(task: &ObservedTask) -> Option<u64> {
    match (&task.phase, task.health) {
        (Phase::Running, Health::None) => task.started.or(Some(task.created)),
        (Phase::Running, Health::Healthy) => task.health_since.or(task.started),
        _ => None,
    }
}

pub(crate) fn of(task: &ObservedTask, patience: Patience, service: &str, now: u64) -> Condition {
    match (task.goal, &task.phase) {
        (Goal::Removed, _) => Condition::Going,
        (Goal::Stopped, _) if is_still(task) && patience.before_deploy => failed(match patience {
            Patience { latched: true, .. } => FailureCause::StoppedByPerson,
            _ => crashes(task),
        }),
        (Goal::Stopped, _) if is_still(task) => Condition::Stopped,
        (Goal::Stopped, _) => Condition::Stopping,
        (Goal::Ready | Goal::Running, phase) => match phase {
            Phase::Ready if task.goal == Goal::Ready => Condition::Ready,
            Phase::Pending | Phase::Preparing | Phase::Ready => preparing(task, patience, now),
            Phase::Running if patience.before_deploy => in_progress(Activity::JobRuns),
            Phase::Running => running(task, patience, service, now),
            // How often a job is tried is its own policy's to say.
            Phase::Backoff if patience.job && has_last_try(task) => {
                in_progress(Activity::TriedAgain)
            }
            Phase::Backoff if exits(task) >= EXITS => failed(crashes(task)),
            Phase::Backoff => awaiting(service, None),
            Phase::Draining => in_progress(Activity::Stopping),
            Phase::Exited => exited(task, patience),
            Phase::Rejected => failed(FailureCause::Rejected { message: task.message.clone() }),
        },
    }
}

/// Whether its policy ends its restarts some day.
pub(crate) fn has_last_try(task: &ObservedTask) -> bool {
    matches!(task.spec.restart, RestartPolicy::OnFailure { max } if max > 0)
}

/// Where a step fails again and again, the time to get healthy is the time until that is told.
fn preparing(task: &ObservedTask, patience: Patience, now: u64) -> Condition {
    let until = task.created.saturating_add(limit(task, patience));
    let message = task.message.clone();
    if task.attempts >= EXITS && now >= until {
        let cause = FailureCause::Unprepared { message };
        return Condition::Failed { cause, fault: Fault::Passing };
    }
    let until = (task.attempts > 0).then_some(until);
    Condition::Waiting {
        hold: Hold::InProgress { activity: Activity::Preparing { message } },
        until,
    }
}

fn running(task: &ObservedTask, patience: Patience, service: &str, now: u64) -> Condition {
    if let Some(since) = available_since(task) {
        let settled = settled(since, patience);
        return match now < settled {
            true if exits(task) >= EXITS => failed(crashes(task)),
            true if patience.fresh => awaiting(service, Some(settled)),
            _ => Condition::Well,
        };
    }
    if exits(task) >= EXITS {
        return failed(crashes(task));
    }
    // A check that fails later makes a task unhealthy, which the status says; nothing is done.
    if task.health == Health::Unhealthy && !patience.fresh {
        return Condition::Well;
    }
    let allowed = limit(task, patience);
    let began = task.started.unwrap_or(task.created).max(patience.changed.unwrap_or(0));
    let until = began.saturating_add(allowed);
    if now < until {
        return awaiting(service, Some(until));
    }
    let output = task.health_output.as_deref().map(last_line).filter(|line| !line.is_empty());
    let output = output.map(str::to_owned);
    let cause = FailureCause::Unhealthy { after: allowed / 1_000, output };
    Condition::Failed { cause, fault: Fault::Late }
}

/// When it has been of use for long enough. What was changed in place shows that only after its
/// node has taken the change to it.
fn settled(since: u64, patience: Patience) -> u64 {
    match patience.changed {
        Some(at) => since.max(at).saturating_add(patience.settle.max(TAKEN)),
        None => since.saturating_add(patience.settle),
    }
}

fn exited(task: &ObservedTask, patience: Patience) -> Condition {
    let code = task.exit_code;
    match task.exit_cause {
        // Whoever ended a job in the middle did not mean it to begin anew.
        Some(ExitCause::KilledFromOutside) if patience.before_deploy => {
            failed(FailureCause::KilledFromOutside)
        }
        Some(ExitCause::Stopped) if patience.before_deploy && task.goal == Goal::Running => {
            failed(FailureCause::KilledByPerson)
        }
        Some(ExitCause::KilledFromOutside) => Condition::Killed { from: again(task) },
        Some(ExitCause::Interrupted | ExitCause::Unknown) => {
            Condition::Ended { exit_code: code, from: again(task) }
        }
        // Its shim has gone with it, and its node has not written down yet what that means.
        None if code.is_none() => in_progress(Activity::FindingOut),
        // A person's signal ended it; what follows is its policy's to say, as for any end of its own.
        Some(ExitCause::Own | ExitCause::OutOfMemory | ExitCause::Stopped) | None => {
            match task.spec.restart {
                RestartPolicy::Always | RestartPolicy::UnlessStopped => {
                    Condition::Ended { exit_code: code, from: again(task) }
                }
                _ if patience.job && code == Some(0) => Condition::Complete,
                policy @ (RestartPolicy::No | RestartPolicy::OnFailure { .. }) => {
                    let never_restarts = policy == RestartPolicy::No;
                    failed(FailureCause::Ended { ending: ended(task), never_restarts })
                }
            }
        }
    }
}

/// How it ended.
pub(crate) fn ended(task: &ObservedTask) -> Ending {
    match (task.exit_cause, task.exit_code) {
        (Some(ExitCause::OutOfMemory), _) => Ending::OutOfMemory,
        // Where it never began, the node knows why.
        (_, Some(code @ 125..=127)) => Ending::Exited { code, message: task.message.clone() },
        (_, Some(code)) => Ending::Exited { code, message: None },
        (_, None) => Ending::Unseen,
    }
}

pub(crate) fn crashes(task: &ObservedTask) -> FailureCause {
    let ending = task.exit_code.map(|_| ended(task));
    FailureCause::Crashed { ending, times: exits(task) }
}

/// Runs that ended within this generation.
pub(crate) fn exits(task: &ObservedTask) -> u32 {
    task.restarts + u32::from(task.phase == Phase::Backoff)
}

/// The time to get healthy: as said, else by the check's own limits.
pub(crate) fn limit(task: &ObservedTask, patience: Patience) -> u64 {
    patience.health.unwrap_or_else(|| task.health_limit.unwrap_or(0).max(PATIENCE))
}

/// When a task that ended may be started by us, if it is not by its policy.
pub(crate) fn again(task: &ObservedTask) -> u64 {
    let (Some(started), Some(finished)) = (task.started, task.finished) else { return 0 };
    let soon = finished.saturating_sub(started) < AGAIN;
    if soon { finished.saturating_add(AGAIN) } else { finished }
}

fn awaiting(service: &str, until: Option<u64>) -> Condition {
    Condition::Waiting { hold: Hold::AwaitingHealth { service: service.to_owned() }, until }
}

fn in_progress(activity: Activity) -> Condition {
    Condition::Waiting { hold: Hold::InProgress { activity }, until: None }
}

fn failed(cause: FailureCause) -> Condition {
    Condition::Failed { cause, fault: Fault::Broken }
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().next_back().unwrap_or_default().trim()
}
