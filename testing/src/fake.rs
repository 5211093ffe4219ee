//! An engine in plain memory, for the tests of whoever plans and records: wishes come true at
//! once, but for what a test tells of an image ([`Fake::behave`]).

mod script;

use async_trait::async_trait;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use keel_engine::fields::{Cost, NETWORK_FIELDS, resource_diff};
use keel_engine::frames::Frame;
use keel_engine::tree::{self, EntryKind, Tree};
use keel_engine::{
    AddressPool, Assignment, Content, Depth, Digest, Disk, Duplex, Engine, EngineError, Event,
    ExitCause, Finding, Goal, Health, HealthTest, HostFacts, Lease, LentLogin, Login, NodeName,
    Observation, ObservedImage, ObservedNetwork, ObservedTask, ObservedVolume, Open, Phase,
    Presence, PublishedPort, PullPolicy, Result, Sweep, Swept, TaskAssignment, TaskId, Thing,
    Usage, cost_of,
};
use script::Script;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// How the tasks of an image behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Run, and get healthy at once where there is a check.
    #[default]
    Well,
    /// Run, but the check stays at `starting` until [`Fake::set_health`].
    Slow,
    /// Run, but the check fails.
    Sick,
    /// End at once with this code.
    Ends(i32),
    /// The registry does not have it.
    NoImage,
    /// Preparing it fails again and again.
    Stuck,
}

/// A node in memory.
pub struct Fake {
    node: NodeName,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    now: u64,
    /// How often it was looked at: it remembers nothing, so each look is taken for new.
    looks: u64,
    close_looks: u64,
    next_port: u16,
    tasks: BTreeMap<TaskId, ObservedTask>,
    networks: BTreeMap<String, ObservedNetwork>,
    volumes: BTreeMap<String, ObservedVolume>,
    images: BTreeMap<String, ObservedImage>,
    /// With the time at which each came.
    contents: BTreeMap<Digest, (Content, u64)>,
    /// The same, with the content of each file.
    trees: BTreeMap<Digest, (BTreeMap<PathBuf, Vec<u8>>, u64)>,
    host: Arc<HostFacts>,
    disk: Option<Disk>,
    behaviours: BTreeMap<String, Behaviour>,
    findings: Vec<Finding>,
    listeners: Vec<UnboundedSender<Event>>,
    signals: Vec<(TaskId, String)>,
    silent: bool,
    /// How often somebody asked for a turn.
    turns: u64,
    leases: Leases,
    /// Of its own, by registry.
    logins: BTreeMap<String, Login>,
    lent: Vec<LentLogin>,
}

/// What is driven by whom.
#[derive(Default)]
struct Leases {
    epoch: u64,
    numbers: u64,
    live: Vec<Lease>,
}

impl Leases {
    fn grant(&mut self) -> Lease {
        self.numbers += 1;
        let (epoch, number) = (self.epoch, self.numbers);
        let lease = Lease { holder: "a test".into(), epoch, number, term: None };
        self.live.push(lease.clone());
        lease
    }

    fn check(&self, lease: &Lease) -> Result<()> {
        let by = || format!("driver {} of this node", self.epoch);
        if self.live.contains(lease) { Ok(()) } else { Err(EngineError::Driven { by: by() }) }
    }
}

