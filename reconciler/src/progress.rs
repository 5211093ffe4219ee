//! What happened between two looks at a stack, in docker compose's words. Pure.

use crate::ask::Progress;
use keel_engine::{
    Goal, Health, Observation, ObservedImage, ObservedTask, Phase, Place, StackName,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is shown of one moment: each subject with its word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scene(BTreeMap<String, Word>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    what: &'static str,
    failed: bool,
    detail: Option<String>,
}

impl Scene {
    /// The tasks of a stack with their images, and networks and volumes by their full names.
    pub fn of_stack(seen: &Observation, stack: &StackName, resources: &BTreeSet<String>) -> Self {
        let mut scene = Self::default();
        let mine =
            |task: &&ObservedTask| matches!(&task.place, Place::Slot(slot) if slot.stack == *stack);
        for task in seen.tasks.iter().filter(mine) {
            scene.0.insert(format!("Container {}", name_of(task)), word_of(task));
        }
        for network in seen.networks.iter().filter(|n| resources.contains(&n.spec.name)) {
            scene.put("Network", &network.spec.name, "Created", network.message.as_ref());
        }
        for volume in seen.volumes.iter().filter(|v| resources.contains(&v.spec.name)) {
            scene.put("Volume", &volume.spec.name, "Created", volume.message.as_ref());
        }
        scene
    }

    /// These images alone.
    pub fn of_images(seen: &Observation, references: &[String]) -> Self {
        let mut scene = Self::default();
        for image in seen.images.iter().filter(|image| references.contains(&image.reference)) {
            scene.0.insert(format!("Image {}", image.reference), word_of_image(image));
        }
        scene
    }

    /// The same with these images.
    #[must_use]
    pub fn with_images(mut self, seen: &Observation, references: &[String]) -> Self {
        self.0.extend(Self::of_images(seen, references).0);
        self
    }

    fn put(&mut self, kind: &str, name: &str, what: &'static str, failure: Option<&String>) {
        let what = if failure.is_some() { "Error" } else { what };
        let word = Word { what, failed: failure.is_some(), detail: failure.cloned() };
        self.0.insert(format!("{kind} {name}"), word);
    }

    /// What is to be told of the way from the earlier scene to this one.
    pub fn since(&self, before: &Self) -> Vec<Progress> {
        let gone = before.0.keys().filter(|subject| !self.0.contains_key(*subject));
        let removed = gone.map(|subject| step(subject, "Removed", false, None));
        let news = self.0.iter().filter(|(subject, word)| before.0.get(*subject) != Some(*word));
        let told = news.map(|(subject, w)| step(subject, w.what, w.failed, w.detail.clone()));
        removed.chain(told).collect()
    }
}

/// A line of progress.
pub(crate) fn step(subject: &str, what: &str, failed: bool, detail: Option<String>) -> Progress {
    Progress::Step { subject: subject.to_owned(), what: what.to_owned(), failed, detail }
}

/// While two tasks of a slot live, the older one is told apart by its id.
fn name_of(task: &ObservedTask) -> String {
    let name = &task.spec.container_name;
    match task.goal {
        Goal::Removed => format!("{name}~{}", &task.id.as_str()[..4]),
        _ => name.clone(),
    }
}

fn word_of(task: &ObservedTask) -> Word {
    let (what, failed) = match (&task.phase, task.goal, task.health) {
        (Phase::Rejected, ..) => ("Error", true),
        (_, Goal::Removed, _) => ("Removing", false),
        (Phase::Draining, ..) => ("Stopping", false),
        (Phase::Exited, Goal::Stopped, _) => ("Stopped", false),
        (Phase::Exited, ..) => ("Exited", task.exit_code.is_some_and(|code| code != 0)),
        (Phase::Pending | Phase::Preparing, ..) => ("Creating", task.attempts > 0),
        (Phase::Ready, ..) => ("Created", false),
        (Phase::Backoff, ..) => ("Restarting", true),
        (Phase::Running, _, Health::Healthy) => ("Healthy", false),
        (Phase::Running, _, Health::Unhealthy) => ("Unhealthy", true),
        (Phase::Running, ..) => ("Started", false),
    };
    let detail = match (&task.phase, task.exit_code) {
        (Phase::Exited | Phase::Backoff, Some(code)) => Some(format!("exit code {code}")),
        _ if failed => task.message.clone().or_else(|| task.health_output.clone()),
        _ => None,
    };
    Word { what, failed, detail }
}

fn word_of_image(image: &ObservedImage) -> Word {
    match (&image.pulling, &image.digest, &image.failure) {
        (Some((done, all)), ..) => {
            let percent = (*all > 0).then(|| format!("{} %", done.min(all) * 100 / all));
            Word { what: "Pulling", failed: false, detail: percent }
        }
        (None, _, Some(failure)) => {
            Word { what: "Error", failed: true, detail: Some(failure.clone()) }
        }
        (None, Some(_), None) => Word { what: "Pulled", failed: false, detail: None },
        (None, None, None) => Word { what: "Pulling", failed: false, detail: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::samples::{observation, task};

    #[test]
    fn what_happened_reads_as_docker_compose_says_it() {
        let hello = StackName::new("hello").unwrap();
        let scene = |tasks: Vec<ObservedTask>| {
            Scene::of_stack(&observation(tasks), &hello, &BTreeSet::new())
        };
        let mut preparing = task("web", "1", 'a', 1);
        preparing.phase = Phase::Preparing;
        let mut failed = task("web", "1", 'a', 1);
        (failed.phase, failed.exit_code) = (Phase::Exited, Some(3));
        let mut other = task("web", "1", 'b', 1);
        other.place = Place::OneOff("tool".into());
        let scenes = [
            scene(vec![other]),
            scene(vec![preparing]),
            scene(vec![task("web", "1", 'a', 1)]),
            scene(vec![failed]),
            scene(vec![]),
        ];
        let steps = scenes.windows(2).flat_map(|two| two[1].since(&two[0]));
        let told: Vec<_> = steps
            .map(|step| match step {
                Progress::Step { subject, what, failed, detail } => {
                    format!("{subject}  {what} {failed} {}", detail.unwrap_or_default())
                }
                Progress::End { .. } => String::new(),
            })
            .collect();
        let expected = [
            "Container hello-web-1  Creating false ",
            "Container hello-web-1  Started false ",
            "Container hello-web-1  Exited true exit code 3",
            "Container hello-web-1  Removed false ",
        ];
        assert_eq!(told, expected);
    }
}
