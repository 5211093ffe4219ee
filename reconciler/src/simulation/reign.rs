//! One life of a controller: the real passes, records, fleet and look-out, over a store that survives it. It can die
//! at each of its writes and messages.

use super::doom::Doom;
use super::ledger::{Ledger, Pen};
use super::link::{End, Link};
use super::machine::BEGIN;
use super::shop;
use super::story::Story;
use crate::fleet::{DOWN_AFTER, Fleet, Moment, Uptime};
use crate::pass::{PassError, Passed, pass};
use crate::settings::Settings;
use crate::{Clock, Controller};
use keel_engine::Engine;
use keel_plan::Asked;
use keel_plan::pool::Pool;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The controller's wall clock: how far it is from the true time.
pub(super) type Ahead = Arc<AtomicI64>;

pub(super) struct Reign {
    pub controller: Controller,
    pub doom: Doom,
    watching: AbortHandle,
}

/// What becomes of a pass.
pub(super) enum Outcome {
    Passed(Box<Passed>),
    Failed(PassError),
    Died,
}

/// What is there before it, and after it.
pub(super) struct Realm<'a> {
    pub links: &'a BTreeMap<keel_engine::NodeName, Arc<Link>>,
    pub pool: Pool,
    pub ledger: &'a Ledger,
    pub story: &'a Story,
    pub ahead: &'a Ahead,
}

impl Reign {
    pub async fn start(life: u64, epoch: u64, realm: &Realm<'_>) -> Self {
        let doom = Doom::none();
        let end = |link: &Arc<Link>| End { link: link.clone(), life, epoch, doom: doom.clone() };
        let home = realm.links.values().find(|link| link.is_home).map(end).unwrap();
        let name = home.name();
        let fleet = Fleet::new(name.clone(), [(name, Arc::new(home) as Arc<dyn Engine>)]);
        for link in realm.links.values().filter(|link| !link.is_home) {
            join(&fleet, link, end(link));
        }
        fleet.set_pool(realm.pool.clone());
        let pen = Pen { ledger: realm.ledger.clone(), doom: doom.clone() };
        let settings = settings(fleet.clone(), pen, clock(realm));
        let controller = Controller::start(settings).await.unwrap();
        let uptime = uptime(realm.story.clone());
        let watching = async move { match fleet.watch_over(uptime, DOWN_AFTER).await {} };
        Self { controller, doom, watching: tokio::spawn(watching).abort_handle() }
    }

    /// One more node is there.
    pub fn joins(&self, link: &Arc<Link>, life: u64, epoch: u64) {
        let end = End { link: link.clone(), life, epoch, doom: self.doom.clone() };
        join(self.controller.fleet(), link, end);
    }

    pub async fn pass(&self) -> Outcome {
        let (stack, asked, desk) = (shop::name(), Asked::default(), self.controller.desk());
        tokio::select! {
            biased;
            () = self.doom.happens() => Outcome::Died,
            passed = pass(&stack, &asked, &desk) => match passed {
                Ok(passed) => Outcome::Passed(Box::new(passed)),
                Err(error) => Outcome::Failed(error),
            },
        }
    }
}

fn join(fleet: &Fleet, link: &Arc<Link>, end: End) {
    let heard = link.clone();
    let unheard = Arc::new(move || heard.unheard());
    fleet.join_heard(link.machine.name.clone(), Arc::new(end), unheard);
}

impl Drop for Reign {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn clock(realm: &Realm<'_>) -> Clock {
    let (story, ahead) = (realm.story.clone(), realm.ahead.clone());
    Clock::new(move || (BEGIN + story.now()).saturating_add_signed(ahead.load(Ordering::SeqCst)))
}

fn uptime(story: Story) -> Uptime {
    Uptime::new(move || {
        let now = Duration::from_millis(story.now());
        Moment { boot: now, awake: now }
    })
}

/// Nothing of it is on a disk.
fn settings(fleet: Fleet, pen: Pen, clock: Clock) -> Settings {
    Settings {
        root: "/nowhere".into(),
        store: Arc::new(pen),
        sources_dir: "/nowhere/sources".into(),
        data: "/nowhere/data".into(),
        repos: crate::repos::Repos::default(),
        fleet,
        sources: vec![],
        policy: keel_plan::desired::Policy::default(),
        serve: false,
        environment: BTreeMap::new(),
        home: None,
        clock,
        destinations: vec![],
        host: "a".to_owned(),
    }
}
