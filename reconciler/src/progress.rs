//! What happened between two looks at a stack, in docker compose's words. Pure.

use crate::ask::Progress;
use keel_engine::{
    Failure, Goal, Health, Nodes, ObservedImage, ObservedTask, Phase, Place, StackName, TaskId,
};
use std::collections::{BTreeMap, BTreeSet};

use Doing::{
    Created, Creating, Error, Exited, Healthy, Pulled, Pulling, Recreate, Recreated, Removed,
    Removing, Restarting, Started, Starting, Stopped, Stopping, Unhealthy,
};

/// On the way up, as docker compose words it; a look may miss some, people miss none.
const UP: [Doing; 5] = [Creating, Created, Starting, Started, Healthy];
/// The same where another task fills the slot.
const AGAIN: [Doing; 5] = [Recreate, Recreated, Starting, Started, Healthy];
/// Where a task goes on that is there already.
const START: usize = 2;
/// On the way down.
const DOWN: [Doing; 4] = [Stopping, Stopped, Removing, Removed];

/// What docker compose calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Creating,
    Created,
    Recreate,
    Recreated,
    Starting,
    Started,
    Healthy,
    Unhealthy,
    Restarting,
    Stopping,
    Stopped,
    Exited,
    Removing,
    Removed,
    Pulling,
    Pulled,
    Error,
}

/// What is shown of one moment: each subject with its word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scene(BTreeMap<Subject, Word>);

/// In the order in which they come: what containers need is told before them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Image(String),
    Network(String),
    Volume(String),
    Container(String),
}

impl Doing {
    fn word(self) -> &'static str {
        match self {
            Creating => "Creating",
            Created => "Created",
            Recreate => "Recreate",
            Recreated => "Recreated",
            Starting => "Starting",
            Started => "Started",
            Healthy => "Healthy",
            Unhealthy => "Unhealthy",
            Restarting => "Restarting",
            Stopping => "Stopping",
            Stopped => "Stopped",
            Exited => "Exited",
            Removing => "Removing",
            Removed => "Removed",
            Pulling => "Pulling",
            Pulled => "Pulled",
            Error => "Error",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    what: Doing,
    failed: bool,
    detail: Option<String>,
    /// The task that fills the slot, and when it was made.
    task: Option<(u64, TaskId)>,
}

impl Scene {
    /// The tasks of a stack with their images, and networks and volumes by their full names.
    pub fn of_stack(seen: &Nodes, stack: &StackName, resources: &BTreeSet<String>) -> Self {
        let mut scene = Self::default();
        let mine =
            |task: &&ObservedTask| matches!(&task.place, Place::Slot(slot) if slot.stack == *stack);
        let mut tasks: Vec<_> = seen.all_tasks().filter(mine).collect();
        // Of several in a slot the newest that stays is the one to tell of: it comes last. One
        // that is only made ready comes after the one whose place it takes has ended.
        let stays = |task: &ObservedTask| (task.goal != Goal::Removed, task.goal != Goal::Ready);
        tasks.sort_by_key(|task| (stays(task), task.created, &task.id));
        for task in tasks {
            let subject = Subject::Container(task.spec.container_name.clone());
            let mut word = word_of(task);
            word.follow(scene.0.get(&subject));
            scene.0.insert(subject, word);
        }
        for (_, network) in seen.all_networks().filter(|(_, n)| resources.contains(&n.spec.name)) {
            let subject = Subject::Network(network.spec.name.clone());
            scene.0.insert(subject, word_of_resource(network.message.as_ref()));
        }
        for (_, volume) in seen.all_volumes().filter(|(_, v)| resources.contains(&v.spec.name)) {
            let subject = Subject::Volume(volume.spec.name.clone());
            scene.0.insert(subject, word_of_resource(volume.message.as_ref()));
        }
        scene
    }

    /// These images alone.
    pub fn of_images(seen: &Nodes, references: &[String]) -> Self {
        let mut scene = Self::default();
        for (_, image) in seen.all_images().filter(|(_, i)| references.contains(&i.reference)) {
            scene.0.insert(Subject::Image(image.reference.clone()), word_of_image(image));
        }
        scene
    }

    /// The same with these images.
    #[must_use]
    pub fn with_images(mut self, seen: &Nodes, references: &[String]) -> Self {
        self.0.extend(Self::of_images(seen, references).0);
        self
    }

    /// What is to be told of the way from the earlier scene to this one.
    pub fn since(&self, before: &Self) -> Vec<Progress> {
        let gone = before.0.iter().rev().filter(|(subject, _)| !self.0.contains_key(*subject));
        let removed = gone.flat_map(|(subject, from)| steps(subject, Some(from), &Word::gone()));
        let told =
            self.0.iter().flat_map(|(subject, to)| steps(subject, before.0.get(subject), to));
        removed.chain(told).collect()
    }