impl Fake {
    /// An empty node of this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        let inner = Inner { now: 1_700_000_000_000, next_port: 32_768, ..Inner::default() };
        Self { node: node.into(), inner: Mutex::new(inner) }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.node
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds the lock")
    }

    /// From now on, how tasks of this image behave.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        self.inner().behaviours.insert(image.to_owned(), behaviour);
    }

    /// The node's clock, in milliseconds; it stands still otherwise.
    pub fn advance(&self, millis: u64) {
        self.inner().now += millis;
    }

    /// What the check of a task says from now on.
    pub fn set_health(&self, task: &TaskId, health: Health) {
        let mut inner = self.inner();
        let now = inner.now;
        if let Some(task) = inner.tasks.get_mut(task) {
            (task.health, task.health_since) = (health, Some(now));
        }
        inner.tell(Event::Task(task.clone()));
    }

    /// Somebody ends the task's process with a signal.
    pub fn kill_from_outside(&self, task: &TaskId, signal: i32) {
        let mut inner = self.inner();
        let now = inner.now;
        if let Some(task) = inner.tasks.get_mut(task) {
            ended(task, 128 + signal, ExitCause::KilledFromOutside, now);
        }
        inner.tell(Event::Task(task.clone()));
    }

    /// A difference that the next look at [`Depth::Fields`] finds, until the task or network is
    /// assigned again.
    pub fn drift(&self, task: Option<&TaskId>, finding: Finding) {
        let mut inner = self.inner();
        match task.and_then(|task| inner.tasks.get_mut(task)) {
            Some(task) => task.findings.push(finding),
            None => inner.findings.push(finding),
        }
    }

    /// Content that was handed over.
    #[must_use]
    pub fn content(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.inner().contents.get(digest).map(|(content, _)| content.bytes.to_vec())
    }

    /// The content of a file of a tree that was handed over; its path is empty where it is the root.
    #[must_use]
    pub fn tree_file(&self, digest: &Digest, path: &str) -> Option<Vec<u8>> {
        let inner = self.inner();
        let (files, _) = inner.trees.get(digest)?;
        files.get(Path::new(path)).cloned()
    }

    /// Somebody removes all trees.
    pub fn lose_trees(&self) {
        self.inner().trees.clear();
    }

    /// How full the disk is from now on, in percent.
    pub fn fill(&self, percent: u64) {
        self.inner().disk = Some(Disk { total: 100, free: 100 - percent.min(100) });
    }

    /// What it reports about its machine from now on; nothing until then.
    pub fn set_host(&self, host: HostFacts) {
        let mut inner = self.inner();
        inner.host = Arc::new(host);
        inner.tell(Event::Missed);
    }

    /// From now on it does not answer, or does again. Its tasks go on.
    pub fn silence(&self, silent: bool) {
        self.inner().silent = silent;
    }

    /// How often somebody asked for a turn.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.inner().turns
    }

    /// How often fields were read back.
    #[must_use]
    pub fn close_looks(&self) -> u64 {
        self.inner().close_looks
    }

    /// Another process drives it from now on: all leases are over.
    pub fn take_over(&self) {
        let mut inner = self.inner();
        inner.leases.epoch += 1;
        inner.leases.live.clear();
    }

    /// Leases that are not over.
    #[must_use]
    pub fn leases(&self) -> Vec<Lease> {
        self.inner().leases.live.clone()
    }

    /// From now on it has this login for a registry, or none.
    pub fn log_in(&self, registry: &str, login: Option<Login>) {
        let mut inner = self.inner();
        match login {
            Some(login) => drop(inner.logins.insert(registry.to_owned(), login)),
            None => drop(inner.logins.remove(registry)),
        }
    }

    /// Logins that it was lent since this was asked last.
    #[must_use]
    pub fn take_lent(&self) -> Vec<LentLogin> {
        std::mem::take(&mut self.inner().lent)
    }

    /// Signals that were sent, in order.
    #[must_use]
    pub fn signals(&self) -> Vec<(TaskId, String)> {
        self.inner().signals.clone()
    }
}

impl Inner {
    /// What comes instead of an answer, while it is silent.
    fn answers(&self) -> Result<()> {
        let away = || EngineError::failed("cannot reach the node", "no route to host");
        if self.silent { Err(away()) } else { Ok(()) }
    }

    fn tell(&mut self, event: Event) {
        self.listeners.retain(|listener| listener.unbounded_send(event.clone()).is_ok());
    }

    fn behaviour(&self, image: &str) -> Behaviour {
        self.behaviours.get(image).copied().unwrap_or_default()
    }

    fn take(&mut self, wish: &Assignment) -> Result<()> {
        match wish {
            Assignment::Content(content) => {
                self.contents.insert(content.digest, (content.clone(), self.now));
                Ok(())
            }
            Assignment::Tree(tree) => self.take_tree(tree),
            Assignment::Image { reference, policy, wanted } => {
                self.take_image(reference, *policy, *wanted)
            }
            Assignment::Network { spec, wanted } => self.take_network(spec, *wanted),
            Assignment::Volume { spec, wanted } => self.take_volume(spec, *wanted),
            Assignment::Task(wish) => self.take_task(wish),
        }
    }

