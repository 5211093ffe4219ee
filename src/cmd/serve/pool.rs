//! The pool of a serving controller: nodes dial in, and belong to its fleet from then on.

use super::authority;
use super::shared::{Shared, Task};
use crate::context::Context;
use crate::failure::{Failure, Result, chain};
use crate::machine::keyring;
use crate::pool_records::{AUTHORITY, REGISTRY, StoredRecord, epoch, raise_epoch};
use crate::show::Screen;
use async_trait::async_trait;
use keel_api::pool::{
    AuthorityRow, NodeAsk, NodeChange, NodeChanged, NodeRow, NodeState, Pool, TokenAnswer,
    TokenAsk, TokenRow,
};
use keel_embedded::Layout;
use keel_engine::{Availability, NodeName};
use keel_plan::pool::NodeFacts;
use keel_plan::pool::Role::{Manager, Worker};
use keel_plan::strays::Stray;
use keel_pool::Visit;
use keel_pool::identity::{
    KeelVersion, NodeRecord, NodeTerms, Pin, RegistrarError, RegistryError, Role, Roster,
    RotationError, TokenId, TokenRecord, TokenSpec,
};
use keel_pool::office::{Office, Premises};
use keel_pool::transport::{Away, Far, Hello, Limits, Relayed, Switchboard};
use keel_reconciler::Settings;
use keel_reconciler::ask::{Refusal, RefusalKind};
use keel_reconciler::clock::{rfc3339, roughly};
use keel_reconciler::config::{Config, PoolConfig};
use keel_reconciler::fleet::{DOWN_AFTER, Fleet, Liveness, Moment, Uptime};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How often it is noticed that a node hears nothing any more.
const LISTEN: Duration = Duration::from_secs(1);
/// Clocks that are further apart are worth a word.
const SKEW: Duration = Duration::from_secs(5 * 60);
const ONE_WAY: &str = "the node is heard, but does not receive what is sent to it in time; nothing new is placed there";

/// The pool; nobody dials in any more once this is dropped.
pub struct Opened {
    /// For the API.
    pub pool: Arc<dyn Pool>,
    /// Lines of standbys, which hand on what they are asked; none, where there are no other controllers.
    pub relayed: Option<mpsc::Receiver<Relayed>>,
    tasks: [JoinHandle<()>; 5],
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
    layout: &Layout,
    settings: &Settings,
    shared: Option<&Shared>,
    context: &Context,
) -> Result<Option<Opened>> {
    let Some(address) = config.listen.agents else { return Ok(None) };
    let (keys, config) = (keyring(config, layout), &config.pool);
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Failure::caused(format!("cannot listen for nodes on {address}"), error)
    };
    let (fleet, store) = (&settings.fleet, &settings.store);
    let epoch =
        if shared.is_some() { raise_epoch(&**store).await? } else { epoch(&**store).await? };
    let hello = Hello { epoch, ..Hello::own() };
    let switchboard = Arc::new(Switchboard::of(limits(config), hello.clone()));
    let (told, introducing) = (switchboard.clone(), switchboard.clone());
    let introduce =
        move |controllers| introducing.introduce(Hello { controllers, ..hello.clone() });
    let telling = shared.map(|shared| shared.controllers(introduce));
    let premises = Premises {
        authority: Arc::new(StoredRecord { store: store.clone(), key: AUTHORITY }),
        file: settings.root.join("pool/authority.pem"),
        keys,
        store: Arc::new(StoredRecord { store: store.clone(), key: REGISTRY }),
        home: fleet.home().clone(),
        switchboard: switchboard.clone(),
        tell: tell(fleet.clone(), switchboard, context),
    };
    let office = Office::open(premises).await.map_err(|error| cannot(&error))?;
    for node in office.nodes() {
        join(fleet, office.far(&node.name));
    }
    let heard = told.clone();
    let placing = Placing { fleet: fleet.clone(), switchboard: heard, is_shared: shared.is_some() };
    let placing = tokio::spawn(placing.keep(office.roster()));
    let strays = tokio::spawn(tell_strays(fleet.clone(), context.screen.clone()));
    let watching = tokio::spawn(watch_over(fleet.clone(), config.down_after));
    let tcp = TcpListener::bind(address).await.map_err(|error| cannot(&error))?;
    let listen = tcp.local_addr().map_err(|error| cannot(&error))?;
    context.screen.say(&format!("nodes are heard on {listen}: `keel token create` lets one join"));
    let (relay, relayed) = shared.map(|_| mpsc::channel(1)).unzip();
    let door = office.listen(tcp, relay);
    let listening = tokio::spawn(async move { match door.await {} });
    let rotating = office.keep_rotating();
    let rotating = tokio::spawn(async move { match rotating.await {} });
    let pool = ServedPool { office, fleet: fleet.clone(), listen };
    let tasks = [listening, placing, watching, strays, rotating];
    Ok(Some(Opened { pool: Arc::new(pool), relayed, tasks, _telling: telling }))
}

