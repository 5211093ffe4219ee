//! A controller that does not lead: it says who does, passes on what forges say, and leads as soon as nobody does.

use super::hooks;
use crate::context::Context;
use crate::ending::until_told;
use crate::failure::{Failure, Result, chain};
use crate::root;
use keel_api::{Served, standby};
use keel_embedded::Layout;
use keel_reconciler::ask::{Refusal, RefusalKind};
use keel_reconciler::config::Config;
use keel_reconciler::store::{EtcdStore, Leadership, PoolLeader};
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
    let shown = why.clone();
    let router = standby(move || refusal(&shown.lock().unwrap_or_else(PoisonError::into_inner)));
    let group = root::group();
    root::admit(layout, group)
        .map_err(|error| Failure::caused("cannot give group keel access", &error))?;
    let served = Served::on_socket(router, &layout.socket(), group).await?;
    let forwarded = etcd.clone();
    let hint = move |name: &str| {
        let (etcd, name) = (forwarded.clone(), name.to_owned());
        // A poll finds what is lost.
        tokio::spawn(async move { etcd.hint_source(&name).await });
    };
    let hooks = hooks::listen(config, hint, context).await?;
    let me = PoolLeader { host: root::node().to_string(), who: "keel serve".to_owned() };
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