    fn take_tree(&mut self, tree: &Tree) -> Result<()> {
        let failed = |error| EngineError::failed("cannot store files", error);
        let mut files = BTreeMap::new();
        for entry in tree.entries() {
            if let EntryKind::File { .. } = entry.kind {
                let content = tree.files().read(&entry.path).map_err(failed)?;
                files.insert(entry.path.clone(), content);
            }
        }
        let content = |path: &Path| Ok(Digest::of(&files[path]));
        if tree::digest_by(tree.entries(), content).map_err(failed)? != tree.digest {
            let what = format!("files {} came as something else", tree.digest);
            return Err(EngineError::Conflict { what, hint: None });
        }
        self.trees.insert(tree.digest, (files, self.now));
        Ok(())
    }

    fn take_image(&mut self, reference: &str, policy: PullPolicy, wanted: Presence) -> Result<()> {
        if wanted == Presence::Absent {
            let user = self.tasks.values().find(|task| task.spec.image == reference);
            if let Some(user) = user {
                return Err(in_use("image", reference, &user.spec.container_name));
            }
            self.images.remove(reference);
            return Ok(());
        }
        let there = self.images.get(reference).is_some_and(|image| image.digest.is_some());
        if policy != PullPolicy::Missing || !there {
            let pulls = self.images.get(reference).map_or(0, |image| image.pulls) + 1;
            let image = self.pulled(reference, pulls, policy);
            self.images.insert(reference.to_owned(), image);
        }
        self.tell(Event::Image(reference.to_owned()));
        Ok(())
    }

    fn pulled(&self, reference: &str, pulls: u64, policy: PullPolicy) -> ObservedImage {
        let gone = self.behaviour(reference) == Behaviour::NoImage || policy == PullPolicy::Never;
        ObservedImage {
            reference: reference.to_owned(),
            digest: (!gone).then(|| Digest::of(reference.as_bytes())),
            size: 1,
            failure: gone.then(|| keel_engine::Failure {
                kind: keel_engine::FailureKind::NotInRegistry,
                text: format!("no such image: {reference}"),
            }),
            pulls,
            ..ObservedImage::default()
        }
    }

    fn sweep(&mut self, sweep: &Sweep) -> Swept {
        let specs: Vec<_> = self.tasks.values().map(|task| task.spec.clone()).collect();
        let used = |image: &String| specs.iter().any(|spec| spec.image == *image);
        let goes = |image: &&String| !sweep.needed.contains(*image) && !used(image);
        let images: Vec<_> = sweep.images.iter().filter(goes).cloned().collect();
        if sweep.dry {
            return Swept { bytes: images.len() as u64, images, ..Swept::default() };
        }
        let gone = |image: &String| self.images.remove(image).is_some();
        let images: Vec<_> = images.into_iter().filter(gone).collect();
        let named: std::collections::BTreeSet<_> =
            specs.iter().flat_map(|spec| spec.contents()).collect();
        let needed = |digest: &Digest| sweep.contents.contains(digest) || named.contains(digest);
        let before = (self.contents.len(), self.trees.len());
        self.contents.retain(|digest, (_, came)| *came >= sweep.contents_before || needed(digest));
        self.trees.retain(|digest, (_, came)| *came >= sweep.trees_before || needed(digest));
        let contents = (before.0 - self.contents.len()) as u64;
        let trees = (before.1 - self.trees.len()) as u64;
        Swept { bytes: images.len() as u64, images, contents, trees, waits: false }
    }