/// A node belongs to the fleet; its connection knows when it was heard last.
fn join(fleet: &Fleet, far: Arc<Far>) {
    let heard = far.clone();
    fleet.join_heard(far.node().clone(), far, Arc::new(move || heard.unheard_for()));
}

/// What is waited for follows from one time.
fn limits(config: &PoolConfig) -> Limits {
    let limits = Limits::default();
    let silence = limits.silence.mul_f64(config.down_after.div_duration_f64(DOWN_AFTER));
    Limits { silence, ..limits }
}

async fn watch_over(fleet: Fleet, down_after: Duration) {
    match fleet.watch_over(Uptime::new(moment), down_after).await {}
}

fn moment() -> Moment {
    let now = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    Moment { boot: now(ClockId::CLOCK_BOOTTIME), awake: now(ClockId::CLOCK_MONOTONIC) }
}

/// What decides where tasks are placed.
struct Placing {
    fleet: Fleet,
    switchboard: Arc<Switchboard>,
    is_shared: bool,
}

impl Placing {
    /// What people say of nodes counts from the moment that it is on record, and how nodes are heard while it lasts.
    async fn keep(self, roster: Roster) {
        let mut changes = roster.changes();
        let mut last = None;
        loop {
            let mut pool = members(&changes.borrow_and_update(), self.fleet.home(), self.is_shared);
            for (name, facts) in &mut pool.members {
                facts.is_one_way =
                    name != self.fleet.home() && is_one_way(&self.switchboard.far(name));
            }
            if last.as_ref() != Some(&pool) {
                self.fleet.set_pool(pool.clone());
                last = Some(pool);
            }
            if let Ok(Err(_)) = tokio::time::timeout(LISTEN, changes.changed()).await {
                return;
            }
        }
    }
}

/// Whether a node is heard, and does not hear.
fn is_one_way(far: &Far) -> bool {
    far.pulse().is_some_and(|pulse| pulse.is_one_way())
}

/// Tells of tasks that nodes bring along and nobody here knows.
async fn tell_strays(fleet: Fleet, screen: Screen) {
    let (mut strays, mut told) = (fleet.strays(), BTreeSet::new());
    loop {
        let now = strays.borrow_and_update().clone();
        told.retain(|id| now.contains_key(id));
        for (id, stray) in now {
            if told.insert(id) {
                screen.warn(&format!("node {}: {}", stray.node, of_stray(&stray)));
            }
        }
        if strays.changed().await.is_err() {
            return;
        }
    }
}

fn of_stray(stray: &Stray) -> String {
    let Stray { name, stack, since, .. } = stray;
    let then = match since {
        Some(_) => "the container is stopped soon, and its data stays",
        None => {
            "the container is stopped once all sources have been read without that stack, and its data stays"
        }
    };
    format!("container {name} belongs to stack {stack}, which is not on record here: {then}")
}

