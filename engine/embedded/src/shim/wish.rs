//! What the records ask of a shim right now. Pure.

use crate::record::{Stage, Work};
use keel_engine::{Goal, TaskAssignment};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No process yet.
    Wait,
    /// A process; one that runs goes on.
    Run,
    /// A process younger than the one that runs.
    RunAnew,
    /// No process, ever again.
    Stop {
        /// At once.
        force: bool,
    },
}

/// `run` is [`Work::run`] that the last run was started for.
#[must_use]
pub fn read(assignment: &TaskAssignment, work: &Work, run: u64) -> Wish {
    match assignment.goal {
        Goal::Stopped | Goal::Removed => Wish::Stop { force: assignment.force },
        Goal::Ready => Wish::Wait,
        Goal::Running if work.stage != Stage::Launched => Wish::Wait,
        Goal::Running if work.run > run => Wish::RunAnew,
        Goal::Running => Wish::Run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::sample;

    #[test]
    fn only_a_raised_run_asks_for_a_younger_process() {
        let work = |stage, run| Work { stage, run, ..Work::default() };
        let cases = [
            (Goal::Ready, work(Stage::Launched, 1), 0, Wish::Wait),
            (Goal::Running, work(Stage::Ready, 1), 0, Wish::Wait),
            (Goal::Running, work(Stage::Launched, 1), 0, Wish::RunAnew),
            (Goal::Running, work(Stage::Launched, 1), 1, Wish::Run),
            (Goal::Running, work(Stage::Launched, 0), 0, Wish::Run),
            (Goal::Stopped, work(Stage::Launched, 2), 1, Wish::Stop { force: false }),
            (Goal::Removed, work(Stage::Removing, 1), 1, Wish::Stop { force: false }),
        ];
        for (goal, work, run, expected) in cases {
            assert_eq!(
                read(&sample::wish(2, goal), &work, run),
                expected,
                "{goal:?} {work:?} {run}"
            );
        }
        let force = TaskAssignment { force: true, ..sample::wish(2, Goal::Stopped) };
        assert_eq!(read(&force, &Work::default(), 0), Wish::Stop { force: true });
    }
}
