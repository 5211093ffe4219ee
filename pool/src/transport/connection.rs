//! The controller's side of one connection: calls as requests.

use super::allegiance::Superseded;
use super::body::{BodyError, Incoming, Outgoing};
use super::limits::{
    CALLS, CONNECTION_WINDOW, HEADERS, HELLO, Limits, SEND_BUFFER, SESSIONS, SMALL_FRAMES,
    STREAM_WINDOW, UPLOADS,
};
use super::parcel::{PackError, PipeWriter, pack};
use super::route::Route;
use super::version::{Hello, VersionMismatch, agree};
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::StatusCode;
use keel_engine::wire::{self, Answer, Call};
use keel_engine::{Assignment, EngineError, Lease};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

/// Parts of a parcel that wait for the stream.
const PARTS: usize = 2;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The node said no, or this side could not put the call together.
    #[error(transparent)]
    Refused(#[from] EngineError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the connection was lost")]
    Broken(#[source] h2::Error),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("unexpected answer from the node")]
    Unexpected,
    #[error(transparent)]
    Version(#[from] VersionMismatch),
    #[error(transparent)]
    Superseded(#[from] Superseded),
}

type Result<T> = std::result::Result<T, CallError>;

/// One connection, for as long as it lasts.
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    limits: Arc<Limits>,
    calls: Semaphore,
    waits: Semaphore,
    uploads: Semaphore,
    sessions: Arc<Semaphore>,
    /// While its stream is there, the node keeps a lease.
    leases: Mutex<HashMap<Lease, (Incoming, Outgoing)>>,
}

/// What moves the bytes of a connection. Dropped, everything on it ends.
pub(super) type Driver<L> = h2::client::Connection<L, Bytes>;

/// Begins to speak HTTP/2 on a line.
pub(super) async fn connect<L: AsyncRead + AsyncWrite + Unpin>(
    line: L,
    limits: Arc<Limits>,
) -> Result<(Connection, Driver<L>)> {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADERS)
        .data_frame_budget(SMALL_FRAMES)
        .enable_push(false);
    let begun = timeout(limits.hello, builder.handshake(line)).await;
    let (requests, driver) =
        begun.map_err(|_| CallError::Late(limits.hello))?.map_err(CallError::Broken)?;
    let connection = Connection {
        requests,
        limits,
        calls: Semaphore::new(CALLS),
        waits: Semaphore::new(CALLS),
        uploads: Semaphore::new(UPLOADS),
        sessions: Arc::new(Semaphore::new(SESSIONS)),
        leases: Mutex::default(),
    };
    Ok((connection, driver))
}

impl Connection {
    /// Sent in the order of these calls, whatever becomes of their bodies.
    fn request(&self, route: Route) -> Result<(ResponseFuture, Outgoing)> {
        let sent = self.requests.clone().send_request(route.request(), false);
        let (response, outgoing) = sent.map_err(CallError::Broken)?;
        Ok((response, Outgoing::new(outgoing)))
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Lease, (Incoming, Outgoing)>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The versions of the other side, if they can be spoken with.
    pub(super) async fn greet(&self, own: &Hello) -> Result<Hello> {
        let greeting = async {
            let (response, mut outgoing) = self.request(Route::Hello)?;
            outgoing.message(&serde_json::to_vec(own).map_err(|_| CallError::Unexpected)?).await?;
            outgoing.end();
            let said = answers(response).await?.message(HELLO).await?;
            let said = said.ok_or(CallError::Unexpected)?;
            serde_json::from_slice(&said).map_err(|_| CallError::Unexpected)
        };
        let theirs = within(self.limits.hello, greeting).await?;
        agree(own, &theirs)?;
        match theirs.epoch > own.epoch {
            true => Err(Superseded { theirs: own.epoch, seen: theirs.epoch }.into()),
            false => Ok(theirs),
        }
    }

    /// A stream in both directions on which nothing has to be said first.
    pub(super) async fn stream(&self, route: Route) -> Result<(Incoming, Outgoing)> {
        let (response, outgoing) = self.request(route)?;
        Ok((within(self.limits.answer, answers(response)).await?, outgoing))
    }

    /// The next event of such a stream.
    pub(super) async fn next_answer(&self, incoming: &mut Incoming) -> Result<Answer> {
        answer(incoming, &self.limits).await
    }

    /// Asks what fits into one message.
    pub(super) async fn ask(&self, call: &Call, limit: Duration) -> Result<Answer> {
        let message = sealed(call, &self.limits)?;
        within(limit, async {
            let _place = self.calls.acquire().await;
            let (response, mut outgoing) = self.request(Route::Call)?;
            outgoing.message(&message).await?;
            outgoing.end();
            answer(&mut answers(response).await?, &self.limits).await
        })
        .await
    }

    /// Hands wishes over. What is read for them is read as the node takes it.
    pub(super) async fn assign(&self, lease: Option<&Lease>, wishes: &[Assignment]) -> Result<()> {
        let _place = self.uploads.acquire().await;
        let (response, mut outgoing) = self.request(Route::Assign)?;
        let (parts, mut packed) = mpsc::channel(PARTS);
        let (lease, wishes) = (lease.cloned(), wishes.to_vec());
        let packing =
            keel_blocking::start(move || pack(lease.as_ref(), &wishes, PipeWriter(parts)));
        let answered = async {
            let mut incoming = answers(response).await?;
            answer(&mut incoming, &self.limits).await
        };
        tokio::pin!(answered);
        tokio::select! {
            // A node that refuses what comes need not read the rest.
            early = &mut answered => return done(early?),
            sent = self.upload(&mut packed, &mut outgoing) => sent?,
        }
        match packing.await {
            Ok(()) => outgoing.end(),
            Err(error) => {
                outgoing.give_up();
                return Err(of_packing(error));
            }
        }
        done(within(self.limits.long_answer, answered).await?)
    }

    async fn upload(
        &self,
        packed: &mut mpsc::Receiver<Bytes>,
        outgoing: &mut Outgoing,
    ) -> Result<()> {
        while let Some(part) = packed.recv().await {
            let taken = timeout(self.limits.stall, outgoing.bytes(part)).await;
            match taken.map_err(|_| BodyError::Stalled(self.limits.stall))? {
                Ok(()) => {}
                // What it answers says why, or that it does not.
                Err(_) => std::future::pending().await,
            }
        }
        Ok(())
    }

    /// Waits for as long as it takes: others drive the node.
    pub(super) async fn lease(&self) -> Result<Lease> {
        let _place = self.waits.acquire().await;
        let (response, outgoing) = self.request(Route::Lease)?;
        let mut incoming = answers(response).await?;
        match answer(&mut incoming, &self.limits).await? {
            Answer::Leased(lease) => {
                self.leases().insert(lease.clone(), (incoming, outgoing));
                Ok(lease)
            }
            _ => Err(CallError::Unexpected),
        }
    }

    /// Sent before whatever is called next.
    pub(super) fn release(&self, lease: &Lease) {
        let route = Route::Release { epoch: lease.epoch, number: lease.number };
        let held = self.leases().remove(lease);
        let sent = self.requests.clone().send_request(route.request(), true);
        // Where the connection is broken, the node has released it. The stream goes when the answer has come: its
        // end would say the same, and out of order. Without a runtime nothing follows that could come too early.
        if let (Ok((response, _)), Ok(runtime)) = (sent, Handle::try_current()) {
            runtime.spawn(async move {
                let _ = response.await;
                drop(held);
            });
        }
    }

    /// Opens a session, if there is room for another.
    pub(super) async fn open(
        &self,
        call: &Call,
    ) -> Result<(Incoming, Outgoing, OwnedSemaphorePermit)> {
        let place = self.sessions.clone().try_acquire_owned().map_err(|_| full())?;
        let message = sealed(call, &self.limits)?;
        within(self.limits.answer, async {
            let (response, mut outgoing) = self.request(Route::Open)?;
            outgoing.message(&message).await?;
            let mut incoming = answers(response).await?;
            match answer(&mut incoming, &self.limits).await? {
                Answer::Opened => Ok((incoming, outgoing, place)),
                _ => Err(CallError::Unexpected),
            }
        })
        .await
    }
}

fn full() -> EngineError {
    EngineError::Conflict {
        what: format!("{SESSIONS} sessions with tasks on this node are already open"),
        hint: Some("close one: a followed log, an exec or an attached terminal".into()),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or(Err(CallError::Late(limit)))
}

fn sealed(call: &Call, limits: &Limits) -> Result<Vec<u8>> {
    let message = wire::seal(call)?;
    match message.len() > limits.message {
        true => Err(too_long(message.len(), limits).into()),
        false => Ok(message),
    }
}

/// A message that this side does not send.
pub(super) fn too_long(bytes: usize, limits: &Limits) -> EngineError {
    let most = limits.message;
    EngineError::Unsupported {
        what: format!("a message of {bytes} bytes exceeds the limit of {most} between nodes"),
        hint: None,
    }
}

async fn answers(response: ResponseFuture) -> Result<Incoming> {
    let response = response.await.map_err(CallError::Broken)?;
    if response.status() != StatusCode::OK {
        return Err(EngineError::Unsupported {
            what: format!("the node does not support this call ({})", response.status()),
            hint: Some("run the same version of keel on the controller and on its nodes".into()),
        }
        .into());
    }
    Ok(Incoming::new(response.into_body()))
}

async fn answer(incoming: &mut Incoming, limits: &Limits) -> Result<Answer> {
    let message = incoming.message(limits.message).await?.ok_or(BodyError::Cut)?;
    match wire::open(&message).map_err(EngineError::from)? {
        Answer::Refused(error) => Err(error.into()),
        answer => Ok(answer),
    }
}

fn done(answer: Answer) -> Result<()> {
    if answer == Answer::Done { Ok(()) } else { Err(CallError::Unexpected) }
}

fn of_packing(error: PackError) -> CallError {
    match error {
        PackError::Sealed(error) => error.into(),
        PackError::Message(error) => error.into(),
        PackError::Untaken(_) => BodyError::Unread.into(),
        PackError::File(..) => EngineError::failed("cannot send the assignment", error).into(),
    }
}
