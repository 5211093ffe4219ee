//! The pool of a serving controller: nodes dial in, and belong to its fleet from then on.

use super::shared::{Shared, Task};
use crate::context::Context;
use crate::failure::{Failure, Result, chain};
use crate::pool_records::{AUTHORITY, REGISTRY, StoredRecord, epoch, raise_epoch};
use async_trait::async_trait;
use keel_api::pool::{
    NodeAsk, NodeChange, NodeChanged, NodeRow, NodeState, Pool, TokenAnswer, TokenAsk, TokenRow,
};
use keel_engine::{Availability, NodeName};
use keel_plan::pool::NodeFacts;
use keel_plan::pool::Role::{Manager, Worker};
use keel_pool::Visit;
use keel_pool::identity::{
    KeelVersion, NodeRecord, NodeTerms, RegistrarError, RegistryError, Role, Roster, TokenId,
    TokenRecord, TokenSpec,
};
use keel_pool::office::{Office, Premises};
use keel_pool::transport::{Away, Far, Hello, Limits, Relayed, Switchboard};
use keel_reconciler::Settings;
use keel_reconciler::ask::{Refusal, RefusalKind};
use keel_reconciler::clock::rfc3339;
use keel_reconciler::config::{Config, PoolConfig};
use keel_reconciler::fleet::{DOWN_AFTER, Fleet, Liveness, Moment, Uptime};
use nix::time::{ClockId, clock_gettime};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The pool; nobody dials in any more once this is dropped.
pub struct Opened {
    /// For the API.
    pub pool: Arc<dyn Pool>,
    /// Lines of standbys, which hand on what they are asked; none, where there are no other controllers.
    pub relayed: Option<mpsc::Receiver<Relayed>>,
    tasks: [JoinHandle<()>; 3],
    _telling: Option<Task>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Opens `listen.agents`, where it is named: whoever is on record belongs to the fleet, connected or not.
pub async fn open(
    config: &Config,
    settings: &Settings,
    shared: Option<&Shared>,
    context: &Context,
) -> Result<Option<Opened>> {
    let Some(address) = config.listen.agents else { return Ok(None) };
    let config = config.pool;
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Failure::caused(format!("cannot listen for nodes on {address}"), error)
    };
    let (fleet, store) = (&settings.fleet, &settings.store);
    let epoch =
        if shared.is_some() { raise_epoch(&**store).await? } else { epoch(&**store).await? };
    let hello = Hello { epoch, ..Hello::own() };
    let switchboard = Arc::new(Switchboard::of(limits(config), hello.clone()));
    let told = switchboard.clone();
    let introduce = move |controllers| told.introduce(Hello { controllers, ..hello.clone() });
    let telling = shared.map(|shared| shared.controllers(introduce));
    let premises = Premises {
        authority: Arc::new(StoredRecord { store: store.clone(), key: AUTHORITY }),
        file: settings.root.join("pool/authority.pem"),
        store: Arc::new(StoredRecord { store: store.clone(), key: REGISTRY }),
        home: fleet.home().clone(),
        switchboard: switchboard.clone(),
        tell: tell(fleet.clone(), switchboard, context),
    };
    let office = Office::open(premises).await.map_err(|error| cannot(&error))?;
    for node in office.nodes() {
        join(fleet, office.far(&node.name));
    }
    let placing = tokio::spawn(keep_placing(office.roster(), fleet.clone(), shared.is_some()));
    let watching = tokio::spawn(watch_over(fleet.clone(), config));
    let tcp = TcpListener::bind(address).await.map_err(|error| cannot(&error))?;
    let listen = tcp.local_addr().map_err(|error| cannot(&error))?;
    context.screen.say(&format!("nodes are heard on {listen}: `keel token create` lets one join"));
    let (relay, relayed) = shared.map(|_| mpsc::channel(1)).unzip();
    let door = office.listen(tcp, relay);
    let listening = tokio::spawn(async move { match door.await {} });
    let pool = ServedPool { office, fleet: fleet.clone(), listen };
    let tasks = [listening, placing, watching];
    Ok(Some(Opened { pool: Arc::new(pool), relayed, tasks, _telling: telling }))
}

/// A node belongs to the fleet; its connection knows when it was heard last.
fn join(fleet: &Fleet, far: Arc<Far>) {
    let heard = far.clone();
    fleet.join_heard(far.node().clone(), far, Arc::new(move || heard.unheard_for()));
}

