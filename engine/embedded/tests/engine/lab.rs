//! A root of its own, with an engine on it.

use futures_util::StreamExt;
use keel_embedded::runtime::cgroup::{Cgroup, Hierarchies};
use keel_embedded::{Embedded, Layout, Options, RootLease, RootLock};
use keel_engine::frames::Frame;
use keel_engine::{
    Assignment, Depth, Engine, Goal, LogOptions, NetworkSpec, Observation, ObservedTask, Open,
    Phase, Place, Presence, TaskAssignment, TaskId, TaskSpec,
};
use keel_testing::waiting::{Deadline, eventually, in_time, until_ok};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The image that is this program.
pub const IMAGE: &str = "keel.local/hello";

pub struct Lab {
    folder: tempfile::TempDir,
    pub layout: Layout,
    lock: Option<RootLock>,
    engine: Option<Arc<Embedded>>,
}

fn options() -> Options {
    let mut options = Options::new("node".into(), std::env::current_exe().unwrap());
    options.docker = None;
    options
}

impl Lab {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let mut lab = Self { folder, layout, lock: None, engine: None };
        lab.reopen().await;
        lab
    }

    /// The driver ends.
    pub async fn close(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.close().await;
        }
        self.lock = None;
    }

    pub async fn reopen(&mut self) {
        self.close().await;
        self.lock = Some(self.locked().await);
        self.drive(options()).await;
    }

    /// The same, but with the lock held in turns.
    pub async fn reopen_in_turns(&mut self) {
        self.close().await;
        let (lease, _turn) =
            RootLease::new(&self.layout, "engine tests", self.locked().await, |_| {});
        self.drive(Options { lease: Some(lease), ..options() }).await;
    }

    async fn drive(&mut self, options: Options) {
        let engine = Embedded::open(self.layout.clone(), options).await.unwrap();
        self.engine = Some(Arc::new(engine));
    }

    /// A shim's last act drives the root where nobody else does, and may be at it still.
    pub async fn locked(&self) -> RootLock {
        self.locked_by("engine tests").await
    }

    /// The same for somebody else. What releases a lease waits for nothing, so the lock is free a little later.
    pub async fn locked_by(&self, who: &str) -> RootLock {
        let take =
            || async { RootLock::acquire(&self.layout, who, false).map_err(|e| e.to_string()) };
        until_ok("the root's lock is free", take).await
    }

    pub fn engine(&self) -> &Arc<Embedded> {
        self.engine.as_ref().unwrap()
    }

    /// A task of the built-in image, named by its words.
    pub fn task(&self, name: &str, words: &[&str]) -> TaskAssignment {
        let spec = TaskSpec {
            container_name: name.to_owned(),
            image: IMAGE.to_owned(),
            command: (!words.is_empty()).then(|| words.iter().map(|w| (*w).to_owned()).collect()),
            stop_grace_period: Some(5_000),
            ..TaskSpec::default()
        };
        TaskAssignment {
            id: TaskId::from_seed(&format!("{} {name}", self.folder.path().display())),
            place: Place::OneOff(name.to_owned()),
            generation: 1,
            spec: Arc::new(spec),
            digest: None,
            joins: None,
            replaces: None,
            revision: String::new(),
            origins: serde_json::Value::Null,
            avoids: Vec::new(),
            goal: Goal::Running,
            auto_remove: false,
            remove_volumes: false,
            force: false,
            anew: false,
            grace: None,
        }
    }

    pub async fn assign(&self, wish: &TaskAssignment) {
        let wish = Assignment::Task(Box::new(wish.clone()));
        self.engine().assign(&[wish]).await.unwrap();
    }

    pub async fn network(&self, name: &str) {
        let spec =
            NetworkSpec { name: name.into(), driver: "bridge".into(), ..NetworkSpec::default() };
        let wanted = Presence::Present;
        self.engine().assign(&[Assignment::Network { spec, wanted }]).await.unwrap();
    }

    /// Looks at every event, until it holds.
    pub async fn until(
        &self,
        what: &str,
        depth: Depth,
        holds: impl Fn(&Observation) -> bool,
    ) -> Observation {
        let mut events = self.engine().events();
        let deadline = Deadline::start();
        loop {
            let seen = self.engine().observe(depth.clone()).await.unwrap();
            if holds(&seen) {
                return seen;
            }
            assert!(!deadline.is_over(), "{what}: {seen:#?}");
            // What the kernel tells of late is looked at all the same.
            let _ = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
        }
    }

    pub async fn until_task(
        &self,
        wish: &TaskAssignment,
        what: &str,
        holds: impl Fn(&ObservedTask) -> bool,
    ) -> ObservedTask {
        let find = |seen: &Observation| seen.task(&wish.id).cloned();
        let seen =
            self.until(what, Depth::State, |seen| find(seen).is_some_and(|t| holds(&t))).await;
        find(&seen).unwrap()
    }

    pub async fn until_phase(&self, wish: &TaskAssignment, phase: Phase) -> ObservedTask {
        let what = format!("{} gets {phase:?}", wish.spec.container_name);
        self.until_task(wish, &what, |task| task.phase == phase).await
    }

    /// All of its output so far.
    pub async fn logs(&self, wish: &TaskAssignment) -> String {
        let (task, options) = (wish.id.clone(), LogOptions::default());
        self.heard(Open::Logs { task, options }).await.0
    }

    /// Everything a conversation says, and the code it ends with.
    pub async fn heard(&self, what: Open) -> (String, Option<i32>) {
        let mut duplex = self.engine().open(what).await.unwrap();
        let (mut text, mut code) = (Vec::new(), None);
        let listen = async {
            while let Some(frame) = duplex.receive().await {
                match frame {
                    Frame::Stdout(bytes) | Frame::Stderr(bytes) => text.extend(bytes),
                    Frame::Exit(exit) => code = Some(exit),
                    other => panic!("{other:?}"),
                }
            }
        };
        in_time("a conversation ends", listen).await;
        (String::from_utf8(text).unwrap(), code)
    }

    pub async fn remove(&self, wish: &TaskAssignment) {
        let seen = self.engine().observe(Depth::State).await.unwrap();
        let Some(task) = seen.task(&wish.id) else { return };
        let generation = task.generation + 1;
        let mut gone = TaskAssignment { goal: Goal::Removed, generation, ..wish.clone() };
        gone.spec = task.spec.clone();
        (gone.force, gone.remove_volumes) = (true, true);
        self.assign(&gone).await;
        let is_gone = |seen: &Observation| seen.tasks.iter().all(|task| task.id != wish.id);
        self.until("a removed task is gone", Depth::State, is_gone).await;
    }

    /// Removes everything, and looks whether anything is left.
    pub async fn clean(self) {
        let seen = self.engine().observe(Depth::State).await.unwrap();
        for task in &seen.tasks {
            let mut wish = self.task("x", &[]);
            (wish.id, wish.spec) = (task.id.clone(), task.spec.clone());
            self.remove(&wish).await;
        }
        for network in seen.networks {
            let (spec, wanted) = (network.spec.clone(), Presence::Absent);
            self.engine().assign(&[Assignment::Network { spec, wanted }]).await.unwrap();
        }
        self.until("networks go", Depth::State, |seen| seen.networks.is_empty()).await;
        let root = self.folder.path().to_str().unwrap().to_owned();
        until_ok("nothing runs", || std::future::ready(processes(&root).map_or(Ok(()), Err))).await;
        Cgroup::at(&self.layout.cgroup()).unwrap().remove().unwrap();
        assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&root));
        let links = std::fs::read_dir("/sys/class/net").unwrap().flatten();
        let own = format!("kl{}", self.layout.key());
        let left: Vec<_> = links
            .filter(|link| link.file_name().to_string_lossy().starts_with(&own))
            .map(|link| link.file_name())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Lab {
    /// A test that failed leaves nothing either.
    fn drop(&mut self) {
        self.engine = None;
        if std::thread::panicking() {
            let cgroup = self.layout.cgroup();
            let unified = Hierarchies::read().unwrap().unified.unwrap().join(&cgroup);
            // A shim that was just being started is late.
            eventually(|| {
                let _ = std::fs::write(unified.join("cgroup.kill"), "1");
                let _ = Cgroup::at(&cgroup).unwrap().remove();
                (!unified.exists()).then_some(())
            });
            let _ = keel_embedded::network::teardown(&self.layout);
        }
    }
}

/// A process that has the root in its command line.
fn processes(root: &str) -> Option<String> {
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(root).then_some(line)
    })
}

/// What `keel reap ROOT ID` does.
pub async fn reap(root: &str, id: &str) {
    let id = TaskId::new(id).unwrap();
    keel_embedded::leave_shims(&Layout::new(Path::new(root)));
    keel_embedded::reap(Layout::new(Path::new(root)), options(), &id).await.unwrap();
}
