//! Who leads: the controller whose lease keeps the leader's key. The revision at which the key was made fences all
//! that it writes.
//!
//! # Invariants
//! - Whoever leads knows that it does not any more before another can: it counts from when it asked for its lease to
//!   be kept, and gives up before that is over.

use super::super::{Result, StoreError};
use super::shapes::{LeaseAnswer, Message, TxnAnswer, packed};
use super::{EtcdStore, LEADER};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a lead lasts that is not renewed, in seconds.
const LEASE: u64 = 5;
/// It is given up this long before.
const MARGIN: Duration = Duration::from_millis(1500);
/// How often it is renewed, and how often another looks whether it is free.
const RENEWED: Duration = Duration::from_millis(1000);
const LOOKED: Duration = Duration::from_millis(500);

/// Who leads, as others are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolLeader {
    /// The machine.
    pub host: String,
    /// What leads there: `keel serve`.
    pub who: String,
    /// Where it listens for nodes and standbys; empty where it does not.
    #[serde(default)]
    pub address: String,
}

/// The lead, until it is lost or dropped.
pub struct Leadership {
    store: EtcdStore,
    lease: u64,
    lost: watch::Receiver<Option<LeadershipLost>>,
    renewing: JoinHandle<()>,
}

/// Why a controller leads no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this controller leads no more: {0}")]
pub struct LeadershipLost(String);

impl EtcdStore {
    /// Leads, once nobody else does. What it waits for is told, each time that it changes.
    pub async fn lead(&self, me: &PoolLeader, mut told: impl FnMut(&str)) -> Leadership {
        let mut last = String::new();
        loop {
            let why = match self.try_to_lead(me).await {
                Ok(Ok(leadership)) => return leadership,
                Ok(Err(PoolLeader { host, who, .. })) => format!("`{who}` on {host} leads"),
                Err(error) => error.to_string(),
            };
            if why != last {
                told(&why);
                last = why;
            }
            sleep(LOOKED).await;
        }
    }

    /// Who leads now.
    pub async fn leader(&self) -> Result<Option<PoolLeader>> {
        let found = self.one(&self.own(LEADER), false).await?;
        Ok(found.and_then(|kv| serde_json::from_slice(&kv.value).ok()))
    }

    /// Leads, unless somebody else does.
    pub async fn try_to_lead(
        &self,
        me: &PoolLeader,
    ) -> Result<std::result::Result<Leadership, PoolLeader>> {
        if let Some(leader) = self.leader().await? {
            return Ok(Err(leader));
        }
        let began = Instant::now();
        let grant = json!({ "TTL": LEASE.to_string() });
        let lease: LeaseAnswer = self.gateway.ask("/v3/lease/grant", &grant).await?;
        let key = packed(self.own(LEADER).as_bytes());
        let value = serde_json::to_vec(me).unwrap_or_default();
        let body = json!({
            "compare": [{ "target": "CREATE", "result": "EQUAL", "key": key, "create_revision": "0" }],
            "success": [{ "request_put": {
                "key": key, "value": packed(&value), "lease": lease.id.to_string(),
            } }],
            "failure": [{ "request_range": { "key": key } }],
        });
        let answer: TxnAnswer = self.gateway.ask("/v3/kv/txn", &body).await?;
        // The answer to a first try may have been lost.
        let ours = answer.range(0).filter(|kv| kv.lease == lease.id);
        let term = match (answer.succeeded, ours) {
            (true, _) => answer.header.revision,
            (false, Some(kv)) => kv.create_revision,
            (false, None) => {
                let leader = answer.range(0).and_then(|kv| serde_json::from_slice(&kv.value).ok());
                let unknown = || PoolLeader {
                    host: "another machine".to_owned(),
                    who: "keel".to_owned(),
                    address: String::new(),
                };
                return Ok(Err(leader.unwrap_or_else(unknown)));
            }
        };
        self.set_term(Some(term));
        Ok(Ok(Leadership::renewed(self.clone(), lease.id, began)))
    }
}

impl Leadership {
    fn renewed(store: EtcdStore, lease: u64, began: Instant) -> Self {
        let (tell, lost) = watch::channel(None);
        let renewing = {
            let store = store.clone();
            tokio::spawn(async move {
                let why = renew(&store, lease, began).await;
                store.set_term(None);
                tell.send_replace(Some(LeadershipLost(why)));
            })
        };
        Self { store, lease, lost, renewing }
    }

    /// Ends once the lead is lost.
    pub async fn lost(&self) -> LeadershipLost {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_else(|| LeadershipLost("it gave up".to_owned())),
            Err(_) => LeadershipLost("it gave up".to_owned()),
        }
    }

    /// Gives the lead up, so that another need not wait.
    pub async fn resign(self) {
        self.renewing.abort();
        self.store.set_term(None);
        let body = json!({ "ID": self.lease.to_string() });
        // Where etcd is away, the lease ends by itself.
        let _ = self.store.gateway.ask::<serde_json::Value>("/v3/lease/revoke", &body).await;
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.renewing.abort();
        self.store.set_term(None);
    }
}

/// Keeps the lease for as long as that works; why it does not any more.
async fn renew(store: &EtcdStore, lease: u64, began: Instant) -> String {
    let lasts = Duration::from_secs(LEASE) - MARGIN;
    let (mut until, mut why) = (began + lasts, "etcd did not answer".to_owned());
    loop {
        let asked = Instant::now();
        let kept = tokio::select! {
            kept = keep(store, lease) => kept,
            () = sleep_until(until) => return why,
        };
        match kept {
            Ok(true) => until = asked + lasts,
            Ok(false) => return "its lease is over".to_owned(),
            Err(error) => why = error.to_string(),
        }
        tokio::select! {
            () = sleep(RENEWED) => {}
            () = sleep_until(until) => return why,
        }
    }
}

async fn keep(store: &EtcdStore, lease: u64) -> std::result::Result<bool, StoreError> {
    let body = json!({ "ID": lease.to_string() });
    let kept: Message<LeaseAnswer> = store.gateway.ask("/v3/lease/keepalive", &body).await?;
    Ok(kept.result.ttl > 0)
}
