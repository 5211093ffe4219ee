//! A node in plain memory: it takes wishes, and each tick brings every task one step nearer to
//! its goal. What a task does is written in its image's name.

use keel_engine::{
    Assignment, Digest, ExitCause, Failure, FailureKind, Goal, Health, Observation, ObservedImage,
    ObservedNetwork, ObservedTask, ObservedVolume, Phase, Presence, RestartPolicy, TaskAssignment,
    VolumeSpec,
};
use std::sync::Arc;

/// The node, and the time on it.
#[derive(Default, Clone)]
pub struct Node {
    pub seen: Observation,
    /// Images that no registry has.
    pub unknown: Vec<String>,
    /// Images whose new tasks crash from now on, as those do that are called so.
    pub crashing: Vec<String>,
}

impl Node {
    pub fn assign(&mut self, wish: &Assignment) {
        match wish {
            Assignment::Content(_) | Assignment::Tree(_) => {}
            Assignment::Image { reference, .. } => self.image(reference),
            Assignment::Network { spec, wanted } => {
                self.seen.networks.retain(|network| network.spec.name != spec.name);
                if *wanted == Presence::Present {
                    self.seen.networks.push(Arc::new(ObservedNetwork {
                        spec: spec.clone(),
                        pools: vec![],
                        link: Some("br".into()),
                        created: self.seen.at,
                        tasks: vec![],
                        message: None,
                    }));
                }
            }
            Assignment::Volume { spec, wanted } => {
                self.seen.volumes.retain(|volume| volume.spec.name != spec.name);
                if *wanted == Presence::Present {
                    self.volume(spec);
                }
            }
            Assignment::Task(task) => self.task(task),
        }
    }

    pub fn volume(&mut self, spec: &VolumeSpec) {
        self.seen.volumes.push(Arc::new(ObservedVolume {
            spec: spec.clone(),
            mountpoint: "/v".into(),
            created: self.seen.at,
            tasks: vec![],
            anonymous: false,
            message: None,
        }));
    }

    pub fn image(&mut self, reference: &str) {
        let known = self.seen.images.iter().find(|image| image.reference == reference);
        let pulls = known.map_or(0, |image| image.pulls) + 1;
        self.seen.images.retain(|image| image.reference != reference);
        let missing = self.unknown.iter().any(|unknown| unknown == reference);
        self.seen.images.push(Arc::new(ObservedImage {
            reference: reference.to_owned(),
            digest: (!missing).then(|| Digest::of(reference.as_bytes())),
            failure: missing.then(|| Failure {
                kind: FailureKind::NotInRegistry,
                text: "no such image".to_owned(),
            }),
            pulls,
            // As its image has it.
            volumes: reference.starts_with("redis:").then(|| "/data".into()).into_iter().collect(),
            ..ObservedImage::default()
        }));
    }

    fn task(&mut self, wish: &TaskAssignment) {
        let at = self.seen.at;
        let Some(task) = self.seen.tasks.iter_mut().find(|task| task.id == wish.id) else {
            assert!(wish.goal <= Goal::Running, "a new task that shall not run");
            self.seen.tasks.push(Arc::new(new(wish, at)));
            return;
        };
        let task = Arc::make_mut(task);
        assert!(wish.generation > task.generation, "{} goes back", task.spec.container_name);
        let again = task.phase == Phase::Exited && wish.goal == Goal::Running;
        let test = |spec: &keel_engine::TaskSpec| {
            spec.healthcheck.as_ref().map(|check| check.test.clone())
        };
        if task.phase == Phase::Running && test(&task.spec) != test(&wish.spec) {
            (task.health, task.health_since) = (Health::Starting, Some(at));
        }
        task.generation = wish.generation;
        task.goal = wish.goal;
        task.spec = wish.spec.clone();
        task.revision.clone_from(&wish.revision);
        task.origins = wish.origins.clone();
        task.findings.clear();
        if wish.anew && matches!(task.phase, Phase::Running | Phase::Backoff) {
            (task.phase, task.restarts) = (Phase::Draining, 0);
        }
        task.joins.clone_from(&wish.joins);
        if again {
            (task.phase, task.exit_code, task.exit_cause) = (Phase::Pending, None, None);
            task.restarts = 0;
        }
    }

    pub fn tick(&mut self, millis: u64) {
        self.seen.at += millis;
        let at = self.seen.at;
        for task in &mut self.seen.tasks {
            let task = Arc::make_mut(task);
            match task.goal {
                Goal::Ready | Goal::Running => run(task, at, &self.crashing),
                Goal::Stopped | Goal::Removed => stop(task, at),
            }
        }
        self.seen.tasks.retain(|task| task.goal != Goal::Removed || task.phase != Phase::Exited);
        self.seen.tasks.sort_by(|a, b| a.id.cmp(&b.id));
    }

