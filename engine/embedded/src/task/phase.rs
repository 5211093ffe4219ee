//! Where a task is on its way, in one word. Pure.

use crate::root::record::{Activity, Stage};
use crate::task::records::Records;
use crate::task::step::{Alive, Step};
use keel_engine::{Goal, Phase};

/// The phase that people and planners see.
pub(crate) fn phase(records: &Records, alive: Alive, boot: &str) -> Phase {
    if alive.shim || alive.process {
        return living(records);
    }
    let next = crate::task::step::next(records, alive, boot);
    match (records.wish.goal, records.work.stage) {
        (Goal::Removed, _) => Phase::Draining,
        // Its stop is done, and the wish that waited for that follows.
        (Goal::Stopped, _) if records.following.is_some() => Phase::Preparing,
        (Goal::Stopped, _) => Phase::Exited,
        (_, Stage::Rejected) if next == Step::Rest => Phase::Rejected,
        (Goal::Ready, Stage::Ready) => Phase::Ready,
        (_, Stage::Launched) if next == Step::Rest => Phase::Exited,
        (_, Stage::Launched) if matches!(next, Step::Lost(_) | Step::Remove) => Phase::Exited,
        (_, Stage::Pending) => Phase::Pending,
        _ => Phase::Preparing,
    }
}

/// Of a task that somebody supervises, or whose process runs on without.
fn living(records: &Records) -> Phase {
    let activity = records.state.as_ref().map(|state| state.activity).unwrap_or_default();
    match (activity, records.wish.goal) {
        // Its namespace, with its addresses, is its shim's until that ends.
        (Activity::Exited, Goal::Stopped | Goal::Removed) => Phase::Draining,
        (Activity::Running | Activity::Exited, Goal::Running) if ends_first(records) => {
            Phase::Draining
        }
        (Activity::Waiting, _) => Phase::Preparing,
        (Activity::Running, Goal::Stopped | Goal::Removed) | (Activity::Draining, _) => {
            Phase::Draining
        }
        (Activity::Running, _) => Phase::Running,
        (Activity::Backoff, _) => Phase::Backoff,
        (Activity::Exited, _) => Phase::Exited,
    }
}

/// Whether the process that runs is ended for another one, by what was decided: also before its shim
/// has heard of that.
fn ends_first(records: &Records) -> bool {
    let run = records.state.as_ref().map_or(0, |state| state.run);
    let launched = records.work.stage == Stage::Launched;
    launched && (records.is_to_begin_anew() || run < records.work.run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::record::{ShimState, Work};
    use crate::task::records::sample;

    #[test]
    fn every_situation_has_its_phase() {
        use Activity::{Backoff, Draining, Exited, Running, Waiting};
        use Goal::{Ready, Removed, Stopped};
        use Stage::{Launched, Pending, Preparing, Rejected};
        let run = Goal::Running;
        // Goal, stage, whether the wish is newer than the work, activity, whether anything lives.
        #[rustfmt::skip]
        let cases = [
            ("assigned", run, Pending, true, None, false, Phase::Pending),
            ("on its way", run, Preparing, false, None, false, Phase::Preparing),
            ("ready, as asked", Ready, Stage::Ready, false, None, false, Phase::Ready),
            ("ready, on the way to run", run, Stage::Ready, false, None, false, Phase::Preparing),
            ("shim waits for its network", run, Stage::Ready, false, Some(Waiting), true, Phase::Preparing),
            ("runs", run, Launched, false, Some(Running), true, Phase::Running),
            ("between two runs", run, Launched, false, Some(Backoff), true, Phase::Backoff),
            ("told to stop", Stopped, Launched, true, Some(Running), true, Phase::Draining),
            ("stops", Stopped, Launched, true, Some(Draining), true, Phase::Draining),
            ("has stopped, but for its shim", Stopped, Launched, true, Some(Exited), true, Phase::Draining),
            ("has stopped", Stopped, Launched, false, Some(Exited), false, Phase::Exited),
            ("ended", run, Launched, false, Some(Exited), false, Phase::Exited),
            ("ended, and started by a person", run, Launched, true, Some(Exited), false, Phase::Preparing),
            ("nobody saw it end", run, Launched, false, Some(Running), false, Phase::Exited),
            ("cannot be", run, Rejected, false, None, false, Phase::Rejected),
            ("goes", Removed, Launched, true, Some(Exited), false, Phase::Draining),
        ];
        for (name, goal, stage, behind, activity, lives, expected) in cases {
            let work = Work { stage, generation: 2 - u64::from(behind), ..Work::default() };
            let state = activity.map(|activity| ShimState { activity, ..ShimState::default() });
            let records = sample::records(sample::wish(2, goal), work, state);
            let alive = Alive { shim: lives, process: lives };
            assert_eq!(phase(&records, alive, ""), expected, "{name}");
        }
    }

    #[test]
    fn what_is_ended_for_another_run_is_draining_at_once() {
        let mut wish = sample::wish(2, Goal::Running);
        wish.anew = true;
        let state = ShimState { activity: Activity::Running, run: 1, ..ShimState::default() };
        let work = Work { stage: Stage::Launched, generation: 1, run: 1, ..Work::default() };
        let mut records = sample::records(wish, work, Some(state));
        let both = Alive { shim: true, process: true };
        assert_eq!(phase(&records, both, ""), Phase::Draining, "nobody has told its shim yet");
        (records.work.generation, records.work.run) = (2, 2);
        assert_eq!(phase(&records, both, ""), Phase::Draining, "its shim has not heard yet");
        records.state.as_mut().unwrap().run = 2;
        assert_eq!(phase(&records, both, ""), Phase::Running);
        records.wish.goal = Goal::Stopped;
        records.following = Some(sample::wish(3, Goal::Running));
        let none = Alive { shim: false, process: false };
        assert_eq!(phase(&records, none, ""), Phase::Preparing, "a start follows the stop");
    }
}
