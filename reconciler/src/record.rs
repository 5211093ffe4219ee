//! What the controller remembers, typed: one record a key of the [`Store`].
//!
//! # Invariants
//! - A change reads, changes and puts by compare-and-swap, and starts over when somebody was
//!   faster: two people and a pass never lose each other's word.
//! - Equal outcomes in a row are one line of history; only the last [`HISTORY`] lines are kept.
//! - No record holds the content of a secret or config.

use crate::store::{Store, StoreError};
use keel_engine::StackName;
use keel_plan::desired::{Desired, Owner};
use keel_plan::drift::Seen;
use keel_plan::standing::Standing;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lines of history that are kept for each stack.
const HISTORY: usize = 50;

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

/// How the last pass ended, and what it had seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// The revision that it was about.
    pub revision: String,
    /// How it ended.
    pub state: OperationState,
    /// What it did or why it did nothing, for people.
    pub reason: String,
    /// Since when it is so.
    pub at: u64,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Something is still to come.
    #[default]
    Running,
    /// Everything is as desired.
    Succeeded,
    /// Something failed.
    Failed,
    /// Somebody or something holds it.
    Held,
}

impl OperationState {
    /// As the status says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// One outcome, and how often it came in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What came out.
    #[serde(flatten)]
    pub operation: Operation,
    /// When it was seen last.
    pub until: u64,
    /// In a row.
    pub times: u32,
}

/// A stack's past, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(pub Vec<Outcome>);

impl History {
    /// One more outcome.
    pub fn add(&mut self, operation: Operation) {
        let until = operation.at;
        let same = |last: &&mut Outcome| {
            let last = &last.operation;
            (&last.revision, last.state, &last.reason)
                == (&operation.revision, operation.state, &operation.reason)
        };
        match self.0.last_mut().filter(same) {
            Some(last) => (last.until, last.times) = (until, last.times + 1),
            None => self.0.push(Outcome { operation, until, times: 1 }),
        }
        let beyond = self.0.len().saturating_sub(HISTORY);
        self.0.drain(..beyond);
    }
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
    /// Why it could not be fetched; ready to print.
    pub trouble: Option<String>,
    /// Why stacks were refused, and warnings; ready to print.
    pub problems: Vec<String>,
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
}

