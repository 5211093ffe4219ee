//! The controller: what is shared by all loops and by everything that people ask. It knows none of them.
//!
//! # Invariants
//! - It holds no truth of its own: what is desired and remembered is in the store, what exists is
//!   on the nodes. What is in memory (queues, hints) can be lost at any time.
//! - Every way in (a poll, an event, a person) ends in a record and a hint; the pass does the rest.
//!
//! Each group of questions has its file in `operate`, with an `impl Controller` in it.

use crate::ask::Refusal;
use crate::cause::Cause;
use crate::clock::Clock;
use crate::concerns::Concerns;
use crate::config::SourceConfig;
use crate::fleet::Fleet;
use crate::notices::Destination;
use crate::notices::telling::Herald;
use crate::operation::Operation;
use crate::queue::Queue;
use crate::record::Records;
use crate::repos::Repos;
use crate::rows::ClearedRow;
use crate::source::{Source, Surroundings};
use crate::store::FileStore;
use futures_util::stream::{BoxStream, StreamExt};
use keel_durable::Late;
use keel_engine::{Duplex, Event, Open, StackName};
use keel_plan::desired::Policy;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::task::JoinSet;

/// What a controller is started with.
#[derive(Clone)]
pub struct Settings {
    /// `records/` below the root.
    pub records: PathBuf,
    /// What the root's disk does not take.
    pub late: Late,
    /// `sources/` below the root: clones and checkouts.
    pub sources_dir: PathBuf,
    /// `data/` below the root: what Git rightly lacks.
    pub data: PathBuf,
    /// Repositories of our own.
    pub repos: Repos,
    /// The nodes.
    pub fleet: Fleet,
    /// What to watch with [`serve`](Self::serve); without it they are only what a preview is for.
    pub sources: Vec<SourceConfig>,
    /// Defaults of every stack's policy.
    pub policy: Policy,
    /// Refresh sources, run passes for every stored stack, look for drift. Without it only what
    /// a command names is passed over.
    pub serve: bool,
    /// Variables that directory sources may interpolate; Git sources never see them.
    pub environment: BTreeMap<String, String>,
    /// What `~` means in a directory source's bind mounts.
    pub home: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
    /// Who is told of what happens; ignored unless [`serve`](Self::serve).
    pub destinations: Vec<Destination>,
    /// What this host is called in what they are told.
    pub host: String,
}

impl Settings {
    /// What sources take from all of this.
    pub(crate) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            sources_dir: &self.sources_dir,
            data: &self.data,
            state: self.state(),
            repos: &self.repos,
            environment: &self.environment,
            home: &self.home,
            policy: &self.policy,
        }
    }

    /// The root that all of this is below.
    pub(crate) fn state(&self) -> Option<PathBuf> {
        self.records.parent().map(Path::to_owned)
    }
}

/// The controller of a root. Cheap to clone: all clones are the same one.
#[derive(Clone)]
pub struct Controller {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    records: Records,
    stacks: Arc<Queue<StackName>>,
    hints: Arc<Queue<String>>,
    /// Replaced as a whole: whoever looks at it never waits.
    sources: Mutex<Arc<Sources>>,
    placing: tokio::sync::Mutex<()>,
    /// Read by whoever counts on what is there, written by whoever takes away.
    kept: tokio::sync::RwLock<()>,
    /// Told when there may be something to take away.
    room: tokio::sync::Notify,
    notes: Mutex<Notes>,
    herald: Herald,
    loops: Mutex<Option<JoinSet<()>>>,
}

/// Sources by name.
pub(crate) type Sources = BTreeMap<String, Arc<Source>>;

/// What speeds things up, and can be lost at any time.
#[derive(Default)]
struct Notes {
    /// One pass of a stack, one refresh of a source at a time.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// Stacks that differ from what was applied: their next pass looks closely.
    suspects: BTreeSet<StackName>,
    /// What first hinted at a source that is still to be read.
    causes: HashMap<String, Cause>,
    /// Whom events are about.
    concerns: Concerns,
    /// Passes that failed and could not even be recorded: the disk is full, say.
    unwritten: HashMap<StackName, Operation>,
    /// What was taken away last.
    cleared: Option<ClearedRow>,
}