/// `2 days ahead of`, where clocks differ by more than certificates and logs should bear.
fn of_skew(millis: i64) -> Option<String> {
    let apart = Duration::from_millis(millis.unsigned_abs());
    let side = if millis > 0 { "ahead of" } else { "behind" };
    (apart > SKEW).then(|| {
        format!(
            "its clock is {} {side} the controller's; set the one that is wrong",
            roughly(apart.as_secs()).to_lowercase()
        )
    })
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
        is_one_way: false,
        is_unheard: false,
    };
    let mut own = facts("controller".into(), Manager, registry.home(), None);
    if is_shared {
        own.availability = Availability::Drain;
    }
    let others = registry.nodes().map(|node| {
        let facts = facts(node.id.to_string(), Worker, &node.terms, node.dead);
        (node.name.clone(), NodeFacts { is_unheard: node.unheard, ..facts })
    });
    keel_plan::pool::Pool { members: others.chain([(home.clone(), own)]).collect() }
}

/// What is said of the door. A stranger's try is no news: there are many on an open port.
fn tell(
    fleet: Fleet,
    switchboard: Arc<Switchboard>,
    context: &Context,
) -> Arc<dyn Fn(Visit) + Send + Sync> {
    let screen = context.screen.clone();
    Arc::new(move |visit| {
        match visit {
        Visit::Joined(node, address) => {
            join(&fleet, switchboard.far(&node));
            screen.tell(&format!("node {node} joined, from {address}"));
        }
        Visit::Arrived(node, _) => screen.tell(&format!("node {node} is connected")),
        Visit::Left(node, why) => {
            screen.tell(&format!("node {node} is not connected: {}", chain(&why)));
        }
        Visit::Rotated => screen.tell(
            "every node has renewed its certificate: the former root of the pool's certificate authority is dropped",
        ),
        Visit::Unsettled(why) => screen.warn(&format!(
            "cannot drop the former root of the pool's certificate authority, next try in a while: {}",
            chain(&why)
        )),
        Visit::Misuse(misuse) => screen.warn(&misuse.to_string()),
        _ => {}
    }
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
        let present = self.office.authority().pin();
        Ok(self.office.tokens().iter().map(|token| token_row(token, present)).collect())
    }

    async fn create_token(&self, ask: TokenAsk) -> std::result::Result<TokenAnswer, Refusal> {
        let TokenAsk { ttl, uses, labels, creator } = ask;
        let uses = NonZeroU32::new(uses)
            .ok_or_else(|| Refusal::invalid("a token is for one machine at least"))?;
        let spec = TokenSpec { ttl, uses, role: Role::Agent, labels, creator };
        let token = self.office.create_token(spec).await.map_err(refused)?;
        Ok(TokenAnswer { token: token.reveal(), listen: self.listen.to_string() })
    }

    async fn authority(&self) -> std::result::Result<AuthorityRow, Refusal> {
        Ok(authority::row(&self.office))
    }

    async fn rotate_authority(&self) -> std::result::Result<AuthorityRow, Refusal> {
        match self.office.rotate().await {
            Ok(()) => Ok(authority::row(&self.office)),
            Err(error @ RotationError::UnderWay) => Err(conflict(error.to_string())),
            Err(error) => Err(Refusal::failed(&error)),
        }
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
            warnings: Vec::new(),
        }
    }

    fn warnings(&self, node: &NodeName, far: &Far) -> Vec<String> {
        let skew = far.pulse().and_then(|pulse| pulse.skew).and_then(of_skew);
        let strays = self.fleet.strays().borrow().clone();
        let strays = strays.values().filter(|stray| stray.node == *node).map(of_stray);
        skew.into_iter().chain(strays).collect()
    }

    fn row(&self, node: &NodeRecord) -> NodeRow {
        let far = self.office.far(&node.name);
        let (away, unheard) = (far.away(), far.unheard_for());
        let (state, since, why) = match away {
            None if is_one_way(&far) => (NodeState::Degraded, String::new(), ONE_WAY.to_owned()),
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
            warnings: self.warnings(&node.name, &far),
        }
    }
}

fn token_row(token: &TokenRecord, present: Pin) -> TokenRow {
    TokenRow {
        id: token.id.to_string(),
        uses: token.uses.get(),
        used: u32::try_from(token.joins.len()).unwrap_or(u32::MAX),
        expires: rfc3339(token.expires),
        revoked: token.revoked.is_some() || token.pool != present,
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
