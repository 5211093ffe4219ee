//! What a person decided about a slot: latches, starts, restarts.

use crate::condition::is_still;
use crate::draft::{Draft, act, hold};
use crate::facts::{Facts, Occupants, short};
use crate::verdict::{Action, Hold, Reason, Verdict};
use crate::wish;
use keel_engine::{Goal, ObservedTask, Slot};

/// Latches and restarts work on any stack, a suspended one too.
pub(super) fn by_a_person(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Verdict> {
    let name = short(slot);
    if facts.standing.restart.contains(&name) && occupants.current.is_none() {
        // Nothing to stop: what fills the slot next is a new run anyway.
        draft.restarted.insert(name.clone());
    }
    occupants.want.as_ref()?;
    if facts.standing.stopped.contains(&name) {
        return Some(stopped(draft, occupants));
    }
    let suspended = facts.standing.suspended.is_some();
    if occupants.current.is_some() && !occupants.rest.iter().all(|task| is_still(task)) {
        // Two tasks live in the slot: that has to end first.
        return None;
    }
    let task = occupants.current.or(occupants.rest.first().copied().filter(|_| suspended))?;
    if facts.standing.restart.contains(&name) {
        draft.restarted.remove(&name);
        return restart(draft, &name, task);
    }
    let started = suspended && task.goal == Goal::Stopped && is_still(task);
    started.then(|| start(draft, task, "start"))
}

fn stopped(draft: &Draft, occupants: &Occupants<'_>) -> Verdict {
    let to_stop: Vec<_> = occupants
        .all()
        .filter(|task| task.goal < Goal::Stopped)
        .map(|task| wish::again(task, Goal::Stopped, draft.generation))
        .collect();
    if !to_stop.is_empty() {
        return act(Action::Stop, asked("stop"), to_stop);
    }
    match occupants.all().all(is_still) {
        true => hold(Hold::Stopped),
        false => hold(Hold::InProgress { what: "it is being stopped".into() }),
    }
}

/// Stopped, then started: the same task, the same writable layer.
fn restart(draft: &mut Draft, name: &str, task: &ObservedTask) -> Option<Verdict> {
    match (task.goal, is_still(task)) {
        (Goal::Removed, _) => None,
        (_, true) => {
            draft.restarted.insert(name.to_owned());
            Some(start(draft, task, "restart"))
        }
        (Goal::Stopped, false) => {
            Some(hold(Hold::InProgress { what: "it is being stopped".into() }))
        }
        (Goal::Ready | Goal::Running, false) => {
            let wish = wish::again(task, Goal::Stopped, draft.generation);
            Some(act(Action::Restart, asked("restart"), vec![wish]))
        }
    }
}

pub(super) fn start(draft: &Draft, task: &ObservedTask, command: &str) -> Verdict {
    let action = if command == "restart" { Action::Restart } else { Action::Start };
    let wish = wish::again(task, Goal::Running, draft.generation);
    act(action, asked(command), vec![wish])
}

pub(super) fn asked(command: &str) -> Reason {
    Reason::Asked { command: command.to_owned() }
}
