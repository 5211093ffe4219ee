//! How every stack was when it was examined last, so that whoever asks again pays for what has changed. Pure:
//! `operate/status.rs` reads, and fills it.
//!
//! # Invariants
//! - A stack is examined again when its records, its things on nodes or what all stacks depend on changed. Time
//!   alone, and what other stacks do, changes none [at rest](ExaminedStack::is_at_rest); the others are examined
//!   again by every complete look.

use crate::ask::StatusRow;
use crate::observed_changes::changes;
use crate::operation::{Operation, OperationState};
use crate::record::{RefusedRevision, SourceRecord, StackRecords};
use crate::source::Sources;
use keel_engine::{Nodes, StackName};
use keel_plan::pool::Pool;
use keel_plan::status::{Health, Note, Status, Sync};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a stack is, with the records that say so: who needs both reads them once.
#[derive(Clone)]
pub(crate) struct ExaminedStack {
    pub row: StatusRow,
    pub records: StackRecords,
    /// The last operation: also one that no record could take.
    pub operation: Option<Operation>,
    /// What its tasks and records come to.
    pub status: Status,
    /// What its source says of its newest files.
    pub refusal: Option<(String, RefusedRevision)>,
}

impl ExaminedStack {
    /// Whether neither time nor other stacks change how it is.
    pub fn is_at_rest(&self) -> bool {
        let desired = self.records.desired.as_ref();
        let reserves = desired.is_some_and(|desired| {
            let mut specs = desired.services.values().map(|service| &service.spec);
            specs.any(|spec| spec.reserved_memory.is_some() || spec.reserved_cpus.is_some())
        });
        let succeeded = self.row.operation.state == Some(OperationState::Succeeded);
        succeeded
            && !reserves
            && (self.row.health, self.row.sync) == (Health::Healthy, Sync::InSync)
            && self.row.noted.iter().all(Note::lasts)
            && self.records.standing.taken.is_none()
    }

    fn uses(&self, images: &BTreeSet<String>) -> bool {
        let desired = self.records.desired.as_ref();
        desired.is_some_and(|desired| {
            desired.services.values().any(|service| images.contains(&service.spec.image))
        })
    }
}

/// What a source said last.
#[derive(Clone, Default)]
pub(crate) struct KnownSource {
    pub record: Arc<SourceRecord>,
    /// The stacks that its folders stand for.
    pub named: Arc<BTreeSet<StackName>>,
}

impl KnownSource {
    /// The same as before, where its record is.
    pub fn new(record: Arc<SourceRecord>, before: Option<&Self>) -> Self {
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.record, &record)) {
            return before.clone();
        }
        let named = Arc::new(record.folders.values().cloned().collect());
        Self { record, named }
    }
}

/// What all stacks are examined with.
#[derive(Clone)]
pub(crate) struct Circumstances {
    pub nodes: Nodes,
    pub pool: Arc<Pool>,
    pub configured: Arc<Sources>,
    pub sources: BTreeMap<String, KnownSource>,
    /// Records wait in memory for the disk.
    pub late: bool,
    /// So many changes of stacks' records were known.
    pub count: u64,
}

/// Every stack, and with what it was examined.
#[derive(Default)]
pub(crate) struct ExaminedStacks {
    /// So many times was looked.
    looks: u64,
    stacks: BTreeMap<StackName, (u64, Arc<ExaminedStack>)>,
    /// Those that went, with the look that found it.
    gone: BTreeMap<StackName, u64>,
    last: Option<Circumstances>,
}

impl ExaminedStacks {
    /// With what all were examined last.
    pub fn last(&self) -> Option<&Circumstances> {
        self.last.as_ref()
    }

    /// The number of the last look.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    pub fn names(&self) -> impl Iterator<Item = &StackName> {
        self.stacks.keys()
    }

    pub fn get(&self, stack: &StackName) -> Option<&Arc<ExaminedStack>> {
        self.stacks.get(stack).map(|(_, examined)| examined)
    }

    /// Every stack, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ExaminedStack>> {
        self.stacks.values().map(|(_, examined)| examined)
    }

    /// Whether no source says anything new.
    pub fn has_sources_of(&self, now: &Circumstances) -> bool {
        let Some(last) = &self.last else { return false };
        let records = |all: &Circumstances| {
            all.sources.values().map(|source| Arc::as_ptr(&source.record)).collect::<Vec<_>>()
        };
        records(last) == records(now)
    }

    /// Those that were examined after this look.
    pub fn since(&self, look: u64) -> impl Iterator<Item = &StackName> {
        self.stacks.iter().filter(move |(_, (at, _))| *at > look).map(|(stack, _)| stack)
    }

    /// Those that went after this look.
    pub fn gone_since(&self, look: u64) -> impl Iterator<Item = &StackName> {
        self.gone.iter().filter(move |(_, at)| **at > look).map(|(stack, _)| stack)
    }

    /// Those that changed on nodes, or that what all depend on concerns; `None`: all of them.
    pub fn concerned(&self, now: &Circumstances) -> Option<BTreeSet<StackName>> {
        let last = self.last.as_ref()?;
        let same = Arc::ptr_eq(&last.pool, &now.pool)
            && Arc::ptr_eq(&last.configured, &now.configured)
            && !last.late
            && !now.late;
        let found = changes(&last.nodes, &now.nodes).filter(|_| same)?;
        let mut stacks = found.stacks;
        if !found.images.is_empty() {
            let using = self.stacks.iter().filter(|(_, (_, one))| one.uses(&found.images));
            stacks.extend(using.map(|(stack, _)| stack.clone()));
        }
        Some(stacks)
    }

    /// A look begins.
    pub fn begin(&mut self) {
        self.looks += 1;
    }

    /// Takes how a stack is. One that is as it was is no news.
    pub fn keep(&mut self, stack: &StackName, examined: Arc<ExaminedStack>) {
        self.gone.remove(stack);
        if self.get(stack).is_none_or(|known| !Arc::ptr_eq(known, &examined)) {
            self.stacks.insert(stack.clone(), (self.looks, examined));
        }
    }

    /// There is none of this name any more.
    pub fn remove(&mut self, stack: &StackName) {
        if self.stacks.remove(stack).is_some() {
            self.gone.insert(stack.clone(), self.looks);
        }
    }

    /// All that these concerned was examined.
    pub fn end(&mut self, circumstances: Circumstances) {
        self.last = Some(circumstances);
    }
}