impl Records {
    /// Records in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(T, u64)>> {
        let Some(entry) = self.store.get(key).await? else { return Ok(None) };
        let value = serde_json::from_slice(&entry.value)
            .map_err(|source| RecordError::Form { key: key.to_owned(), source })?;
        Ok(Some((value, entry.revision)))
    }

    /// Reads, changes, puts; again when somebody was faster. What is unchanged is not put. Gives
    /// what `change` gave and the value as it is now.
    async fn update<T, R>(&self, key: &str, change: impl Fn(&mut T) -> R) -> Result<(R, T)>
    where
        T: DeserializeOwned + Serialize + Default + Clone + PartialEq,
    {
        loop {
            let (before, revision) = self.read::<T>(key).await?.unwrap_or_default();
            let mut value = before.clone();
            let given = change(&mut value);
            if value == before && revision != 0 {
                return Ok((given, value));
            }
            match self.store.put(key, encoded(&value), revision).await {
                Ok(_) => return Ok((given, value)),
                Err(StoreError::Moved { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Every stack that anything is recorded of.
    pub async fn stacks(&self) -> Result<Vec<StackName>> {
        let entries = self.store.range("stacks/").await?;
        let name = |key: &str| StackName::new(key.split('/').nth(1)?).ok();
        let mut names: Vec<_> = entries.iter().filter_map(|entry| name(&entry.key)).collect();
        names.dedup();
        Ok(names)
    }

    /// What a stack shall be, as stored last.
    pub async fn desired(&self, stack: &StackName) -> Result<Option<Desired>> {
        Ok(self.read(&key(stack, "desired")).await?.map(|(desired, _)| desired))
    }

    /// Stores what a stack shall be, unless exactly that is stored; says whether it is news.
    pub async fn put_desired(&self, desired: &Desired) -> Result<bool> {
        let key = key(&desired.stack, "desired");
        loop {
            let before = self.read::<Desired>(&key).await;
            // A record that this version cannot read is replaced: what it should be is at hand.
            let revision = match before {
                Ok(Some((before, _))) if before == *desired => return Ok(false),
                Ok(Some((_, revision))) => revision,
                Ok(None) => 0,
                Err(RecordError::Form { .. }) => {
                    self.store.get(&key).await?.map_or(0, |entry| entry.revision)
                }
                Err(error) => return Err(error),
            };
            match self.store.put(&key, encoded(desired), revision).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Moved { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A stack's memory.
    pub async fn standing(&self, stack: &StackName) -> Result<Standing> {
        Ok(self.standing_at(stack).await?.0)
    }

    /// A stack's memory, and the revision to put it back at.
    pub async fn standing_at(&self, stack: &StackName) -> Result<(Standing, u64)> {
        Ok(self.read(&key(stack, "standing")).await?.unwrap_or_default())
    }

    /// Puts a stack's memory back; says `false` when somebody was faster and it has to be thought
    /// over again.
    pub async fn put_standing(
        &self,
        stack: &StackName,
        standing: &Standing,
        revision: u64,
    ) -> Result<bool> {
        match self.store.put(&key(stack, "standing"), encoded(standing), revision).await {
            Ok(_) => Ok(true),
            Err(StoreError::Moved { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a stack's memory.
    pub async fn change_standing<R>(
        &self,
        stack: &StackName,
        change: impl Fn(&mut Standing) -> R,
    ) -> Result<R> {
        Ok(self.update(&key(stack, "standing"), change).await?.0)
    }

    /// How the last pass ended.
    pub async fn operation(&self, stack: &StackName) -> Result<Option<Operation>> {
        Ok(self.read(&key(stack, "operation")).await?.map(|(value, _)| value))
    }

    /// Records how a pass ended: its state keeps its time while nothing changes, and what is
    /// final becomes a line of history when it is news.
    pub async fn finish(&self, stack: &StackName, operation: &Operation) -> Result<()> {
        let change = |last: &mut Operation| {
            let same = (&last.revision, last.state, &last.reason)
                == (&operation.revision, operation.state, &operation.reason);
            if !same {
                *last = operation.clone();
            }
            !same
        };
        let (news, _) = self.update(&key(stack, "operation"), change).await?;
        if news && operation.state != OperationState::Running {
            let add = |history: &mut History| history.add(operation.clone());
            self.update(&key(stack, "history"), add).await?;
        }
        Ok(())
    }

    /// A stack's past.
    pub async fn history(&self, stack: &StackName) -> Result<History> {
        Ok(self.read(&key(stack, "history")).await?.map(|(value, _)| value).unwrap_or_default())
    }

    /// Differences that are known of a stack.
    pub async fn seen(&self, stack: &StackName) -> Result<Seen> {
        Ok(self.read(&key(stack, "findings")).await?.map(|(value, _)| value).unwrap_or_default())
    }

    /// Remembers differences of a stack.
    pub async fn put_seen(&self, stack: &StackName, seen: &Seen) -> Result<()> {
        let put = |known: &mut Seen| known.clone_from(seen);
        self.update(&key(stack, "findings"), put).await.map(drop)
    }

    /// What a source said last.
    pub async fn source(&self, name: &str) -> Result<SourceRecord> {
        let key = format!("sources/{name}");
        Ok(self.read(&key).await?.map(|(value, _)| value).unwrap_or_default())
    }

    /// Changes what a source said.
    pub async fn change_source<R>(
        &self,
        name: &str,
        change: impl Fn(&mut SourceRecord) -> R,
    ) -> Result<R> {
        Ok(self.update(&format!("sources/{name}"), change).await?.0)
    }

    /// Nothing of a stack is remembered any more.
    pub async fn forget(&self, stack: &StackName) -> Result<()> {
        for entry in self.store.range(&format!("stacks/{stack}/")).await? {
            self.store.delete(&entry.key).await?;
        }
        Ok(())
    }

    /// Who decides about a stack, if anybody.
    pub async fn owner(&self, stack: &StackName) -> Result<Option<Owner>> {
        Ok(self.desired(stack).await?.map(|desired| desired.owner))
    }
}

fn key(stack: &StackName, what: &str) -> String {
    format!("stacks/{stack}/{what}")
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("our records have string keys only");
    bytes.push(b'\n');
    bytes
}