    fn take_network(&mut self, spec: &keel_engine::NetworkSpec, wanted: Presence) -> Result<()> {
        if wanted == Presence::Absent {
            let joins = |task: &&ObservedTask| {
                task.spec.networks.iter().any(|attachment| attachment.network == spec.name)
            };
            if let Some(user) = self.tasks.values().find(joins) {
                return Err(in_use("network", &spec.name, &user.spec.container_name));
            }
            self.networks.remove(&spec.name);
        } else if let Some(known) = self.networks.get_mut(&spec.name) {
            let differences = resource_diff(NETWORK_FIELDS, &known.spec, spec);
            if cost_of(&differences) == Some(Cost::Replace) {
                let what = format!("network {} exists with another definition", spec.name);
                return Err(EngineError::Conflict { what, hint: None });
            }
            known.spec = spec.clone();
            self.findings.clear();
        } else {
            let number = self.networks.len() + 20;
            let created = self.now;
            let network = ObservedNetwork {
                spec: spec.clone(),
                pools: pools(number),
                link: Some(format!("br-{number}")),
                created,
                tasks: vec![],
                message: None,
            };
            self.networks.insert(spec.name.clone(), network);
            self.findings.clear();
        }
        self.tell(Event::Resource(spec.name.clone()));
        Ok(())
    }

    /// A network that goes with its last task goes now, if this was it.
    fn leave_networks(&mut self, left: &keel_engine::TaskSpec) {
        let joins = |spec: &keel_engine::TaskSpec, name: &str| {
            spec.networks.iter().any(|attachment| attachment.network == name)
        };
        let tasks = &self.tasks;
        self.networks.retain(|name, network| {
            !network.spec.auto_remove
                || !joins(left, name)
                || tasks.values().any(|task| joins(&task.spec, name))
        });
    }

    fn take_volume(&mut self, spec: &keel_engine::VolumeSpec, wanted: Presence) -> Result<()> {
        if wanted == Presence::Absent {
            self.volumes.remove(&spec.name);
        } else {
            let created = self.now;
            self.volumes.entry(spec.name.clone()).or_insert_with(|| ObservedVolume {
                spec: spec.clone(),
                mountpoint: format!("/fake/{}", spec.name),
                created,
                tasks: vec![],
                anonymous: false,
                message: None,
            });
        }
        self.tell(Event::Resource(spec.name.clone()));
        Ok(())
    }

    fn take_task(&mut self, wish: &TaskAssignment) -> Result<()> {
        let before = self.tasks.get(&wish.id);
        if let Some(task) = before.filter(|task| task.generation > wish.generation) {
            let (task, has, given) = (task.id.clone(), task.generation, wish.generation);
            return Err(EngineError::OldGeneration { task, has, given });
        }
        let same = before.is_some_and(|task| task.generation == wish.generation);
        if same && before.is_some_and(|task| task.goal >= wish.goal) {
            return Ok(());
        }
        if wish.goal == Goal::Removed {
            self.tasks.remove(&wish.id);
            self.leave_networks(&wish.spec);
        } else {
            let task = self.driven(wish);
            self.tasks.insert(wish.id.clone(), task);
        }
        self.tell(Event::Task(wish.id.clone()));
        Ok(())
    }

    /// The task as it is once the wish has come true.
    fn driven(&mut self, wish: &TaskAssignment) -> ObservedTask {
        let mut task = match self.tasks.get(&wish.id) {
            Some(task) => task.clone(),
            None => fresh(wish, self.now),
        };
        (task.generation, task.goal, task.spec) = (wish.generation, wish.goal, wish.spec.clone());
        (task.revision, task.origins) = (wish.revision.clone(), wish.origins.clone());
        task.joins.clone_from(&wish.joins);
        task.findings.clear();
        match wish.goal {
            Goal::Ready => task.phase = Phase::Ready,
            Goal::Running => {
                let before = task.pid.filter(|_| wish.anew);
                if before.is_some() {
                    ended(&mut task, 143, ExitCause::Stopped, self.now);
                }
                self.run(&mut task);
                task.pid = task.pid.map(|pid| before.map_or(pid, |before| before + 1_000));
            }
            Goal::Stopped => ended(&mut task, 143, ExitCause::Stopped, self.now),
            Goal::Removed => {}
        }
        task
    }

