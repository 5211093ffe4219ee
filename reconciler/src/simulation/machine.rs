//! A node of its own: what it was told is on its disk and survives it, and what was told comes true in its own
//! time. An engine as the contract wants it, in virtual time.

use super::dice::Dice;
use super::shop::{Behavior, behavior};
use keel_engine::{
    Assignment, Digest, EngineError, Goal, Lease, NodeName, Observation, ObservedImage,
    ObservedTask, ObservedVolume, Phase, Presence, PullPolicy, Result, TaskAssignment, TaskId,
    VolumeSpec,
};
use keel_testing::fake::fresh;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The time at which every clock begins.
pub(super) const BEGIN: u64 = 1_700_000_000_000;

pub(super) struct Machine {
    pub name: NodeName,
    state: Mutex<State>,
}

pub(super) struct State {
    pub is_on: bool,
    /// How far its clock is from the true time.
    pub clock: i64,
    /// The highest epoch that it has heard; on its disk.
    epoch: u64,
    pub tasks: BTreeMap<TaskId, Entry>,
    images: BTreeMap<String, (ObservedImage, Option<u64>)>,
    pub volumes: BTreeMap<String, Arc<ObservedVolume>>,
    /// Who drives it; forgotten when it starts.
    leases: Vec<Lease>,
    numbers: u64,
    version: u64,
    pub dice: Dice,
}

/// A task, and when something becomes of it by itself.
#[derive(Clone)]
pub(super) struct Entry {
    pub seen: Arc<ObservedTask>,
    pub due: Option<u64>,
}

