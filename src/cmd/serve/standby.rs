//! A controller that does not lead: it hands on what forges say and people ask, and leads as soon as nobody does.

use super::hooks;
use crate::context::Context;
use crate::ending::until_told;
use crate::failure::{Failure, Result, chain};
use crate::machine::keyring;
use crate::pool_records::{AUTHORITY, StoredRecord};
use crate::root;
use crate::show::ago;
use futures_util::future::BoxFuture;
use keel_api::Served;
use keel_embedded::Layout;
use keel_pool::identity::{Keyring, as_standby};
use keel_pool::transport::{Limits, Relaying, relay};
use keel_reconciler::ask::{Refusal, RefusalKind};
use keel_reconciler::config::Config;
use keel_reconciler::store::{EtcdStore, Leadership, PoolLeader, Store};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long requests may take once it leads.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a person is told who asks a standby, until it knows more.
const UNKNOWN: &str = "etcd has not answered yet";

/// Waits until this controller leads; `None`: it is to end.
pub async fn until_leading(
    etcd: &EtcdStore,
    config: &Config,
    layout: &Layout,
    context: &Context,
) -> Result<Option<Leadership>> {
    let why = Arc::new(Mutex::new(UNKNOWN.to_owned()));
    let dial = relay_to_leader(etcd.clone(), keyring(config, layout), why.clone());
    let group = root::group();
    root::admit(layout, group)
        .map_err(|error| Failure::caused("cannot give group keel access", &error))?;
    let served = Served::relaying(dial, &layout.socket(), group).await?;
    let forwarded = etcd.clone();
    let hint = move |name: &str| {
        let (etcd, name) = (forwarded.clone(), name.to_owned());
        // A poll finds what is lost.
        tokio::spawn(async move { etcd.hint_source(&name).await });
    };
    let hooks = hooks::listen(config, hint, context).await?;
    let me = me(config);
    let screen = context.screen.clone();
    let waits = |now: &str| {
        screen.tell(&format!("this controller is a standby: {now}"));
        now.clone_into(&mut why.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let led = tokio::select! {
        led = etcd.lead(&me, waits) => Some(led),
        ended = until_told() => { ended?; None }
    };
    if let Some(hooks) = hooks {
        hooks.end().await;
    }
    served.stop(FAREWELL).await;
    Ok(led)
}

fn me(config: &Config) -> PoolLeader {
    let address = config.listen.agents.map(address).unwrap_or_default();
    PoolLeader { host: root::node().to_string(), who: "keel serve".to_owned(), address }
}

/// Makes a line to the controller that leads; where there is none, says why.
fn relay_to_leader(
    etcd: EtcdStore,
    keys: Keyring,
    why: Arc<Mutex<String>>,
) -> impl Fn() -> BoxFuture<'static, std::result::Result<Relaying, Refusal>> + Send + Sync + 'static
{
    let store: Arc<dyn Store> = Arc::new(etcd.clone());
    let authority = Arc::new(StoredRecord { store, key: AUTHORITY });
    move || {
        let (etcd, authority, why) = (etcd.clone(), authority.clone(), why.clone());
        let keys = keys.clone();
        Box::pin(async move {
            let Ok(Some(leader)) = etcd.leader().await else {
                let why = why.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Err(refusal(&why));
            };
            let line = line(&leader, &authority, &keys).await;
            line.map_err(|error| refusal(&unreachable(&leader, &*error)))
        })
    }
}

async fn line(
    leader: &PoolLeader,
    authority: &StoredRecord,
    keys: &Keyring,
) -> std::result::Result<Relaying, Box<dyn std::error::Error + Send + Sync>> {
    let config = as_standby(authority, keys, ago::now()).await?;
    Ok(relay(&leader.address, &config, &Limits::default()).await?)
}

fn unreachable(
    leader: &PoolLeader,
    error: &(dyn std::error::Error + Send + Sync + 'static),
) -> String {
    format!("`{}` on {} leads: {}", leader.who, leader.host, chain(error))
}

fn refusal(why: &str) -> Refusal {
    let message = format!("this controller is a standby: {why}");
    let hint = Some("ask the controller that leads".to_owned());
    Refusal { kind: RefusalKind::NeedsDaemon, message, hint }
}

/// How nodes reach this controller.
pub fn address(listen: SocketAddr) -> String {
    match listen.ip().is_unspecified() {
        true => format!("{}:{}", root::node(), listen.port()),
        false => listen.to_string(),
    }
}

/// Says so to the pool's other controllers, as soon as etcd answers.
pub async fn announce(etcd: EtcdStore, address: String) {
    while etcd.announce(&address).await.is_err() {
        tokio::time::sleep(FAREWELL).await;
    }
}

/// Why etcd cannot be used.
pub fn failure(error: &keel_reconciler::store::StoreError) -> Failure {
    Failure::new(chain(error))
}
