//! The agent's side of one connection: requests, answered by its engine.
//!
//! # Invariants
//! - What depends on the order of requests is done as they are accepted: leases are released and listeners begin
//!   to listen; all else is done beside others.
//! - A frame or an event is taken from the engine only when it can be sent.

use super::allegiance::{Allegiance, AllegianceError, Superseded};
use super::beat::{SilentPeer, beat};
use super::body::{BodyError, Incoming, Outgoing};
use super::connection::too_long;
use super::heard::Heard;
use super::limits::{
    CONNECTION_WINDOW, HEADERS, HELLO, Limits, SEND_BUFFER, SMALL_FRAMES, STREAM_WINDOW, STREAMS,
    UPLOADS,
};
use super::parcel::PipeReader;
use super::route::Route;
use super::spool::Spool;
use super::unpacking::unpack;
use super::version::{Hello, VersionMismatch, agree};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{Request, Response, StatusCode};
use keel_engine::wire::{self, Answer, Call};
use keel_engine::{Engine, EngineError, Event, FrameReader, FrameWriter, Lease, Result};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Parts of a parcel that wait for the disk.
const PARTS: usize = 2;

/// For the last words to a controller that cannot be served.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why an agent's connection is over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingError {
    /// The controller ended it, or the network did.
    #[error("the connection was closed")]
    Ended(#[source] Option<h2::Error>),
    /// The controller said nothing for too long.
    #[error(transparent)]
    Silent(#[from] SilentPeer),
    /// It does not say its versions, or something else than these.
    #[error("the controller did not send its version")]
    NoHello(#[source] Option<BodyError>),
    /// It speaks other versions.
    #[error(transparent)]
    Version(#[from] VersionMismatch),
    /// The node follows another controller.
    #[error(transparent)]
    Superseded(#[from] Superseded),
    /// What the node has seen cannot be remembered.
    #[error("cannot store which controller this node follows")]
    Allegiance(#[source] io::Error),
}

impl From<AllegianceError> for ServingError {
    fn from(error: AllegianceError) -> Self {
        match error {
            AllegianceError::Superseded(superseded) => superseded.into(),
            AllegianceError::File(error) => Self::Allegiance(error),
        }
    }
}

/// What an agent serves.
pub(super) struct Served {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) spool: Spool,
    pub(super) limits: Limits,
    allegiance: Allegiance,
    uploads: Semaphore,
}

impl Served {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        spool: Spool,
        limits: Limits,
        allegiance: Allegiance,
    ) -> Self {
        Self { engine, spool, limits, allegiance, uploads: Semaphore::new(UPLOADS) }
    }
}

/// Leases that this connection holds, by epoch and number.
#[derive(Clone, Default)]
struct Leases(Arc<Mutex<HashMap<(u64, u64), Held>>>);

impl Leases {
    fn all(&self) -> MutexGuard<'_, HashMap<(u64, u64), Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, epoch: u64, number: u64) {
        let held = self.all().remove(&(epoch, number));
        drop(held);
    }
}

/// Released with whatever holds it.
struct Held(Arc<dyn Engine>, Lease);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release(&self.1);
    }
}

type Greeted = std::result::Result<Hello, ServingError>;

