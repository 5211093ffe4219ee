//! A controller that listens on loopback, with its records on disk, and what dials it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use keel_durable::Hold;
use keel_pool::identity::{
    AgentFile, Authority, ControllerKey, IdentityFailure, JoinAttempt, JoinError, JoinReply,
    JoinRequest, JoinStep, KeelVersion, LedgerError, NodeIdentity, NodeVerifier, PeerIdentity,
    PoolRecord, PoolRecordError, PresentAuthority, PrivateKey, Registrar, RenewError, RenewReply,
    RenewRequest, Token, TokenSpec, controller_name, to_join,
};
use keel_testing::waiting::in_time;
use rustls::{ClientConfig, ServerConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A record in a file: its revision, a line break, its value.
#[derive(Clone)]
pub struct FileStore {
    path: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl FileStore {
    pub fn new(folder: &Path) -> Self {
        Self::of(folder, "registry")
    }

    pub fn of(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name), turn: Arc::default() }
    }

    fn read(&self) -> Option<(Vec<u8>, u64)> {
        let bytes = std::fs::read(&self.path).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let revision = std::str::from_utf8(&bytes[..end]).unwrap().parse().unwrap();
        Some((bytes[end + 1..].to_vec(), revision))
    }
}

#[async_trait]
impl PoolRecord for FileStore {
    async fn get(&self) -> Result<Option<(Vec<u8>, u64)>, PoolRecordError> {
        Ok(self.read())
    }

    async fn put(&self, value: Vec<u8>, expected: u64) -> Result<(), PoolRecordError> {
        let _turn = self.turn.lock().unwrap();
        let revision = self.read().map_or(0, |(_, revision)| revision);
        if revision != expected {
            return Err(PoolRecordError::Moved);
        }
        let bytes = [format!("{}\n", revision + 1).as_bytes(), &value].concat();
        keel_durable::replace(&self.path, &bytes, 0o600, Hold::Process)
            .map_err(|error| PoolRecordError::Failed(error.into()))
    }
}

/// The registrar of the pool in a folder.
pub async fn registrar(folder: &Path) -> Result<Registrar, LedgerError> {
    registrar_on(folder, Arc::new(FileStore::new(folder))).await
}

/// The same, with another way to its records.
pub async fn registrar_on(
    folder: &Path,
    store: Arc<dyn PoolRecord>,
) -> Result<Registrar, LedgerError> {
    let authority = PresentAuthority::new(authority(folder));
    Registrar::open(store, authority, "home".into(), KeelVersion::own()).await
}

pub fn authority(folder: &Path) -> Authority {
    let file = folder.join("authority.pem");
    let made = match std::fs::read(&file) {
        Ok(text) => Authority::decode(&text, &file),
        Err(_) => Ok(Authority::create(now() - 100 * DAY).unwrap()),
    };
    let authority = made.unwrap();
    std::fs::write(&file, authority.encode()).unwrap();
    authority
}

/// A controller that answers who it takes its peers for, then one request.
pub struct Controller {
    pub folder: tempfile::TempDir,
    pub authority: PresentAuthority,
    pub registrar: Arc<Registrar>,
    pub address: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    Stranger,
    Node,
    Expired,
}

#[derive(Serialize, Deserialize)]
pub enum Asked {
    Join(JoinRequest),
    Renew(RenewRequest),
}

impl Controller {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = PresentAuthority::new(authority(folder.path()));
        let registrar = Arc::new(registrar(folder.path()).await.unwrap());
        let verifier = Arc::new(NodeVerifier::new(authority.clone(), registrar.roster()));
        let own = ControllerKey::new(authority.clone(), now()).unwrap();
        let config = verifier.server_config(Arc::new(own)).unwrap();
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listen(listener, config, verifier, registrar.clone()));
        Self { folder, authority, registrar, address }
    }

    pub async fn token(&self, at: u64) -> Token {
        self.registrar.create_token(TokenSpec::by("ann"), at).await.unwrap()
    }

    /// A machine that joined at this time.
    pub async fn node(&self, name: &str, at: u64) -> NodeIdentity {
        let (token, key) = (self.token(at).await, PrivateKey::generate().unwrap());
        let attempt = JoinAttempt::new(token, key, name.into(), KeelVersion::own());
        let answer = self.registrar.join(&attempt.request(at).unwrap(), HERE, at).await.answer;
        match attempt.answered(answer) {
            JoinStep::Joined(node) => *node,
            other => panic!("{other:?}"),
        }
    }
}