/// Lines of something under way; ends by itself.
pub type Lines<T> = BoxStream<'static, T>;

impl Controller {
    /// One of which nothing runs yet.
    pub(crate) fn new(settings: Settings) -> Result<Self, Refusal> {
        let store = FileStore::open(&settings.records, settings.late.clone());
        let store = store.map_err(|error| Refusal::failed(&error))?;
        let configured = if settings.serve { settings.sources.as_slice() } else { &[] };
        let open = |config: &SourceConfig| {
            (config.name.clone(), Arc::new(Source::new(config.clone(), &settings.surroundings())))
        };
        let sources = configured.iter().map(open).collect();
        let shared = Shared {
            records: Records::new(Arc::new(store)),
            stacks: Arc::new(Queue::new()),
            hints: Arc::new(Queue::new()),
            sources: Mutex::new(Arc::new(sources)),
            placing: tokio::sync::Mutex::new(()),
            kept: tokio::sync::RwLock::new(()),
            room: tokio::sync::Notify::new(),
            notes: Mutex::default(),
            herald: Herald::default(),
            loops: Mutex::default(),
            settings,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// These run until [`stop`](Self::stop).
    pub(crate) fn keep_running(&self, loops: JoinSet<()>) {
        *self.shared.loops.lock().expect("nothing panics with it") = Some(loops);
    }

    /// Ends all loops, and waits for the pass under way. What runs goes on.
    pub async fn stop(&self) {
        self.shared.stacks.close();
        self.shared.hints.close();
        let loops = self.shared.loops.lock().expect("nothing panics with it").take();
        if let Some(mut loops) = loops {
            while loops.join_next().await.is_some() {}
        }
    }

    /// Hints of all nodes that something changed.
    pub fn events(&self) -> Lines<Event> {
        self.fleet().events()
    }

    /// Hints that something that `status` tells may have changed: on a node, or in what is remembered.
    pub fn stirs(&self) -> Lines<()> {
        let changes = futures_util::stream::unfold(self.records().changes(), |mut changes| async {
            changes.changed().await.ok().map(|()| ((), changes))
        });
        futures_util::stream::select(self.events().map(drop), changes).boxed()
    }

    /// Opens a conversation with a task, on the node that has it.
    pub async fn open(&self, what: Open) -> Result<Box<dyn Duplex>, Refusal> {
        Ok(self.fleet().open(what).await?)
    }

    /// What this host is called.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.shared.settings.host
    }

    pub(crate) fn serves(&self) -> bool {
        self.shared.settings.serve
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.shared.settings.fleet
    }

    pub(crate) fn records(&self) -> &Records {
        &self.shared.records
    }

    pub(crate) fn now(&self) -> u64 {
        self.shared.settings.clock.now()
    }

    /// Names of stacks to pass over.
    pub(crate) fn stacks(&self) -> &Arc<Queue<StackName>> {
        &self.shared.stacks
    }

    /// Names of sources to refresh.
    pub(crate) fn hints(&self) -> &Arc<Queue<String>> {
        &self.shared.hints
    }

    /// Every source, by name.
    pub(crate) fn configured(&self) -> Arc<Sources> {
        self.shared.sources.lock().expect("nothing panics with it").clone()
    }

    /// The same, and where nothing serves those that would be.
    pub(crate) fn known_sources(&self) -> Sources {
        if self.serves() {
            return Sources::clone(&self.configured());
        }
        let settings = self.settings();
        let open = |config: &SourceConfig| {
            (config.name.clone(), Arc::new(Source::new(config.clone(), &settings.surroundings())))
        };
        settings.sources.iter().map(open).collect()
    }

    /// One more source, from now on; false where there is one of its name.
    pub(crate) fn add_source(&self, config: SourceConfig) -> bool {
        let name = config.name.clone();
        let source = Arc::new(Source::new(config, &self.settings().surroundings()));
        let mut all = self.shared.sources.lock().expect("nothing panics with it");
        if all.contains_key(&name) {
            return false;
        }
        self.watch_source(&name, &source);
        let mut more = Sources::clone(&all);
        more.insert(name, source);
        *all = Arc::new(more);
        true
    }

    /// What people and forges are told.
    pub(crate) fn herald(&self) -> &Herald {
        &self.shared.herald
    }

    /// From now on a change of its files is a hint.
    pub(crate) fn watch_source(&self, name: &str, source: &Source) {
        let (name, shared) = (name.to_owned(), Arc::downgrade(&self.shared));
        source.watch(move |pause| {
            if let Some(shared) = shared.upgrade() {
                Self { shared }.hint_source_in(&name, Cause::Edit, pause);
            }
        });
    }

    /// Reads a source soon; it is told why with what comes of it.
    pub(crate) fn hint_source_in(&self, name: &str, cause: Cause, pause: Duration) {
        self.notes().causes.entry(name.to_owned()).or_insert(cause);
        self.hints().hint_in(name.to_owned(), pause);
    }

    /// Why the source is read that has come up on its queue.
    pub(crate) fn take_cause(&self, name: &str) -> Cause {
        self.notes().causes.remove(name).unwrap_or(Cause::Poll)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Plans of all stacks are made one after the other.
    pub(crate) async fn placing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.placing.lock().await
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.shared.notes.lock().expect("nothing panics while it holds the notes")
    }

    /// Waits for the turn of a stack's pass.
    pub(crate) async fn turn(&self, stack: &StackName) -> tokio::sync::OwnedMutexGuard<()> {
        self.turn_of(format!("stack {stack}")).await
    }

    /// Waits for the turn of a source's refresh.
    pub(crate) async fn source_turn(&self, source: &str) -> tokio::sync::OwnedMutexGuard<()> {
        self.turn_of(format!("source {source}")).await
    }

    /// While this is held nothing is taken away for want of room.
    pub(crate) async fn keep_all(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.shared.kept.read().await
    }

    /// Held by whoever takes away: nobody counts on anything meanwhile.
    pub(crate) async fn take_away(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.shared.kept.write().await
    }

    /// There may be something to take away.
    pub(crate) fn want_room(&self) {
        self.shared.room.notify_one();
    }

    /// Returns once there may be.
    pub(crate) async fn room_wanted(&self) {
        self.shared.room.notified().await;
    }

    /// What was taken away last for want of room, or why nothing could be.
    pub fn cleared(&self) -> Option<ClearedRow> {
        self.notes().cleared.clone()
    }

    pub(crate) fn note_cleared(&self, cleared: ClearedRow) {
        self.notes().cleared = Some(cleared);
    }

    async fn turn_of(&self, name: String) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = self.notes().turns.entry(name).or_default().clone();
        turn.lock_owned().await
    }

