//! The way between the controller and one node: a connection that comes and goes, over which messages are lost,
//! late, repeated and overtaken.

use super::dice::Dice;
use super::doom::Doom;
use super::machine::Machine;
use super::story::Story;
use super::watcher::Promises;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, Lease, LentLogin, NodeName, Observation,
    Open, Result, Sweep, Swept, Usage,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Between two beats of a node.
const BEAT: Duration = Duration::from_secs(2);
/// A connection over which nothing came for so long is over.
const SILENCE: u64 = 6_000;
/// Who gets no answer by then gives up.
const PATIENCE: Duration = Duration::from_secs(8);

/// How bad the way is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weather {
    /// Nothing reaches the node.
    pub is_cut_there: bool,
    /// Nothing comes back.
    pub is_cut_back: bool,
    /// Of a hundred messages in each direction so many are lost.
    pub lost: u32,
    /// So many come twice.
    pub repeated: u32,
    /// The longest time that a message takes; milliseconds.
    pub late: u64,
}

pub(super) struct Link {
    pub machine: Arc<Machine>,
    /// It is the controller's own machine: no network is between.
    pub is_home: bool,
    dice: Dice,
    weather: Mutex<Weather>,
    /// When the node was heard last, and whether it is connected.
    heard: Mutex<(u64, bool)>,
    /// The life of the controller that the node is connected with.
    life: Mutex<u64>,
    promises: Promises,
    story: Story,
}

impl Link {
    pub fn new(machine: Machine, is_home: bool, dice: Dice, promises: Promises) -> Arc<Self> {
        let story = promises.story().clone();
        let (weather, life) = (Mutex::default(), Mutex::new(0));
        let (machine, heard) = (Arc::new(machine), Mutex::new((story.now(), true)));
        Arc::new(Self { machine, is_home, dice, weather, heard, life, promises, story })
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// Beats for ever.
    pub async fn beat(self: Arc<Self>) {
        loop {
            let weather = self.weather();
            let comes = self.machine.is_on() && !weather.is_cut_back;
            if comes && !self.dice.percent(weather.lost) {
                self.beats(!weather.is_cut_there);
            }
            self.miss();
            sleep(BEAT).await;
        }
    }

    /// A beat arrives; who is not connected needs both ways for a new connection.
    fn beats(&self, answers: bool) {
        let mut heard = self.heard.lock().unwrap();
        if heard.1 || answers {
            *heard = (self.story.now(), true);
        }
    }

    fn miss(&self) {
        let mut heard = self.heard.lock().unwrap();
        if heard.1 && self.story.now() - heard.0 > SILENCE {
            heard.1 = false;
            self.machine.forget_drivers();
        }
    }

    /// The connection ends, and another one has to be made.
    pub fn disconnect(&self) {
        self.heard.lock().unwrap().1 = false;
        self.machine.forget_drivers();
    }

    pub fn is_connected(&self) -> bool {
        self.is_home || self.heard.lock().unwrap().1
    }

    /// For how long nothing was heard; `None` while it is connected.
    pub fn unheard(&self) -> Option<Duration> {
        let (at, connected) = *self.heard.lock().unwrap();
        (!connected).then(|| Duration::from_millis(self.story.now() - at))
    }

    async fn travel(&self, is_cut: bool) -> Result<()> {
        if self.is_home {
            return Ok(());
        }
        let weather = self.weather();
        if !self.is_connected() {
            return Err(self.silent("not connected"));
        }
        if is_cut || self.dice.percent(weather.lost) {
            sleep(PATIENCE).await;
            return Err(self.silent("no answer"));
        }
        sleep(Duration::from_millis(self.dice.between(1, weather.late.max(5)))).await;
        Ok(())
    }

    fn silent(&self, why: &'static str) -> EngineError {
        EngineError::failed(format!("node {} does not answer", self.machine.name), why)
    }

    async fn there(&self) -> Result<()> {
        self.travel(self.weather().is_cut_there).await?;
        if !self.machine.is_on() {
            if !self.is_home {
                sleep(PATIENCE).await;
            }
            return Err(self.silent("it is off"));
        }
        self.machine.live(self.story.now());
        Ok(())
    }

    async fn back(&self) -> Result<()> {
        self.travel(self.weather().is_cut_back).await
    }

    /// What reaches the node does, whoever sent it is still there or not.
    fn deliver(&self, epoch: u64, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        if !self.machine.is_on() {
            return Err(self.silent("it is off"));
        }
        self.machine.live(self.story.now());
        self.promises.deliver(&self.machine, (epoch, lease), wishes, self.story.now())
    }

    fn repeat(self: &Arc<Self>, epoch: u64, lease: &Lease, wishes: &[Assignment]) {
        let after = Duration::from_millis(self.dice.between(10, 15_000));
        let (link, lease, wishes) = (self.clone(), lease.clone(), wishes.to_vec());
        tokio::spawn(async move {
            sleep(after).await;
            let _ = link.deliver(epoch, &lease, &wishes);
        });
    }
}

/// What one life of a controller holds of a link.
pub(super) struct End {
    pub link: Arc<Link>,
    pub life: u64,
    pub epoch: u64,
    pub doom: Doom,
}

impl End {
    /// A new life has a connection of its own.
    fn connect(&self) {
        let mut life = self.link.life.lock().unwrap();
        if *life < self.life {
            *life = self.life;
            self.link.machine.forget_drivers();
        }
    }

