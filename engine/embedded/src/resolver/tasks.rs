//! What `keel net` knows of the tasks: their records, judged.

use crate::root::layout::{Layout, TaskDir};
use crate::root::record::{Activity, Endpoint, Process, ShimState, Stage, Work, load};
use keel_engine::{Health, PublishedPort, TaskAssignment, TaskId};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;

/// How much a task counts, best first: names and ports lead to the best there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Availability {
    /// It runs, and is healthy or has no check.
    Available,
    /// It runs.
    Running,
    /// It runs, but is about to be stopped.
    Draining,
    /// It has its network, but no process now.
    Waiting,
    /// It has no network: not launched, or over.
    Absent,
}

/// A task, as far as names and ports are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub standing: Availability,
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<PublishedPort>,
    /// Its ports are kept from other programs.
    pub reserves: bool,
    /// The shim that asks to be told when nothing leads to it any more.
    pub draining: Option<Process>,
    /// Processes in its network namespace, the likeliest first.
    pub processes: Vec<Process>,
    /// Name servers of its own; empty: the host's.
    pub dns: Vec<IpAddr>,
}

/// All tasks of a root.
pub(super) type Tasks = BTreeMap<TaskId, Task>;

impl Task {
    /// It needs names inside: it has a namespace and networks.
    pub fn attached(&self) -> bool {
        self.standing != Availability::Absent && !self.endpoints.is_empty()
    }
}

/// Judges a task by its records; `lives` says whether a process still runs.
fn judge(work: Work, state: ShimState, dns: Vec<IpAddr>, lives: impl Fn(&Process) -> bool) -> Task {
    // A state of an earlier shim says nothing about this one.
    let fits = match (&work.shim, &state.shim) {
        (Some(shim), None) => !lives(shim),
        (Some(shim), Some(writer)) => shim == writer,
        (None, _) => true,
    };
    let state = if fits { state } else { ShimState::default() };
    let processes: Vec<Process> =
        [&work.shim, &state.shim, &state.process].into_iter().flatten().cloned().collect();
    let over = fits && state.activity == Activity::Exited;
    let wanted = matches!(work.stage, Stage::Preparing | Stage::Ready | Stage::Launched);
    let well = matches!(state.health, Health::None | Health::Healthy);
    let standing = match state.activity {
        _ if over || !wanted && work.stage != Stage::Removing => Availability::Absent,
        _ if !processes.iter().any(lives) => Availability::Absent,
        Activity::Running if well => Availability::Available,
        Activity::Running => Availability::Running,
        Activity::Draining => Availability::Draining,
        Activity::Waiting | Activity::Backoff => Availability::Waiting,
        Activity::Exited => Availability::Absent,
    };
    let draining = state.shim.filter(|_| state.activity == Activity::Draining);
    Task {
        standing,
        endpoints: work.endpoints,
        ports: work.ports,
        reserves: !over && wanted,
        draining,
        processes,
        dns,
    }
}

/// Reads one task's folder; `None` where there is none, or nothing that can be read.
pub(super) fn read(dir: &TaskDir) -> Option<Task> {
    let work: Work = load(&dir.work()).ok()??;
    let state = crate::root::late::load_state(dir).ok().flatten().unwrap_or_default();
    let assignment: Option<TaskAssignment> = load(&dir.assignment()).ok().flatten();
    let dns = assignment.map(|assignment| assignment.spec.dns.clone()).unwrap_or_default();
    let dns = dns.iter().filter_map(|server| server.parse().ok()).collect();
    Some(judge(work, state, dns, Process::lives))
}

/// Reads all tasks of the root.
pub(super) fn read_all(layout: &Layout) -> io::Result<Tasks> {
    let entries = match fs::read_dir(layout.tasks()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tasks::new()),
        entries => entries?,
    };
    let ids = entries.flatten().filter_map(|entry| id_of(entry.file_name().to_str()?));
    Ok(ids.filter_map(|id| Some((id.clone(), read(&layout.task(&id))?))).collect())
}

/// The task that a folder's name stands for.
pub(super) fn id_of(name: &str) -> Option<TaskId> {
    TaskId::new(name).ok()
}

