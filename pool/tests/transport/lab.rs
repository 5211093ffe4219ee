//! A pool on one machine: a certificate authority, a controller that listens, agents that dial it, and wires
//! between them that can be hushed and cut.

use async_trait::async_trait;
use keel_engine::{Engine, NodeName};
use keel_pool::transport::{
    Admitted, Agent, AgentState, Allegiance, Away, Far, Gate, Hello, Limits, Listener, Peer,
    Switchboard, Turned,
};
use keel_testing::waiting::{in_time, until_holds};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Ends with whoever holds it.
pub struct Running(JoinHandle<()>);

impl Running {
    pub fn start(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Certificates of one pool.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots: Arc::new(roots) }
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        (vec![certificate.der().clone()], key)
    }

    pub fn server(&self) -> ServerConfig {
        let (ring, (chain, key)) = (Arc::new(default_provider()), self.identity("controller"));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots.clone(), ring.clone());
        ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(chain, key)
            .unwrap()
    }

    fn client(&self, (chain, key): Identity) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(chain, key)
            .unwrap()
    }
}

impl Authority {
    /// A node with a certificate of this authority that trusts another.
    pub fn client_of(&self, other: &Self, node: &str) -> ClientConfig {
        other.client(self.identity(node))
    }
}

impl Authority {
    /// Somebody without a certificate who trusts this authority.
    pub fn stranger(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }
}

/// Lets in whoever has a certificate that it knows.
#[derive(Default)]
pub struct Doorman {
    known: Mutex<HashMap<Vec<u8>, NodeName>>,
    said: Mutex<Option<mpsc::UnboundedSender<Turned>>>,
}

impl Doorman {
    /// From now on nobody may come in.
    pub fn forget_all(&self) {
        self.known.lock().unwrap().clear();
    }
}

#[async_trait]
impl Gate for Doorman {
    async fn admit(&self, peer: &Peer<'_>) -> Result<Admitted, String> {
        let known = self.known.lock().unwrap();
        let node = peer.certificates.first().and_then(|own| known.get(own.as_ref()));
        let node = node.cloned().ok_or_else(|| "it is no node of this pool".to_owned())?;
        Ok(Admitted { node, until: Box::pin(std::future::pending()) })
    }

    /// Says back what it was asked, unless that is a secret.
    async fn answer(&self, peer: &Peer<'_>, question: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(question);
        let answer = format!("{text} with {} certificates", peer.certificates.len());
        (text != "secret").then(|| answer.into_bytes())
    }

    fn turned_away(&self, _: SocketAddr, why: Turned) {
        if let Some(said) = &*self.said.lock().unwrap() {
            said.send(why).unwrap();
        }
    }

    fn left(&self, _: &NodeName, _: Away) {}
}

/// A controller.
pub struct Lab {
    pub authority: Authority,
    pub doorman: Arc<Doorman>,
    pub switchboard: Arc<Switchboard>,
    pub address: SocketAddr,
    server: Arc<ServerConfig>,
    listening: Option<Running>,
    folder: TempDir,
}

impl Lab {
    pub async fn start(limits: Limits) -> Self {
        let authority = Authority::new();
        let server = Arc::new(authority.server());
        let mut lab = Self {
            server,
            authority,
            doorman: Arc::default(),
            switchboard: Arc::new(Switchboard::new(limits)),
            address: ([127, 0, 0, 1], 0).into(),
            listening: None,
            folder: tempfile::tempdir().unwrap(),
        };
        lab.listen().await;
        lab
    }

    /// The controller comes, or comes back to the same address.
    pub async fn listen(&mut self) {
        let tcp = TcpListener::bind(self.address).await.unwrap();
        self.address = tcp.local_addr().unwrap();
        let config = self.server.clone();
        let (gate, switchboard) = (self.doorman.clone(), self.switchboard.clone());
        let tls = Arc::new(move || config.clone());
        let listener = Listener { tcp, tls, gate, switchboard, relayed: None };
        self.listening = Some(Running::start(async { match listener.run().await {} }));
    }

    /// The controller goes away.
    pub fn stop(&mut self) {
        self.listening = None;
    }

    pub fn far(&self, node: &str) -> Arc<Far> {
        self.switchboard.far(&NodeName::new(node))
    }

    /// Another controller of the same pool comes to the same address.
    pub async fn take_over(&mut self, hello: Hello) {
        self.stop();
        let address = self.address;
        let is_free = || async { TcpListener::bind(address).await.is_ok() };
        until_holds("the one before is gone", is_free).await;
        self.switchboard = Arc::new(Switchboard::of(Limits::default(), hello));
        self.listen().await;
    }

