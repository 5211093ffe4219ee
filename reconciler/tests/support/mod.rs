//! A root in a temporary folder, with a node in memory.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; tests may panic")]

pub mod git;
pub mod sshd;

use futures_util::StreamExt;
use keel_engine::{Depth, Engine, Observation, ObservedTask, Phase, StackName};
use keel_plan::desired::{Owner, Policy};
use keel_reconciler::ask::{ConvergeAsk, Outcome, PlanTarget, Progress, StatusRow, Submission};
use keel_reconciler::config::{From, SourceConfig};
use keel_reconciler::find::stacks_at;
use keel_reconciler::load::{FolderFiles, Reading, StackFiles};
use keel_reconciler::repos::Repos;
use keel_reconciler::store::{FileStore, Store};
use keel_reconciler::{Clock, Controller, Fleet, Lines, Settings};
use keel_testing::fake::Fake;
pub use keel_testing::waiting::until_holds as until;
use keel_testing::waiting::{in_time, until_ok};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A root with its node; controllers come and go.
pub struct World {
    pub folder: tempfile::TempDir,
    /// The controller's own node.
    pub fake: Arc<Fake>,
    pub others: Vec<Arc<Fake>>,
    clock: Arc<AtomicU64>,
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(AtomicU64::new(1_700_000_000_000));
        Self {
            folder: tempfile::tempdir().unwrap(),
            fake: Arc::new(Fake::new("here")),
            others: vec![],
            clock,
        }
    }

    /// One more node.
    pub fn with_node(mut self, name: &str) -> (Self, Arc<Fake>) {
        let fake = Arc::new(Fake::new(name));
        self.others.push(fake.clone());
        (self, fake)
    }

    fn fleet(&self) -> Fleet {
        let all = std::iter::once(&self.fake).chain(&self.others);
        let named = all.map(|fake| (fake.name().clone(), fake.clone() as Arc<dyn Engine>));
        Fleet::new(self.fake.name().clone(), named)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        write(&self.path(name), text);
    }

    /// Time goes on, for the node and the controller alike.
    pub fn advance(&self, millis: u64) {
        self.fake.advance(millis);
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    pub async fn serve(&self, sources: Vec<SourceConfig>) -> Controller {
        Controller::start(self.settings(sources, true)).await.unwrap()
    }

    pub async fn serve_folder(&self, name: &str) -> Controller {
        self.serve(vec![SourceConfig::new("default", From::folder(self.path(name)))]).await
    }

    /// As a command without a running `keel serve`.
    pub async fn command(&self) -> Controller {
        Controller::start(self.settings(vec![], false)).await.unwrap()
    }

    pub fn settings(&self, sources: Vec<SourceConfig>, serve: bool) -> Settings {
        let clock = self.clock.clone();
        Settings {
            root: self.path("root"),
            store: self.store(serve),
            sources_dir: self.path("root/sources"),
            data: self.path("root/data"),
            repos: Repos { folder: self.path("root/repos"), ..Repos::default() },
            fleet: self.fleet(),
            sources,
            policy: Policy { settle: 0, ..Policy::default() },
            serve,
            environment: [("WHO".to_owned(), "operator".to_owned())].into(),
            home: None,
            clock: Clock::new(move || clock.load(Ordering::SeqCst)),
            destinations: vec![],
            host: "here".to_owned(),
        }
    }

    fn store(&self, serve: bool) -> Arc<dyn Store> {
        let late = keel_reconciler::Late::new(self.path("root"), self.path("late"));
        let store = FileStore::open(self.path("root/records"), late).unwrap();
        Arc::new(if serve { store.watched() } else { store })
    }

    pub async fn seen(&self) -> Observation {
        self.fake.observe(Depth::State).await.unwrap()
    }

    /// Running tasks by container name and image.
    pub async fn running(&self) -> Vec<(String, String)> {
        let seen = self.seen().await;
        let runs = seen.tasks.iter().filter(|task| task.phase == Phase::Running);
        let mut rows: Vec<_> =
            runs.map(|task| (task.spec.container_name.clone(), task.spec.image.clone())).collect();
        rows.sort();
        rows
    }

    pub async fn until_running(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, image)| ((*name).to_owned(), (*image).to_owned()))
            .collect();
        until_ok("all of it runs", || async {
            let found = self.running().await;
            let differs = format!("{found:?} runs instead of {expected:?}");
            if found == expected { Ok(()) } else { Err(differs) }
        })
        .await;
    }

    pub async fn task(&self, name: &str) -> ObservedTask {
        let seen = self.seen().await;
        let found = seen.tasks.iter().find(|task| task.spec.container_name == name);
        ObservedTask::clone(found.unwrap_or_else(|| panic!("no task {name}")))
    }

    /// What a command line hands over for the stack in this folder.
    pub fn submission(&self, name: &str) -> Submission {
        let dir = self.path(name);
        let reading = Reading {
            owner: Owner::Cli { path: dir.display().to_string() },
            files: StackFiles::Folder(FolderFiles::default()),
            revision: None,
            environment: BTreeMap::new(),
            profiles: vec![],
            name: None,
            env_files: vec![],
            home: None,
            policy: Policy { settle: 0, ..Policy::default() },
            permits: None,
        };
        let found = stacks_at(&dir).unwrap();
        let loaded = reading.load(&found[0]);
        assert_eq!(loaded.errors, Vec::<String>::new());
        loaded.submission().unwrap()
    }

    /// `up` of the stack in this folder, which a test may change.
    pub fn up(&self, name: &str) -> ConvergeAsk {
        ConvergeAsk {
            target: PlanTarget::Submitted(Box::new(self.submission(name))),
            take_over: false,
            resolve: false,
            pull: false,
            recreate: false,
            services: vec![],
            detach: false,
            keep_stopped: false,
        }
    }
}

pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Waits until what somebody is told contains these words.
pub async fn until_words<F: Future<Output = String>>(words: &str, told: impl Fn() -> F) {
    until_ok(words, || async {
        let told = told().await;
        if told.contains(words) { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Every stack's status, by name.
pub async fn status(controller: &Controller) -> Vec<StatusRow> {
    controller.status(&[]).await.unwrap()
}

pub fn stack(name: &str) -> StackName {
    StackName::new(name).unwrap()
}

/// All lines but the last, and the end.
pub async fn told(lines: Lines<Progress>) -> (Vec<String>, Outcome, Vec<String>) {
    let all: Vec<_> = in_time("the end", lines.collect()).await;
    let mut steps = Vec::new();
    for line in all {
        match line {
            Progress::Step { subject, what, .. } => steps.push(format!("{subject}  {what}")),
            Progress::End { outcome, notes } => return (steps, outcome, notes),
        }
    }
    panic!("no last line after {steps:?}")
}
