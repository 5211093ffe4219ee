//! Who comes to the socket, how many, and how long they may take.
//!
//! # Invariants
//! - A connection has one request: it waits for it to be there as a whole, is answered, and ends.
//! - Whoever waits too long, or reads too slowly, is cut off. Streams that last are not: they are
//!   limited in number instead.
//! - Nobody who is being answered makes room for another.

use crate::limits;
use crate::paths;
use crate::refusal::Refused;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use keel_reconciler::ask::{Refusal, RefusalKind};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

const WAITS: u8 = 0;
const ANSWERED: u8 = 1;
const LASTS: u8 = 2;

/// How far a connection has come.
#[derive(Default)]
pub struct Progress(AtomicU8);

impl Progress {
    fn reach(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }

    /// Its request is for somebody else.
    pub fn hands_on(&self) {
        self.reach(LASTS);
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Relaxed) == state
    }
}

/// A place among those that are limited in number, for as long as it is kept.
#[derive(Clone)]
pub struct Place(#[expect(dead_code, reason = "it is kept")] Arc<Vec<OwnedSemaphorePermit>>);

/// Lets requests in.
pub struct Gate {
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    submissions: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        let of = |most| Arc::new(Semaphore::new(most));
        Self {
            requests: of(limits::REQUESTS),
            streams: of(limits::STREAMS),
            submissions: of(limits::SUBMISSIONS),
        }
    }
}

impl Gate {
    /// The request, with its place in it; else what is answered instead. Until its body is there, it
    /// takes nobody's place.
    pub async fn admit(
        &self,
        request: Request<Incoming>,
        progress: &Progress,
    ) -> Result<Request, Refused> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path();
        let (lasts, submits) = (paths::LASTING.contains(&path), paths::SUBMITTING.contains(&path));
        let most = if submits { limits::SUBMISSION } else { limits::BODY };
        let announced = body.size_hint().lower();
        let until = Instant::now() + limits::BODY_TIME;
        let mut body = Arriving { begun: Bytes::new(), rest: Some(body), until: sleep(until) };
        if announced > most as u64 {
            return Err(body.too_large(announced).await);
        }
        body.begin().await.map_err(|why| refused(RefusalKind::Invalid, why.to_owned()))?;
        let mut places = vec![];
        if body.rest.is_some() {
            if !submits {
                return Err(body.too_large(announced).await);
            }
            places.push(place(&self.submissions, limits::SUBMISSIONS, "stacks are being sent")?);
        }
        places.push(match lasts {
            true => place(&self.streams, limits::STREAMS, "logs, sessions and streams are open")?,
            false => place(&self.requests, limits::REQUESTS, "requests are being answered")?,
        });
        progress.reach(if lasts { LASTS } else { ANSWERED });
        head.extensions.insert(Place(Arc::new(places)));
        Ok(Request::from_parts(head, Body::new(body)))
    }
}

fn place(of: &Arc<Semaphore>, most: usize, what: &str) -> Result<OwnedSemaphorePermit, Refused> {
    let free = of.clone().try_acquire_owned();
    free.map_err(|_| refused(RefusalKind::Busy, format!("{most} {what} already")))
}

fn refused(kind: RefusalKind, message: String) -> Refused {
    let hint = (kind == RefusalKind::Busy).then(|| "try again once some have ended".to_owned());
    Refused(Refusal { kind, message, hint })
}

const TOO_LARGE: &str = "the request is too large";

/// The answer, that keeps its place to its end.
pub fn keeping(place: Option<Place>, response: Response) -> Response {
    response.map(|body| Body::new(Keeping { body, _place: place }))
}

/// Connections that wait for their request, the oldest first.
#[derive(Default)]
pub struct Waiting(VecDeque<(Arc<Progress>, AbortHandle)>);

impl Waiting {
    /// One more; where there are too many, the oldest goes.
    pub fn add(&mut self, progress: Arc<Progress>, connection: AbortHandle) {
        self.0.retain(|(progress, connection)| progress.is(WAITS) && !connection.is_finished());
        if self.0.len() >= limits::WAITING {
            self.0.pop_front().inspect(|(_, oldest)| oldest.abort());
        }
        self.0.push_back((progress, connection));
    }
}

/// A request's body, that must be there in time.
struct Arriving {
    begun: Bytes,
    rest: Option<Incoming>,
    until: Pin<Box<Sleep>>,
}

fn sleep(until: Instant) -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep_until(until))
}

impl Arriving {
    /// Reads it to its end, or up to the size of an ordinary one.
    async fn begin(&mut self) -> Result<(), &'static str> {
        let mut begun = BytesMut::new();
        while begun.len() <= limits::BODY {
            let Some(rest) = &mut self.rest else { break };
            let next = tokio::select! {
                next = rest.frame() => next,
                () = &mut self.until => return Err("the request did not come in time"),
            };
            match next {
                None => self.rest = None,
                Some(Err(_)) => return Err("the request broke off"),
                Some(Ok(frame)) => begun.extend(frame.into_data().ok()),
            }
        }
        self.begun = begun.freeze();
        Ok(())
    }
}

impl Arriving {
    /// The refusal, once the rest has come, as far as that is to be expected: whoever is still
    /// sending does not read it.
    async fn too_large(mut self, announced: u64) -> Refused {
        let mut left = limits::SUBMISSION;
        while announced <= limits::SUBMISSION as u64
            && let Some(rest) = &mut self.rest
        {
            let next = tokio::select! {
                next = rest.frame() => next,
                () = &mut self.until => None,
            };
            let data = next.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
            match data.and_then(|data| left.checked_sub(data.len())) {
                Some(less) => left = less,
                None => break,
            }
        }
        refused(RefusalKind::Invalid, TOO_LARGE.to_owned())
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.begun.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.begun)))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(rest).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

/// An answer's body, with the place that it keeps.
struct Keeping {
    body: Body,
    _place: Option<Place>,
}

impl HttpBody for Keeping {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose other side must take what it asked for.
pub struct Patient<S> {
    stream: S,
    progress: Arc<Progress>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, progress, stalled: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(done) = Pin::new(&mut self.stream).poll_write(context, bytes) {
            self.stalled = None;
            return Poll::Ready(done);
        }
        if self.progress.is(LASTS) {
            return Poll::Pending;
        }
        let sleep = || Box::pin(tokio::time::sleep(limits::TAKEN));
        ready!(self.stalled.get_or_insert_with(sleep).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
