//! A machine that belongs to a pool, or wants to: it joins with a token once, and serves its controller from then on
//! with certificates that it renews in time.
//!
//! # Invariants
//! - Who joined needs no token again: what it is stands in its file, through restarts and upgrades.
//! - A renewal disturbs no connection: the next one is made with the next certificate. Where the pool's authority is
//!   replaced, the controller is told beside it that this node has renewed.

use crate::asking::{AskError, ask_to_join, confirm, identity_failure, renew};
use crate::clock::now;
use crate::identity::{
    AgentFile, IdentityError, IdentityFailure, JoinAttempt, JoinFailure, JoinStep, KeelVersion,
    NodeIdentity, RenewError, Token, controller_name, renewal_retry,
};
use crate::transport::{Agent, AgentState, Allegiance, DialError, Limits, ServingError, random};
use keel_engine::{Engine, NodeName};
use rustls::ClientConfig;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A clock may be set, and a machine may sleep: the time of a renewal is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// Within this time a controller that can be reached has said what time it is.
const GREETING: Duration = Duration::from_secs(10);

/// Where a machine's identity is, and who its controller is.
#[derive(Debug, Clone)]
pub struct Whereabouts {
    /// The file of its identity.
    pub file: PathBuf,
    /// Whom it follows, and where that listens.
    pub allegiance: Allegiance,
    /// How much the controller may send, and how long it may take.
    pub limits: Limits,
    /// Where others reach this machine; else where it is connected from.
    pub advertise: Option<IpAddr>,
}

