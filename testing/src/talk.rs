//! A node whose only conversation is with a test: nothing is kept in between, so what is asked for and handed over
//! can be counted.

use crate::fake::Fake;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use keel_engine::frames::Frame;
use keel_engine::{
    Assignment, Depth, Duplex, Engine, Event, FrameReader, FrameWriter, Halves, Lease, LentLogin,
    Observation, Open, Result, Sweep, Swept, Usage,
};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc};

/// A node whose only conversation is with the test itself, frame by frame: nothing is kept in between.
pub struct Talk {
    /// All but conversations.
    pub fake: Fake,
    given: Mutex<Option<(mpsc::Receiver<Frame>, mpsc::Sender<Frame>)>>,
    /// How many frames were asked for.
    pub asked: Arc<AtomicUsize>,
    /// How many were handed over.
    pub taken: Arc<AtomicUsize>,
    /// A lease is granted once this is told.
    pub free: Option<Arc<Notify>>,
}

/// The engine's end of that conversation.
pub struct Inside {
    /// What the engine says.
    pub says: mpsc::Sender<Frame>,
    /// What it is told.
    pub hears: mpsc::Receiver<Frame>,
}

/// Such a node, and its end of the conversation.
#[must_use]
pub fn talk() -> (Arc<Talk>, Inside) {
    let (says, near_hears) = mpsc::channel(1);
    let (near_says, hears) = mpsc::channel(1);
    let talk = Talk {
        fake: Fake::new("node"),
        given: Mutex::new(Some((near_hears, near_says))),
        asked: Arc::default(),
        taken: Arc::default(),
        free: None,
    };
    (Arc::new(talk), Inside { says, hears })
}

struct Counting<T>(T, Arc<AtomicUsize>);

#[async_trait]
impl FrameReader for Counting<mpsc::Receiver<Frame>> {
    async fn receive(&mut self) -> Option<Frame> {
        let frame = self.0.recv().await;
        self.1.fetch_add(1, Ordering::SeqCst);
        frame
    }
}

#[async_trait]
impl FrameWriter for Counting<mpsc::Sender<Frame>> {
    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.send(frame).await.map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

#[async_trait]
impl Engine for Talk {
    async fn observe(&self, depth: Depth) -> Result<Observation> {
        self.fake.observe(depth).await
    }

    async fn assign(&self, wishes: &[Assignment]) -> Result<()> {
        self.fake.assign(wishes).await
    }

    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        self.fake.assign_under(lease, wishes).await
    }

    async fn lease(&self) -> Result<Lease> {
        if let Some(free) = &self.free {
            free.notified().await;
        }
        self.fake.lease().await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.fake.renew(lease).await
    }

    fn release(&self, lease: &Lease) {
        self.fake.release(lease);
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<Swept> {
        self.fake.sweep(sweep).await
    }

    async fn sweep_under(&self, lease: &Lease, sweep: &Sweep) -> Result<Swept> {
        self.fake.sweep_under(lease, sweep).await
    }

    async fn lend(&self, logins: &[LentLogin]) -> Result<()> {
        self.fake.lend(logins).await
    }

    async fn usage(&self) -> Result<Usage> {
        self.fake.usage().await
    }

    fn events(&self) -> BoxStream<'static, Event> {
        self.fake.events()
    }

    async fn open(&self, _: Open) -> Result<Box<dyn Duplex>> {
        let (hears, says) = self
            .given
            .lock()
            .expect("no test panics while it holds the lock")
            .take()
            .expect("one conversation");
        let (asked, taken) = (self.asked.clone(), self.taken.clone());
        Ok(Box::new(Halves { hears: Counting(hears, asked), says: Counting(says, taken) }))
    }
}