/// Who answers for something: all of the best standing that there is, down to `worst`.
pub(super) fn best<T>(found: Vec<(Availability, T)>, worst: Availability) -> Vec<T> {
    let best = found.iter().map(|(standing, _)| *standing).min();
    found
        .into_iter()
        .filter(|(standing, _)| Some(*standing) == best && *standing <= worst)
        .map(|(_, item)| item)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Process {
        Process { pid, start_time: 1, boot: "b".into() }
    }

    #[test]
    fn a_task_counts_by_what_its_process_does() {
        use Activity::{Backoff, Draining, Exited, Running, Waiting};
        use Availability::Absent;
        let cases = [
            (Stage::Launched, Some(1), Some(1), Running, Health::None, Availability::Available),
            (Stage::Launched, Some(1), Some(1), Running, Health::Healthy, Availability::Available),
            (Stage::Launched, Some(1), Some(1), Running, Health::Starting, Availability::Running),
            (Stage::Launched, Some(1), Some(1), Running, Health::Unhealthy, Availability::Running),
            (Stage::Launched, Some(1), Some(1), Draining, Health::Healthy, Availability::Draining),
            (Stage::Removing, Some(1), Some(1), Draining, Health::None, Availability::Draining),
            (Stage::Launched, Some(1), Some(1), Backoff, Health::None, Availability::Waiting),
            (Stage::Ready, Some(1), None, Waiting, Health::None, Availability::Waiting),
            (Stage::Ready, None, None, Waiting, Health::None, Absent),
            (Stage::Launched, Some(1), Some(1), Exited, Health::None, Absent),
            (Stage::Ready, Some(1), Some(2), Exited, Health::None, Availability::Waiting),
            (Stage::Ready, Some(1), None, Exited, Health::None, Availability::Waiting),
            (Stage::Launched, Some(9), None, Exited, Health::None, Absent),
            (Stage::Launched, Some(9), Some(9), Running, Health::None, Absent),
            (Stage::Rejected, Some(1), Some(1), Running, Health::None, Absent),
        ];
        for (stage, shim, reported, activity, health, expected) in cases {
            let work = Work { stage, shim: shim.map(process), ..Work::default() };
            let shim = reported.map(process);
            let state = ShimState { activity, shim, health, ..ShimState::default() };
            let label = format!("{work:?} {state:?}");
            let task = judge(work, state, Vec::new(), |process| process.pid != 9);
            assert_eq!(task.standing, expected, "{label}");
        }
    }

    #[test]
    fn a_dead_shim_takes_its_container_off_no_table() {
        let work = Work { stage: Stage::Launched, shim: Some(process(9)), ..Work::default() };
        let state = ShimState {
            activity: Activity::Running,
            shim: Some(process(9)),
            process: Some(process(1)),
            ..ShimState::default()
        };
        let task = judge(work, state, Vec::new(), |process| process.pid != 9);
        assert_eq!(task.standing, Availability::Available);
    }

    #[test]
    fn a_task_that_is_over_keeps_no_port() {
        let cases = [
            (Some(1), Some(1), Activity::Exited, false),
            (Some(9), None, Activity::Exited, false),
            (Some(1), None, Activity::Exited, true),
            (None, None, Activity::Waiting, true),
        ];
        for (shim, reported, activity, reserves) in cases {
            let work = Work { stage: Stage::Launched, shim: shim.map(process), ..Work::default() };
            let state = ShimState { activity, shim: reported.map(process), ..ShimState::default() };
            let task = judge(work, state, Vec::new(), |process| process.pid != 9);
            assert_eq!(task.reserves, reserves, "{shim:?} {reported:?} {activity:?}");
        }
    }

    #[test]
    fn the_best_standing_answers() {
        use Availability::{Available, Draining, Running, Waiting};
        let cases = [
            (vec![(Running, 1), (Available, 2), (Available, 3)], Draining, vec![2, 3]),
            (vec![(Waiting, 1), (Running, 2)], Running, vec![2]),
            (vec![(Draining, 1)], Running, vec![]),
            (vec![(Waiting, 1), (Draining, 2)], Waiting, vec![2]),
            (vec![], Waiting, vec![]),
        ];
        for (found, worst, expected) in cases {
            assert_eq!(best(found, worst), expected);
        }
    }
}
