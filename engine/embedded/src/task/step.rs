//! What is to be done next for a task, by its records and what lives. Pure.
//!
//! # Invariants
//! - A step is decided anew each time from what is: a driver that dies between two steps leaves
//!   nothing that the next one does not see.
//! - A shim that lives is never started twice, and a process that lives is never left without one.

use crate::root::record::{Activity, Process, ShimState, Stage};
use crate::shim::ends_with_its_shim;
use crate::task::records::Records;
use keel_engine::{ExitCause, Goal, Place, RestartPolicy};

/// What lives of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Alive {
    /// Its shim.
    pub(crate) shim: bool,
    /// Its process 1.
    pub(crate) process: bool,
}

impl Alive {
    /// Asks the kernel.
    pub(crate) fn of(records: &Records) -> Self {
        let (shim, process) = Self::who(records);
        let lives = |process: Option<&Process>| process.is_some_and(Process::lives);
        Self { shim: lives(shim), process: lives(process) }
    }

    /// A task's shim and its process, as they were noted last.
    pub(crate) fn who(records: &Records) -> (Option<&Process>, Option<&Process>) {
        let state = records.state.as_ref();
        let shim = state.and_then(|state| state.shim.as_ref()).or(records.work.shim.as_ref());
        (shim, state.and_then(|state| state.process.as_ref()))
    }
}

/// One step towards the goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until something changes.
    Rest,
    /// Image, volumes, networks.
    Prepare,
    /// The same, then a shim and its network.
    Launch,
    /// What changed in place, and whatever of its surroundings is not as applied.
    Update,
    /// The shim died and its process lives: another shim.
    Adopt,
    /// Tell the shim, which then stops its process.
    Stop,
    /// Nobody saw how the run ended: record that it did.
    Lost(ExitCause),
    /// The stop is done: note for which generation.
    Stopped,
    /// The stop is done: on to the wish that waited for it.
    Follow,
    /// Everything of it goes.
    Remove,
}

/// Decides the next step.
pub(crate) fn next(records: &Records, alive: Alive, boot: &str) -> Step {
    match records.wish.goal {
        Goal::Ready => ready(records),
        Goal::Running => running(records, alive, boot),
        Goal::Stopped => stopped(records, alive, boot),
        Goal::Removed => match (alive.shim, alive.process) {
            (true, _) => Step::Stop,
            (false, true) if !records.wish.force => Step::Adopt,
            (false, _) => Step::Remove,
        },
    }
}

fn ready(records: &Records) -> Step {
    let done = matches!(records.work.stage, Stage::Ready | Stage::Launched | Stage::Rejected);
    if done && is_current(records) { Step::Rest } else { Step::Prepare }
}

fn running(records: &Records, alive: Alive, boot: &str) -> Step {
    let stage = records.work.stage;
    if alive.shim {
        let over = activity(records) == Some(Activity::Exited);
        return match stage {
            _ if over => Step::Rest,
            Stage::Launched if is_current(records) => Step::Rest,
            Stage::Launched if ends_with_its_shim(&records.wish, &records.work) => Step::Stop,
            Stage::Launched => Step::Update,
            _ => Step::Launch,
        };
    }
    if alive.process {
        return Step::Adopt;
    }
    if let Some(cause) = lost(records, boot) {
        return Step::Lost(cause);
    }
    match stage {
        _ if !is_current(records) => Step::Launch,
        Stage::Rejected => Step::Rest,
        Stage::Launched => after_exit(records),
        _ => Step::Launch,
    }
}

/// The run for this generation is over, and no shim is there to begin another.
fn after_exit(records: &Records) -> Step {
    let Some(state) = &records.state else { return Step::Launch };
    match state.exit_cause {
        Some(ExitCause::Interrupted) if begins_at_boot(records) => Step::Launch,
        Some(ExitCause::Unknown) if begins_again(records) => Step::Launch,
        // The run before was ended for one that never began.
        _ if state.run < records.work.run => Step::Launch,
        _ if records.wish.auto_remove => Step::Remove,
        _ => Step::Rest,
    }
}

