//! The registry in its store, and what all see of it: changes are made one after another, and are seen by who
//! serves connections the moment that they are durable.

use super::pool_record::{PoolRecord, PoolRecordError};
use super::registry::{Registry, RegistryFormError};
use super::roster::Roster;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How often a change starts over when somebody else is faster.
const ROUNDS: usize = 16;

/// Why the registry cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] PoolRecordError),
    /// What is stored.
    #[error(transparent)]
    Form(#[from] RegistryFormError),
    /// The pool's nodes have certificates of another authority, so that none could connect.
    #[error(
        "the pool has nodes, and none has a certificate of this certificate authority: its file was lost or \
         replaced; restore it from a backup, and start again"
    )]
    OtherAuthority,
}

/// The registry of the pool that this controller has.
pub(super) struct Ledger {
    store: Arc<dyn PoolRecord>,
    roster: Roster,
    turn: Arc<Mutex<()>>,
}

impl Ledger {
    /// Reads the registry; there is an empty one where none was stored.
    pub async fn open(store: Arc<dyn PoolRecord>) -> Result<Self, LedgerError> {
        let (registry, _) = load(&*store).await?;
        Ok(Self { store, roster: Roster::new(registry), turn: Arc::default() })
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Changes the registry. The change may be computed more than once; where it gives an error, nothing is stored.
    pub async fn change<T, E>(
        &self,
        mut change: impl FnMut(&mut Registry) -> Result<T, E>,
    ) -> Result<Result<T, E>, LedgerError> {
        let mut turn = self.turn.clone().lock_owned().await;
        for _ in 0..ROUNDS {
            let (before, revision) = load(&*self.store).await?;
            let mut after = before.clone();
            let answer = change(&mut after);
            if answer.is_err() || after == before {
                self.roster.publish(before);
                return Ok(answer);
            }
            match self.put(after, revision, turn).await {
                (_, Ok(())) => return Ok(answer),
                (back, Err(PoolRecordError::Moved)) => turn = back,
                (_, Err(error)) => return Err(error.into()),
            }
        }
        Err(PoolRecordError::Moved.into())
    }

    /// Stores a registry and shows it to all. Both happen also when whoever asked for it is gone meanwhile: a
    /// connection that is lost between them must not leave a node on record that nobody knows.
    async fn put(
        &self,
        registry: Registry,
        revision: u64,
        turn: OwnedMutexGuard<()>,
    ) -> (OwnedMutexGuard<()>, Result<(), PoolRecordError>) {
        let (store, roster) = (self.store.clone(), self.roster.clone());
        let work = tokio::spawn(async move {
            let put = store.put(registry.encode(), revision).await;
            if put.is_ok() {
                roster.publish(registry);
            }
            (turn, put)
        });
        match work.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends: there is nobody left to answer.
            Err(_) => std::future::pending().await,
        }
    }
}

async fn load(store: &dyn PoolRecord) -> Result<(Registry, u64), LedgerError> {
    match store.get().await? {
        Some((bytes, revision)) => Ok((Registry::decode(&bytes)?, revision)),
        None => Ok((Registry::default(), 0)),
    }
}
