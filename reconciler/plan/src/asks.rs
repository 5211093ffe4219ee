//! What was asked of single tasks: what becomes of it after a plan, and who follows a restart.

use crate::condition::is_still;
use crate::draft::Draft;
use crate::facts::{Facts, short};
use crate::standing::{Ask, AskVerb, Leader};
use keel_engine::{Assignment, Goal, ObservedTask, TaskAssignment, TaskId};
use std::collections::BTreeMap;

/// Notes what this plan does of it, and what follows from what it does.
pub(crate) fn settle(facts: &Facts<'_>, draft: &Draft, asks: &mut BTreeMap<TaskId, Ask>) {
    asks.retain(|id, _| {
        !draft.answered.contains(id) && facts.tasks().any(|(_, task)| task.id == *id)
    });
    for id in &draft.given {
        if let Some(ask) = asks.get_mut(id) {
            ask.given = Some(draft.generation);
        }
    }
    for (id, ask) in followers(facts, draft) {
        asks.entry(id).or_insert(ask);
    }
}

/// Tasks that asked to be restarted with what they depend on (`depends_on.restart`).
fn followers(facts: &Facts<'_>, draft: &Draft) -> Vec<(TaskId, Ask)> {
    if !may_follow(facts) {
        return Vec::new();
    }
    let wishes = draft.wishes().filter_map(|wish| match wish {
        Assignment::Task(wish) => Some((&wish.id, wish.as_ref())),
        _ => None,
    });
    // The first one of a task counts.
    let mut wished = Wished::new();
    for (id, wish) in wishes {
        wished.entry(id).or_insert(wish);
    }
    let restarts = facts.tasks().filter_map(|(slot, task)| {
        let leader = Leader {
            service: slot.service.clone(),
            task: task.id.clone(),
            generation: draft.generation,
        };
        wished.get(&task.id).filter(|wish| begins_again(task, wish)).map(|_| leader)
    });
    restarts.flat_map(|leader| followers_of(facts, &wished, &leader)).collect()
}

/// Whether any service of the stack follows another.
fn may_follow(facts: &Facts<'_>) -> bool {
    let wants = facts.slots.values().filter_map(|all| all.want.as_ref());
    let mut needs = wants.flat_map(|want| &want.service.depends_on);
    needs.any(|dependency| dependency.restart)
}

/// What a plan asks of tasks.
type Wished<'d> = BTreeMap<&'d TaskId, &'d TaskAssignment>;

/// Whether a task that ran before runs anew by this wish.
fn begins_again(task: &ObservedTask, wish: &TaskAssignment) -> bool {
    let ran = task.started.is_some();
    wish.goal == Goal::Running && ran && (wish.anew || is_still(task))
}

fn followers_of(facts: &Facts<'_>, wished: &Wished<'_>, leader: &Leader) -> Vec<(TaskId, Ask)> {
    let follows = |service: &crate::desired::DesiredService| {
        let mut of = service.depends_on.iter();
        of.any(|dependency| dependency.restart && dependency.service == leader.service)
    };
    let wanted = facts.slots.iter().filter_map(|(slot, all)| {
        let want = all.want.as_ref().filter(|want| follows(want.service))?;
        let latched = facts.standing.stopped.contains(&short(slot));
        let task = all.current.filter(|task| !latched && !is_still(task))?;
        (!want.service.runs_before_deploy() && !wished.contains_key(&task.id)).then_some(task)
    });
    let ask = |task: &ObservedTask| {
        (task.id.clone(), Ask { follows: Some(leader.clone()), ..Ask::of(AskVerb::Restart) })
    };
    wanted.map(ask).collect()
}