/// Answers until the connection is over; then what was opened over it ends, too. Whoever listens is told once the
/// versions are known to agree.
pub(super) async fn serve(
    served: Arc<Served>,
    line: impl AsyncRead + AsyncWrite + Unpin,
    own: Hello,
    greeted: impl FnOnce(&Hello),
) -> ServingError {
    let (line, last) = Heard::new(line);
    let limits = served.limits.clone();
    let begun = timeout(limits.hello, builder().handshake(line)).await;
    let mut connection = match begun {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return ServingError::Ended(Some(error)),
        Err(_) => return ServingError::NoHello(None),
    };
    let (mut work, leases) = (JoinSet::new(), Leases::default());
    let (hello, mut hello_comes) = oneshot::channel::<Greeted>();
    let (mut hello, mut greeted) = (Some((hello, own)), Some(greeted));
    let late = tokio::time::sleep(limits.hello);
    tokio::pin!(late);
    let ended = loop {
        tokio::select! {
            // Calls are judged by what was told before them.
            biased;
            said = &mut hello_comes, if greeted.is_some() => match said {
                Ok(Ok(theirs)) => {
                    let tell = greeted.take();
                    tell.into_iter().for_each(|tell| tell(&theirs));
                }
                Ok(Err(error)) => {
                    connection.graceful_shutdown();
                    // It may be gone already.
                    let _ = timeout(FAREWELL, poll_fn(|cx| connection.poll_closed(cx))).await;
                    break error;
                }
                Err(_) => break ServingError::NoHello(None),
            },
            () = &mut late, if greeted.is_some() => break ServingError::NoHello(None),
            () = last.silent_for(limits.silence) => break SilentPeer(limits.silence).into(),
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let may = greeted.is_none();
                    take(&served, request, respond, &leases, &mut work, &mut hello, may);
                    while work.try_join_next().is_some() {}
                }
                Some(Err(error)) => break ServingError::Ended(Some(error)),
                None => break ServingError::Ended(None),
            },
        }
    };
    // Also what waits for the engine: nobody would hear of it.
    work.shutdown().await;
    ended
}

/// What a peer may ask of us at once.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        // Calls that are given up as soon as they are made are no attack of our own controller's.
        .max_pending_accept_reset_streams(STREAMS as usize)
        .max_header_list_size(HEADERS)
        .data_frame_budget(SMALL_FRAMES);
    builder
}

/// One request. Before the versions agree, only they are spoken of.
fn take(
    served: &Arc<Served>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    leases: &Leases,
    work: &mut JoinSet<()>,
    hello: &mut Option<(oneshot::Sender<Greeted>, Hello)>,
    may: bool,
) {
    let route = Route::of(request.uri().path());
    let route = route.filter(|route| may || *route == Route::Hello);
    let Some(route) = route else {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::NOT_FOUND;
        // It may be gone already.
        let _ = respond.send_response(response, true);
        return;
    };
    if let Route::Release { epoch, number } = route {
        leases.release(epoch, number);
    }
    let Ok(outgoing) = respond.send_response(Response::new(()), false) else { return };
    let (incoming, outgoing) = (Incoming::new(request.into_body()), Outgoing::new(outgoing));
    let served = served.clone();
    match route {
        Route::Hello => {
            if let Some((told, own)) = hello.take() {
                work.spawn(greet(incoming, outgoing, served, own, told));
            }
        }
        Route::Beat => {
            work.spawn(async move {
                drop(beat(incoming, outgoing, &served.limits, &served.allegiance).await)
            });
        }
        Route::Call => drop(work.spawn(answer_call(served, incoming, outgoing))),
        Route::Assign => drop(work.spawn(answer_parcel(served, incoming, outgoing))),
        Route::Lease => drop(work.spawn(grant(served, leases.clone(), outgoing))),
        Route::Release { .. } => {
            work.spawn(async move { end_with(outgoing, &Answer::Done, &served.limits).await });
        }
        Route::Events => {
            let events = served.engine.events();
            work.spawn(tell(events, outgoing, served));
        }
        Route::Open => drop(work.spawn(converse(served, incoming, outgoing))),
    }
}

async fn greet(
    mut incoming: Incoming,
    mut outgoing: Outgoing,
    served: Arc<Served>,
    own: Hello,
    told: oneshot::Sender<Greeted>,
) {
    let own = Hello { epoch: served.allegiance.epoch(), ..own };
    // Who is answered may call at once, so that all is settled and told by then; one that cannot be served is
    // answered first, since it shall know why.
    // The connection may be over, and nobody waits.
    let (settled, message) = match settle(&mut incoming, &served, &own).await {
        Ok(settled) => settled,
        Err(error) => return drop(told.send(Err(error))),
    };
    if settled.is_ok() {
        drop(told.send(settled));
        // Without an answer the caller ends the connection.
        let _ = outgoing.message(&message).await;
        return outgoing.end();
    }
    let said = outgoing.message(&message).await;
    outgoing.end();
    drop(told.send(said.map_err(|error| ServingError::NoHello(Some(error))).and(settled)));
}

