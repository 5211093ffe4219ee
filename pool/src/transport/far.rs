//! A far node as an engine. It outlives its connections.
//!
//! # Invariants
//! - It has one connection at most: a node that dials anew ends the one before.
//! - A listener to its events hears [`Event::Missed`] whenever a connection begins or ends.

use super::away::{Absence, Away, failed};
use super::beat::{Pulse, SilentPeer, follow};
use super::connection::{CallError, Connection, connect};
use super::heard::Heard;
use super::limits::Limits;
use super::route::Route;
use super::session::session;
use super::version::Hello;
use crate::wanted_issuer::WantedIssuer;
use async_trait::async_trait;
use futures_util::stream::{BoxStream, unfold};
use futures_util::{FutureExt, StreamExt};
use keel_engine::wire::{Answer, Call};
use keel_engine::{
    Assignment, Depth, Duplex, Engine, Event, Lease, LentLogin, NodeName, Observation, Open,
    Result, Sweep, Swept, Usage,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{oneshot, watch};

/// Events that wait for a listener; one that is later has missed some.
const EVENTS: usize = 1024;

/// A far node.
pub struct Far {
    node: NodeName,
    limits: Arc<Limits>,
    hello: Arc<Mutex<Arc<Hello>>>,
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
    pulse: watch::Sender<Option<Pulse>>,
    issuer: WantedIssuer,
    connections: Arc<watch::Sender<()>>,
}

enum State {
    Connected { connection: Arc<Connection>, end: oneshot::Sender<Away> },
    Absent(Absence),
}

impl Far {
    pub(super) fn new(
        node: NodeName,
        limits: Arc<Limits>,
        hello: Arc<Mutex<Arc<Hello>>>,
        connections: Arc<watch::Sender<()>>,
    ) -> Self {
        let state = Mutex::new(State::Absent(Absence::from_now(Away::Never)));
        let (events, pulse) = (broadcast::Sender::new(EVENTS), watch::Sender::new(None));
        let issuer = WantedIssuer::default();
        Self { node, limits, hello, state, events, pulse, issuer, connections }
    }

    /// What it is called.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Its last beat on the connection that it has; `None` where it has none, or has not beaten yet.
    #[must_use]
    pub fn pulse(&self) -> Option<Pulse> {
        *self.pulse.borrow()
    }

    /// Asks the node to renew until it has a certificate of this authority, also once it is connected again; `None`:
    /// any will do.
    pub(crate) fn ask_to_renew(&self, issuer: Option<String>) {
        self.issuer.note(issuer);
    }

    /// Since when it is not connected, in milliseconds since the Unix epoch, and why; `None` while it is.
    #[must_use]
    pub fn away(&self) -> Option<(u64, Away)> {
        match &*self.state() {
            State::Connected { .. } => None,
            State::Absent(absence) => Some((absence.since, absence.why.clone())),
        }
    }

    /// For how long nothing has been heard of it; `None` while it is connected.
    #[must_use]
    pub fn unheard_for(&self) -> Option<Duration> {
        match &*self.state() {
            State::Connected { .. } => None,
            State::Absent(absence) => Some(absence.heard.elapsed()),
        }
    }

    /// Ends its connection, and everything that goes over it.
    pub(super) fn disconnect(&self, why: &str) {
        self.leave(None, Away::Disconnected(why.to_owned()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> Result<Arc<Connection>> {
        match &*self.state() {
            State::Connected { connection, .. } => Ok(connection.clone()),
            State::Absent(absence) => Err(absence.error(&self.node)),
        }
    }

    /// The connection begins; one before it ends.
    fn arrive(&self, connection: &Arc<Connection>) -> oneshot::Receiver<Away> {
        let (end, ended) = oneshot::channel();
        let new = State::Connected { connection: connection.clone(), end };
        let before = std::mem::replace(&mut *self.state(), new);
        if let State::Connected { end, .. } = before {
            // It may have ended by itself meanwhile.
            let _ = end.send(Away::Replaced);
        }
        self.pulse.send_replace(None);
        self.wake();
        ended
    }

    /// A connection, or whichever there is, is over. One that never arrived only tells why there is none.
    fn leave(&self, connection: Option<&Arc<Connection>>, why: Away) {
        let mut state = self.state();
        match &mut *state {
            State::Absent(absence) => {
                absence.why = why;
                return;
            }
            State::Connected { connection: now, .. } => {
                if connection.is_some_and(|meant| !Arc::ptr_eq(now, meant)) {
                    return;
                }
            }
        }
        let new = State::Absent(Absence::from_now(why.clone()));
        let before = std::mem::replace(&mut *state, new);
        drop(state);
        if let State::Connected { end, .. } = before {
            // It may have ended by itself.
            let _ = end.send(why);
        }
        self.pulse.send_replace(None);
        self.wake();
    }

    /// A connection ended before the node arrived.
    fn explain(&self, why: &Away) {
        if let State::Absent(absence) = &mut *self.state() {
            absence.why = why.clone();
        }
    }

    /// Nobody may be listening.
    fn wake(&self) {
        let _ = self.events.send(Event::Missed);
        self.connections.send_replace(());
    }

    /// Speaks with the node over a line, until that is over, or it may stay no longer. Whoever listens hears what it
    /// says of itself.
    pub(super) async fn hold(
        &self,
        line: impl AsyncRead + AsyncWrite + Unpin,
        until: impl Future<Output = String>,
        greeted: impl FnOnce(&Hello),
    ) -> Away {
        let (line, last) = Heard::new(line);
        let (connection, driver) = match connect(line, self.limits.clone()).await {
            Ok(begun) => begun,
            Err(error) => {
                let why = of_call(error);
                self.explain(&why);
                return why;
            }
        };
        let mut driver = std::pin::pin!(driver);
        // It goes before the driver does: whoever calls meanwhile is told why.
        let mut held = Held { far: self, connection: Arc::new(connection), why: Away::Ended(None) };
        let connection = held.connection.clone();
        let mut speaking = std::pin::pin!(self.speak(&connection, greeted));
        held.why = tokio::select! {
            ended = &mut driver => {
                // What came before the end may say why.
                let why = speaking.as_mut().now_or_never().filter(|why| {
                    matches!(why, Away::Version(_) | Away::Superseded(_))
                });
                let ended = || ended.map_or_else(|error| Away::ended(&error), |()| Away::Ended(None));
                why.unwrap_or_else(ended)
            }
            why = &mut speaking => why,
            why = until => Away::Disconnected(why),
            () = last.silent_for(self.limits.silence) => SilentPeer(self.limits.silence).into(),
        };
        held.why.clone()
    }

    async fn speak(&self, connection: &Arc<Connection>, greeted: impl FnOnce(&Hello)) -> Away {
        let hello = self.hello.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match connection.greet(&hello).await {
            Ok(theirs) => greeted(&theirs),
            Err(error) => return of_call(error),
        }
        let streams = async {
            let events = connection.stream(Route::Events).await?;
            Ok::<_, CallError>((connection.stream(Route::Beat).await?, events))
        };
        let ((hears, says), mut events) = match streams.await {
            Ok(streams) => streams,
            Err(error) => return of_call(error),
        };
        let ended = self.arrive(connection);
        let telling = async {
            loop {
                match connection.next_answer(&mut events.0).await {
                    Ok(Answer::Event(event)) => drop(self.events.send(event)),
                    Ok(_) => return of_call(CallError::Unexpected),
                    Err(error) => return of_call(error),
                }
            }
        };
        tokio::select! {
            why = ended => why.unwrap_or(Away::Ended(None)),
            why = telling => why,
            error = follow(hears, says, &self.pulse, &self.limits, &self.issuer) => Away::ended(&error),
        }
    }

    fn told(&self, error: CallError) -> keel_engine::EngineError {
        match (error, self.away()) {
            (CallError::Refused(error), _) => error,
            (_, Some((since, why))) => {
                Absence { since, ..Absence::from_now(why) }.error(&self.node)
            }
            (error, None) => failed(&self.node, &error),
        }
    }

    async fn ask(&self, call: &Call, limit: Duration) -> Result<Answer> {
        self.connection()?.ask(call, limit).await.map_err(|error| self.told(error))
    }

    async fn assign_by(&self, lease: Option<&Lease>, wishes: &[Assignment]) -> Result<()> {
        let handed = self.connection()?.assign(lease, wishes).await;
        handed.map_err(|error| self.told(error))
    }

    async fn sweep_by(&self, lease: Option<Lease>, sweep: &Sweep) -> Result<Swept> {
        let call = Call::Sweep { lease, sweep: sweep.clone() };
        match self.ask(&call, self.limits.long_answer).await? {
            Answer::Swept(swept) => Ok(swept),
            _ => Err(self.told(CallError::Unexpected)),
        }
    }
}

/// A connection that leaves its node when it is over, also with the listener.
struct Held<'a> {
    far: &'a Far,
    connection: Arc<Connection>,
    why: Away,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.far.leave(Some(&self.connection), self.why.clone());
    }
}

fn of_call(error: CallError) -> Away {
    match error {
        CallError::Version(mismatch) => mismatch.into(),
        CallError::Superseded(superseded) => superseded.into(),
        error => Away::ended(&error),
    }
}

#[async_trait]
impl Engine for Far {
    async fn observe(&self, depth: Depth) -> Result<Observation> {
        match self.ask(&Call::Observe(depth), self.limits.answer).await? {
            Answer::Observed(observation) => Ok(*observation),
            _ => Err(self.told(CallError::Unexpected)),
        }
    }

    async fn assign(&self, wishes: &[Assignment]) -> Result<()> {
        self.assign_by(None, wishes).await
    }

    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        self.assign_by(Some(lease), wishes).await
    }

    async fn lease(&self) -> Result<Lease> {
        self.connection()?.lease().await.map_err(|error| self.told(error))
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        match self.ask(&Call::Renew(lease.clone()), self.limits.answer).await? {
            Answer::Done => Ok(()),
            _ => Err(self.told(CallError::Unexpected)),
        }
    }

    fn release(&self, lease: &Lease) {
        // Where there is no connection, the node has released it.
        if let Ok(connection) = self.connection() {
            connection.release(lease);
        }
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<Swept> {
        self.sweep_by(None, sweep).await
    }

    async fn sweep_under(&self, lease: &Lease, sweep: &Sweep) -> Result<Swept> {
        self.sweep_by(Some(lease.clone()), sweep).await
    }

    async fn lend(&self, logins: &[LentLogin]) -> Result<()> {
        match self.ask(&Call::Lend(logins.to_vec()), self.limits.answer).await? {
            Answer::Done => Ok(()),
            _ => Err(self.told(CallError::Unexpected)),
        }
    }

    async fn usage(&self) -> Result<Usage> {
        match self.ask(&Call::Usage, self.limits.long_answer).await? {
            Answer::Usage(usage) => Ok(usage),
            _ => Err(self.told(CallError::Unexpected)),
        }
    }

    fn events(&self) -> BoxStream<'static, Event> {
        unfold(self.events.subscribe(), |mut heard| async {
            match heard.recv().await {
                Ok(event) => Some((event, heard)),
                Err(RecvError::Lagged(_)) => Some((Event::Missed, heard)),
                Err(RecvError::Closed) => None,
            }
        })
        .boxed()
    }

    async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        let opened = self.connection()?.open(&Call::Open(what)).await;
        let (incoming, outgoing, place) = opened.map_err(|error| self.told(error))?;
        Ok(Box::new(session(self.node.clone(), incoming, outgoing, place)))
    }
}
