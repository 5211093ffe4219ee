//! Who answers a command: the `keel serve` on the root's socket, else the same server in the
//! command's own process.
//!
//! # Invariants
//! - Whoever changes something holds the root's lock, in turns: not while only health or an exit is
//!   awaited. Readers take none.
//! - A `keel serve` that appears while a command waits for its turn is asked instead.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::{Driving, check_machine, engine, settings};
use crate::{env, root, sudo};
use keel_api::shapes::Info;
use keel_api::{Api, Client, ClientError, Served, router};
use keel_embedded::{Embedded, Holder, Layout, LockError, RootLease, RootLock};
use keel_reconciler::Controller;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a command needs of whoever answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It only looks.
    Read,
    /// It changes something.
    Drive,
}

/// Somebody who answers.
pub struct Connection {
    /// How to ask.
    pub client: Client,
    local: Option<Local>,
}

/// A server in this process. Its parts end in this order; turns end with what was done in them.
pub struct Local {
    served: Served,
    controller: Controller,
    engine: Arc<Embedded>,
    drives: bool,
}

/// How long requests that are being answered may take once everything ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between two tries at a lock that somebody else holds. The kernel tells nobody when it is free
/// who also waits for a socket.
const LOCK_AGAIN: Duration = Duration::from_millis(50);
/// Shorter waits are nobody's business.
const WORTH_TELLING: Duration = Duration::from_millis(500);

/// Finds whoever answers for this root. `who` is what others read who wait for the lock.
pub async fn connect(context: &Context, need: Need, who: &str) -> Result<Connection> {
    if let Some(host) = env::get(env::HOST) {
        let client = Client::of_socket(&socket_of(&host)?);
        client.info().await?;
        return Ok(Connection { client, local: None });
    }
    let layout = root::layout(&context.global.root);
    match daemon(&layout).await {
        Ok(Some(client)) => return Ok(Connection { client, local: None }),
        Ok(None) => {}
        Err(error) if is_forbidden(&error) => {
            let why = format!("only root and group keel may use {}", layout.socket().display());
            return Err(sudo::offer(context, &why));
        }
        Err(error) => return Err(error.into()),
    }
    if !sudo::is_root() {
        return Err(sudo::offer(context, "keel needs root for this"));
    }
    match need {
        Need::Read => local(context, &layout, Driving::Not).await,
        Need::Drive => match lock(context, &layout, who).await? {
            Driver::Me(lock) => {
                let (lease, _turn) = RootLease::new(&layout, who, lock, waiting(context));
                local(context, &layout, Driving::InTurns(lease)).await
            }
            Driver::Daemon(client) => Ok(Connection { client, local: None }),
        },
    }
}

/// Whoever answers without a question to a person: for what a shell asks at each TAB.
pub async fn unasked(context: &Context) -> Option<Connection> {
    let layout = root::layout(&context.global.root);
    let client = match env::get(env::HOST) {
        Some(host) => Some(Client::of_socket(&socket_of(&host).ok()?)),
        None => daemon(&layout).await.ok()?,
    };
    match client {
        Some(client) => Some(Connection { client, local: None }),
        None if sudo::is_root() && layout.tasks().exists() => {
            local(context, &layout, Driving::Not).await.ok()
        }
        None => None,
    }
}

/// Only a running `keel serve`.
pub async fn to_daemon(context: &Context, command: &str) -> Result<Connection> {
    let connection = connect(context, Need::Read, command).await?;
    match connection.local {
        None => Ok(connection),
        Some(_) => Err(keel_reconciler::ask::Refusal::needs_daemon(command).into()),
    }
}

/// The running `keel serve`, if there is one.
pub async fn running(context: &Context) -> Result<Option<Client>> {
    Ok(daemon(&root::layout(&context.global.root)).await?)
}

/// Drives the root until nothing is left to be done, unless a daemon does.
pub async fn drive_until_idle(context: &Context, who: &str) -> Result<Exit> {
    let layout = root::layout(&context.global.root);
    if daemon(&layout).await?.is_none() {
        if !sudo::is_root() {
            return Err(sudo::offer(context, &format!("`{who}` needs root")));
        }
        if let Driver::Me(lock) = lock(context, &layout, who).await? {
            let (lease, turn) = RootLease::new(&layout, who, lock, waiting(context));
            let engine = engine(context, &layout, Driving::InTurns(lease)).await?;
            drop(turn);
            engine.idle().await;
            engine.close().await;
        }
    }
    Ok(Exit::Done)
}