/// What the caller is, or why it cannot be served, and what it is answered.
async fn settle(
    incoming: &mut Incoming,
    served: &Served,
    own: &Hello,
) -> std::result::Result<(Greeted, Vec<u8>), ServingError> {
    let said = incoming.message_within(HELLO, served.limits.hello).await;
    let said = said.map_err(|error| ServingError::NoHello(Some(error)))?;
    let theirs: Hello = serde_json::from_slice(&said).map_err(|_| ServingError::NoHello(None))?;
    let message = serde_json::to_vec(own).map_err(|_| ServingError::NoHello(None))?;
    let settled = match agree(own, &theirs) {
        Ok(()) => served.allegiance.follow(&theirs).await.map_err(ServingError::from),
        Err(error) => Err(error.into()),
    };
    Ok((settled.map(|()| theirs), message))
}

/// Where nobody reads any more nothing is said.
async fn say(outgoing: &mut Outgoing, answer: &Answer, limits: &Limits) {
    let refused = match wire::seal(answer) {
        Ok(bytes) if bytes.len() <= limits.message => return send(outgoing, &bytes, limits).await,
        Ok(bytes) => too_long(bytes.len(), limits),
        Err(error) => error,
    };
    if let Ok(bytes) = wire::seal(&Answer::Refused(refused)) {
        send(outgoing, &bytes, limits).await;
    }
}

async fn send(outgoing: &mut Outgoing, bytes: &[u8], limits: &Limits) {
    if !matches!(timeout(limits.stall, outgoing.message(bytes)).await, Ok(Ok(()))) {
        outgoing.give_up();
    }
}

async fn end_with(mut outgoing: Outgoing, answer: &Answer, limits: &Limits) {
    say(&mut outgoing, answer, limits).await;
    outgoing.end();
}

async fn call_in(incoming: &mut Incoming, limits: &Limits) -> Result<Call> {
    let unread = |error: BodyError| EngineError::failed("the call cannot be read", error);
    let bytes = incoming.message_within(limits.message, limits.stall).await.map_err(unread)?;
    Ok(wire::open(&bytes)?)
}

async fn answer_call(served: Arc<Served>, mut incoming: Incoming, mut outgoing: Outgoing) {
    let answer = async {
        let call = call_in(&mut incoming, &served.limits).await?;
        done(&*served.engine, call).await
    };
    let answer = tokio::select! {
        answer = answer => answer.unwrap_or_else(Answer::Refused),
        () = outgoing.gone() => return,
    };
    end_with(outgoing, &answer, &served.limits).await;
}

async fn done(engine: &dyn Engine, call: Call) -> Result<Answer> {
    Ok(match call {
        Call::Observe(depth) => Answer::Observed(Box::new(engine.observe(depth).await?)),
        Call::Renew(lease) => engine.renew(&lease).await.map(|()| Answer::Done)?,
        Call::Sweep { lease: None, sweep } => Answer::Swept(engine.sweep(&sweep).await?),
        Call::Sweep { lease: Some(lease), sweep } => {
            Answer::Swept(engine.sweep_under(&lease, &sweep).await?)
        }
        Call::Lend(logins) => engine.lend(&logins).await.map(|()| Answer::Done)?,
        Call::Usage => Answer::Usage(engine.usage().await?),
        other => return Err(misplaced(&other)),
    })
}

/// A call that has a route of its own, or that only later versions know.
fn misplaced(call: &Call) -> EngineError {
    let what = format!("the node does not take the call {call:?} here");
    EngineError::Unsupported { what, hint: None }
}

async fn answer_parcel(served: Arc<Served>, incoming: Incoming, mut outgoing: Outgoing) {
    let handed = tokio::select! {
        handed = assign(&served, incoming) => handed,
        () = outgoing.gone() => return,
    };
    let answer = handed.map_or_else(Answer::Refused, |()| Answer::Done);
    end_with(outgoing, &answer, &served.limits).await;
}