    fn run(&mut self, task: &mut ObservedTask) {
        if task.phase == Phase::Running {
            return;
        }
        let behaviour = self.behaviour(&task.spec.image);
        if behaviour == Behaviour::NoImage {
            (task.phase, task.message) = (Phase::Rejected, Some("no such image".into()));
            return;
        }
        if behaviour == Behaviour::Stuck {
            (task.phase, task.attempts) = (Phase::Preparing, 9);
            task.message = Some("port 80/tcp is taken".into());
            return;
        }
        (task.phase, task.started, task.finished) = (Phase::Running, Some(self.now), None);
        (task.exit_code, task.exit_cause) = (None, None);
        task.pid = Some(1_000 + u32::try_from(self.tasks.len()).unwrap_or(0));
        task.digest = Some(Digest::of(task.spec.image.as_bytes()));
        task.health = first_health(task, behaviour);
        task.health_since = Some(self.now);
        task.ports = task.spec.ports.iter().map(|port| self.publish(port)).collect();
        if let Behaviour::Ends(code) = behaviour {
            ended(task, code, ExitCause::Own, self.now);
        }
    }

    /// A killed process is followed by another where the policy says so.
    fn signal(&mut self, id: &TaskId, signal: &str) {
        self.signals.push((id.clone(), signal.to_owned()));
        let Some(task) = self.tasks.get_mut(id) else { return };
        if signal == "KILL" && task.spec.restart == keel_engine::RestartPolicy::Always {
            task.pid = task.pid.map(|pid| pid + 1_000);
            self.tell(Event::Task(id.clone()));
        }
    }

    fn publish(&mut self, port: &keel_engine::Port) -> PublishedPort {
        let published = port.published.unwrap_or_else(|| {
            self.next_port += 1;
            self.next_port
        });
        let host_ip = port.host_ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
        PublishedPort { host_ip, published, target: port.target, protocol: port.protocol }
    }
}

/// Addresses such as a node chooses.
fn pools(number: usize) -> Vec<AddressPool> {
    let subnet = format!("172.{number}.0.0/16").parse().ok();
    let gateway = format!("172.{number}.0.1").parse().ok();
    subnet.map(|subnet| AddressPool { subnet, gateway }).into_iter().collect()
}

fn in_use(kind: &str, name: &str, user: &str) -> EngineError {
    EngineError::Conflict {
        what: format!("{kind} {name} is in use by {user}"),
        hint: Some(format!("remove {user} first")),
    }
}

fn first_health(task: &ObservedTask, behaviour: Behaviour) -> Health {
    let check = task.spec.healthcheck.as_ref().filter(|check| check.test != HealthTest::Disabled);
    match (check, behaviour) {
        (None, _) => Health::None,
        (Some(_), Behaviour::Slow) => Health::Starting,
        (Some(_), Behaviour::Sick) => Health::Unhealthy,
        (Some(_), _) => Health::Healthy,
    }
}

fn ended(task: &mut ObservedTask, code: i32, cause: ExitCause, now: u64) {
    if matches!(task.phase, Phase::Running | Phase::Backoff | Phase::Draining) {
        (task.exit_code, task.exit_cause, task.finished) = (Some(code), Some(cause), Some(now));
    }
    (task.phase, task.pid, task.health) = (Phase::Exited, None, Health::None);
}

/// A task that a node was just told of.
#[must_use]
pub fn fresh(wish: &TaskAssignment, now: u64) -> ObservedTask {
    ObservedTask {
        id: wish.id.clone(),
        place: wish.place.clone(),
        generation: wish.generation,
        goal: wish.goal,
        spec: wish.spec.clone(),
        digest: wish.digest,
        joins: wish.joins.clone(),
        apart: false,
        revision: wish.revision.clone(),
        origins: wish.origins.clone(),
        auto_remove: wish.auto_remove,
        phase: Phase::Pending,
        message: None,
        attempts: 0,
        pid: None,
        created: now,
        started: None,
        finished: None,
        exit_code: None,
        exit_cause: None,
        restarts: 0,
        health: Health::None,
        health_since: None,
        health_output: None,
        health_limit: wish.spec.healthcheck.as_ref().map(|_| 180_000),
        addresses: vec![],
        ports: vec![],
        findings: vec![],
    }
}