async fn listen(
    listener: TcpListener,
    config: ServerConfig,
    verifier: Arc<NodeVerifier>,
    registrar: Arc<Registrar>,
) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, from) = listener.accept().await.unwrap();
        let (acceptor, verifier, registrar) =
            (acceptor.clone(), verifier.clone(), registrar.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let shown = stream.get_ref().1.peer_certificates();
            let Ok(peer) = verifier.identify(shown, now()) else { return };
            let _ = serve(stream, peer, &registrar, from.ip()).await;
        });
    }
}

async fn serve(
    stream: server::TlsStream<TcpStream>,
    peer: PeerIdentity,
    registrar: &Registrar,
    from: IpAddr,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (who, subject) = match &peer {
        PeerIdentity::Stranger => (Who::Stranger, None),
        PeerIdentity::Node(subject) => (Who::Node, Some(subject)),
        PeerIdentity::Expired(subject) => (Who::Expired, Some(subject)),
        PeerIdentity::Standby => return Ok(()),
    };
    send(&mut stream, &who).await?;
    let answered = async {
        match (receive(&mut stream).await?, who) {
            (Asked::Join(request), Who::Stranger) => {
                let answer = registrar.join(&request, from, now()).await.answer;
                send(&mut stream, &answer).await
            }
            (Asked::Renew(request), Who::Node | Who::Expired) => {
                send(&mut stream, &registrar.renew(&peer, &request, now()).await).await
            }
            _ => Ok(()),
        }
    };
    let Some(subject) = subject else { return answered.await };
    let roster = registrar.roster();
    tokio::select! {
        done = answered => done,
        () = roster.removed(subject) => Ok(()),
    }
}

async fn send(stream: &mut (impl AsyncWriteExt + Unpin), what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what).unwrap();
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncBufReadExt + Unpin),
) -> io::Result<T> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    serde_json::from_str(&line).map_err(|_| io::ErrorKind::UnexpectedEof.into())
}

/// A connection to a controller.
pub struct Connection {
    pub who: Who,
    stream: BufReader<client::TlsStream<TcpStream>>,
}

/// Connects, and hears who the controller takes us for.
pub async fn dial(address: SocketAddr, config: ClientConfig) -> Result<Connection, io::Error> {
    dial_shared(address, Arc::new(config)).await
}

pub async fn dial_shared(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> Result<Connection, io::Error> {
    let dialed = async {
        let stream = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(config).connect(controller_name(), stream).await?;
        let mut stream = BufReader::new(stream);
        Ok(Connection { who: receive(&mut stream).await?, stream })
    };
    in_time("a handshake", dialed).await
}

/// Why no connection came about.
pub async fn refusal(address: SocketAddr, config: ClientConfig) -> IdentityFailure {
    let Err(error) = dial(address, config).await else { panic!("it was let in") };
    IdentityFailure::of(&error).unwrap_or_else(|| panic!("no matter of identity: {error}"))
}

impl Connection {
    pub async fn join(&mut self, request: JoinRequest) -> io::Result<Result<JoinReply, JoinError>> {
        send(&mut self.stream, &Asked::Join(request)).await?;
        in_time("an answer", receive(&mut self.stream)).await
    }

    pub async fn renew(
        &mut self,
        request: RenewRequest,
    ) -> io::Result<Result<RenewReply, RenewError>> {
        send(&mut self.stream, &Asked::Renew(request)).await?;
        in_time("an answer", receive(&mut self.stream)).await
    }

    /// Waits until the controller ends it.
    pub async fn ended(&mut self) {
        let mut rest = vec![];
        // How it ends is of no account: with a farewell or without.
        let _ = in_time("the end", self.stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty(), "{rest:?}");
    }
}

/// Joins over the wire, with the key of the agent's file.
pub async fn join_over_the_wire(
    controller: &Controller,
    token: Token,
    file: &Path,
    name: &str,
) -> JoinStep {
    let AgentFile::Key(key) = AgentFile::open(file).unwrap() else { panic!("it joined before") };
    let attempt = JoinAttempt::new(token.clone(), key, name.into(), KeelVersion::own());
    let mut connection = match dial(controller.address, to_join(token.pin).unwrap()).await {
        Ok(connection) => connection,
        Err(error) => return attempt.interrupted(IdentityFailure::of(&error)),
    };
    assert_eq!(connection.who, Who::Stranger);
    match connection.join(attempt.request(now()).unwrap()).await {
        Ok(answer) => attempt.answered(answer),
        Err(_) => attempt.interrupted(None),
    }
}
