//! What every engine must do: one suite, passed by the fake and by the real ones.
//!
//! The caller gives an engine, an image that the engine can have, whose tasks run until they are
//! stopped, and a way to wait for the engine's next event or a short while. Each case leaves
//! nothing behind.

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use keel_engine::tree::{self, EntryKind, Tree, TreeEntry};
use keel_engine::{
    Assignment, Content, Depth, Digest, Engine, EngineError, Event, FileMount, Goal, Mount,
    MountSource, NetworkSpec, Observation, ObservedTask, Open, Phase, Place, Presence, PullPolicy,
    RestartPolicy, Sweep, TaskAssignment, TaskId, TaskSpec, Thing, VolumeSpec,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// A pause that ends: the caller's runtime knows how.
pub type Pause<'a> = &'a (dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Sync);

/// What the suite runs against.
pub struct Subject<'a> {
    /// The engine.
    pub engine: &'a dyn Engine,
    /// An image whose tasks run until they are stopped.
    pub image: &'a str,
    /// A pause of some tens of milliseconds, for engines whose events are late.
    pub pause: Pause<'a>,
    /// How many pauses a wish may take to come true.
    pub patience: u32,
}

/// Runs the whole suite.
///
/// # Panics
/// Where the engine breaks the contract; the message says which promise.
pub async fn suite(subject: &Subject<'_>) {
    subject.an_image_comes().await;
    subject.a_task_runs_stops_runs_again_and_goes().await;
    subject.a_run_anew_is_another_process_of_the_same_task().await;
    subject.assigning_twice_is_once().await;
    subject.an_old_generation_is_refused().await;
    subject.a_goal_only_moves_forward().await;
    subject.two_tasks_of_one_slot_live_at_a_time().await;
    subject.a_limit_changes_in_place().await;
    subject.an_in_place_change_outlives_the_process().await;
    subject.resources_come_and_go().await;
    subject.a_network_changes_in_place_or_not_at_all().await;
    subject.a_network_may_go_with_its_last_task().await;
    subject.a_refused_wish_stops_no_other().await;
    subject.what_is_not_there_cannot_be_opened().await;
    subject.only_what_nobody_needs_is_swept().await;
    subject.files_of_a_revision_come_by_their_digest().await;
    subject.what_comes_under_a_lease_that_is_over_is_refused().await;
    subject.nothing_is_left().await;
}