#[async_trait]
impl Engine for Fake {
    async fn observe(&self, depth: Depth) -> Result<Observation> {
        let mut inner = self.inner();
        inner.answers()?;
        inner.looks += 1;
        inner.close_looks += u64::from(depth != Depth::State);
        let mut tasks: Vec<_> = inner.tasks.values().cloned().collect();
        let far = tasks.iter_mut().filter(|task| !depth.is_close(&task.place));
        far.for_each(|task| task.findings.clear());
        Ok(Observation {
            node: self.node.clone(),
            at: inner.now,
            version: inner.looks,
            tasks: tasks.into_iter().map(Arc::new).collect(),
            networks: inner.networks.values().cloned().map(Arc::new).collect(),
            volumes: inner.volumes.values().cloned().map(Arc::new).collect(),
            images: inner.images.values().cloned().map(Arc::new).collect(),
            host: Arc::clone(&inner.host),
            disk: inner.disk,
            foreign: vec![],
            findings: if depth != Depth::State { inner.findings.clone() } else { vec![] },
        })
    }

    async fn assign(&self, wishes: &[Assignment]) -> Result<()> {
        let mut inner = self.inner();
        inner.answers()?;
        let refusals: Vec<_> = wishes.iter().filter_map(|wish| inner.take(wish).err()).collect();
        refusals.into_iter().next().map_or(Ok(()), Err)
    }

    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        self.renew(lease).await?;
        self.assign(wishes).await
    }

    async fn lease(&self) -> Result<Lease> {
        let mut inner = self.inner();
        inner.answers()?;
        inner.turns += 1;
        Ok(inner.leases.grant())
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        let inner = self.inner();
        inner.answers()?;
        inner.leases.check(lease)
    }

    fn release(&self, lease: &Lease) {
        self.inner().leases.live.retain(|live| live != lease);
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<Swept> {
        self.inner().answers()?;
        Ok(self.inner().sweep(sweep))
    }

    async fn sweep_under(&self, lease: &Lease, sweep: &Sweep) -> Result<Swept> {
        self.renew(lease).await?;
        self.sweep(sweep).await
    }

    async fn login_for(&self, registry: &str) -> Result<Option<Login>> {
        Ok(self.inner().logins.get(registry).cloned())
    }

    async fn lend(&self, logins: &[LentLogin]) -> Result<()> {
        let mut inner = self.inner();
        inner.answers()?;
        inner.lent.extend_from_slice(logins);
        Ok(())
    }

    async fn usage(&self) -> Result<Usage> {
        let inner = self.inner();
        inner.answers()?;
        Ok(Usage {
            images: inner.images.values().map(|image| image.size).sum(),
            tasks: inner.tasks.keys().map(|id| (id.clone(), 1)).collect(),
            volumes: inner.volumes.keys().map(|name| (name.clone(), 1)).collect(),
            contents: inner.contents.values().map(|(content, _)| content.bytes.len() as u64).sum(),
        })
    }

    async fn handed(&self, digest: &Digest) -> Result<Option<Assignment>> {
        let inner = self.inner();
        let content = inner.contents.get(digest).map(|(content, _)| content.clone());
        Ok(content.map(Assignment::Content))
    }

    fn events(&self) -> BoxStream<'static, Event> {
        let (sender, receiver): (_, UnboundedReceiver<Event>) = unbounded();
        self.inner().listeners.push(sender);
        receiver.boxed()
    }

    async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        let (Open::Logs { task, .. }
        | Open::Exec { task, .. }
        | Open::Attach { task, .. }
        | Open::Signal { task, .. }) = &what;
        if !self.inner().tasks.contains_key(task) {
            return Err(EngineError::NotFound { kind: Thing::Task, name: task.to_string() });
        }
        if let Open::Signal { task, signal } = &what {
            self.inner().signal(task, signal);
        }
        let said = match &what {
            Open::Logs { task, .. } | Open::Attach { task, .. } => format!("output of {task}\n"),
            Open::Exec { exec, .. } => format!("{}\n", exec.command.join(" ")),
            Open::Signal { .. } => String::new(),
        };
        Ok(Box::new(Script([Frame::Stdout(said.into_bytes()), Frame::Exit(0)].into())))
    }
}
