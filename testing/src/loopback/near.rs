//! The side that asks: an [`Engine`] whose every call goes over the line.

use super::packet::{self, Body, Packet};
use super::streams::{Reading, Streams, Writing};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use keel_engine::frames::{self, Frame};
use keel_engine::wire::{self, Answer, Call};
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, FrameReader, FrameWriter, Halves, Lease,
    LentLogin, Observation, Open, Result, Sweep, Swept, Usage,
};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// An engine at the other end of a line.
pub struct Near {
    out: UnboundedSender<Packet>,
    streams: Streams,
    last: AtomicU64,
    /// While its stream is there, the other side keeps a lease.
    leases: Mutex<HashMap<Lease, Reading>>,
}

impl Near {
    /// Begins to speak. The line is open for as long as this, or anything that was opened with it.
    pub fn connect(line: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (mut reads, writes) = tokio::io::split(line);
        let (out, queue) = unbounded_channel();
        let streams = Streams::default();
        tokio::spawn(packet::write(queue, writes));
        tokio::spawn({
            let streams = streams.clone();
            async move {
                while let Ok(Some(packet)) = packet::read(&mut reads).await {
                    streams.deliver(packet);
                }
                streams.close();
            }
        });
        Self { out, streams, last: AtomicU64::new(0), leases: Mutex::default() }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Lease, Reading>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, call: &Call) -> Result<(Reading, Writing)> {
        let bytes = wire::seal(call)?;
        if bytes.len() > packet::MAX {
            return Err(too_long(bytes.len()));
        }
        let stream = self.last.fetch_add(1, Ordering::Relaxed);
        let begun = self.streams.begin(stream, &self.out);
        let packet = Packet { stream, body: Body::Call(bytes) };
        self.out.send(packet).map_err(|_| broken())?;
        Ok(begun)
    }

    async fn ask(&self, call: &Call) -> Result<(Answer, Reading, Writing)> {
        let (mut reading, writing) = self.say(call)?;
        match answer(reading.next().await)? {
            Answer::Refused(error) => Err(error),
            answer => Ok((answer, reading, writing)),
        }
    }

    async fn done(&self, call: &Call) -> Result<()> {
        match self.ask(call).await?.0 {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn swept(&self, lease: Option<Lease>, sweep: &Sweep) -> Result<Swept> {
        match self.ask(&Call::Sweep { lease, sweep: sweep.clone() }).await?.0 {
            Answer::Swept(swept) => Ok(swept),
            other => Err(unexpected(&other)),
        }
    }
}

/// What is not said in time is not known, and a broken line is trouble of the network.
fn broken() -> EngineError {
    EngineError::failed("the node does not answer", io::Error::from(ErrorKind::ConnectionReset))
}

pub(super) fn too_long(bytes: usize) -> EngineError {
    EngineError::Unsupported {
        what: format!("a message of {bytes} bytes is too long for the line to a node"),
        hint: None,
    }
}

fn unexpected(answer: &Answer) -> EngineError {
    EngineError::failed("the node does not keep to the protocol", format!("it said {answer:?}"))
}

fn answer(body: Option<Body>) -> Result<Answer> {
    match body {
        Some(Body::Answer(bytes)) => Ok(wire::open(&bytes)?),
        _ => Err(broken()),
    }
}

#[async_trait]
impl Engine for Near {
    async fn observe(&self, depth: Depth) -> Result<Observation> {
        match self.ask(&Call::Observe(depth)).await?.0 {
            Answer::Observed(observation) => Ok(*observation),
            other => Err(unexpected(&other)),
        }
    }

    async fn assign(&self, wishes: &[Assignment]) -> Result<()> {
        self.done(&Call::Assign { lease: None, wishes: wishes.to_vec() }).await
    }

    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        let lease = Some(lease.clone());
        self.done(&Call::Assign { lease, wishes: wishes.to_vec() }).await
    }

    async fn lease(&self) -> Result<Lease> {
        match self.ask(&Call::Lease).await? {
            (Answer::Leased(lease), reading, _) => {
                self.leases().insert(lease.clone(), reading);
                Ok(lease)
            }
            (other, ..) => Err(unexpected(&other)),
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.done(&Call::Renew(lease.clone())).await
    }

    fn release(&self, lease: &Lease) {
        // Where the line is broken, the other side has released it.
        let _ = self.say(&Call::Release(lease.clone()));
        self.leases().remove(lease);
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<Swept> {
        self.swept(None, sweep).await
    }

    async fn sweep_under(&self, lease: &Lease, sweep: &Sweep) -> Result<Swept> {
        self.swept(Some(lease.clone()), sweep).await
    }

    async fn lend(&self, logins: &[LentLogin]) -> Result<()> {
        self.done(&Call::Lend(logins.to_vec())).await
    }

    async fn usage(&self) -> Result<Usage> {
        match self.ask(&Call::Usage).await?.0 {
            Answer::Usage(usage) => Ok(usage),
            other => Err(unexpected(&other)),
        }
    }

    fn events(&self) -> BoxStream<'static, Event> {
        let Ok((reading, writing)) = self.say(&Call::Events) else {
            return futures_util::stream::empty().boxed();
        };
        unfold((reading, writing), |(mut reading, writing)| async {
            match answer(reading.next().await) {
                Ok(Answer::Event(event)) => Some((event, (reading, writing))),
                _ => None,
            }
        })
        .boxed()
    }

    async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        match self.ask(&Call::Open(what)).await? {
            (Answer::Opened, reading, writing) => {
                Ok(Box::new(Halves { hears: Hears(reading), says: Says(writing) }))
            }
            (other, ..) => Err(unexpected(&other)),
        }
    }
}

pub(super) struct Hears(pub(super) Reading);
pub(super) struct Says(pub(super) Writing);

#[async_trait]
impl FrameReader for Hears {
    async fn receive(&mut self) -> Option<Frame> {
        match self.0.next().await? {
            // What is no frame ends the conversation.
            Body::Frame(bytes) => frames::decode(&bytes).ok().flatten().map(|(frame, _)| frame),
            _ => None,
        }
    }
}

#[async_trait]
impl FrameWriter for Says {
    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        match self.0.send(Body::Frame(frame.encode())).await {
            true => Ok(()),
            false => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}