    pub fn named(&mut self, name: &str) -> &mut ObservedTask {
        let found = self.seen.tasks.iter_mut().find(|task| task.spec.container_name == name);
        Arc::make_mut(found.unwrap_or_else(|| panic!("no task {name}")))
    }
}

fn new(wish: &TaskAssignment, at: u64) -> ObservedTask {
    ObservedTask {
        id: wish.id.clone(),
        place: wish.place.clone(),
        generation: wish.generation,
        goal: wish.goal,
        spec: wish.spec.clone(),
        digest: Some(Digest::of(wish.spec.image.as_bytes())),
        joins: wish.joins.clone(),
        apart: false,
        revision: wish.revision.clone(),
        origins: wish.origins.clone(),
        auto_remove: false,
        phase: Phase::Pending,
        message: None,
        attempts: 0,
        pid: None,
        created: at,
        started: None,
        finished: None,
        exit_code: None,
        exit_cause: None,
        restarts: 0,
        health: Health::None,
        health_since: None,
        health_output: None,
        health_limit: None,
        addresses: vec![],
        ports: vec![],
        findings: vec![],
    }
}

/// A check that is called so.
fn fails(task: &ObservedTask) -> bool {
    let check = task.spec.healthcheck.as_ref();
    check.is_some_and(|check| check.test == keel_engine::HealthTest::Shell("false".into()))
}

/// All tasks of an image that is called so, or those of the first slots: `some-crash:2`.
fn crashes(task: &ObservedTask) -> bool {
    let image = task.spec.image.as_str();
    let slot = task.place.slot().and_then(|slot| slot.slot.parse::<u32>().ok());
    let last = image.strip_prefix("some-crash:").and_then(|last| last.parse::<u32>().ok());
    image.starts_with("crash") || slot.zip(last).is_some_and(|(slot, last)| slot <= last)
}

fn run(task: &mut ObservedTask, at: u64, crashing: &[String]) {
    let checked = task.spec.healthcheck.is_some();
    let image = task.spec.image.clone();
    match task.phase {
        Phase::Pending => task.phase = Phase::Preparing,
        // Whatever is in its way, it goes on trying.
        Phase::Preparing if image.starts_with("stuck") => {
            task.attempts += 1;
            task.message = Some("port 80/tcp is taken".into());
        }
        Phase::Preparing | Phase::Ready if task.goal == Goal::Ready => task.phase = Phase::Ready,
        Phase::Preparing | Phase::Ready | Phase::Backoff => {
            (task.phase, task.started, task.finished) = (Phase::Running, Some(at), None);
            (task.exit_code, task.exit_cause) = (None, None);
            task.health = if checked { Health::Starting } else { Health::None };
        }
        Phase::Running if crashes(task) || crashing.contains(&image) => end(task, at, 1),
        Phase::Running if image.starts_with("job") => end(task, at, 0),
        Phase::Running if checked && task.health == Health::Starting => {
            task.health_since = Some(at);
            let sick = image.starts_with("sick") || fails(task);
            task.health = if sick { Health::Unhealthy } else { Health::Healthy };
        }
        Phase::Running | Phase::Exited | Phase::Rejected => {}
        Phase::Draining => {
            (task.phase, task.started, task.apart) = (Phase::Running, Some(at), false);
            task.health = if checked { Health::Starting } else { Health::None };
        }
    }
}

fn end(task: &mut ObservedTask, at: u64, code: i32) {
    task.finished = Some(at);
    (task.exit_code, task.exit_cause) = (Some(code), Some(ExitCause::Own));
    let again = match task.spec.restart {
        RestartPolicy::No => false,
        RestartPolicy::OnFailure { max } => code != 0 && (max == 0 || task.restarts < max),
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
    };
    task.phase = if again { Phase::Backoff } else { Phase::Exited };
    task.restarts += u32::from(again);
}

fn stop(task: &mut ObservedTask, at: u64) {
    match task.phase {
        Phase::Running | Phase::Backoff => task.phase = Phase::Draining,
        Phase::Draining => {
            (task.phase, task.finished) = (Phase::Exited, Some(at));
            (task.exit_code, task.exit_cause) = (Some(0), Some(ExitCause::Stopped));
        }
        _ => {
            task.phase = Phase::Exited;
            task.exit_cause = task.exit_cause.or(Some(ExitCause::Stopped));
        }
    }
}