    pub fn name(&self) -> NodeName {
        self.link.machine.name.clone()
    }
}

#[async_trait]
impl Engine for End {
    async fn observe(&self, _: Depth) -> Result<Observation> {
        self.link.there().await?;
        let seen = self.link.machine.observe(self.link.story.now());
        self.link.back().await?;
        Ok(seen)
    }

    async fn assign(&self, _: &[Assignment]) -> Result<()> {
        let node = &self.link.machine.name;
        self.link.story.broken(&format!("a node is told something without a turn: {node}"));
        Err(self.link.silent("nobody has a turn"))
    }

    /// What was sent arrives though its sender dies.
    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        self.doom.edge().await;
        let (link, epoch) = (self.link.clone(), self.epoch);
        if !link.is_home && link.dice.percent(link.weather().repeated) {
            link.repeat(epoch, lease, wishes);
        }
        let (lease, wishes) = (lease.clone(), wishes.to_vec());
        let sent = tokio::spawn(async move {
            link.there().await?;
            let taken = link.deliver(epoch, &lease, &wishes);
            link.back().await?;
            taken
        });
        self.doom.edge().await;
        let taken = sent.await.unwrap();
        self.doom.edge().await;
        taken
    }

    async fn lease(&self) -> Result<Lease> {
        self.link.there().await?;
        self.connect();
        let lease = self.link.machine.grant(self.epoch)?;
        self.link.back().await?;
        Ok(lease)
    }

    async fn renew(&self, _: &Lease) -> Result<()> {
        Ok(())
    }

    /// Waits for nothing, and may be lost or come late.
    fn release(&self, lease: &Lease) {
        let link = self.link.clone();
        let weather = link.weather();
        let is_lost = weather.is_cut_there || link.dice.percent(weather.lost);
        if link.is_home || tokio::runtime::Handle::try_current().is_err() {
            link.machine.release(lease);
        } else if !is_lost {
            let (lease, after) = (lease.clone(), link.dice.between(0, weather.late * 5));
            tokio::spawn(async move {
                sleep(Duration::from_millis(after)).await;
                link.machine.release(&lease);
            });
        }
    }

    async fn sweep(&self, _: &Sweep) -> Result<Swept> {
        Err(self.link.silent("nobody sweeps here"))
    }

    async fn sweep_under(&self, _: &Lease, _: &Sweep) -> Result<Swept> {
        Err(self.link.silent("nobody sweeps here"))
    }

    async fn lend(&self, _: &[LentLogin]) -> Result<()> {
        Ok(())
    }

    async fn usage(&self) -> Result<Usage> {
        Err(self.link.silent("nobody counts here"))
    }

    fn events(&self) -> BoxStream<'static, Event> {
        stream::pending().boxed()
    }

    async fn open(&self, _: Open) -> Result<Box<dyn Duplex>> {
        Err(self.link.silent("nobody talks here"))
    }
}
