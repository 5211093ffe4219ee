//! What the controller remembers, typed: one record a key of the [`Store`].
//!
//! # Invariants
//! - A change reads, changes and puts by compare-and-swap, and starts over when somebody was
//!   faster: two people and a pass never lose each other's word.
//! - No record holds the content of a secret or config.

mod decoded;
mod of_stack;
mod source_problem;
mod touched;
mod trouble;

pub use source_problem::SourceProblem;
pub use trouble::SourceTrouble;

pub(crate) use of_stack::StackRecords;

use crate::ask::WarningRow;
use crate::history::{Arrival, History, Note};
use crate::operation::{Operation, OperationState};
use crate::store::{Keep, Store, StoreError};
use decoded::Decoded;

use keel_engine::{Digest, StackName};
use keel_plan::desired::{Desired, Owner};
use keel_plan::drift::Seen;
use keel_plan::retention::Images;
use keel_plan::standing::Standing;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use touched::{STACKS, Touched};

/// Revisions of a stack that were good, and can be come back to: the present one and three more.
const GOOD: usize = 4;

/// The key of what was told.
const TOLD: &str = "notices/book";

/// Why a record could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is there, but not in a form that this version knows.
    #[error("record `{key}` cannot be read")]
    Form {
        /// Its key.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// What records give.
pub type Result<T> = std::result::Result<T, RecordError>;

/// A revision of a stack that was good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    /// What it asked for.
    pub desired: Desired,
    /// What its images meant: reference → digest.
    #[serde(default)]
    pub images: BTreeMap<String, Digest>,
    /// Since when it was known to be good, in milliseconds since 1970.
    pub at: u64,
}

/// What a source said last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceRecord {
    /// Its URL and branch, or folder.
    pub location: String,
    /// The revision that was loaded last.
    pub revision: String,
    /// When it was fetched last.
    pub fetched: u64,
    /// Stacks that the revision names by folder, refused ones too: a file that cannot be read any
    /// more still stands for the stack that it was.
    pub folders: BTreeMap<String, StackName>,
    /// A revision that would remove too much.
    pub held: Option<HeldRevision>,
    /// The revision that a person let through.
    pub confirmed: Option<String>,
    /// Since when it could not be fetched; 0 while it can.
    pub failing: u64,
    /// Why it could not be fetched.
    pub trouble: Option<SourceTrouble>,
    /// Why stacks were refused.
    pub problems: Vec<SourceProblem>,
    /// Who wrote the revision that was loaded last; `None` where there is no commit.
    pub commit: Option<Commit>,
    /// What is legal in a stack's files and hurts.
    pub warnings: BTreeMap<StackName, Vec<WarningRow>>,
    /// Stacks whose files in the revision that was read last are refused.
    pub refused: BTreeMap<StackName, RefusedRevision>,
}

/// What Git says of a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Which.
    pub revision: String,
    /// `Ann <ann@example.org>`.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
}

/// A revision of which one stack cannot be used: what was desired before stays so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRevision {
    /// Which; empty for a folder.
    pub revision: String,
    /// The first error with its place, in one line.
    pub why: String,
    /// Since when it is refused for this reason, in milliseconds since 1970.
    pub since: u64,
}

/// A revision that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRevision {
    /// Which.
    pub revision: String,
    /// Why, for people.
    pub why: String,
}

/// Typed access to the store.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn Store>,
    /// Counts what this process has changed.
    changes: watch::Sender<u64>,
    touched: Touched,
    decoded: Decoded,
}