async fn assign(served: &Arc<Served>, mut incoming: Incoming) -> Result<()> {
    let _place = served.uploads.acquire().await;
    let (parts, reader) = mpsc::channel(PARTS);
    let mut unpacking = keel_blocking::start({
        let served = served.clone();
        move || unpack(PipeReader::new(reader), &served.spool, &served.limits)
    });
    let stall = served.limits.stall;
    let feeding = async {
        // What is missing is missed by whoever reads.
        while let Ok(Ok(Some(part))) = timeout(stall, incoming.bytes()).await {
            if parts.send(part).await.is_err() {
                break;
            }
        }
        drop(parts);
    };
    let unpacked = tokio::select! {
        // What is refused need not be read to its end.
        unpacked = &mut unpacking => unpacked,
        () = feeding => unpacking.await,
    }?;
    let handed = match &unpacked.lease {
        Some(lease) => served.engine.assign_under(lease, &unpacked.wishes).await,
        None => served.engine.assign(&unpacked.wishes).await,
    };
    // Trees are removed from the disk.
    keel_blocking::run(move || drop(unpacked)).await;
    handed
}

/// Keeps a lease until whoever asked for it is gone, with or without having heard the answer.
async fn grant(served: Arc<Served>, leases: Leases, mut outgoing: Outgoing) {
    let granted = tokio::select! {
        granted = served.engine.lease() => granted,
        () = outgoing.gone() => return,
    };
    match granted {
        Ok(lease) => {
            let key = (lease.epoch, lease.number);
            let _released = ReleasedAtEnd(leases.clone(), key);
            leases.all().insert(key, Held(served.engine.clone(), lease.clone()));
            say(&mut outgoing, &Answer::Leased(lease), &served.limits).await;
            outgoing.gone().await;
        }
        Err(error) => end_with(outgoing, &Answer::Refused(error), &served.limits).await,
    }
}

/// Whatever ends the stream ends the lease.
struct ReleasedAtEnd(Leases, (u64, u64));

impl Drop for ReleasedAtEnd {
    fn drop(&mut self) {
        let (epoch, number) = self.1;
        self.0.release(epoch, number);
    }
}

/// What a slow listener misses, the engine knows.
async fn tell(mut events: BoxStream<'static, Event>, mut outgoing: Outgoing, served: Arc<Served>) {
    while outgoing.may_send().await.is_ok() {
        let next = tokio::select! {
            next = events.next() => next,
            () = outgoing.gone() => None,
        };
        let Some(event) = next else { break };
        say(&mut outgoing, &Answer::Event(event), &served.limits).await;
    }
    outgoing.end();
}

async fn converse(served: Arc<Served>, mut incoming: Incoming, mut outgoing: Outgoing) {
    let opening = async {
        match call_in(&mut incoming, &served.limits).await? {
            Call::Open(what) => served.engine.open(what).await,
            other => Err(misplaced(&other)),
        }
    };
    let opened = tokio::select! {
        opened = opening => opened,
        () = outgoing.gone() => return,
    };
    match opened {
        Ok(duplex) => {
            say(&mut outgoing, &Answer::Opened, &served.limits).await;
            let (hears, says) = duplex.split();
            let mut outward = std::pin::pin!(outward(hears, outgoing));
            tokio::select! {
                () = &mut outward => {}
                // The input's end is not the output's.
                () = inward(incoming, says) => outward.await,
            }
        }
        Err(error) => end_with(outgoing, &Answer::Refused(error), &served.limits).await,
    }
}

async fn outward(mut hears: Box<dyn FrameReader>, mut outgoing: Outgoing) {
    while outgoing.may_send().await.is_ok() {
        let next = tokio::select! {
            next = hears.receive() => next,
            () = outgoing.gone() => return,
        };
        let Some(frame) = next else { return outgoing.end() };
        if outgoing.frame(&frame).await.is_err() {
            return;
        }
    }
}

/// Ends the engine's input where the other side ends it.
async fn inward(mut incoming: Incoming, mut says: Box<dyn FrameWriter>) {
    while let Ok(Some(frame)) = incoming.frame().await {
        if says.send(frame).await.is_err() {
            return;
        }
    }
}