    /// What the doorman says from now on.
    pub fn turned_away(&self) -> mpsc::UnboundedReceiver<Turned> {
        let (said, hears) = mpsc::unbounded_channel();
        *self.doorman.said.lock().unwrap() = Some(said);
        hears
    }

    /// The TLS configuration of a node that the doorman knows.
    pub fn admit(&self, node: &str) -> ClientConfig {
        let identity = self.authority.identity(node);
        let certificate = identity.0[0].to_vec();
        self.doorman.known.lock().unwrap().insert(certificate, NodeName::new(node));
        self.authority.client(identity)
    }

    /// An agent that dials this address.
    pub fn agent(&self, node: &str, engine: Arc<dyn Engine>, address: SocketAddr) -> Node {
        let limits = Limits::clone(self.switchboard.limits());
        self.agent_with(self.admit(node), node, engine, address, limits)
    }

    pub fn agent_with(
        &self,
        config: ClientConfig,
        node: &str,
        engine: Arc<dyn Engine>,
        address: SocketAddr,
        limits: Limits,
    ) -> Node {
        let config = Arc::new(config);
        let file = self.folder.path().join(format!("{node}.allegiance"));
        let agent = Agent {
            allegiance: Allegiance::open(&file, &address.to_string()).unwrap(),
            server_name: server_name(),
            tls: Arc::new(move || config.clone()),
            engine,
            spool: self.folder.path().join(node),
            limits,
            advertise: None,
        };
        let (said, state) = watch::channel(AgentState::Dialing);
        let running = Running::start(async { panic!("{}", agent.run(said).await) });
        Node { state, _running: running }
    }

    /// An agent that is connected, and the far node that it is.
    pub async fn connect(&self, node: &str, engine: Arc<dyn Engine>) -> (Node, Arc<Far>) {
        let (agent, far) = (self.agent(node, engine, self.address), self.far(node));
        connected(&far).await;
        (agent, far)
    }
}

pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("controller").unwrap()
}

pub async fn connected(far: &Far) {
    until_holds("the node connects", || async { far.away().is_none() }).await;
}

/// An agent that runs.
pub struct Node {
    pub state: watch::Receiver<AgentState>,
    _running: Running,
}

impl Node {
    /// Why it has no connection, once it has none.
    pub async fn waits(&mut self) -> String {
        let waits = |state: &AgentState| matches!(state, AgentState::Waiting { .. });
        let state = in_time("the agent waits", self.state.wait_for(waits)).await.unwrap();
        let AgentState::Waiting { why, .. } = &*state else { panic!("it waits") };
        with_causes(&**why)
    }
}

impl Node {
    /// It has begun another try.
    pub async fn dials_again(&mut self) {
        let dials = |state: &AgentState| matches!(state, AgentState::Dialing);
        in_time("the agent dials again", self.state.wait_for(dials)).await.unwrap();
    }
}

pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

/// What a wire does with the bytes on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Carry,
    /// Nothing arrives, and nobody is told.
    Hush,
    /// Nothing arrives at the agent.
    OneWay,
}

/// A wire to an address.
pub struct Wire {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    connections: Arc<Mutex<Vec<Running>>>,
    _running: Running,
}

impl Wire {
    pub async fn to(target: SocketAddr) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (mode, seen) = watch::channel(Mode::Carry);
        let connections: Arc<Mutex<Vec<Running>>> = Arc::default();
        let all = connections.clone();
        let running = Running::start(async move {
            while let Ok((agent, _)) = tcp.accept().await {
                let carrying = Running::start(carry(agent, target, seen.clone()));
                all.lock().unwrap().push(carrying);
            }
        });
        Self { address, mode, connections, _running: running }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Cuts what is connected; whoever dials again gets a new connection.
    pub fn cut(&self) {
        self.connections.lock().unwrap().clear();
    }
}

async fn carry(agent: TcpStream, target: SocketAddr, mode: watch::Receiver<Mode>) {
    let Ok(controller) = TcpStream::connect(target).await else { return };
    let (agent_reads, agent_writes) = agent.into_split();
    let (reads, writes) = controller.into_split();
    let inward = one_way(agent_reads, writes, mode.clone(), |mode| mode != Mode::Hush);
    let outward = one_way(reads, agent_writes, mode, |mode| mode == Mode::Carry);
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}

async fn one_way(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
    carries: fn(Mode) -> bool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if mode.wait_for(|mode| carries(*mode)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
