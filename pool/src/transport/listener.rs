//! Where agents dial in: who comes is let in by a gate, and becomes the far node of its name.
//!
//! # Invariants
//! - Before a peer has proved who it is, it gets a handshake of TLS and one answer, within its time, and only so
//!   many of them at once: few from one address, so that it keeps nobody else out.

use super::away::Away;
use super::line::{ALPN, QUESTION_ALPN, RELAY_ALPN};
use super::question::hear;
use super::switchboard::Switchboard;
use super::version::Hello;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use keel_engine::NodeName;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes at a time, and those from one address.
const HANDSHAKES: usize = 256;
const FROM_ONE: usize = 16;

/// After a connection could not be taken: there are no more descriptors, mostly.
const PAUSE: Duration = Duration::from_millis(100);

/// Somebody who dialed in.
#[derive(Debug)]
pub struct Peer<'a> {
    /// From where.
    pub address: SocketAddr,
    /// The certificate that it proved to have, and those that it came with; empty where it has none.
    pub certificates: &'a [CertificateDer<'static>],
}

/// Who may come in.
#[async_trait]
pub trait Gate: Send + Sync {
    /// The node that has come, and how long it may stay; or why it may not. Asked at each connection.
    async fn admit(&self, peer: &Peer<'_>) -> Result<Admitted, String>;

    /// The answer to a question: whoever asks may be a stranger. `None`: it is given none.
    async fn answer(&self, peer: &Peer<'_>, question: &[u8]) -> Option<Vec<u8>> {
        let _ = (peer, question);
        None
    }

    /// Whether this is another controller of the pool, which may hand on what it is asked.
    fn is_standby(&self, peer: &Peer<'_>) -> bool {
        let _ = peer;
        false
    }

    /// Somebody was not let in.
    fn turned_away(&self, address: SocketAddr, why: Turned) {
        let _ = (address, why);
    }

    /// A node that was let in said what it is.
    fn greeted(&self, node: &NodeName, hello: &Hello) {
        let _ = (node, hello);
    }

    /// A node's connection is over.
    fn left(&self, node: &NodeName, why: Away) {
        let _ = (node, why);
    }
}

/// A node that may come in.
pub struct Admitted {
    /// What it is called.
    pub node: NodeName,
    /// Ends when it may stay no longer, with the reason.
    pub until: BoxFuture<'static, String>,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Turned {
    /// What came is no TLS, or no certificate that is trusted.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// It took too long.
    #[error("the TLS handshake was not complete within {0:?}")]
    Late(Duration),
    /// From its address there are too many already.
    #[error("more than {FROM_ONE} unauthenticated connections from this address")]
    Many,
    /// It is no agent.
    #[error("the client does not speak HTTP/2")]
    NoAgent,
    /// Its question was none, or is not answered.
    #[error("the request was not answered")]
    Unanswered,
    /// The gate said no.
    #[error("{0}")]
    Refused(String),
}

/// The line of a standby, which is let in.
pub type Relayed = TlsStream<TcpStream>;

/// Takes connections of agents.
pub struct Listener {
    /// Where they come.
    pub tcp: TcpListener,
    /// Asked for each connection: certificates are renewed.
    pub tls: Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>,
    /// Who may come in.
    pub gate: Arc<dyn Gate>,
    /// What they become.
    pub switchboard: Arc<Switchboard>,
    /// Where lines of standbys go, if anywhere.
    pub relayed: Option<mpsc::Sender<Relayed>>,
}

impl Listener {
    /// Takes connections for as long as this is polled; they end with it.
    pub async fn run(self) -> Infallible {
        let listener = Arc::new(self);
        let (handshakes, visitors) = (Arc::new(Semaphore::new(HANDSHAKES)), Visitors::default());
        let mut connections = JoinSet::new();
        loop {
            let place = handshakes.clone().acquire_owned().await.ok();
            let Ok((tcp, address)) = listener.tcp.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match visitors.clone().enter(address.ip()) {
                Some(visit) => {
                    connections.spawn(listener.clone().meet(tcp, address, (place, visit)));
                }
                None => listener.gate.turned_away(address, Turned::Many),
            }
            while connections.try_join_next().is_some() {}
        }
    }

    async fn meet(
        self: Arc<Self>,
        tcp: TcpStream,
        address: SocketAddr,
        place: (Option<OwnedSemaphorePermit>, Visit),
    ) {
        match self.admitted(tcp, address).await {
            Ok(Some((Admitted { node, until }, line))) => {
                drop(place);
                let greeted = |hello: &Hello| self.gate.greeted(&node, hello);
                let why = self.switchboard.far(&node).hold(line, until, greeted).await;
                self.gate.left(&node, why);
            }
            Ok(None) => {}
            Err(why) => self.gate.turned_away(address, why),
        }
    }

    async fn admitted(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
    ) -> Result<Option<(Admitted, TlsStream<TcpStream>)>, Turned> {
        // It only makes keystrokes quicker.
        let _ = tcp.set_nodelay(true);
        let mut config = ServerConfig::clone(&(self.tls)());
        let known = [ALPN, QUESTION_ALPN, RELAY_ALPN];
        config.alpn_protocols = known.map(<[u8]>::to_vec).to_vec();
        let limit = self.switchboard.limits().handshake;
        let shaken = timeout(limit, TlsAcceptor::from(Arc::new(config)).accept(tcp)).await;
        let line = shaken.map_err(|_| Turned::Late(limit))?.map_err(Turned::Tls)?;
        let session = line.get_ref().1;
        let certificates = session.peer_certificates().unwrap_or_default().to_vec();
        let peer = Peer { address, certificates: &certificates };
        match session.alpn_protocol() {
            Some(ALPN) => {
                let admitted = self.gate.admit(&peer).await;
                Ok(Some((admitted.map_err(Turned::Refused)?, line)))
            }
            Some(QUESTION_ALPN) => {
                let answered = hear(line, self.switchboard.limits(), async |question| {
                    self.gate.answer(&peer, &question).await
                });
                answered.await.map(|()| None).ok_or(Turned::Unanswered)
            }
            Some(RELAY_ALPN) => self.relayed(&peer, line).await.map(|()| None),
            _ => Err(Turned::NoAgent),
        }
    }

    async fn relayed(&self, peer: &Peer<'_>, line: Relayed) -> Result<(), Turned> {
        match &self.relayed {
            Some(relayed) if self.gate.is_standby(peer) => {
                // Nobody answers any more where this controller ends.
                let _ = relayed.send(line).await;
                Ok(())
            }
            _ => Err(Turned::Refused("the client is no controller of this pool".to_owned())),
        }
    }
}

/// Those who have not proved yet who they are, by address.
#[derive(Clone, Default)]
struct Visitors(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them.
struct Visit(Visitors, IpAddr);

impl Visitors {
    fn enter(self, address: IpAddr) -> Option<Visit> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= FROM_ONE {
            return None;
        }
        *count += 1;
        drop(all);
        Some(Visit(self, address))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.1);
            }
        }
    }
}