    /// Containers that run, told to whoever asked for them to run.
    pub fn running(&self) -> Vec<Progress> {
        let runs = |word: &Word| matches!(word.what, Started | Healthy);
        let containers = self
            .0
            .iter()
            .filter(|(subject, word)| matches!(subject, Subject::Container(_)) && runs(word));
        containers.map(|(subject, _)| step(&subject.to_string(), "Running", false, None)).collect()
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image(name) => write!(f, "Image {name}"),
            Self::Network(name) => write!(f, "Network {name}"),
            Self::Volume(name) => write!(f, "Volume {name}"),
            Self::Container(name) => write!(f, "Container {name}"),
        }
    }
}

impl Word {
    /// Docker compose has words of its own for one that takes another's place.
    fn follow(&mut self, other: Option<&Self>) {
        let again = other.is_some_and(|other| other.task < self.task);
        self.what = match self.what {
            Creating if again => AGAIN[0],
            Created if again => AGAIN[1],
            what => what,
        };
    }

    fn gone() -> Self {
        Self { what: Removed, failed: false, detail: None, task: None }
    }
}

/// The lines from one word to the next; what is between them was, though nobody looked.
fn steps(subject: &Subject, from: Option<&Word>, to: &Word) -> Vec<Progress> {
    if from == Some(to) {
        return vec![];
    }
    let subject = (subject.to_string(), matches!(subject, Subject::Image(_)));
    let (subject, between) = (subject.0, if subject.1 { &[][..] } else { passed_by(from, to) });
    let between = between.iter().map(|what| step(&subject, what.word(), false, None));
    let last = step(&subject, to.what.word(), to.failed, to.detail.clone());
    between.chain(std::iter::once(last)).collect()
}

/// The words between two, where both are on one way.
fn passed_by(from: Option<&Word>, to: &Word) -> &'static [Doing] {
    let place = |way: &[Doing], word: &Word| way.iter().position(|what| *what == word.what);
    let after = |way: &[Doing], word: &Word| place(way, word).map(|at| at + 1);
    if let Some(end) = place(&DOWN, to) {
        let Some(from) = from else { return &[] };
        // A network or volume has nothing to stop.
        let least = if from.task.is_none() { START } else { 0 };
        return DOWN.get(after(&DOWN, from).unwrap_or(least)..end).unwrap_or(&[]);
    }
    let again = |word: &Word| AGAIN[..START].contains(&word.what);
    let way: &'static [Doing] = match from {
        None if again(to) => &AGAIN,
        None => &UP,
        Some(from) if from.task < to.task || again(from) => &AGAIN,
        Some(_) => &UP,
    };
    let start = match from {
        None => 0,
        Some(from) if from.task < to.task => 0,
        Some(from) if from.task == to.task => after(way, from).unwrap_or(START),
        // Back to the one before.
        Some(_) => START,
    };
    let end = place(way, to).unwrap_or(0);
    way.get(start..end).unwrap_or(&[])
}

/// A line of progress.
pub(crate) fn step(subject: &str, what: &str, failed: bool, detail: Option<String>) -> Progress {
    Progress::Step { subject: subject.to_owned(), what: what.to_owned(), failed, detail }
}

fn word_of(task: &ObservedTask) -> Word {
    let lives = task.pid.is_some() || matches!(task.phase, Phase::Running | Phase::Draining);
    let (what, failed) = match (&task.phase, task.goal, task.health) {
        (_, Goal::Removed, _) if !lives => (Removing, false),
        (_, Goal::Removed | Goal::Stopped, _) if lives => (Stopping, false),
        (Phase::Rejected, ..) => (Error, true),
        (Phase::Draining, ..) => (Stopping, false),
        (Phase::Exited, Goal::Stopped, _) => (Stopped, false),
        (Phase::Exited, ..) => (Exited, task.exit_code.is_some_and(|code| code != 0)),
        (Phase::Pending | Phase::Preparing, ..) => (Creating, task.attempts > 0),
        (Phase::Ready, ..) => (Created, false),
        (Phase::Backoff, ..) => (Restarting, true),
        (Phase::Running, _, Health::Healthy) => (Healthy, false),
        (Phase::Running, _, Health::Unhealthy) => (Unhealthy, true),
        (Phase::Running, ..) => (Started, false),
    };
    let detail = match (what, task.exit_code) {
        (Exited | Restarting, Some(code)) => {
            // It never began, and the node knows why.
            let why = task.message.as_ref().filter(|_| (125..=127).contains(&code));
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Some(format!("exit code {code}{why}"))
        }
        _ if failed => {
            let failure = task.message.as_ref().map(ToString::to_string);
            failure.or_else(|| task.health_output.clone())
        }
        _ => None,
    };
    let detail = detail.filter(|words| !words.trim().is_empty());
    Word { what, failed, detail, task: Some((task.created, task.id.clone())) }
}

fn word_of_resource(failure: Option<&Failure>) -> Word {
    let what = if failure.is_some() { Error } else { Created };
    Word { what, failed: failure.is_some(), detail: failure.map(ToString::to_string), task: None }
}

