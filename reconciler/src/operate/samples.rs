//! Observed tasks and a controller for tests: the dull case, to be changed.

use crate::store::FileStore;
use crate::{Clock, Controller, Fleet, Settings};
use keel_engine::{
    Goal, Health, NodeName, Nodes, Observation, ObservedTask, Phase, Place, Slot, StackName,
    TaskId, TaskSpec,
};
use std::path::Path;
use std::sync::Arc;

/// A running task of the stack `hello`; its id is this digit 64 times.
pub(crate) fn task(service: &str, slot: &str, digit: char, created: u64) -> ObservedTask {
    let stack = StackName::new("hello").unwrap();
    let place = Slot { stack, service: service.into(), slot: slot.into() };
    let spec = TaskSpec {
        container_name: format!("hello-{service}-{slot}"),
        image: "nginx:1".into(),
        ..TaskSpec::default()
    };
    ObservedTask {
        id: TaskId::new(digit.to_string().repeat(64)).unwrap(),
        place: Place::Slot(place),
        generation: 1,
        goal: Goal::Running,
        spec: Arc::new(spec),
        digest: None,
        joins: None,
        apart: false,
        revision: "r1".into(),
        origins: serde_json::Value::Null,
        auto_remove: false,
        phase: Phase::Running,
        message: None,
        attempts: 0,
        pid: Some(42),
        created,
        started: Some(created),
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

/// A node with these tasks.
pub(crate) fn observation(tasks: impl IntoIterator<Item = ObservedTask>) -> Nodes {
    let tasks = tasks.into_iter().map(std::sync::Arc::new).collect();
    let node = NodeName::new("here");
    Observation { node, at: 100_000, tasks, ..Observation::default() }.into()
}

fn store(root: &Path) -> FileStore {
    let late = keel_durable::Late::new(root, root.join("late"));
    FileStore::open(root.join("records"), late).unwrap()
}

/// A controller without sources and nodes, as a command has it.
pub(crate) async fn controller(root: &Path) -> Controller {
    let settings = Settings {
        root: root.to_owned(),
        store: std::sync::Arc::new(store(root)),
        sources_dir: root.join("sources"),
        data: root.join("data"),
        repos: crate::repos::Repos::default(),
        fleet: Fleet::new(NodeName::new("here"), []),
        sources: vec![],
        policy: keel_plan::desired::Policy::default(),
        serve: false,
        environment: std::collections::BTreeMap::new(),
        home: None,
        clock: Clock::new(|| 1),
        destinations: vec![],
        host: "here".to_owned(),
    };
    Controller::start(settings).await.unwrap()
}