impl Subject<'_> {
    fn task(&self, seed: &str, generation: u64, goal: Goal) -> TaskAssignment {
        let spec = TaskSpec {
            container_name: format!("contract-{seed}"),
            image: self.image.to_owned(),
            stop_grace_period: Some(1_000),
            ..TaskSpec::default()
        };
        TaskAssignment {
            id: TaskId::from_seed(seed),
            place: Place::OneOff(format!("contract-{seed}")),
            generation,
            spec: Arc::new(spec),
            digest: None,
            joins: None,
            replaces: None,
            revision: "r1".into(),
            origins: serde_json::json!({"image": seed}),
            avoids: Vec::new(),
            goal,
            auto_remove: false,
            remove_volumes: true,
            force: false,
            anew: false,
            grace: None,
        }
    }

    async fn assign(&self, wish: &TaskAssignment) {
        let wish = Assignment::Task(Box::new(wish.clone()));
        self.engine.assign(&[wish]).await.expect("a sound wish is taken");
    }

    /// Looks again at every event, or after a pause, until it holds.
    async fn until(&self, promise: &str, holds: impl Fn(&Observation) -> bool) -> Observation {
        let mut events = self.engine.events();
        for _ in 0..self.patience {
            let seen = self.engine.observe(Depth::State).await.expect("observing works");
            if holds(&seen) {
                return seen;
            }
            next_or_pause(&mut events, self.pause).await;
        }
        panic!("{promise}: {:#?}", self.engine.observe(Depth::State).await);
    }

    async fn until_phase(&self, id: &TaskId, phase: Phase) -> ObservedTask {
        let promise = format!("task {id} gets {phase:?}");
        let seen =
            self.until(&promise, |seen| find(seen, id).is_some_and(|t| t.phase == phase)).await;
        find(&seen, id).expect("it was just found").clone()
    }

    async fn remove(&self, mut wish: TaskAssignment) {
        wish.generation += 1;
        (wish.goal, wish.force) = (Goal::Removed, true);
        self.assign(&wish).await;
        self.until("a removed task is gone", |seen| find(seen, &wish.id).is_none()).await;
    }

    async fn an_image_comes(&self) {
        let (reference, policy) = (self.image.to_owned(), PullPolicy::Missing);
        let wish = Assignment::Image { reference, policy, wanted: Presence::Present };
        self.engine.assign(&[wish]).await.expect("an image can be wished for");
        let is_there = |seen: &Observation| {
            seen.images.iter().any(|image| image.reference == self.image && image.digest.is_some())
        };
        self.until("an image that exists comes", is_there).await;
    }

    async fn a_task_runs_stops_runs_again_and_goes(&self) {
        let mut wish = self.task("life", 1, Goal::Running);
        self.assign(&wish).await;
        let first = self.until_phase(&wish.id, Phase::Running).await;
        assert!(first.pid.is_some() && first.started.is_some(), "a running task has a process");
        assert_eq!(first.origins, wish.origins, "origins come back unread");
        (wish.generation, wish.goal) = (2, Goal::Stopped);
        self.assign(&wish).await;
        let stopped = self.until_phase(&wish.id, Phase::Exited).await;
        assert!(stopped.pid.is_none() && stopped.exit_code.is_some(), "a stopped one has none");
        (wish.generation, wish.goal) = (3, Goal::Running);
        self.assign(&wish).await;
        let again = self.until_phase(&wish.id, Phase::Running).await;
        assert_eq!(again.created, first.created, "it is the same task");
        self.remove(wish).await;
    }

    async fn a_run_anew_is_another_process_of_the_same_task(&self) {
        let mut wish = self.task("anew", 1, Goal::Running);
        self.assign(&wish).await;
        let first = self.until_phase(&wish.id, Phase::Running).await;
        (wish.generation, wish.anew, wish.grace) = (2, true, Some(100));
        self.assign(&wish).await;
        let promise = "a run anew follows the one before";
        let again = |seen: &Observation| {
            find(seen, &wish.id).is_some_and(|task| {
                let younger = task.pid.is_some() && task.pid != first.pid;
                task.phase == Phase::Running && younger && task.generation == 2
            })
        };
        let seen = self.until(promise, again).await;
        let second = find(&seen, &wish.id).expect("it was just found");
        assert_eq!(
            (&second.spec, second.restarts),
            (&first.spec, 0),
            "its own grace changes nothing"
        );
        self.assign(&wish).await;
        (self.pause)().await;
        let third = self.until_phase(&wish.id, Phase::Running).await;
        assert_eq!(third.pid, second.pid, "once");
        self.remove(wish).await;
    }

    async fn assigning_twice_is_once(&self) {
        let wish = self.task("twice", 1, Goal::Running);
        self.assign(&wish).await;
        let first = self.until_phase(&wish.id, Phase::Running).await;
        self.assign(&wish).await;
        (self.pause)().await;
        let second = self.until_phase(&wish.id, Phase::Running).await;
        assert_eq!((first.pid, first.started), (second.pid, second.started), "nothing happens");
        self.remove(wish).await;
    }

    async fn an_old_generation_is_refused(&self) {
        let wish = self.task("old", 5, Goal::Running);
        self.assign(&wish).await;
        self.until_phase(&wish.id, Phase::Running).await;
        let old = TaskAssignment { generation: 4, goal: Goal::Removed, ..wish.clone() };
        let answer = self.engine.assign(&[Assignment::Task(Box::new(old))]).await;
        assert!(
            matches!(answer, Err(EngineError::OldGeneration { has: 5, given: 4, .. })),
            "{answer:?}"
        );
        self.until_phase(&wish.id, Phase::Running).await;
        self.remove(wish).await;
    }

    async fn a_goal_only_moves_forward(&self) {
        let mut wish = self.task("forward", 1, Goal::Stopped);
        wish.goal = Goal::Running;
        self.assign(&wish).await;
        self.until_phase(&wish.id, Phase::Running).await;
        self.assign(&TaskAssignment { goal: Goal::Ready, ..wish.clone() }).await;
        (self.pause)().await;
        let seen = self.until_phase(&wish.id, Phase::Running).await;
        assert_eq!(seen.goal, Goal::Running, "within a generation a goal never goes back");
        self.remove(wish).await;
    }

    async fn two_tasks_of_one_slot_live_at_a_time(&self) {
        let slot = keel_engine::Slot {
            stack: keel_engine::StackName::new("contract").expect("a sound name"),
            service: "web".into(),
            slot: "1".into(),
        };
        let in_slot = |seed| {
            let place = Place::Slot(slot.clone());
            TaskAssignment { place, ..self.task(seed, 1, Goal::Running) }
        };
        let (old, new) = (in_slot("slot-old"), in_slot("slot-new"));
        self.assign(&old).await;
        self.assign(&new).await;
        self.until_phase(&old.id, Phase::Running).await;
        self.until_phase(&new.id, Phase::Running).await;
        self.remove(old).await;
        self.until_phase(&new.id, Phase::Running).await;
        self.remove(new).await;
    }

    async fn a_limit_changes_in_place(&self) {
        let wish = self.task("limit", 1, Goal::Running);
        self.assign(&wish).await;
        let first = self.until_phase(&wish.id, Phase::Running).await;
        let spec = TaskSpec { mem_limit: Some(64 << 20), ..(*wish.spec).clone() };
        let changed = TaskAssignment { generation: 2, spec: Arc::new(spec), ..wish };
        self.assign(&changed).await;
        let promise = "an in-place change is applied, and shows as such";
        let applied = |seen: &Observation| {
            find(seen, &changed.id)
                .is_some_and(|t| t.spec.mem_limit == Some(64 << 20) && t.generation == 2)
        };
        self.until(promise, applied).await;
        let second = self.until_phase(&changed.id, Phase::Running).await;
        assert_eq!(first.pid, second.pid, "in place means the same process");
        let fields = self.engine.observe(Depth::Fields).await.expect("observing works");
        let task = find(&fields, &changed.id).expect("it runs");
        assert_eq!(task.findings, [], "an untouched task has no drift");
        self.remove(changed).await;
    }

    /// A limit that only the running process had would be gone with it.
    async fn an_in_place_change_outlives_the_process(&self) {
        let mut wish = self.task("outlives", 1, Goal::Running);
        Arc::make_mut(&mut wish.spec).restart = RestartPolicy::Always;
        self.assign(&wish).await;
        self.until_phase(&wish.id, Phase::Running).await;
        let spec = TaskSpec {
            mem_limit: Some(64 << 20),
            mem_swappiness: Some(30),
            cpus: Some(500_000_000),
            pids_limit: Some(50),
            ..(*wish.spec).clone()
        };
        let changed = TaskAssignment { generation: 2, spec: Arc::new(spec), ..wish };
        self.assign(&changed).await;
        let applied =
            |seen: &Observation| find(seen, &changed.id).is_some_and(|t| t.generation == 2);
        self.until("an in-place change is applied", applied).await;
        let before = self.until_phase(&changed.id, Phase::Running).await;
        let signal = Open::Signal { task: changed.id.clone(), signal: "KILL".into() };
        self.engine.open(signal).await.expect("a running task takes a signal");
        let again = |seen: &Observation| {
            find(seen, &changed.id).is_some_and(|t| {
                t.phase == Phase::Running && t.pid.is_some() && t.pid != before.pid
            })
        };
        self.until("by its policy it runs again", again).await;
        let fields = self.engine.observe(Depth::Fields).await.expect("observing works");
        let task = find(&fields, &changed.id).expect("it runs");
        assert_eq!(task.findings, [], "its next process has the changed limits");
        self.remove(changed).await;
    }

    async fn resources_come_and_go(&self) {
        let network = NetworkSpec {
            name: "contract_n".into(),
            driver: "bridge".into(),
            ..NetworkSpec::default()
        };
        let volume = VolumeSpec {
            name: "contract_v".into(),
            driver: "local".into(),
            ..VolumeSpec::default()
        };
        for wanted in [Presence::Present, Presence::Absent] {
            let wishes = [
                Assignment::Network { spec: network.clone(), wanted },
                Assignment::Volume { spec: volume.clone(), wanted },
            ];
            self.engine.assign(&wishes).await.expect("resources can be wished for");
            let there = wanted == Presence::Present;
            let as_wished = |seen: &Observation| {
                seen.networks.iter().any(|n| n.spec.name == network.name) == there
                    && seen.volumes.iter().any(|v| v.spec.name == volume.name) == there
            };
            self.until("networks and volumes come and go", as_wished).await;
        }
    }

    async fn a_network_changes_in_place_or_not_at_all(&self) {
        let first = NetworkSpec {
            name: "contract_c".into(),
            driver: "bridge".into(),
            ..NetworkSpec::default()
        };
        let assign = async |spec: &NetworkSpec, wanted| {
            self.engine.assign(&[Assignment::Network { spec: spec.clone(), wanted }]).await
        };
        assign(&first, Presence::Present).await.expect("a network can be wished for");
        let labelled = NetworkSpec { labels: [("a".into(), "b".into())].into(), ..first.clone() };
        assign(&labelled, Presence::Present).await.expect("labels change in place");
        let has = |seen: &Observation, spec: &NetworkSpec| {
            seen.network(&spec.name).is_some_and(|network| network.spec == *spec)
        };
        self.until("it has the labels", |seen| has(seen, &labelled)).await;
        let apart = NetworkSpec { internal: true, ..labelled.clone() };
        assign(&apart, Presence::Present).await.expect_err("it is to be taken away first");
        let seen = self.engine.observe(Depth::State).await.expect("observing works");
        assert!(has(&seen, &labelled), "what is refused changes nothing");
        assign(&labelled, Presence::Absent).await.expect("nobody uses it");
        self.until("it goes", |seen| seen.network(&first.name).is_none()).await;
    }

    async fn a_network_may_go_with_its_last_task(&self) {
        let name = "contract_last".to_owned();
        let spec = NetworkSpec {
            name: name.clone(),
            driver: "bridge".into(),
            auto_remove: true,
            ..NetworkSpec::default()
        };
        let attached = |seed: &str| {
            let mut wish = self.task(seed, 1, Goal::Running);
            let network = keel_engine::Attachment { network: name.clone(), ..Default::default() };
            Arc::make_mut(&mut wish.spec).networks.push(network);
            wish
        };
        let (first, last) = (attached("first"), attached("last"));
        let wished = Assignment::Network { spec, wanted: Presence::Present };
        let tasks = [&first, &last].map(|wish| Assignment::Task(Box::new(wish.clone())));
        let wishes: Vec<_> = [wished].into_iter().chain(tasks).collect();
        self.engine.assign(&wishes).await.expect("sound wishes are taken");
        self.until_phase(&first.id, Phase::Running).await;
        self.until_phase(&last.id, Phase::Running).await;
        self.remove(first).await;
        let there = |seen: &Observation| seen.networks.iter().any(|n| n.spec.name == name);
        assert!(there(&self.engine.observe(Depth::State).await.expect("observing works")));
        self.remove(last).await;
        self.until("it goes with its last task", |seen| !there(seen)).await;
    }

    async fn a_refused_wish_stops_no_other(&self) {
        let kept = self.task("kept", 3, Goal::Running);
        self.assign(&kept).await;
        let other = self.task("other", 1, Goal::Running);
        let old = TaskAssignment { generation: 1, ..kept.clone() };
        let both = [Assignment::Task(Box::new(old)), Assignment::Task(Box::new(other.clone()))];
        self.engine.assign(&both).await.expect_err("the old one is refused");
        self.until_phase(&other.id, Phase::Running).await;
        self.remove(kept).await;
        self.remove(other).await;
    }

    async fn what_is_not_there_cannot_be_opened(&self) {
        let task = TaskId::from_seed("nobody");
        let answer = self.engine.open(Open::Attach { task, stdin: false }).await;
        assert!(matches!(answer, Err(EngineError::NotFound { kind: Thing::Task, .. })));
    }

    async fn only_what_nobody_needs_is_swept(&self) {
        let contents: Vec<_> = ["a task's", "kept", "nobody's"]
            .map(|text| Content {
                digest: Digest::of(text.as_bytes()),
                bytes: text.as_bytes().into(),
            })
            .into();
        let wishes: Vec<_> = contents.iter().cloned().map(Assignment::Content).collect();
        self.engine.assign(&wishes).await.expect("contents are taken");
        let mut task = self.task("swept", 1, Goal::Ready);
        let mut spec = TaskSpec::clone(&task.spec);
        spec.configs.push(FileMount {
            name: "file".to_owned(),
            digest: contents[0].digest,
            target: "/run/file".to_owned(),
            uid: 0,
            gid: 0,
            mode: None,
        });
        task.spec = Arc::new(spec);
        self.assign(&task).await;
        self.until_phase(&task.id, Phase::Ready).await;
        let sweep = Sweep {
            images: [self.image.to_owned()].into(),
            contents: [contents[1].digest].into(),
            contents_before: u64::from(u32::MAX) * 1_000,
            ..Sweep::default()
        };
        let swept = self.engine.sweep(&sweep).await.expect("there is something to sweep");
        assert_eq!(swept.contents, 1, "neither a task's content goes nor what is said to stay");
        assert!(swept.images.is_empty(), "a task's image stays");
        self.remove(task).await;
        let sweep = Sweep { contents_before: sweep.contents_before, ..Sweep::default() };
        let swept = self.engine.sweep(&sweep).await.expect("there is something to sweep");
        assert_eq!(swept.contents, 2, "then they go");
    }

    async fn files_of_a_revision_come_by_their_digest(&self) {
        let (tree, nobodys) = (files("a page"), files("nobody's page"));
        let entries = tree.entries().to_vec();
        let told: BTreeMap<_, _> = [(PathBuf::from("page"), b"no page".to_vec())].into();
        let wrong = Tree::new(Digest::of(b"wrong"), entries, Arc::new(told)).expect("a sound tree");
        let refused = self.engine.assign(&[Assignment::Tree(wrong)]).await;
        assert!(
            matches!(refused, Err(EngineError::Conflict { .. })),
            "files that are not what their digest says: {refused:?}"
        );
        let wishes = [&tree, &nobodys, &tree].map(|tree| Assignment::Tree(tree.clone()));
        self.engine.assign(&wishes).await.expect("files are taken, also again");
        let mut task = self.task("files", 1, Goal::Running);
        Arc::make_mut(&mut task.spec).volumes.push(Mount {
            source: MountSource::Revision { path: String::new(), digest: tree.digest, tree: None },
            target: "/files".to_owned(),
            read_only: true,
            shared: false,
            propagation: None,
            digest: None,
        });
        self.assign(&task).await;
        self.until_phase(&task.id, Phase::Running).await;
        let all = u64::from(u32::MAX) * 1_000;
        let sweep = Sweep { trees_before: all, ..Sweep::default() };
        let kept = Sweep { contents: [nobodys.digest].into(), ..sweep.clone() };
        let swept = self.engine.sweep(&kept).await.expect("there is something to sweep");
        assert_eq!(swept.trees, 0, "neither a task's files go nor what is said to stay");
        let swept = self.engine.sweep(&sweep).await.expect("there is something to sweep");
        assert_eq!(swept.trees, 1, "nobody's go");
        self.remove(task).await;
        let swept = self.engine.sweep(&sweep).await.expect("there is something to sweep");
        assert_eq!(swept.trees, 1, "then they go");
    }

    async fn what_comes_under_a_lease_that_is_over_is_refused(&self) {
        let engine = self.engine;
        let first = engine.lease().await.expect("whoever drives gets a lease");
        let second = engine.lease().await.expect("and another one");
        assert_ne!(first, second, "each is a lease of its own");
        assert_eq!(first.epoch, second.epoch, "of one driver");
        let task = self.task("leased", 1, Goal::Running);
        let wishes = [Assignment::Task(Box::new(task.clone()))];
        engine.renew(&first).await.expect("it holds");
        engine.release(&first);
        engine.release(&first);
        for over in [&first, &keel_engine::Lease { epoch: second.epoch + 1, ..second.clone() }] {
            let answers = [
                engine.assign_under(over, &wishes).await,
                engine.sweep_under(over, &Sweep::default()).await.map(drop),
                engine.renew(over).await,
            ];
            let refused = |answer| matches!(answer, &Err(EngineError::Driven { .. }));
            assert!(answers.iter().all(refused), "{answers:?}");
        }
        let seen = engine.observe(Depth::State).await.expect("observing works");
        assert!(find(&seen, &task.id).is_none(), "what is refused is not done");
        engine.assign_under(&second, &wishes).await.expect("the other one holds");
        engine.sweep_under(&second, &Sweep::default()).await.expect("for all that it does");
        self.until_phase(&task.id, Phase::Running).await;
        engine.release(&second);
        self.remove(task).await;
    }

    async fn nothing_is_left(&self) {
        let seen = self.engine.observe(Depth::State).await.expect("observing works");
        assert!(seen.tasks.is_empty() && seen.networks.is_empty() && seen.volumes.is_empty());
    }
}

/// A folder with one page.
fn files(page: &str) -> Tree {
    let size = page.len() as u64;
    let entries = vec![
        TreeEntry { path: PathBuf::new(), kind: EntryKind::Folder },
        TreeEntry { path: "page".into(), kind: EntryKind::File { executable: false, size } },
    ];
    let content = |_: &std::path::Path| Ok(Digest::of(page.as_bytes()));
    let digest = tree::digest_by(&entries, content).expect("nothing is read");
    let content: BTreeMap<_, _> = [(PathBuf::from("page"), page.as_bytes().to_vec())].into();
    Tree::new(digest, entries, Arc::new(content)).expect("a sound tree")
}

fn find<'a>(seen: &'a Observation, id: &TaskId) -> Option<&'a ObservedTask> {
    seen.tasks.iter().map(|task| &**task).find(|task| task.id == *id)
}

async fn next_or_pause(
    events: &mut futures_util::stream::BoxStream<'static, Event>,
    pause: Pause<'_>,
) {
    match select(events.next(), pause()).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}
