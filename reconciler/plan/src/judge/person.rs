//! What a person decided about a slot: what they asked of its tasks, and latches. And what follows from
//! that by itself: a task that was left alone in a network namespace that was shared.
//!
//! # Invariants
//! - A person's word comes before everything that a revision asks for, on any stack.
//! - What was asked stays in the stack's memory until its task has the wish: it is done at least once,
//!   and asked of a task that has a successor never.

use crate::condition::is_still;
use crate::draft::{Draft, Judgment, act, hold};
use crate::facts::{Facts, Occupants};
use crate::standing::{Ask, AskVerb, Leader};
use crate::verdict::{Action, Hold, Reason};
use crate::why::{Activity, Followed, PersonsCommand};
use crate::wish;
use keel_engine::{Assignment, Goal, NetworkMode, ObservedTask, Phase, Slot, TaskAssignment};

/// What is to be done in a slot before anything else is looked at.
pub(super) fn by_a_person(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Judgment> {
    if let Some(verdict) = asked_of(facts, draft, occupants) {
        return Some(verdict);
    }
    occupants.want.as_ref()?;
    if facts.is_stopped(slot) {
        return Some(stopped(draft, occupants));
    }
    let suspended = facts.standing.suspended.is_some();
    if occupants.current.is_some() && !occupants.rest.iter().all(|task| is_still(task)) {
        // Two tasks live in the slot: that has to end first.
        return None;
    }
    let task = occupants.current.or(occupants.rest.first().copied());
    if let Some(verdict) = task.and_then(|task| rejoin(facts, draft, task)) {
        return Some(verdict);
    }
    let task = task.filter(|_| suspended)?;
    let started = task.goal == Goal::Stopped && is_still(task);
    started.then(|| start(draft, task, PersonsCommand::Start))
}

fn stopped(draft: &Draft, occupants: &Occupants<'_>) -> Judgment {
    let to_stop: Vec<_> = occupants
        .all()
        .filter(|task| task.goal < Goal::Stopped)
        .map(|task| wish::again(task, Goal::Stopped, draft.generation))
        .collect();
    if !to_stop.is_empty() {
        return act(Action::Stop, asked(PersonsCommand::Stop), to_stop);
    }
    match occupants.all().all(is_still) {
        true => hold(Hold::Stopped),
        false => hold(Hold::InProgress { activity: Activity::Stopping }),
    }
}

/// What was asked of the slot's tasks and is still to be done.
fn asked_of(facts: &Facts<'_>, draft: &mut Draft, occupants: &Occupants<'_>) -> Option<Judgment> {
    let mut verdict: Option<(Action, Reason)> = None;
    let mut wishes = Vec::new();
    for task in occupants.all() {
        let Some(ask) = facts.standing.asks.get(&task.id) else { continue };
        match answer(facts, occupants, task, ask) {
            Answer::Over => drop(draft.answered.insert(task.id.clone())),
            Answer::NotYet => {}
            Answer::Now => {
                draft.given.insert(task.id.clone());
                wishes.push(wish_of(facts, task, ask, draft.generation));
                verdict.get_or_insert_with(|| (action(ask.verb), reason(ask)));
            }
        }
    }
    verdict.map(|(action, reason)| act(action, reason, wishes))
}

/// What becomes of an ask in this pass.
enum Answer {
    /// It is done, or there is nothing left to do.
    Over,
    /// What it follows is not of use yet.
    NotYet,
    /// Its wish is due.
    Now,
}

fn answer(facts: &Facts<'_>, occupants: &Occupants<'_>, task: &ObservedTask, ask: &Ask) -> Answer {
    let taken = ask.given.is_some_and(|given| task.generation >= given);
    if taken || task.goal == Goal::Removed {
        return Answer::Over;
    }
    let others_live = occupants.all().any(|other| other.id != task.id && !is_still(other));
    let done = match ask.verb {
        AskVerb::Start => {
            task.goal < Goal::Stopped && !is_still(task) && task.phase != Phase::Backoff
        }
        AskVerb::Stop | AskVerb::Kill => task.goal == Goal::Stopped && is_still(task),
        AskVerb::Restart => ask.follows.is_some() && is_still(task),
        AskVerb::Remove { .. } => false,
    };
    let is_off = is_still(task) || task.goal == Goal::Ready;
    let begins = matches!(ask.verb, AskVerb::Start | AskVerb::Restart) && is_off;
    match &ask.follows {
        // Another one of its slot runs: two of them are for rollouts alone.
        _ if done || (begins && others_live) => Answer::Over,
        Some(leader) => follows(facts, leader),
        None => Answer::Now,
    }
}

/// Whether what was restarted is of use again: then those that asked for it follow.
fn follows(facts: &Facts<'_>, leader: &Leader) -> Answer {
    let mut slots = facts.slots_of(&leader.service);
    let task = slots.find_map(|(slot, all)| {
        let task = all.current.filter(|task| task.id == leader.task)?;
        (!facts.is_stopped(slot)).then_some(task)
    });
    match task {
        // It was stopped or replaced meanwhile; who follows a replacement is seen by that.
        None => Answer::Over,
        Some(task) if is_still(task) && task.phase == Phase::Rejected => Answer::Over,
        Some(task) => {
            let began = task.generation >= leader.generation;
            let of_use = began && crate::condition::available_since(task).is_some();
            if of_use { Answer::Now } else { Answer::NotYet }
        }
    }
}

fn wish_of(facts: &Facts<'_>, task: &ObservedTask, ask: &Ask, generation: u64) -> Assignment {
    let goal = match ask.verb {
        AskVerb::Start | AskVerb::Restart => Goal::Running,
        AskVerb::Stop | AskVerb::Kill => Goal::Stopped,
        AskVerb::Remove { .. } => Goal::Removed,
    };
    let mut wish = joined(facts, TaskAssignment::again(task, goal, generation));
    wish.anew = ask.verb == AskVerb::Restart && !is_still(task);
    wish.force = matches!(ask.verb, AskVerb::Kill | AskVerb::Remove { .. });
    wish.force |= ask.verb == AskVerb::Stop && ask.grace == Some(0);
    wish.remove_volumes = ask.verb == AskVerb::Remove { volumes: true };
    wish.grace = ask.grace;
    Assignment::Task(Box::new(wish))
}

/// What runs next shares the namespace that there is now: that task may have been replaced since.
fn joined(facts: &Facts<'_>, wish: TaskAssignment) -> TaskAssignment {
    let NetworkMode::Service(host) = &wish.spec.network_mode else { return wish };
    let now = facts.host(host).map(|task| task.id.clone());
    TaskAssignment { joins: now.or_else(|| wish.joins.clone()), ..wish }
}

fn action(verb: AskVerb) -> Action {
    match verb {
        AskVerb::Start => Action::Start,
        AskVerb::Restart => Action::Restart,
        AskVerb::Stop | AskVerb::Kill => Action::Stop,
        AskVerb::Remove { .. } => Action::Remove,
    }
}

fn reason(ask: &Ask) -> Reason {
    let command = match (&ask.follows, ask.verb) {
        (Some(leader), _) => {
            return Reason::Follows { leader: Followed::Service(leader.service.clone()) };
        }
        (None, AskVerb::Start) => PersonsCommand::Start,
        (None, AskVerb::Restart) => PersonsCommand::Restart,
        (None, AskVerb::Stop) => PersonsCommand::Stop,
        (None, AskVerb::Kill) => PersonsCommand::Kill,
        (None, AskVerb::Remove { .. }) => PersonsCommand::Remove,
    };
    asked(command)
}

/// A task that was left alone in a network namespace while the task that it shares it with has
/// another one by now: it begins anew, in that one. However that came about (a person's start, a crash,
/// a reboot), and whatever the policy for drift: nobody else did it.
fn rejoin(facts: &Facts<'_>, draft: &Draft, task: &ObservedTask) -> Option<Judgment> {
    let runs = matches!(task.phase, Phase::Running | Phase::Backoff) && task.goal == Goal::Running;
    if !task.apart || !runs {
        return None;
    }
    // Only `keel run` shares the network of a container by its name.
    let NetworkMode::Service(service) = &task.spec.network_mode else { return None };
    let host = facts.host(service)?;
    (task.joins.as_ref() == Some(&host.id)).then(|| follow(draft, task, service))
}

/// Restarts a task after another service.
pub(super) fn follow(draft: &Draft, task: &ObservedTask, service: &str) -> Judgment {
    let mut wish = TaskAssignment::again(task, Goal::Running, draft.generation);
    wish.anew = true;
    let reason = Reason::Follows { leader: Followed::Service(service.to_owned()) };
    act(Action::Restart, reason, vec![Assignment::Task(Box::new(wish))])
}

pub(super) fn start(draft: &Draft, task: &ObservedTask, command: PersonsCommand) -> Judgment {
    let wish = wish::again(task, Goal::Running, draft.generation);
    act(Action::Start, asked(command), vec![wish])
}

pub(super) fn asked(command: PersonsCommand) -> Reason {
    Reason::Asked { command }
}
