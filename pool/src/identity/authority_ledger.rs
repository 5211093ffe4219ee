//! The pool's authorities in their store, and what all see of them: a rotation begins and ends the moment that it is
//! durable.

use super::authority_form::{Seal, encode, root_of};
use super::authority_record::{AuthorityError, authority_on_record, open_authority};
use super::keyring::{Keyring, SealedBy};
use super::pool_authority::{PoolAuthority, PresentAuthority};
use super::pool_record::{PoolRecord, PoolRecordError};
use super::private_key::KeyError;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The authorities of the pool that this controller has.
#[derive(Clone)]
pub struct AuthorityLedger {
    store: Arc<dyn PoolRecord>,
    keys: Keyring,
    seal: Arc<Option<Seal>>,
    present: PresentAuthority,
    turn: Arc<Mutex<()>>,
}

/// Why the authority is not replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// It is being replaced already.
    #[error(
        "the certificate authority is being replaced already; `keel ca show` names the nodes that have not renewed yet"
    )]
    UnderWay,
    /// The record.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl From<KeyError> for RotationError {
    fn from(error: KeyError) -> Self {
        Self::Authority(error.into())
    }
}

impl AuthorityLedger {
    /// Reads the authority on record; else the one in this file of an earlier version, else makes one.
    pub async fn open(
        store: Arc<dyn PoolRecord>,
        file: PathBuf,
        keys: Keyring,
        now: u64,
    ) -> Result<Self, AuthorityError> {
        let (authority, seal) = open_authority(&*store, file, &keys, now).await?;
        let present = PresentAuthority::new(authority);
        Ok(Self { store, keys, seal: Arc::new(seal), present, turn: Arc::default() })
    }

    /// What all see.
    #[must_use]
    pub fn present(&self) -> &PresentAuthority {
        &self.present
    }

    /// What the key on record is sealed with.
    #[must_use]
    pub fn sealed_by(&self) -> SealedBy {
        (*self.seal).as_ref().map_or(SealedBy::Nothing, |(by, _)| *by)
    }

    /// A new authority takes the present one's place, which nodes trust until each of them has renewed.
    pub async fn rotate(&self, now: u64) -> Result<(), RotationError> {
        let turn = self.turn.clone().lock_owned().await;
        match self.present.get().rotated(now)? {
            Some(next) => Ok(self.put(next, turn).await?),
            None => Err(RotationError::UnderWay),
        }
    }

    /// Drops the former root; says whether there was one.
    pub async fn settle(&self) -> Result<bool, AuthorityError> {
        let turn = self.turn.clone().lock_owned().await;
        let present = self.present.get();
        if present.rotation().is_none() {
            return Ok(false);
        }
        self.put(present.settled(), turn).await?;
        Ok(true)
    }

    /// Stores it and shows it to all. Both happen also when whoever asked for it is gone meanwhile.
    async fn put(
        &self,
        next: PoolAuthority,
        turn: OwnedMutexGuard<()>,
    ) -> Result<(), AuthorityError> {
        let this = self.clone();
        let work = tokio::spawn(async move {
            let put = this.put_once(next).await;
            drop(turn);
            put
        });
        match work.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends: there is nobody left to answer.
            Err(_) => std::future::pending().await,
        }
    }

    async fn put_once(&self, next: PoolAuthority) -> Result<(), AuthorityError> {
        let text = encode(&next, (*self.seal).as_ref())?;
        let (before, revision) = self.store.get().await?.ok_or(PoolRecordError::Moved)?;
        if root_of(&before)? != *self.present.get().signing().certificate() {
            return Err(PoolRecordError::Moved.into());
        }
        match self.store.put(text, revision).await {
            Ok(()) => {
                self.present.publish(next);
                Ok(())
            }
            Err(error) => {
                // A store that did not answer may have taken it all the same.
                if let Ok(Some(found)) = authority_on_record(&*self.store, &self.keys).await {
                    self.present.publish(found);
                }
                Err(error.into())
            }
        }
    }
}
