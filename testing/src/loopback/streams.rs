//! The streams of one side of a connection.

use super::packet::{Body, Packet};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{Semaphore, watch};

/// So much may be sent on a stream before the other side has taken any of it.
pub(super) const WINDOW: usize = 16;

/// Every stream that this side knows.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    is_over: bool,
    ends: HashMap<u64, End>,
}

/// Where packets of a stream go.
struct End {
    incoming: Option<mpsc::Sender<Body>>,
    credit: Arc<Semaphore>,
    gone: watch::Sender<bool>,
    /// Of the two halves of this side, those that are still there.
    halves: u8,
}

/// What comes on a stream. Dropped, it tells the other side that nobody reads any more.
pub(super) struct Reading {
    stream: u64,
    incoming: mpsc::Receiver<Body>,
    half: Half,
}

/// What goes on a stream. Dropped, it tells the other side that nothing more comes.
pub(super) struct Writing {
    stream: u64,
    credit: Arc<Semaphore>,
    gone: watch::Receiver<bool>,
    half: Half,
}

struct Half {
    stream: u64,
    last: Option<Body>,
    out: UnboundedSender<Packet>,
    streams: Streams,
}

impl Streams {
    fn known(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both halves of a new stream.
    pub(super) fn begin(&self, stream: u64, out: &UnboundedSender<Packet>) -> (Reading, Writing) {
        let (sender, incoming) = mpsc::channel(WINDOW);
        let credit = Arc::new(Semaphore::new(WINDOW));
        let (gone, is_gone) = watch::channel(false);
        let end = End { incoming: Some(sender), credit: credit.clone(), gone, halves: 2 };
        let mut known = self.known();
        if known.is_over {
            end.stop();
        } else {
            known.ends.insert(stream, end);
        }
        let half = |last| {
            let (out, streams) = (out.clone(), self.clone());
            Half { stream, last: Some(last), out, streams }
        };
        (
            Reading { stream, incoming, half: half(Body::Gone) },
            Writing { stream, credit, gone: is_gone, half: half(Body::End) },
        )
    }

    /// Hands a packet to whom it is for. One for nobody is late.
    pub(super) fn deliver(&self, packet: Packet) {
        let mut known = self.known();
        let Some(end) = known.ends.get_mut(&packet.stream) else { return };
        match packet.body {
            Body::Credit(more) => end.credit.add_permits((more as usize).min(WINDOW)),
            Body::End => end.incoming = None,
            Body::Gone => end.stop(),
            // Who sends without credit loses the stream.
            body => {
                let taken = end.incoming.as_ref().map(|incoming| incoming.try_send(body));
                if !matches!(taken, Some(Ok(()))) {
                    end.incoming = None;
                }
            }
        }
    }

    /// The connection is over.
    pub(super) fn close(&self) {
        let mut known = self.known();
        known.is_over = true;
        known.ends.drain().for_each(|(_, end)| end.stop());
    }

    fn leave(&self, stream: u64) {
        let mut known = self.known();
        let Some(end) = known.ends.get_mut(&stream) else { return };
        end.halves -= 1;
        if end.halves == 0 {
            known.ends.remove(&stream);
        }
    }
}

impl End {
    /// Nothing more may be sent.
    fn stop(&self) {
        self.credit.close();
        self.gone.send_replace(true);
    }
}

impl Reading {
    /// The next that comes; `None` when nothing more does.
    pub(super) async fn next(&mut self) -> Option<Body> {
        let body = self.incoming.recv().await?;
        let packet = Packet { stream: self.stream, body: Body::Credit(1) };
        // Where the line is broken nobody needs it.
        let _ = self.half.out.send(packet);
        Some(body)
    }
}

impl Writing {
    /// Waits until something may be sent; false where nobody reads it any more.
    pub(super) async fn may_send(&self) -> bool {
        self.credit.acquire().await.is_ok()
    }

    /// Sends once the other side takes it; false where nobody reads it any more.
    pub(super) async fn send(&self, body: Body) -> bool {
        let Ok(permit) = self.credit.acquire().await else { return false };
        permit.forget();
        self.half.out.send(Packet { stream: self.stream, body }).is_ok()
    }

    /// Returns once nobody reads any more.
    pub(super) async fn gone(&self) {
        // An error means that the stream is over.
        let _ = self.gone.clone().wait_for(|gone| *gone).await;
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Some(body) = self.last.take() {
            // Where the line is broken nobody needs it.
            let _ = self.out.send(Packet { stream: self.stream, body });
        }
        self.streams.leave(self.stream);
    }
}
