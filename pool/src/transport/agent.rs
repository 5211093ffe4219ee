//! The agent: dials the controller, serves its engine over that connection, and dials again when it ends.

use super::allegiance::Allegiance;
use super::delay::{random, retry_delay, tries_after};
use super::limits::Limits;
use super::line::{ALPN, DialError, dial};
use super::serving::{Served, serve};
use super::spool::Spool;
use super::version::Hello;
use keel_engine::Engine;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Serves an engine to the controller of its pool.
pub struct Agent {
    /// Whom it follows, and where that listens.
    pub allegiance: Allegiance,
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
    /// Where others reach this node; else where it is connected from.
    pub advertise: Option<IpAddr>,
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

impl Agent {
    /// Dials and serves for as long as this is polled. It returns where its folder cannot be used.
    pub async fn run(self, state: watch::Sender<AgentState>) -> io::Error {
        let folder = self.spool.clone();
        let spool = match keel_blocking::run(move || Spool::open(&folder)).await {
            Ok(spool) => spool,
            Err(error) => return error,
        };
        let allegiance = self.allegiance.clone();
        let served = Served::new(self.engine.clone(), spool, self.limits.clone(), allegiance);
        let served = Arc::new(served);
        let (mut tries, mut turn) = (0, 0);
        loop {
            state.send_replace(AgentState::Dialing);
            let (why, lasted) = self.once(&self.allegiance.address(turn), &served, &state).await;
            tries = tries_after(tries, lasted);
            // Who was there is asked first whether it is back.
            turn += usize::from(tries > 1);
            // Each of several controllers is asked as often as the only one would be.
            let delay = retry_delay(tries.div_ceil(self.allegiance.count()), random());
            state.send_replace(AgentState::Waiting { why: Arc::new(why), tries, delay });
            tokio::time::sleep(delay).await;
        }
    }

    /// One connection: how it ended, and how long it was there.
    async fn once(
        &self,
        controller: &str,
        served: &Arc<Served>,
        state: &watch::Sender<AgentState>,
    ) -> (DialError, Duration) {
        let tls = (self.tls)();
        let dialed = dial(controller, self.server_name.clone(), &tls, ALPN, &self.limits);
        let line = match dialed.await {
            Ok(line) => line,
            Err(error) => return (error, Duration::ZERO),
        };
        let begun = Instant::now();
        let greeted = |controller: &Hello| {
            state.send_replace(AgentState::Connected(controller.clone()));
        };
        let local = || line.get_ref().0.local_addr().ok().map(|local| local.ip().to_canonical());
        let own = Hello { advertise: self.advertise.or_else(local), ..Hello::own() };
        let why = serve(served.clone(), line, own, greeted).await;
        (why.into(), begun.elapsed())
    }
}