impl Machine {
    pub fn new(name: &str, dice: Dice) -> Self {
        let state = State {
            is_on: true,
            clock: 0,
            epoch: 0,
            tasks: BTreeMap::new(),
            images: BTreeMap::new(),
            volumes: BTreeMap::new(),
            leases: Vec::new(),
            numbers: 0,
            version: 0,
            dice,
        };
        Self { name: name.into(), state: Mutex::new(state) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn is_on(&self) -> bool {
        self.state().is_on
    }

    /// Every task that it has.
    pub fn tasks(&self) -> Vec<Arc<ObservedTask>> {
        self.state().tasks.values().map(|entry| entry.seen.clone()).collect()
    }

    pub fn observe(&self, now: u64) -> Observation {
        let state = self.state();
        Observation {
            node: self.name.clone(),
            at: state.wall(now),
            version: state.version,
            tasks: state.tasks.values().map(|entry| entry.seen.clone()).collect(),
            volumes: state.volumes.values().cloned().collect(),
            images: state.images.values().map(|(image, _)| Arc::new(image.clone())).collect(),
            ..Observation::default()
        }
    }

    /// One more lease; those of drivers with a lower epoch are over.
    pub fn grant(&self, epoch: u64) -> Result<Lease> {
        let mut state = self.state();
        state.hear(epoch)?;
        state.numbers += 1;
        let (holder, number) = ("keel serve".to_owned(), state.numbers);
        let lease = Lease { holder, epoch, number, term: None };
        state.leases.push(lease.clone());
        Ok(lease)
    }

    pub fn release(&self, lease: &Lease) {
        self.state().leases.retain(|live| live != lease);
    }

    /// It loses sight of whoever drove it.
    pub fn forget_drivers(&self) {
        self.state().leases.clear();
    }

    /// Puts wishes on its disk, in order; those before a refused one and after it are taken.
    pub fn take(&self, epoch: u64, lease: &Lease, wishes: &[Assignment], now: u64) -> Result<()> {
        let mut state = self.state();
        state.hear(epoch)?;
        if !state.leases.contains(lease) {
            return Err(EngineError::Driven { by: "another driver".into() });
        }
        state.version += 1;
        let refused: Vec<_> = wishes.iter().filter_map(|wish| state.one(wish, now).err()).collect();
        refused.into_iter().next().map_or(Ok(()), Err)
    }
}

impl State {
    /// What its clock says.
    pub fn wall(&self, now: u64) -> u64 {
        (BEGIN + now).saturating_add_signed(self.clock)
    }

    pub fn changed(&mut self) {
        self.version += 1;
    }

    fn hear(&mut self, epoch: u64) -> Result<()> {
        if epoch < self.epoch {
            let by = format!("a controller of epoch {}", self.epoch);
            return Err(EngineError::Driven { by });
        }
        if epoch > self.epoch {
            self.epoch = epoch;
            self.leases.clear();
        }
        Ok(())
    }

    fn one(&mut self, wish: &Assignment, now: u64) -> Result<()> {
        match wish {
            Assignment::Image { reference, policy, wanted } => {
                self.image(reference, *policy, *wanted, now);
                Ok(())
            }
            Assignment::Volume { spec, wanted } => {
                self.volume(spec, *wanted, now);
                Ok(())
            }
            Assignment::Task(wish) => self.task(wish, now),
            Assignment::Content(_) | Assignment::Tree(_) | Assignment::Network { .. } => Ok(()),
        }
    }

    fn image(&mut self, reference: &str, policy: PullPolicy, wanted: Presence, now: u64) {
        if wanted == Presence::Absent {
            self.images.remove(reference);
            return;
        }
        let due = now + self.dice.between(50, 3_000);
        let new = || ObservedImage { reference: reference.to_owned(), ..ObservedImage::default() };
        let (image, pull) =
            self.images.entry(reference.to_owned()).or_insert_with(|| (new(), None));
        let is_there = image.digest.is_some() && policy == PullPolicy::Missing;
        if !is_there && pull.is_none() {
            (image.pulling, *pull) = (Some((0, 1)), Some(due));
        }
    }

    /// Pulls that have ended by now.
    pub fn pulled(&mut self, now: u64) {
        for (image, due) in self.images.values_mut() {
            if due.is_none_or(|due| due > now) {
                continue;
            }
            (image.pulling, *due, image.pulls) = (None, None, image.pulls + 1);
            self.version += 1;
            let is_gone = behavior(&image.reference) == Behavior::Gone;
            image.digest = (!is_gone).then(|| Digest::of(image.reference.as_bytes()));
            image.failure = is_gone.then(|| keel_engine::Failure {
                kind: keel_engine::FailureKind::NotInRegistry,
                text: format!("no such image: {}", image.reference),
            });
        }
    }

    fn volume(&mut self, spec: &VolumeSpec, wanted: Presence, now: u64) {
        if wanted == Presence::Absent {
            self.volumes.remove(&spec.name);
            return;
        }
        let created = self.wall(now);
        self.volumes.entry(spec.name.clone()).or_insert_with(|| {
            Arc::new(ObservedVolume {
                spec: spec.clone(),
                mountpoint: format!("/volumes/{}", spec.name),
                created,
                tasks: vec![],
                anonymous: false,
                message: None,
            })
        });
    }

    fn task(&mut self, wish: &TaskAssignment, now: u64) -> Result<()> {
        let before = self.tasks.get(&wish.id);
        if let Some(entry) = before.filter(|entry| entry.seen.generation > wish.generation) {
            let (has, given) = (entry.seen.generation, wish.generation);
            return Err(EngineError::OldGeneration { task: wish.id.clone(), has, given });
        }
        let same = before.is_some_and(|entry| entry.seen.generation == wish.generation);
        if same && before.is_some_and(|entry| entry.seen.goal >= wish.goal) {
            return Ok(());
        }
        let created = self.wall(now);
        if before.is_none() && wish.goal == Goal::Removed {
            return Ok(());
        }
        let new = || Entry { seen: Arc::new(fresh(wish, created)), due: None };
        let mut entry = before.cloned().unwrap_or_else(new);
        let task = Arc::make_mut(&mut entry.seen);
        (task.generation, task.goal, task.spec) = (wish.generation, wish.goal, wish.spec.clone());
        (task.revision, task.origins) = (wish.revision.clone(), wish.origins.clone());
        if !same {
            task.restarts = 0;
        }
        entry.due = self.next(task, wish.anew, now);
        if entry.due.is_none() && is_done(task) {
            self.tasks.remove(&wish.id);
        } else {
            self.tasks.insert(wish.id.clone(), entry);
        }
        Ok(())
    }
}

/// Whether nothing is left of it.
pub(super) fn is_done(task: &ObservedTask) -> bool {
    task.goal == Goal::Removed && !matches!(task.phase, Phase::Draining | Phase::Running)
}