impl Connection {
    /// Ends what this process drives: what is opened stays open.
    pub async fn release(&mut self, context: &Context) -> Result<()> {
        let Some(local) = self.local.take_if(|local| local.drives) else { return Ok(()) };
        local.end().await;
        *self = connect(context, Need::Read, "").await?;
        Ok(())
    }

    /// Drives again after [`release`](Self::release).
    pub async fn retake(&mut self, context: &Context, who: &str) -> Result<()> {
        if let Some(local) = self.local.take_if(|local| !local.drives) {
            local.end().await;
            *self = connect(context, Need::Drive, who).await?;
        }
        Ok(())
    }

    /// Asks whoever took over meanwhile from now on.
    pub async fn follow(&mut self, context: &Context, who: &str) -> Result<()> {
        if let Some(local) = self.local.take() {
            local.end().await;
        }
        *self = connect(context, Need::Drive, who).await?;
        Ok(())
    }

    /// Says goodbye. What runs goes on.
    pub async fn close(self) {
        if let Some(local) = self.local {
            local.end().await;
        }
    }
}

impl Local {
    async fn end(self) {
        self.served.stop(FAREWELL).await;
        self.controller.stop().await;
        self.engine.close().await;
    }
}

enum Driver {
    Me(RootLock),
    Daemon(Client),
}

async fn lock(context: &Context, layout: &Layout, who: &str) -> Result<Driver> {
    let began = tokio::time::Instant::now();
    let mut told = false;
    loop {
        match RootLock::acquire(layout, who, false) {
            Ok(lock) => return Ok(Driver::Me(lock)),
            Err(LockError::Held { holder, .. }) => {
                if let Some(client) = daemon(layout).await? {
                    return Ok(Driver::Daemon(client));
                }
                if holder.is_agent() {
                    return Err(Failure::new(format!(
                        "{holder} drives {}",
                        layout.root().display()
                    ))
                    .hint("this machine is a node of a pool: ask its controller"));
                }
                if began.elapsed() > WORTH_TELLING && !std::mem::replace(&mut told, true) {
                    waiting(context)(&holder);
                }
                tokio::time::sleep(LOCK_AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Says whom it waits for.
fn waiting(context: &Context) -> impl Fn(&Holder) + Send + Sync + 'static {
    let screen = context.screen.clone();
    move |holder| screen.say(&format!("waiting for {holder}"))
}

/// The `keel serve` of a root, if one answers.
async fn daemon(layout: &Layout) -> std::result::Result<Option<Client>, ClientError> {
    let client = Client::of_socket(&layout.socket());
    let answer = match client.info().await {
        // It ended in the middle: who asks again is refused by the socket, or heard by its successor.
        Err(ClientError::Broken(_)) => client.info().await,
        answer => answer,
    };
    match answer {
        Ok(_) => Ok(Some(client)),
        Err(ClientError::Unreachable { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_forbidden(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { source, .. }
        if source.kind() == ErrorKind::PermissionDenied)
}

fn socket_of(host: &str) -> Result<PathBuf> {
    let path = host.strip_prefix("unix://").unwrap_or(host);
    match Path::new(path).is_absolute() {
        true => Ok(path.into()),
        false => Err(Failure::usage(format!("{}={host} is not a socket", env::HOST))
            .hint("give the path of a Unix socket: unix:///run/keel/keel.sock")),
    }
}

async fn local(context: &Context, layout: &Layout, driving: Driving) -> Result<Connection> {
    let drives = !matches!(driving, Driving::Not);
    // A root that is used for the first time.
    if drives && !layout.tasks().exists() {
        check_machine()?;
    }
    let engine = engine(context, layout, driving).await?;
    let settings = settings(context, layout, engine.clone(), None)?;
    let controller = Controller::start(settings).await?;
    let (served, client) = Served::in_process(router(api(&controller, layout, false)));
    Ok(Connection { client, local: Some(Local { served, controller, engine, drives }) })
}

/// What the routes answer from.
pub fn api(controller: &Controller, layout: &Layout, serve: bool) -> Api {
    let info = Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: layout.root().display().to_string(),
        serve,
    };
    Api { controller: controller.clone(), info, pool: None }
}
