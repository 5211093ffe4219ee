//! What the records ask of a shim right now. Pure.

use crate::root::record::{Stage, Work};
use keel_engine::{Goal, NetworkMode, TaskAssignment};

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
        Goal::Running if ends_with_its_shim(assignment, work) => Wish::Stop { force: false },
        Goal::Running if work.run > run => Wish::RunAnew,
        Goal::Running => Wish::Run,
    }
}

/// Whether a run anew takes another shim: a namespace that belongs to another task is joined by a
/// shim as it starts, and by all of its runs after that.
#[must_use]
pub fn ends_with_its_shim(assignment: &TaskAssignment, work: &Work) -> bool {
    let joins =
        matches!(assignment.spec.network_mode, NetworkMode::Service(_) | NetworkMode::Container(_));
    joins
        && assignment.goal == Goal::Running
        && assignment.anew
        && work.stage == Stage::Launched
        && work.generation < assignment.generation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::records::sample;

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
        let mut joined = TaskAssignment { anew: true, ..sample::wish(2, Goal::Running) };
        let behind = Work { generation: 1, ..work(Stage::Launched, 1) };
        assert_eq!(read(&joined, &behind, 1), Wish::Run, "its engine raises the run");
        std::sync::Arc::make_mut(&mut joined.spec).network_mode = NetworkMode::Service("a".into());
        assert_eq!(read(&joined, &behind, 1), Wish::Stop { force: false });
        let launched = Work { generation: 2, ..work(Stage::Launched, 2) };
        assert_eq!(read(&joined, &launched, 2), Wish::Run, "once");
        let force = TaskAssignment { force: true, ..sample::wish(2, Goal::Stopped) };
        assert_eq!(read(&force, &Work::default(), 0), Wish::Stop { force: true });
    }
}