/// Why a machine is no node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Its file, or what stands in it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS.
    #[error("TLS for the controller cannot be set up")]
    Tls(#[from] rustls::Error),
    /// It is no node yet, and was given no token.
    #[error("this machine has not joined a pool yet, and no token was given")]
    NoToken,
    /// It cannot ask to join.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The controller does not let it join.
    #[error(transparent)]
    Join(#[from] JoinFailure),
    /// The controller does not know it any more.
    #[error(transparent)]
    Removed(#[from] IdentityFailure),
    /// The folder for files that come.
    #[error("cannot use the folder for files that the controller sends")]
    Spool(#[source] io::Error),
}

/// A node of a pool.
pub struct Membership {
    at: Whereabouts,
    present: Mutex<Present>,
}

/// What the machine is, and what it dials with as that.
#[derive(Clone)]
struct Present {
    identity: Arc<NodeIdentity>,
    tls: Arc<ClientConfig>,
}

impl Present {
    fn of(identity: NodeIdentity) -> Result<Self, rustls::Error> {
        let tls = Arc::new(identity.client_config()?);
        Ok(Self { identity: Arc::new(identity), tls })
    }
}

impl Membership {
    /// Finds the machine's identity, or joins with the token under this name. `told` hears of each try that came
    /// to nothing, and how long it waits then; there is no end to that while the controller cannot be reached.
    pub async fn open(
        at: Whereabouts,
        token: Option<Token>,
        name: NodeName,
        told: impl Fn(Option<&DialError>, Duration),
    ) -> Result<Self, MembershipError> {
        let file = at.file.clone();
        let known = keel_blocking::run(move || AgentFile::open(&file)).await?;
        let identity = match known {
            AgentFile::Node(identity) => identity,
            AgentFile::Key(key) => {
                let token = token.ok_or(MembershipError::NoToken)?;
                let attempt = JoinAttempt::new(token, key, name, KeelVersion::own());
                let identity = join(&at, attempt, told).await?;
                keep(&at, identity).await?
            }
        };
        Ok(Self { at, present: Mutex::new(Present::of(identity)?) })
    }

    /// What the controller calls it.
    #[must_use]
    pub fn node(&self) -> String {
        self.present().identity.node().to_string()
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the controller with this engine, and renews the machine's certificate in time. It returns when the
    /// controller does not know the machine any more, or the folder for files cannot be used.
    pub async fn serve(
        self: Arc<Self>,
        engine: Arc<dyn Engine>,
        spool: PathBuf,
        state: watch::Sender<AgentState>,
    ) -> MembershipError {
        let agent = self.agent(engine, spool);
        let states = state.subscribe();
        tokio::select! {
            error = agent.run(state) => MembershipError::Spool(error),
            error = self.renew_in_time(states.clone()) => error.into(),
            error = removed(states) => error.into(),
        }
    }

    fn agent(self: &Arc<Self>, engine: Arc<dyn Engine>, spool: PathBuf) -> Agent {
        let this = self.clone();
        Agent {
            allegiance: self.at.allegiance.clone(),
            server_name: controller_name(),
            tls: Arc::new(move || this.present().tls.clone()),
            engine,
            spool,
            limits: self.at.limits.clone(),
            advertise: self.at.advertise,
        }
    }

    /// Asks for the next certificate when it is time, for ever.
    async fn renew_in_time(&self, mut states: watch::Receiver<AgentState>) -> IdentityFailure {
        let (mut drawn, mut failures) = (luck(), 0);
        let mut refused = Instant::now();
        let wanted = self.at.allegiance.issuer.clone();
        // The authority of which the controller knows that this node has its certificate.
        let mut confirmed = None;
        loop {
            tokio::select! {
                () = self.due(drawn, failures) => {}
                // It may be over by the controller's clock, which nobody knows here before it is connected.
                () = is_refused(&mut states, refused), if failures == 0 => refused = Instant::now() + LOOK_AGAIN,
                () = wanted.differs_from(confirmed.as_deref()), if failures == 0 => {}
            }
            if follows_another(&states.borrow()) {
                // The controller that it follows would not know the next key.
                failures += 1;
                continue;
            }
            let asked = wanted.get().filter(|issuer| confirmed.as_ref() != Some(issuer));
            match self.comply(asked.as_deref(), failures as usize).await {
                Ok(()) => {
                    (drawn, failures) = (luck(), 0);
                    confirmed = asked.or(confirmed);
                }
                Err(MembershipError::Ask(AskError::Refused(RenewError::Removed))) => {
                    return IdentityFailure::Removed;
                }
                Err(_) => failures += 1,
            }
        }
    }

    /// Returns when it is time to ask, again after so many failures.
    async fn due(&self, luck: u32, failures: u32) {
        if failures > 0 {
            return tokio::time::sleep(renewal_retry(failures)).await;
        }
        // The controller says what time it is as soon as it is connected.
        tokio::time::sleep(GREETING).await;
        loop {
            let time = self.at.allegiance.clock.now().unwrap_or_else(now);
            let left = self.present().identity.life().renews_at(luck).saturating_sub(time);
            if left == 0 {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN.min(Duration::from_millis(left))).await;
        }
    }

    /// Renews. Where a certificate of an authority is asked for, the controller is told once this node has it.
    async fn comply(&self, asked: Option<&str>, tries: usize) -> Result<(), MembershipError> {
        let issuer = self.present().identity.issuer().map(|pin| pin.to_string());
        if asked.is_none() || issuer.as_deref() != asked {
            self.renew(tries).await?;
        }
        if asked.is_some() {
            let Whereabouts { allegiance, limits, .. } = &self.at;
            let identity = self.present().identity.clone();
            confirm(&allegiance.address(tries), &identity, limits).await?;
        }
        Ok(())
    }

    /// Another controller is asked after each failure, where there are several.
    async fn renew(&self, tries: usize) -> Result<(), MembershipError> {
        let file = self.at.file.clone();
        let next = keel_blocking::run(move || NodeIdentity::next_key(&file)).await?;
        let Whereabouts { allegiance, limits, .. } = &self.at;
        let controller = &allegiance.address(tries);
        let identity = self.present().identity.clone();
        let (renewed, clock) = renew(controller, &identity, next, limits).await?;
        self.at.allegiance.clock.note(clock, now());
        let kept = Present::of(keep(&self.at, renewed).await?)?;
        *self.present() = kept;
        Ok(())
    }
}

/// Returns once connections are refused one after another, but not before this moment.
async fn is_refused(states: &mut watch::Receiver<AgentState>, from: Instant) {
    tokio::time::sleep_until(from).await;
    let refused = states.wait_for(|state| match state {
        AgentState::Waiting { why, tries, .. } => {
            *tries > 1 && matches!(**why, DialError::Serving(ServingError::Ended(_)))
        }
        _ => false,
    });
    // Nobody dials any more where that is no longer told.
    if refused.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether the controller that was reached last is not the one that this node follows.
fn follows_another(state: &AgentState) -> bool {
    match state {
        AgentState::Waiting { why, .. } => {
            matches!(**why, DialError::Serving(ServingError::Superseded(_)))
        }
        _ => false,
    }
}

/// Returns once the controller says that this machine belongs to the pool no more.
async fn removed(mut states: watch::Receiver<AgentState>) -> IdentityFailure {
    loop {
        let failure = match &*states.borrow_and_update() {
            AgentState::Waiting { why, .. } => identity_failure(why),
            _ => None,
        };
        if let Some(failure @ IdentityFailure::Removed) = failure {
            return failure;
        }
        if states.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn join(
    at: &Whereabouts,
    mut attempt: JoinAttempt,
    told: impl Fn(Option<&DialError>, Duration),
) -> Result<NodeIdentity, MembershipError> {
    let mut tries = 0;
    loop {
        let controller = at.allegiance.address(tries);
        let (step, why) = ask_to_join(&controller, attempt, &at.limits).await?;
        match step {
            JoinStep::Joined(identity) => return Ok(*identity),
            JoinStep::Stop(failure) => return Err(failure.into()),
            JoinStep::Retry { attempt: next, after } => {
                told(why.as_ref(), after);
                tokio::time::sleep(after).await;
                (attempt, tries) = (*next, tries + 1);
            }
        }
    }
}

async fn keep(at: &Whereabouts, identity: NodeIdentity) -> Result<NodeIdentity, IdentityError> {
    let file = at.file.clone();
    keel_blocking::run(move || identity.store(&file).map(|()| identity)).await
}

/// Nodes that joined together are not to renew together.
fn luck() -> u32 {
    u32::try_from(random() >> 32).unwrap_or(u32::MAX)
}