fn begins_again(records: &Records) -> bool {
    records.wish.spec.restart != RestartPolicy::No
}

/// A slot's task does; a one-off only under a policy, as docker's containers.
fn begins_at_boot(records: &Records) -> bool {
    matches!(records.wish.place, Place::Slot(_)) || begins_again(records)
}

fn stopped(records: &Records, alive: Alive, boot: &str) -> Step {
    if alive.shim {
        return Step::Stop;
    }
    if alive.process {
        return Step::Adopt;
    }
    if let Some(cause) = lost(records, boot) {
        return Step::Lost(cause);
    }
    match (&records.following, is_current(records)) {
        (Some(_), _) => Step::Follow,
        (None, false) => Step::Stopped,
        (None, true) => Step::Rest,
    }
}

/// Whether the state still tells of a run that nobody supervises any more, and what ended it.
fn lost(records: &Records, boot: &str) -> Option<ExitCause> {
    let state = records.state.as_ref()?;
    if state.activity == Activity::Exited {
        return None;
    }
    Some(if is_of(state, boot) { ExitCause::Unknown } else { ExitCause::Interrupted })
}

fn is_of(state: &ShimState, boot: &str) -> bool {
    state.shim.as_ref().or(state.process.as_ref()).is_some_and(|process| process.boot == boot)
}

fn is_current(records: &Records) -> bool {
    records.work.generation == records.wish.generation
}

