//! The side that answers: an engine, and whoever asks it over a line.

use super::near::{Hears, Says, too_long};
use super::packet::{self, Body, Packet};
use super::streams::{Reading, Streams, Writing};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use keel_engine::wire::{self, Answer, Call};
use keel_engine::{
    Engine, EngineError, Event, FrameReader, FrameWriter, Lease, Result, frames::Frame,
};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

/// Answers until the line ends; then what was opened over it ends, too.
pub async fn serve(engine: Arc<dyn Engine>, line: impl AsyncRead + AsyncWrite + Send + 'static) {
    let (mut reads, writes) = tokio::io::split(line);
    let (out, queue) = unbounded_channel();
    let streams = Streams::default();
    let mut work = JoinSet::new();
    work.spawn(packet::write(queue, writes));
    while let Ok(Some(Packet { stream, body })) = packet::read(&mut reads).await {
        match body {
            Body::Call(bytes) => take(&engine, &bytes, streams.begin(stream, &out), &mut work),
            body => streams.deliver(Packet { stream, body }),
        }
        while work.try_join_next().is_some() {}
    }
    streams.close();
    // Also what waits for the engine: nobody would hear of it.
    work.shutdown().await;
}

/// What depends on the order of calls is done here, all else beside others.
fn take(
    engine: &Arc<dyn Engine>,
    bytes: &[u8],
    (reading, writing): (Reading, Writing),
    work: &mut JoinSet<()>,
) {
    let engine = Arc::clone(engine);
    match wire::open(bytes) {
        Ok(Call::Release(lease)) => {
            engine.release(&lease);
            work.spawn(async move { say(&writing, &Answer::Done).await });
        }
        Ok(Call::Events) => drop(work.spawn(tell(engine.events(), writing))),
        Ok(Call::Lease) => drop(work.spawn(grant(engine, writing))),
        Ok(Call::Open(what)) => {
            work.spawn(async move {
                let opened = tokio::select! {
                    opened = engine.open(what) => opened,
                    () = writing.gone() => return,
                };
                match opened {
                    Ok(duplex) => {
                        say(&writing, &Answer::Opened).await;
                        let (hears, says) = duplex.split();
                        let outward = outward(hears, Says(writing));
                        tokio::join!(outward, inward(Hears(reading), says));
                    }
                    Err(error) => say(&writing, &Answer::Refused(error)).await,
                }
            });
        }
        Ok(call) => {
            work.spawn(async move {
                tokio::select! {
                    answer = done(&*engine, call) => {
                        say(&writing, &answer.unwrap_or_else(Answer::Refused)).await;
                    }
                    () = writing.gone() => {}
                }
            });
        }
        Err(error) => {
            let refused = Answer::Refused(error.into());
            work.spawn(async move { say(&writing, &refused).await });
        }
    }
}

async fn done(engine: &dyn Engine, call: Call) -> Result<Answer> {
    let nothing = |()| Answer::Done;
    Ok(match call {
        Call::Observe(depth) => Answer::Observed(Box::new(engine.observe(depth).await?)),
        Call::Assign { lease: None, wishes } => engine.assign(&wishes).await.map(nothing)?,
        Call::Assign { lease: Some(lease), wishes } => {
            engine.assign_under(&lease, &wishes).await.map(nothing)?
        }
        Call::Renew(lease) => engine.renew(&lease).await.map(nothing)?,
        Call::Sweep { lease: None, sweep } => Answer::Swept(engine.sweep(&sweep).await?),
        Call::Sweep { lease: Some(lease), sweep } => {
            Answer::Swept(engine.sweep_under(&lease, &sweep).await?)
        }
        Call::Lend(logins) => engine.lend(&logins).await.map(nothing)?,
        Call::Usage => Answer::Usage(engine.usage().await?),
        other => {
            let what = format!("the node does not know the call {other:?}");
            return Err(EngineError::Unsupported { what, hint: None });
        }
    })
}

/// Where nobody reads any more nothing is said.
async fn say(writing: &Writing, answer: &Answer) {
    let refused = match wire::seal(answer) {
        Ok(bytes) if bytes.len() <= packet::MAX => {
            writing.send(Body::Answer(bytes)).await;
            return;
        }
        Ok(bytes) => too_long(bytes.len()),
        Err(error) => error,
    };
    if let Ok(bytes) = wire::seal(&Answer::Refused(refused)) {
        writing.send(Body::Answer(bytes)).await;
    }
}

/// Keeps a lease until whoever asked for it is gone, with or without having heard the answer.
async fn grant(engine: Arc<dyn Engine>, writing: Writing) {
    let granted = tokio::select! {
        granted = engine.lease() => granted,
        () = writing.gone() => return,
    };
    match granted {
        Ok(lease) => {
            let held = Held(engine, lease);
            say(&writing, &Answer::Leased(held.1.clone())).await;
            writing.gone().await;
        }
        Err(error) => say(&writing, &Answer::Refused(error)).await,
    }
}

struct Held(Arc<dyn Engine>, Lease);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release(&self.1);
    }
}

/// Takes an event from the engine only when it can be sent: what a slow listener misses, the engine knows.
async fn tell(mut events: BoxStream<'static, Event>, writing: Writing) {
    while writing.may_send().await {
        let next = tokio::select! {
            next = events.next() => next,
            () = writing.gone() => None,
        };
        let Some(event) = next else { return };
        say(&writing, &Answer::Event(event)).await;
    }
}

/// Takes a frame from the engine only when it can be sent.
async fn outward(mut hears: Box<dyn FrameReader>, mut says: Says) {
    while says.0.may_send().await {
        let next: Option<Frame> = tokio::select! {
            next = hears.receive() => next,
            () = says.0.gone() => None,
        };
        let Some(frame) = next else { return };
        if says.send(frame).await.is_err() {
            return;
        }
    }
}

/// Ends the engine's input where the other side ends it, and the other way round.
async fn inward(mut hears: Hears, mut says: Box<dyn FrameWriter>) {
    while let Some(frame) = hears.receive().await {
        if says.send(frame).await.is_err() {
            return;
        }
    }
}
