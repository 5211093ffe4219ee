//! Records in etcd, which several controllers share; one of them leads, and it alone writes.
//!
//! # Invariants
//! - A write is one transaction with the condition that the writer still leads: one that lost the lead without
//!   noticing changes nothing, however late its request arrives.
//! - A write whose answer was lost may have been done: asked again it has moved, and whoever wrote reads and decides
//!   anew.

mod gateway;
mod leading;
mod shapes;
mod sharing;
mod telling;

pub use gateway::{EtcdConfig, EtcdTls};
pub use leading::{Leadership, LeadershipLost, PoolLeader};

use super::{Entry, Keep, RecordHint, Result, Store, StoreError, check_key};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use gateway::Gateway;
use serde_json::{Value, json};
use shapes::{Kv, RangeAnswer, TxnAnswer, after, packed};
use std::sync::{Arc, Mutex, PoisonError};

/// Where records are below the prefix of the pool.
const RECORDS: &str = "records/";
/// The key that whoever leads holds.
const LEADER: &str = "leader";

/// A pool's records in etcd. Clones are the same store.
#[derive(Clone)]
pub struct EtcdStore {
    gateway: Arc<Gateway>,
    prefix: Arc<str>,
    /// The revision at which this process took the lead; `None` while it does not lead.
    term: Arc<Mutex<Option<u64>>>,
}

impl EtcdStore {
    /// Where this is; nothing is asked yet.
    pub fn open(config: &EtcdConfig) -> Result<Self> {
        let gateway = Arc::new(Gateway::new(config)?);
        let prefix = format!("{}/", config.prefix.trim_end_matches('/'));
        Ok(Self { gateway, prefix: prefix.into(), term: Arc::default() })
    }

    fn record(&self, key: &str) -> String {
        format!("{}{RECORDS}{key}", self.prefix)
    }

    fn own(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn term(&self) -> Option<u64> {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_term(&self, term: Option<u64>) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = term;
    }

    /// Everything that begins with this, in order.
    async fn below(&self, prefix: &str, keys_only: bool) -> Result<Vec<Kv>> {
        let body = json!({
            "key": packed(prefix.as_bytes()), "range_end": packed(&after(prefix)),
            "keys_only": keys_only, "sort_order": "ASCEND", "sort_target": "KEY",
        });
        Ok(self.gateway.ask::<RangeAnswer>("/v3/kv/range", &body).await?.kvs)
    }

    async fn one(&self, key: &str, keys_only: bool) -> Result<Option<Kv>> {
        let body = json!({ "key": packed(key.as_bytes()), "keys_only": keys_only });
        Ok(self.gateway.ask::<RangeAnswer>("/v3/kv/range", &body).await?.kvs.into_iter().next())
    }

    /// That this process still leads.
    fn is_leading(&self) -> Result<Value> {
        let term = self.term().ok_or(StoreError::NotLeading)?;
        Ok(json!({
            "target": "CREATE", "result": "EQUAL", "key": packed(self.own(LEADER).as_bytes()),
            "create_revision": term.to_string(),
        }))
    }

    /// Does this where both conditions hold; else gives what is there, and who leads.
    async fn write(&self, key: &str, expected: Option<u64>, write: Value) -> Result<TxnAnswer> {
        let mut conditions = vec![self.is_leading()?];
        conditions.extend(expected.map(|expected| {
            json!({
                "target": "MOD", "result": "EQUAL", "key": packed(key.as_bytes()),
                "mod_revision": expected.to_string(),
            })
        }));
        let look = |key: &str| json!({ "request_range": { "key": packed(key.as_bytes()) } });
        let body = json!({
            "compare": conditions, "success": [write],
            "failure": [look(&self.own(LEADER)), look(key)],
        });
        self.gateway.ask("/v3/kv/txn", &body).await
    }

    /// Why a write came to nothing: `Err` where this process leads no more, else what is at its key.
    fn found(&self, answer: &TxnAnswer) -> Result<Option<Kv>> {
        let leads = answer.range(0).is_some_and(|kv| Some(kv.create_revision) == self.term());
        if leads { Ok(answer.range(1).cloned()) } else { Err(StoreError::NotLeading) }
    }

    fn entry(&self, kv: Kv) -> Option<Entry> {
        let key = String::from_utf8(kv.key).ok()?;
        let key = key.strip_prefix(&self.record(""))?.to_owned();
        Some(Entry { key, value: kv.value, revision: kv.mod_revision })
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        Ok(self.one(&self.record(key), false).await?.and_then(|kv| self.entry(kv)))
    }

    async fn revision(&self, key: &str) -> Result<u64> {
        check_key(key)?;
        Ok(self.one(&self.record(key), true).await?.map_or(0, |kv| kv.mod_revision))
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let found = self.below(&self.record(prefix), true).await?;
        Ok(found.into_iter().filter_map(|kv| Some(self.entry(kv)?.key)).collect())
    }

    async fn range(&self, prefix: &str) -> Result<Vec<Entry>> {
        let found = self.below(&self.record(prefix), false).await?;
        Ok(found.into_iter().filter_map(|kv| self.entry(kv)).collect())
    }

    async fn watch(&self, prefix: &str) -> Result<BoxStream<'static, RecordHint>> {
        telling::watch(self.gateway.clone(), self.record(""), prefix).await
    }

    /// Also what may be kept in memory elsewhere is refused where etcd does not take it: another may lead by then.
    async fn put(&self, key: &str, value: Vec<u8>, expected: u64, _: Keep) -> Result<u64> {
        check_key(key)?;
        let at = self.record(key);
        let put =
            json!({ "request_put": { "key": packed(at.as_bytes()), "value": packed(&value) } });
        let answer = self.write(&at, Some(expected), put).await?;
        if answer.succeeded {
            return Ok(answer.header.revision);
        }
        let found = self.found(&answer)?.map_or(0, |kv| kv.mod_revision);
        Err(StoreError::Moved { key: key.to_owned(), expected, found })
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        check_key(key)?;
        let at = self.record(key);
        let delete = json!({ "request_delete_range": { "key": packed(at.as_bytes()) } });
        let answer = self.write(&at, None, delete).await?;
        if !answer.succeeded {
            self.found(&answer)?;
        }
        Ok(answer.deleted() > 0)
    }

    async fn is_late(&self, _: &str) -> bool {
        false
    }

    async fn settle(&self) {}
}
