//! The etcd that several controllers share, as the one that leads uses it.

use super::standby::{address, announce, failure};
use crate::failure::{Failure, Result};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use keel_reconciler::config::Config;
use keel_reconciler::store::{EtcdStore, Leadership, LeadershipLost};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between two tries at etcd.
const AGAIN: Duration = Duration::from_secs(1);

/// Records in etcd, and the lead.
pub struct Shared {
    /// The records.
    pub etcd: EtcdStore,
    /// The lead.
    pub led: Leadership,
}

/// Ends with this.
pub struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The configured etcd, to which this controller says from now on how nodes reach it.
pub fn open(config: &Config) -> Result<Option<EtcdStore>> {
    let Some(etcd) = &config.store else { return Ok(None) };
    let Some(listen) = config.listen.agents else {
        return Err(Failure::usage(
            "controllers that share an etcd run tasks on nodes only, which need an address",
        )
        .hint("name it in keel.yaml: `listen: { agents: \"0.0.0.0:7443\" }`"));
    };
    let etcd = EtcdStore::open(etcd).map_err(|error| failure(&error))?;
    tokio::spawn(announce(etcd.clone(), address(listen)));
    Ok(Some(etcd))
}

/// Ends once the lead is lost; never, where there is none to lose.
pub async fn lost(shared: Option<&Shared>) -> LeadershipLost {
    match shared {
        Some(shared) => shared.led.lost().await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// Refreshes what the other controllers were told to.
    pub fn hints(&self, refresh: impl Fn(&str) + Send + Sync + 'static) -> Task {
        let etcd = self.etcd.clone();
        Task(tokio::spawn(async move {
            let mut hints =
                until_open(&etcd, |etcd| async move { etcd.hinted_sources().await }).await;
            while let Some(name) = hints.next().await {
                refresh(&name);
            }
        }))
    }

    /// Says who the controllers are, now and whenever others are.
    pub fn controllers(&self, told: impl Fn(Vec<String>) + Send + Sync + 'static) -> Task {
        let etcd = self.etcd.clone();
        Task(tokio::spawn(async move {
            let mut changes =
                until_open(&etcd, |etcd| async move { etcd.controllers_changed().await }).await;
            let mut last = vec![];
            loop {
                if let Ok(now) = etcd.controllers().await
                    && now != last
                {
                    told(now.clone());
                    last = now;
                }
                if changes.next().await.is_none() {
                    return;
                }
            }
        }))
    }
}

/// Tries until etcd answers.
async fn until_open<T, F>(etcd: &EtcdStore, open: impl Fn(EtcdStore) -> F) -> BoxStream<'static, T>
where
    F: Future<Output = keel_reconciler::store::Result<BoxStream<'static, T>>>,
{
    loop {
        match open(etcd.clone()).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}
