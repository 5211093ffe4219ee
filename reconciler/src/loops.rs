//! What runs for as long as the controller serves: passes, refreshes, events, drift.

use crate::ask::Refusal;
use crate::cause::Cause;
use crate::controller::Controller;
use crate::history::{HistoryEntry, Note};
use crate::notices::notifier;
use crate::operate::drift;
use crate::operation::{OperationReason, OperationState};
use crate::pass::{PassError, Passed, pass};
use crate::refresh::{Why, refresh};
use crate::refusal::with_causes;
use crate::strays;
use crate::sweeper::collect_garbage;
use crate::trigger::Trigger;
use futures_util::{FutureExt, StreamExt};
use keel_engine::{Event, StackName};
use keel_plan::Asked;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;

/// After a pass that could not even look.
const RETRY: Duration = Duration::from_secs(5);
/// Between two close looks for drift.
const DRIFT: Duration = Duration::from_secs(30);
/// Fewer stacks that are under way hold up no look for drift.
const MANY: usize = 20;
/// So many looks for drift in a row may be left out.
const MOST_LEFT_OUT: u32 = 3;
/// Events come in bursts: a task that starts changes several times.
const BURST: Duration = Duration::from_millis(50);

/// Starts them all, and puts every stored stack and every source on its queue.
pub(crate) async fn start(controller: &Controller) -> Result<JoinSet<()>, Refusal> {
    let mut loops = JoinSet::new();
    let passing = controller.clone();
    loops.spawn(controller.stacks().clone().run(move |stack| look(stack, passing.clone())));
    let refreshing = controller.clone();
    loops.spawn(controller.hints().clone().run(move |name| reread(name, refreshing.clone())));
    loops.spawn(until_closed(controller.clone(), follow_events(controller.clone())));
    loops.spawn(until_closed(controller.clone(), look_for_drift(controller.clone())));
    loops.spawn(until_closed(controller.clone(), strays::watch(controller.clone())));
    loops.spawn(until_closed(controller.clone(), collect_garbage(controller.desk())));
    loops.spawn(until_closed(controller.clone(), notifier::run(controller.clone())));
    for stack in controller.records().stacks().await? {
        controller.stacks().hint(stack);
    }
    for (name, source) in controller.configured().iter() {
        controller.watch_source(name, source);
        controller.hint_source_in(name, Cause::Start, Duration::ZERO);
    }
    Ok(loops)
}

async fn until_closed(controller: Controller, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = controller.stacks().closed() => {}
    }
}

/// One pass; says when the same stack is to be looked at again.
async fn look(stack: StackName, controller: Controller) -> Option<Duration> {
    let again = match pass(&stack, &Asked::default(), &controller).await {
        Ok(passed) => {
            controller.remember_unwritten(&stack, None);
            after(&passed, &controller)
        }
        Err(error) => {
            note_failure(&stack, &error, &controller).await;
            Some(RETRY)
        }
    };
    controller.notifier().wake();
    again
}

fn after(passed: &Passed, controller: &Controller) -> Option<Duration> {
    let suspended = passed.plan.standing.suspended.is_some();
    if passed.plan.is_gone() && !suspended {
        return None;
    }
    if passed.refused.is_some() {
        return Some(RETRY);
    }
    let wake = passed.plan.wake?;
    Some(Duration::from_millis(wake.saturating_sub(controller.now()).max(10)))
}

async fn note_failure(stack: &StackName, error: &PassError, controller: &Controller) {
    let entry = HistoryEntry {
        trigger: Trigger::Look,
        state: OperationState::Failed,
        reason: OperationReason::Broken { error: with_causes(error) },
        at: controller.now(),
        ..HistoryEntry::default()
    };
    let note = Note { entry, ..Note::default() };
    if controller.records().finish(stack, &note).await.is_err() {
        // On a full disk not even that can be written; whoever asks is told all the same.
        controller.remember_unwritten(stack, Some(note.operation()));
    }
}

async fn reread(name: String, controller: Controller) -> Option<Duration> {
    let source = controller.configured().get(&name)?.clone();
    let why = Why { cause: controller.take_cause(&name), take_over: false };
    let again = refresh(&name, &source, &why, &controller).await;
    controller.notifier().wake();
    Some(again)
}

/// The first event after a pause is heard at once, those that follow as one hint: a pull tells of
/// its progress many times a second.
async fn follow_events(controller: Controller) {
    let mut events = controller.fleet().events();
    while let Some(first) = events.next().await {
        let mut burst = vec![first];
        while !burst.is_empty() {
            hear(&burst, &controller).await;
            tokio::time::sleep(BURST).await;
            burst = std::iter::from_fn(|| events.next().now_or_never().flatten()).collect();
        }
    }
    std::future::pending::<()>().await;
}

/// Hints the stacks that the events are about.
async fn hear(burst: &[Event], controller: &Controller) {
    let about = |event: &Event| controller.routing(|routing| routing.of(event));
    match burst.iter().map(about).collect::<Option<Vec<_>>>() {
        Some(stacks) => {
            let stacks: BTreeSet<_> = stacks.into_iter().flatten().collect();
            stacks.into_iter().for_each(|stack| controller.stacks().hint(stack));
        }
        None => hint_all(controller).await,
    }
}

async fn hint_all(controller: &Controller) {
    for stack in controller.records().stacks().await.unwrap_or_default() {
        controller.stacks().hint(stack);
    }
}

async fn look_for_drift(controller: Controller) {
    let mut ticks = tokio::time::interval(DRIFT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut left_out = 0;
    loop {
        ticks.tick().await;
        if gives_way(controller.routing(|routing| routing.waiting()), left_out) {
            left_out += 1;
            continue;
        }
        left_out = 0;
        controller.records().settle().await;
        // What cannot be looked at now is looked at with the next tick.
        for stack in drift::differing(&controller).await.unwrap_or_default() {
            controller.look_closely(stack);
        }
        let _ = controller.rejoin_oneoffs().await;
        controller.notifier().wake();
    }
}

/// Whether a look for drift gives way to what is under way: a look costs as much as there is, and while most
/// of it is being started nearly nothing of it can have drifted. Never so often in a row that drift
/// stays unseen for more than two minutes.
fn gives_way((waiting, all): (usize, usize), left_out: u32) -> bool {
    waiting >= MANY && 2 * waiting > all && left_out < MOST_LEFT_OUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_drift_give_way_to_many_starts_for_two_minutes_at_most() {
        let cases = [
            ((0, 500), 0, false),
            ((9, 9), 0, false), // Few cost little.
            ((250, 500), 0, false),
            ((251, 500), 0, true),
            ((500, 500), 2, true),
            ((500, 500), 3, false),
        ];
        for (stacks, left_out, expected) in cases {
            assert_eq!(gives_way(stacks, left_out), expected, "{stacks:?} {left_out}");
        }
        assert!(DRIFT * (MOST_LEFT_OUT + 1) <= Duration::from_secs(120));
    }
}