impl Records {
    /// Records in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            changes: watch::Sender::new(0),
            touched: Touched::default(),
            decoded: Decoded::default(),
        }
    }

    /// Tells that a record was changed; several changes may be told as one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The stacks of which this process changed a record after so many changes of such, and how many there
    /// were by now.
    pub(crate) fn touched_since(&self, count: u64) -> (u64, BTreeSet<StackName>) {
        self.touched.since(count)
    }

    /// All records that tell how a stack is.
    pub(crate) async fn of_stack(&self, stack: &StackName) -> Result<StackRecords> {
        Ok(StackRecords {
            desired: self.desired(stack).await?,
            standing: self.standing(stack).await?,
            operation: self.operation(stack).await?,
            seen: self.seen(stack).await?,
        })
    }

    /// Whether anything is recorded of a stack.
    pub(crate) async fn knows(&self, stack: &StackName) -> Result<bool> {
        Ok(!self.store.keys(&key(stack, "")).await?.is_empty())
    }

    /// Whether anything at all waits in memory for the disk.
    pub(crate) async fn are_late(&self) -> bool {
        self.store.is_late("").await
    }

    /// Whether something of a stack waits in memory for the disk.
    pub async fn is_late(&self, stack: &StackName) -> bool {
        self.store.is_late(&key(stack, "")).await
    }

    /// Stores what waits in memory, as far as the disk takes it.
    pub async fn settle(&self) {
        self.store.settle().await;
    }

    /// What is put need not be read again: it is what anybody would read.
    async fn put<T>(
        &self,
        key: &str,
        value: &T,
        revision: u64,
        keep: Keep,
    ) -> crate::store::Result<u64>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let bytes = encoded(value);
        let read = serde_json::from_slice::<T>(&bytes).ok();
        let put = self.store.put(key, bytes, revision, keep).await?;
        if let Some(read) = read {
            self.decoded.put(key, put, Arc::new(read));
        }
        self.touched.note(key);
        self.changes.send_modify(|count| *count += 1);
        Ok(put)
    }

    /// A record, whole; its default where there is none.
    async fn read<T>(&self, key: &str) -> Result<Arc<T>>
    where
        T: DeserializeOwned + Default + Send + Sync + 'static,
    {
        Ok(self.shared(key).await?.map(|(value, _)| value).unwrap_or_default())
    }

    /// A record and its revision. Nobody copies it for looking at it.
    async fn shared<T>(&self, key: &str) -> Result<Option<(Arc<T>, u64)>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let revision = self.store.revision(key).await?;
        if revision == 0 {
            self.decoded.forget(key);
            return Ok(None);
        }
        if let Some(value) = self.decoded.get(key, revision) {
            return Ok(Some((value, revision)));
        }
        let Some(entry) = self.store.get(key).await? else { return Ok(None) };
        let value = serde_json::from_slice(&entry.value)
            .map_err(|source| RecordError::Form { key: key.to_owned(), source })?;
        let value = Arc::new(value);
        self.decoded.put(key, entry.revision, Arc::clone(&value));
        Ok(Some((value, entry.revision)))
    }

    /// Changes what only tells, and may be kept in memory for now.
    async fn update<T, R>(&self, key: &str, change: impl Fn(&mut T) -> R) -> Result<(R, T)>
    where
        T: DeserializeOwned + Serialize + Default + Clone + PartialEq + Send + Sync + 'static,
    {
        self.update_and(key, Keep::ForNow, change).await
    }

    /// Reads, changes, puts; again when somebody was faster. What is unchanged is not put. Gives
    /// what `change` gave and the value as it is now.
    async fn update_and<T, R>(
        &self,
        key: &str,
        keep: Keep,
        change: impl Fn(&mut T) -> R,
    ) -> Result<(R, T)>
    where
        T: DeserializeOwned + Serialize + Default + Clone + PartialEq + Send + Sync + 'static,
    {
        loop {
            let (before, revision) = self.shared::<T>(key).await?.unwrap_or_default();
            let mut value = T::clone(&before);
            let given = change(&mut value);
            // Nothing and the default read alike: what was forgotten is not brought back by a look.
            if value == *before {
                return Ok((given, value));
            }
            match self.put(key, &value, revision, keep).await {
                Ok(_) => return Ok((given, value)),
                Err(StoreError::Moved { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Every stack that anything is recorded of.
    pub async fn stacks(&self) -> Result<Vec<StackName>> {
        let keys = self.store.keys(STACKS).await?;
        let name = |key: &String| StackName::new(key.split('/').nth(1)?).ok();
        let mut names: Vec<_> = keys.iter().filter_map(name).collect();
        names.dedup();
        Ok(names)
    }

    /// What a stack shall be, as stored last.
    pub async fn desired(&self, stack: &StackName) -> Result<Option<Arc<Desired>>> {
        Ok(self.shared(&key(stack, "desired")).await?.map(|(desired, _)| desired))
    }

    /// At which of the store's revisions that was put; 0: nothing is stored.
    pub async fn desired_at(&self, stack: &StackName) -> Result<u64> {
        Ok(self.store.revision(&key(stack, "desired")).await?)
    }

    /// Stores what a stack shall be, unless exactly that is stored; says whether it is news.
    pub async fn put_desired(&self, desired: &Desired) -> Result<bool> {
        let key = key(&desired.stack, "desired");
        loop {
            let before = self.shared::<Desired>(&key).await;
            // A record that this version cannot read is replaced: what it should be is at hand.
            let revision = match before {
                Ok(Some((before, _))) if *before == *desired => return Ok(false),
                Ok(Some((_, revision))) => revision,
                Ok(None) => 0,
                Err(RecordError::Form { .. }) => {
                    self.store.get(&key).await?.map_or(0, |entry| entry.revision)
                }
                Err(error) => return Err(error),
            };
            match self.put(&key, desired, revision, Keep::OnDisk).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Moved { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A stack's memory.
    pub async fn standing(&self, stack: &StackName) -> Result<Arc<Standing>> {
        Ok(self.standing_at(stack).await?.0)
    }

    /// Whether a stack is on its way out.
    pub async fn is_removed(&self, stack: &StackName) -> Result<bool> {
        Ok(self.standing(stack).await?.removed.is_some())
    }

    /// A stack's memory, and the revision to put it back at.
    pub async fn standing_at(&self, stack: &StackName) -> Result<(Arc<Standing>, u64)> {
        Ok(self.shared(&key(stack, "standing")).await?.unwrap_or_default())
    }

    /// Puts a stack's memory back; says `false` when somebody was faster and it has to be thought
    /// over again.
    pub async fn put_standing(
        &self,
        stack: &StackName,
        standing: &Standing,
        revision: u64,
    ) -> Result<bool> {
        let key = key(stack, "standing");
        match self.put(&key, standing, revision, Keep::ForNow).await {
            Ok(_) => Ok(true),
            Err(StoreError::Moved { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Revisions of a stack that were good, oldest first.
    pub async fn good(&self, stack: &StackName) -> Result<Arc<Vec<Good>>> {
        self.read(&key(stack, "good")).await
    }

    /// One more that was good, and is the newest now.
    pub async fn add_good(&self, stack: &StackName, good: &Good) -> Result<()> {
        let add = |all: &mut Vec<Good>| {
            all.retain(|other| other.desired.hash != good.desired.hash);
            all.push(good.clone());
            all.drain(..all.len().saturating_sub(GOOD));
        };
        self.update(&key(stack, "good"), add).await.map(drop)
    }

    /// Changes a stack's memory. What begins something is refused where the disk does not take it.
    pub async fn change_standing<R>(
        &self,
        stack: &StackName,
        keep: Keep,
        change: impl Fn(&mut Standing) -> R,
    ) -> Result<R> {
        Ok(self.update_and(&key(stack, "standing"), keep, change).await?.0)
    }

    /// How the last pass ended.
    pub async fn operation(&self, stack: &StackName) -> Result<Option<Arc<Operation>>> {
        Ok(self.shared(&key(stack, "operation")).await?.map(|(operation, _)| operation))
    }

    /// How what a stack shall be came here last.
    pub async fn arrival(&self, stack: &StackName) -> Result<Arc<Arrival>> {
        self.read(&key(stack, "arrival")).await
    }

    /// Remembers that, before it is stored.
    pub async fn put_arrival(&self, stack: &StackName, arrival: &Arrival) -> Result<()> {
        let put = |last: &mut Arrival| last.clone_from(arrival);
        self.update(&key(stack, "arrival"), put).await.map(drop)
    }

    /// Records how a pass ended: its state keeps its time while nothing changes, and what was done
    /// or is news goes into the history.
    pub async fn finish(&self, stack: &StackName, note: &Note) -> Result<()> {
        let operation = note.operation();
        let change = |last: &mut Operation| {
            let same = (&last.revision, last.state) == (&operation.revision, operation.state)
                && last.reason.is_alike(&operation.reason);
            let since = last.at;
            last.clone_from(&operation);
            if same {
                last.at = since;
            }
            !same
        };
        let (news, _) = self.update(&key(stack, "operation"), change).await?;
        let goes_on = note.entry.state == OperationState::Running;
        if news || !note.entry.actions.is_empty() || goes_on {
            self.tell(stack, note).await?;
        }
        Ok(())
    }

    /// Adds to a stack's history.
    pub async fn tell(&self, stack: &StackName, note: &Note) -> Result<()> {
        let (mut note, mut number) = (note.clone(), 0);
        if self.history(stack).await?.begins(&note) {
            number = self.update("numbers/history", |last: &mut u64| *last += 1).await?.1;
            let arrival = self.arrival(stack).await?;
            if arrival.revision == note.entry.revision {
                note = note.with_arrival(Arrival::clone(&arrival));
            }
        }
        let add = |history: &mut History| history.note(&note, number);
        self.update(&key(stack, "history"), add).await.map(drop)
    }

    /// What failed had said this; kept with the last entry of this revision.
    pub async fn add_log(&self, stack: &StackName, revision: &str, log: &[String]) -> Result<()> {
        let add = |history: &mut History| {
            let last = history.0.iter_mut().rfind(|entry| entry.revision == revision);
            if let Some(last) = last {
                last.log = log.to_vec();
            }
        };
        self.update(&key(stack, "history"), add).await.map(drop)
    }

    /// A stack's past.
    pub async fn history(&self, stack: &StackName) -> Result<Arc<History>> {
        self.read(&key(stack, "history")).await
    }

    /// Differences that are known of a stack.
    pub async fn seen(&self, stack: &StackName) -> Result<Arc<Seen>> {
        self.read(&key(stack, "findings")).await
    }

    /// Remembers differences of a stack.
    pub async fn put_seen(&self, stack: &StackName, seen: &Seen) -> Result<()> {
        let put = |known: &mut Seen| known.clone_from(seen);
        self.update(&key(stack, "findings"), put).await.map(drop)
    }

    /// Differences that are known and no stack's.
    pub async fn seen_of_node(&self) -> Result<Arc<Seen>> {
        self.read("findings").await
    }

    /// Remembers them.
    pub async fn put_seen_of_node(&self, seen: &Seen) -> Result<()> {
        self.update("findings", |known: &mut Seen| known.clone_from(seen)).await.map(drop)
    }

    /// What is remembered of images.
    pub async fn images(&self) -> Result<Arc<Images>> {
        self.read("images").await
    }

    /// Changes what is remembered of images.
    pub async fn change_images(&self, change: impl Fn(&mut Images)) -> Result<()> {
        self.update("images", change).await.map(drop)
    }

    /// What a source said last.
    pub async fn source(&self, name: &str) -> Result<Arc<SourceRecord>> {
        self.read(&format!("sources/{name}")).await
    }

    /// Changes what a source said.
    pub async fn change_source<R>(
        &self,
        name: &str,
        change: impl Fn(&mut SourceRecord) -> R,
    ) -> Result<R> {
        Ok(self.update(&format!("sources/{name}"), change).await?.0)
    }

    /// What was told to people and forges, and what is on its way to them.
    pub async fn told<T>(&self) -> Result<T>
    where
        T: DeserializeOwned + Default + Clone + Send + Sync + 'static,
    {
        match self.read::<T>(TOLD).await {
            Ok(told) => Ok(T::clone(&told)),
            // Whatever is wrong is told once more.
            Err(RecordError::Form { .. }) => Ok(T::default()),
            Err(error) => Err(error),
        }
    }

    /// Stores that. There is one writer: whoever serves.
    pub async fn put_told<T: Serialize>(&self, told: &T) -> Result<()> {
        let revision = self.store.get(TOLD).await?.map_or(0, |entry| entry.revision);
        self.store.put(TOLD, encoded(told), revision, Keep::ForNow).await?;
        Ok(())
    }

    /// Nothing of a stack is remembered any more.
    pub async fn forget(&self, stack: &StackName) -> Result<()> {
        for one in self.store.keys(&key(stack, "")).await? {
            self.store.delete(&one).await?;
        }
        self.touched.note(&key(stack, ""));
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Who decides about a stack, if anybody.
    pub async fn owner(&self, stack: &StackName) -> Result<Option<Owner>> {
        let desired = self.shared::<Desired>(&key(stack, "desired")).await?;
        Ok(desired.map(|(desired, _)| desired.owner.clone()))
    }
}

/// Whether a key is that of a stack's memory.
pub(crate) fn is_standing(key: &str) -> bool {
    let stack = key.strip_prefix(STACKS).and_then(|rest| rest.strip_suffix("/standing"));
    stack.is_some_and(|stack| !stack.contains('/'))
}

fn key(stack: &StackName, what: &str) -> String {
    format!("{STACKS}{stack}/{what}")
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("our records have string keys only");
    bytes.push(b'\n');
    bytes
}