fn activity(records: &Records) -> Option<Activity> {
    records.state.as_ref().map(|state| state.activity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::record::{Process, Work};
    use crate::task::records::sample;

    const BOTH: Alive = Alive { shim: true, process: true };
    const PROCESS: Alive = Alive { shim: false, process: true };
    const NONE: Alive = Alive { shim: false, process: false };

    /// Goal, generation of the wish, stage, generation of the work, what the state says.
    fn records(goal: Goal, stage: Stage, behind: bool, activity: Option<Activity>) -> Records {
        let wish = sample::wish(2, goal);
        let work = Work { stage, generation: 2 - u64::from(behind), ..Work::default() };
        let shim = Some(Process { pid: 1, start_time: 1, boot: "now".into() });
        let state = activity.map(|activity| ShimState { activity, shim, ..ShimState::default() });
        sample::records(wish, work, state)
    }

    #[test]
    fn every_situation_has_its_step() {
        use Activity::{Backoff, Draining, Exited, Running, Waiting};
        use Goal::{Ready, Removed, Stopped};
        use Stage::{Launched, Pending, Preparing, Rejected};
        let run = Goal::Running;
        #[rustfmt::skip]
        let cases = [
            ("new", run, Pending, true, None, NONE, Step::Launch),
            ("being prepared when the driver died", run, Preparing, false, None, NONE, Step::Launch),
            ("shim up, network not yet", run, Stage::Ready, false, Some(Waiting), BOTH, Step::Launch),
            ("runs", run, Launched, false, Some(Running), BOTH, Step::Rest),
            ("healed or updated", run, Launched, true, Some(Running), BOTH, Step::Update),
            ("waits for its next run", run, Launched, false, Some(Backoff), BOTH, Step::Rest),
            ("shim about to end", run, Launched, false, Some(Exited), BOTH, Step::Rest),
            ("shim died", run, Launched, false, Some(Running), PROCESS, Step::Adopt),
            ("both died", run, Launched, false, Some(Running), NONE, Step::Lost(ExitCause::Unknown)),
            ("ended for good", run, Launched, false, Some(Exited), NONE, Step::Rest),
            ("ended, and started by a person", run, Launched, true, Some(Exited), NONE, Step::Launch),
            ("cannot be", run, Rejected, false, None, NONE, Step::Rest),
            ("cannot be, tried anew", run, Rejected, true, None, NONE, Step::Launch),
            ("to be made ready", Ready, Pending, true, None, NONE, Step::Prepare),
            ("ready", Ready, Stage::Ready, false, None, NONE, Step::Rest),
            ("to be stopped", Stopped, Launched, true, Some(Running), BOTH, Step::Stop),
            ("stops", Stopped, Launched, true, Some(Draining), BOTH, Step::Stop),
            ("has stopped", Stopped, Launched, true, Some(Exited), NONE, Step::Stopped),
            ("has long stopped", Stopped, Launched, false, Some(Exited), NONE, Step::Rest),
            ("to be stopped without a shim", Stopped, Launched, true, Some(Running), PROCESS, Step::Adopt),
            ("never ran, stopped", Stopped, Pending, true, None, NONE, Step::Stopped),
            ("to be removed", Removed, Launched, true, Some(Running), BOTH, Step::Stop),
            ("to be removed without a shim", Removed, Launched, true, Some(Running), PROCESS, Step::Adopt),
            ("to be removed, nothing lives", Removed, Launched, true, Some(Exited), NONE, Step::Remove),
        ];
        for (name, goal, stage, behind, activity, alive, expected) in cases {
            let records = records(goal, stage, behind, activity);
            assert_eq!(next(&records, alive, "now"), expected, "{name}");
        }
    }

    #[test]
    fn a_reboot_interrupts_and_what_ran_begins_again() {
        let mut records = records(Goal::Running, Stage::Launched, false, Some(Activity::Running));
        assert_eq!(next(&records, NONE, "later"), Step::Lost(ExitCause::Interrupted));
        let state = records.state.as_mut().unwrap();
        (state.activity, state.exit_cause) = (Activity::Exited, Some(ExitCause::Interrupted));
        assert_eq!(next(&records, NONE, "later"), Step::Rest, "a one-off without a policy");
        records.wish.place = sample::slot();
        assert_eq!(next(&records, NONE, "later"), Step::Launch, "a slot's task");
        records.wish.goal = Goal::Stopped;
        assert_eq!(next(&records, NONE, "later"), Step::Rest, "stopped by a person");
    }

    #[test]
    fn a_run_anew_goes_on_wherever_it_was_cut_short() {
        use keel_engine::NetworkMode;
        let behind = |activity| {
            let mut records = records(Goal::Running, Stage::Launched, true, Some(activity));
            records.wish.anew = true;
            records
        };
        assert_eq!(next(&behind(Activity::Running), BOTH, "now"), Step::Update);
        assert_eq!(next(&behind(Activity::Running), PROCESS, "now"), Step::Adopt);
        let mut joined = behind(Activity::Running);
        std::sync::Arc::make_mut(&mut joined.wish.spec).network_mode =
            NetworkMode::Service("vpn".into());
        assert_eq!(next(&joined, BOTH, "now"), Step::Stop, "its shim joins another namespace");
        joined.state.as_mut().unwrap().activity = Activity::Exited;
        assert_eq!(next(&joined, NONE, "now"), Step::Launch);
        // The run before was ended, and whoever was to begin the next one died.
        let mut owed = records(Goal::Running, Stage::Launched, false, Some(Activity::Exited));
        (owed.work.run, owed.state.as_mut().unwrap().run) = (2, 1);
        assert_eq!(next(&owed, NONE, "now"), Step::Launch);
    }

    #[test]
    fn the_wish_that_waited_for_a_stop_follows_it() {
        let mut records = records(Goal::Stopped, Stage::Launched, true, Some(Activity::Exited));
        records.following = Some(sample::wish(3, Goal::Running));
        assert_eq!(next(&records, BOTH, "now"), Step::Stop);
        assert_eq!(next(&records, NONE, "now"), Step::Follow);
    }

    #[test]
    fn a_one_off_that_ended_goes_by_itself() {
        let mut records = records(Goal::Running, Stage::Launched, false, Some(Activity::Exited));
        records.wish.auto_remove = true;
        assert_eq!(next(&records, NONE, "now"), Step::Remove);
    }
}