    /// The next pass of this stack reads every field back.
    pub(crate) fn suspect(&self, stack: &StackName) {
        self.notes().suspects.insert(stack.clone());
    }

    /// Hints such a pass.
    pub(crate) fn look_closely(&self, stack: StackName) {
        self.suspect(&stack);
        self.stacks().hint(stack);
    }

    pub(crate) fn take_suspect(&self, stack: &StackName) -> bool {
        self.notes().suspects.remove(stack)
    }

    /// Whom events are about.
    pub(crate) fn concerns<T>(&self, work: impl FnOnce(&mut Concerns) -> T) -> T {
        work(&mut self.notes().concerns)
    }

    /// How the last pass failed that no record could take; `None` once one could.
    pub(crate) fn remember_unwritten(&self, stack: &StackName, failed: Option<Operation>) {
        let unwritten = &mut self.notes().unwritten;
        match failed {
            Some(failed)
                if unwritten.get(stack).is_some_and(|last| last.reason == failed.reason) => {}
            Some(failed) => drop(unwritten.insert(stack.clone(), failed)),
            None => drop(unwritten.remove(stack)),
        }
    }

    pub(crate) fn unwritten(&self, stack: &StackName) -> Option<Operation> {
        self.notes().unwritten.get(stack).cloned()
    }
}