fn word_of_image(image: &ObservedImage) -> Word {
    match (&image.pulling, &image.digest, &image.failure) {
        (Some((done, all)), ..) => {
            let percent = (*all > 0).then(|| format!("{} %", done.min(all) * 100 / all));
            Word { what: Pulling, failed: false, detail: percent, task: None }
        }
        (None, _, Some(failure)) => {
            Word { what: Error, failed: true, detail: Some(failure.to_string()), task: None }
        }
        (None, Some(_), None) => Word { what: Pulled, failed: false, detail: None, task: None },
        (None, None, None) => Word { what: Pulling, failed: false, detail: None, task: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::samples::{observation, task};

    fn told(scenes: Vec<Vec<ObservedTask>>) -> Vec<String> {
        let hello = StackName::new("hello").unwrap();
        let scene = |tasks| Scene::of_stack(&observation(tasks), &hello, &BTreeSet::new());
        let scenes: Vec<_> = scenes.into_iter().map(scene).collect();
        let steps = scenes.windows(2).flat_map(|two| two[1].since(&two[0]));
        let line = |step| match step {
            Progress::Step { subject, what, failed, detail } => {
                let mark = if failed { "!" } else { "" };
                format!("{subject}  {what}{mark} {}", detail.unwrap_or_default())
            }
            Progress::End { .. } => String::new(),
        };
        let short = |line: String| line.replace("Container hello-web-1  ", "").trim().to_owned();
        steps.map(line).map(short).collect()
    }

    fn web(digit: char, edit: impl FnOnce(&mut ObservedTask)) -> ObservedTask {
        let created = u64::from(u32::from(digit));
        let mut web = task("web", "1", digit, created);
        edit(&mut web);
        web
    }

    #[test]
    fn what_happened_reads_as_docker_compose_says_it() {
        let preparing = || web('a', |t| (t.phase, t.pid) = (Phase::Preparing, None));
        let failed = web('a', |t| (t.phase, t.pid, t.exit_code) = (Phase::Exited, None, Some(3)));
        let tool = web('b', |t| t.place = Place::OneOff("tool".into()));
        let well = || web('a', |t| t.health = Health::Healthy);
        let cases = [
            (
                "up, and it fails",
                vec![vec![tool], vec![preparing()], vec![web('a', |_| ())], vec![failed]],
                "Creating, Created, Starting, Started, Exited! exit code 3",
            ),
            (
                "up, seen late",
                vec![vec![], vec![well()]],
                "Creating, Created, Starting, Started, Healthy",
            ),
            ("it gets healthy", vec![vec![web('a', |_| ())], vec![well()]], "Healthy"),
            ("unchanged", vec![vec![well()], vec![well()]], ""),
        ];
        for (name, scenes, expected) in cases {
            assert_eq!(told(scenes).join(", "), expected, "{name}");
        }
    }

    #[test]
    fn what_goes_stops_first_and_keeps_its_name() {
        let going = |phase: Phase, pid: Option<u32>| {
            web('a', |t| (t.goal, t.phase, t.pid) = (Goal::Removed, phase, pid))
        };
        let stopped =
            || web('a', |t| (t.goal, t.phase, t.pid) = (Goal::Stopped, Phase::Exited, None));
        let draining = || going(Phase::Draining, Some(42));
        let exited = || going(Phase::Exited, None);
        let all = "Stopping, Stopped, Removing, Removed";
        let cases = [
            (
                "seen closely",
                vec![vec![web('a', |_| ())], vec![draining()], vec![exited()], vec![]],
                all,
            ),
            ("not seen", vec![vec![web('a', |_| ())], vec![]], all),
            ("stopped before", vec![vec![stopped()], vec![exited()], vec![]], "Removing, Removed"),
        ];
        for (name, scenes, expected) in cases {
            assert_eq!(told(scenes).join(", "), expected, "{name}");
        }
    }

    #[test]
    fn another_task_in_the_slot_is_a_recreation() {
        let old = || web('a', |_| ());
        let leaving = || web('a', |t| t.goal = Goal::Removed);
        let new = |phase: Phase| web('b', |t| t.phase = phase);
        let ready = |phase: Phase| web('b', |t| (t.phase, t.goal) = (phase, Goal::Ready));
        let stopped =
            || web('a', |t| (t.goal, t.phase, t.pid) = (Goal::Stopped, Phase::Exited, None));
        let recreated = "Recreate, Recreated, Starting, Started";
        let cases = [
            (
                "start first",
                vec![
                    vec![old()],
                    vec![old(), new(Phase::Preparing)],
                    vec![leaving(), new(Phase::Running)],
                    vec![new(Phase::Running)],
                ],
                recreated,
            ),
            (
                "made ready beside the old one",
                vec![
                    vec![old()],
                    vec![old(), ready(Phase::Preparing)],
                    vec![old(), ready(Phase::Ready)],
                    vec![stopped(), ready(Phase::Ready)],
                    vec![stopped(), new(Phase::Preparing)],
                    vec![stopped(), new(Phase::Running)],
                ],
                "Stopping, Stopped, Recreate, Recreated, Starting, Started",
            ),
            ("not seen closely", vec![vec![old()], vec![new(Phase::Running)]], recreated),
            ("and back", vec![vec![new(Phase::Running)], vec![old()]], "Starting, Started"),
        ];
        for (name, scenes, expected) in cases {
            assert_eq!(told(scenes).join(", "), expected, "{name}");
        }
    }
}
