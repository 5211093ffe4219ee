//! The agent: dials the controller, serves its engine over that connection, and dials again when it ends.

use super::delay::{random, retry_delay, tries_after};
use super::limits::Limits;
use super::listener::ALPN;
use super::serving::{Served, ServingError, serve};
use super::spool::Spool;
use super::version::Hello;
use keel_engine::Engine;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Serves an engine to the controller of its pool.
pub struct Agent {
    /// Where the controller listens: `HOST:PORT`.
    pub controller: String,
    /// The name in the controller's certificate.
    pub server_name: ServerName<'static>,
    /// Asked for each connection: certificates are renewed.
    pub tls: Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>,
    /// What is served.
    pub engine: Arc<dyn Engine>,
    /// A folder on the disk of the node, for files that come, until the engine has them. What is in it goes.
    pub spool: PathBuf,
    /// How much the controller may send, and how long it may take.
    pub limits: Limits,
}

/// What an agent does.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AgentState {
    /// It dials.
    Dialing,
    /// It serves this controller.
    Connected(Hello),
    /// It dials again after a while.
    Waiting {
        /// Why there is no connection.
        why: Arc<DialError>,
        /// Failed tries one after another.
        tries: u32,
        /// How long it waits.
        delay: Duration,
    },
}

/// Why an agent has no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No way to the controller.
    #[error("cannot reach the controller at {to}")]
    Connect {
        /// Where.
        to: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The sides do not trust each other.
    #[error("no secure connection to the controller at {to}")]
    Tls {
        /// Where.
        to: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Somebody else listens there.
    #[error("what listens at {to} is no controller of nodes: it does not speak HTTP/2")]
    NoController {
        /// Where.
        to: String,
    },
    /// It took too long.
    #[error("the controller at {to} did not answer within {limit:?}")]
    Late {
        /// Where.
        to: String,
        /// How long it may take.
        limit: Duration,
    },
    /// There was a connection, and it ended.
    #[error(transparent)]
    Serving(#[from] ServingError),
}

impl Agent {
    /// Dials and serves for as long as this is polled. It returns where its folder cannot be used.
    pub async fn run(self, state: watch::Sender<AgentState>) -> io::Error {
        let folder = self.spool.clone();
        let spool = match keel_blocking::run(move || Spool::open(&folder)).await {
            Ok(spool) => spool,
            Err(error) => return error,
        };
        let served = Arc::new(Served::new(self.engine.clone(), spool, self.limits.clone()));
        let mut tries = 0;
        loop {
            state.send_replace(AgentState::Dialing);
            let (why, lasted) = self.once(&served, &state).await;
            tries = tries_after(tries, lasted);
            let delay = retry_delay(tries, random());
            state.send_replace(AgentState::Waiting { why: Arc::new(why), tries, delay });
            tokio::time::sleep(delay).await;
        }
    }

    /// One connection: how it ended, and how long it was there.
    async fn once(
        &self,
        served: &Arc<Served>,
        state: &watch::Sender<AgentState>,
    ) -> (DialError, Duration) {
        let line = match self.dial().await {
            Ok(line) => line,
            Err(error) => return (error, Duration::ZERO),
        };
        let begun = Instant::now();
        let greeted = |controller: &Hello| {
            state.send_replace(AgentState::Connected(controller.clone()));
        };
        let why = serve(served.clone(), line, greeted).await;
        (why.into(), begun.elapsed())
    }

    async fn dial(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let (to, limit) = (|| self.controller.clone(), self.limits.handshake);
        let late = |_| DialError::Late { to: to(), limit };
        let dialed = timeout(limit, TcpStream::connect(&self.controller)).await.map_err(late)?;
        let tcp = dialed.map_err(|source| DialError::Connect { to: to(), source })?;
        // It only makes beats and keystrokes quicker.
        let _ = tcp.set_nodelay(true);
        let mut config = ClientConfig::clone(&(self.tls)());
        config.alpn_protocols = vec![ALPN.to_vec()];
        let shaken = TlsConnector::from(Arc::new(config)).connect(self.server_name.clone(), tcp);
        let shaken = timeout(limit, shaken).await.map_err(late)?;
        let line = shaken.map_err(|source| DialError::Tls { to: to(), source })?;
        match line.get_ref().1.alpn_protocol() {
            Some(ALPN) => Ok(line),
            _ => Err(DialError::NoController { to: to() }),
        }
    }
}
