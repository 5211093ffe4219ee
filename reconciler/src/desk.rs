//! What all loops of a controller share. It knows none of those who work with it.
//!
//! # Invariants
//! - It holds no truth of its own: what is desired and remembered is in the store, what exists is
//!   on the nodes. What is in memory (queues, hints) can be lost at any time.

use crate::cause::Cause;
use crate::config::SourceConfig;
use crate::event_routing::EventRouting;
use crate::examined::ExaminedStacks;
use crate::fleet::Fleet;
use crate::notices::telling::Notifier;
use crate::operation::Operation;
use crate::queue::Queue;
use crate::record::{RecordError, Records};
use crate::rows::ClearedRow;
use crate::settings::Settings;
use crate::source::{Source, Sources};
use crate::store::Keep;
use keel_engine::StackName;
use keel_plan::desired::Owner;
use keel_plan::standing::{Standing, Taken};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What is shared by all loops and by everything that people ask.
pub struct Desk {
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
    notifier: Notifier,
    examined: tokio::sync::Mutex<ExaminedStacks>,
}

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
    routing: EventRouting,
    /// Passes that failed and could not even be recorded: the disk is full, say.
    unwritten: HashMap<StackName, Operation>,
    /// What was taken away last.
    cleared: Option<ClearedRow>,
}

impl Desk {
    /// Of a controller that does nothing yet.
    pub(crate) fn new(settings: Settings) -> Self {
        let configured = if settings.serve { settings.sources.as_slice() } else { &[] };
        let open = |config: &SourceConfig| {
            (config.name.clone(), Arc::new(Source::new(config.clone(), &settings.surroundings())))
        };
        let sources = configured.iter().map(open).collect();
        Self {
            records: Records::new(settings.store.clone()),
            stacks: Arc::new(Queue::new()),
            hints: Arc::new(Queue::new()),
            sources: Mutex::new(Arc::new(sources)),
            placing: tokio::sync::Mutex::new(()),
            kept: tokio::sync::RwLock::new(()),
            room: tokio::sync::Notify::new(),
            notes: Mutex::default(),
            notifier: Notifier::default(),
            examined: tokio::sync::Mutex::default(),
            settings,
        }
    }

    pub(crate) fn serves(&self) -> bool {
        self.settings.serve
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.settings.fleet
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    pub(crate) fn now(&self) -> u64 {
        self.settings.clock.now()
    }

    /// Names of stacks to pass over.
    pub(crate) fn stacks(&self) -> &Arc<Queue<StackName>> {
        &self.stacks
    }

    /// Names of sources to refresh.
    pub(crate) fn hints(&self) -> &Arc<Queue<String>> {
        &self.hints
    }

    /// Every source, by name.
    pub(crate) fn configured(&self) -> Arc<Sources> {
        self.sources.lock().expect("nothing panics with it").clone()
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
    pub(crate) fn add_source(self: &Arc<Self>, config: SourceConfig) -> bool {
        let name = config.name.clone();
        let source = Arc::new(Source::new(config, &self.settings().surroundings()));
        let mut all = self.sources.lock().expect("nothing panics with it");
        if all.contains_key(&name) {
            return false;
        }
        self.watch_source(&name, &source);
        let mut more = Sources::clone(&all);
        more.insert(name, source);
        *all = Arc::new(more);
        true
    }

    /// How every stack was when it was examined last.
    pub(crate) async fn examined(&self) -> tokio::sync::MutexGuard<'_, ExaminedStacks> {
        self.examined.lock().await
    }

    /// What people and forges are told.
    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// From now on a change of its files is a hint.
    pub(crate) fn watch_source(self: &Arc<Self>, name: &str, source: &Source) {
        let (name, desk) = (name.to_owned(), Arc::downgrade(self));
        source.watch(move |pause| {
            if let Some(desk) = desk.upgrade() {
                desk.hint_source_in(&name, Cause::Edit, pause);
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
        &self.settings
    }

    /// Plans of all stacks are made one after the other.
    pub(crate) async fn placing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.placing.lock().await
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("nothing panics while it holds the notes")
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
    pub(crate) async fn protect_all(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.kept.read().await
    }

    /// Held by whoever takes away: nobody counts on anything meanwhile.
    pub(crate) async fn take_away(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.kept.write().await
    }

    /// There may be something to take away.
    pub(crate) fn want_room(&self) {
        self.room.notify_one();
    }

    /// Returns once there may be.
    pub(crate) async fn room_wanted(&self) {
        self.room.notified().await;
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
    pub(crate) fn routing<T>(&self, work: impl FnOnce(&mut EventRouting) -> T) -> T {
        work(&mut self.notes().routing)
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

    /// Every stack of which the last pass failed so.
    pub(crate) fn all_unwritten(&self) -> BTreeSet<StackName> {
        self.notes().unwritten.keys().cloned().collect()
    }

    pub(crate) fn unwritten(&self, stack: &StackName) -> Option<Operation> {
        self.notes().unwritten.get(stack).cloned()
    }

    /// What was taken away last for want of room, or why nothing could be.
    pub(crate) fn last_cleared(&self) -> Option<ClearedRow> {
        self.notes().cleared.clone()
    }

    /// Whoever looks at the stack is told whose it was.
    pub(crate) async fn note_taken(
        &self,
        stack: &StackName,
        from: &Owner,
    ) -> Result<(), RecordError> {
        let taken = Taken { from: from.to_string(), at: self.now() };
        let note = |standing: &mut Standing| standing.taken = Some(taken.clone());
        self.records().change_standing(stack, Keep::OnDisk, note).await
    }
}