/// What is waited for follows from one time.
fn limits(config: PoolConfig) -> Limits {
    let limits = Limits::default();
    let silence = limits.silence.mul_f64(config.down_after.div_duration_f64(DOWN_AFTER));
    Limits { silence, ..limits }
}

async fn watch_over(fleet: Fleet, config: PoolConfig) {
    match fleet.watch_over(Uptime::new(moment), config.down_after).await {}
}

fn moment() -> Moment {
    let now = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    Moment { boot: now(ClockId::CLOCK_BOOTTIME), awake: now(ClockId::CLOCK_MONOTONIC) }
}

/// What people say of nodes decides where tasks are placed, from the moment that it is on record.
async fn keep_placing(roster: Roster, fleet: Fleet, is_shared: bool) {
    let mut changes = roster.changes();
    loop {
        let pool = members(&changes.borrow_and_update(), fleet.home(), is_shared);
        fleet.set_pool(pool);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The nodes on record, and the controller's own. Of a controller that others may follow that is drained: what ran
/// there would be out of their reach.
fn members(
    registry: &keel_pool::identity::Registry,
    home: &NodeName,
    is_shared: bool,
) -> keel_plan::pool::Pool {
    let facts = |id: String, role, terms: &NodeTerms, dead| NodeFacts {
        id,
        role,
        labels: terms.labels.clone(),
        availability: terms.availability,
        is_emptied: terms.is_emptied,
        reserve: None,
        dead,
    };
    let mut own = facts("controller".into(), Manager, registry.home(), None);
    if is_shared {
        own.availability = Availability::Drain;
    }
    let others = registry.nodes().map(|node| {
        (node.name.clone(), facts(node.id.to_string(), Worker, &node.terms, node.dead))
    });
    keel_plan::pool::Pool { members: others.chain([(home.clone(), own)]).collect() }
}

/// What is said of the door. A stranger's try is no news: there are many on an open port.
fn tell(
    fleet: Fleet,
    switchboard: Arc<Switchboard>,
    context: &Context,
) -> Box<dyn Fn(Visit) + Send + Sync> {
    let screen = context.screen.clone();
    Box::new(move |visit| match visit {
        Visit::Joined(node, address) => {
            join(&fleet, switchboard.far(&node));
            screen.tell(&format!("node {node} joined, from {address}"));
        }
        Visit::Arrived(node, _) => screen.tell(&format!("node {node} is connected")),
        Visit::Left(node, why) => {
            screen.tell(&format!("node {node} is not connected: {}", chain(&why)));
        }
        Visit::Misuse(misuse) => screen.warn(&misuse.to_string()),
        _ => {}
    })
}

struct ServedPool {
    office: Office,
    fleet: Fleet,
    listen: SocketAddr,
}

#[async_trait]
impl Pool for ServedPool {
    async fn nodes(&self) -> std::result::Result<Vec<NodeRow>, Refusal> {
        let home = self.home_row();
        let others = self.office.nodes();
        Ok([home].into_iter().chain(others.iter().map(|node| self.row(node))).collect())
    }

    async fn change(&self, ask: NodeAsk) -> std::result::Result<NodeChanged, Refusal> {
        let NodeAsk { node, change } = ask;
        let gives_up = matches!(change, NodeChange::ConfirmDead | NodeChange::Remove { .. });
        let left = if gives_up { self.fleet.volumes_on(&node) } else { Vec::new() };
        if gives_up && node == *self.fleet.home() {
            return Err(conflict(format!("{node} is the controller's own node")));
        }
        let office = &self.office;
        let done = match change {
            NodeChange::Label(changes) => office.change_terms(&node, |t| t.label(&changes)).await,
            NodeChange::Activate => self.set_availability(&node, Availability::Active).await,
            NodeChange::Pause => self.set_availability(&node, Availability::Pause).await,
            NodeChange::Drain { force } => office.change_terms(&node, |t| t.drain(force)).await,
            NodeChange::ConfirmDead => office.confirm_dead(&node).await,
            NodeChange::Remove { force } => match office.remove(&node, force).await {
                Ok(_) => {
                    self.fleet.leave(&node);
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        done.map(|()| NodeChanged { left }).map_err(refused)
    }

    async fn tokens(&self) -> std::result::Result<Vec<TokenRow>, Refusal> {
        Ok(self.office.tokens().iter().map(token_row).collect())
    }

    async fn create_token(&self, ask: TokenAsk) -> std::result::Result<TokenAnswer, Refusal> {
        let TokenAsk { ttl, uses, labels, creator } = ask;
        let uses = NonZeroU32::new(uses)
            .ok_or_else(|| Refusal::invalid("a token is for one machine at least"))?;
        let spec = TokenSpec { ttl, uses, role: Role::Agent, labels, creator };
        let token = self.office.create_token(spec).await.map_err(refused)?;
        Ok(TokenAnswer { token: token.reveal(), listen: self.listen.to_string() })
    }

    async fn revoke_token(&self, id: &str) -> std::result::Result<(), Refusal> {
        let id = TokenId::parse(id).ok_or_else(|| {
            Refusal::not_found(format!("`{id}` is not the ID of a token"))
                .hint("`keel token ls` lists the tokens")
        })?;
        self.office.revoke_token(&id).await.map_err(refused)
    }
}

impl ServedPool {
    async fn set_availability(
        &self,
        node: &NodeName,
        availability: Availability,
    ) -> std::result::Result<(), RegistrarError> {
        self.office.change_terms(node, |terms| terms.set_availability(availability)).await
    }

    fn silent_state(&self, node: &NodeRecord) -> NodeState {
        match self.fleet.liveness(&node.name) {
            Liveness::Down => NodeState::Down,
            Liveness::Unknown | Liveness::Ready => NodeState::Unknown,
        }
    }

    /// Why it is not connected, with what is made of that.
    fn why(&self, node: &NodeRecord, why: &Away) -> String {
        let why = chain(why);
        match node.dead {
            Some(at) => format!("{why}; confirmed dead at {}", rfc3339(at)),
            None if self.fleet.is_isolated() => format!(
                "{why}; all nodes fell silent together, so this controller may be the one that is cut off"
            ),
            None => why,
        }
    }

    fn home_row(&self) -> NodeRow {
        let pool = self.fleet.pool();
        let facts = pool.facts(self.fleet.home());
        NodeRow {
            name: self.fleet.home().clone(),
            id: "controller".into(),
            role: "manager".into(),
            state: NodeState::Ready,
            why: String::new(),
            since: String::new(),
            silent_for: 0,
            availability: facts.availability.word().into(),
            addr: self.listen.to_string(),
            connected_from: String::new(),
            labels: facts.labels.clone(),
            version: KeelVersion::own().to_string(),
        }
    }

    fn row(&self, node: &NodeRecord) -> NodeRow {
        let far = self.office.far(&node.name);
        let (away, unheard) = (far.away(), far.unheard_for());
        let (state, since, why) = match away {
            None => (NodeState::Ready, String::new(), String::new()),
            Some((since, why)) => (self.silent_state(node), rfc3339(since), self.why(node, &why)),
        };
        NodeRow {
            name: node.name.clone(),
            id: node.id.to_string(),
            role: "worker".into(),
            state,
            why,
            since,
            silent_for: unheard.unwrap_or_default().as_secs(),
            availability: node.terms.availability.word().into(),
            addr: node.address(),
            connected_from: node.addresses.first().cloned().unwrap_or_default(),
            labels: node.terms.labels.clone(),
            version: node.version.to_string(),
        }
    }
}

fn token_row(token: &TokenRecord) -> TokenRow {
    TokenRow {
        id: token.id.to_string(),
        uses: token.uses.get(),
        used: u32::try_from(token.joins.len()).unwrap_or(u32::MAX),
        expires: rfc3339(token.expires),
        revoked: token.revoked.is_some(),
        labels: token.labels.clone(),
        creator: token.creator.clone(),
    }
}

fn refused(error: RegistrarError) -> Refusal {
    match error {
        RegistrarError::Refused(error @ (RegistryError::NoNode(_) | RegistryError::NoToken(_))) => {
            Refusal::not_found(error.to_string())
        }
        RegistrarError::Refused(error) => conflict(error.to_string()),
        other => Refusal::failed(&other),
    }
}

fn conflict(message: String) -> Refusal {
    Refusal { kind: RefusalKind::Conflict, message, hint: None }
}
