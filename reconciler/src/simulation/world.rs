//! All of it together: machines, the ways to them, what is on record, and the controller that reigns.

use super::dice::Dice;
use super::doom::Doom;
use super::ledger::{Ledger, Pages, Pen};
use super::link::Link;
use super::machine::{BEGIN, Machine};
use super::reign::{Ahead, Outcome, Realm, Reign};
use super::shop::{DISK, Wish, desired};
use super::story::Story;
use super::verdicts::Decision;
use super::watcher::{Promises, shown};
use crate::pass::Passed;
use crate::record::Records;
use crate::refusal::with_causes;
use keel_engine::{Availability, NodeName};
use keel_plan::desired::Desired;
use keel_plan::pool::{NodeFacts, Pool, Role};
use keel_plan::standing::Standing;
use keel_plan::text;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;

/// The controller's own machine.
pub(super) const HOME: &str = "a";

pub(super) struct World {
    pub story: Story,
    pub promises: Promises,
    pub links: BTreeMap<NodeName, Arc<Link>>,
    pub facts: BTreeMap<NodeName, NodeFacts>,
    pub ledger: Ledger,
    pub backup: Option<Pages>,
    pub wish: Wish,
    pub desired: Desired,
    pub reign: Reign,
    /// Through which people write: they do not die with the controller.
    people: Records,
    pub ahead: Ahead,
    pub last: Option<Passed>,
    revision: u32,
    lives: u64,
    epoch: u64,
    shown: BTreeSet<String>,
}

impl World {
    /// Machines with these names, the first of which is the controller's, and a stack that nothing runs of yet.
    pub async fn new(names: &[&str], wish: Wish, seed: u64, is_told: bool) -> Self {
        let story = Story::begin(is_told);
        let promises = Promises::new(story.clone());
        let mut links = BTreeMap::new();
        for (name, number) in names.iter().zip(1..) {
            let dice = |of: u64| Dice::new(seed.wrapping_mul(64).wrapping_add(number * 2 + of));
            let machine = Machine::new(name, dice(0));
            let link = Link::new(machine, *name == HOME, dice(1), promises.clone());
            promises.add(link.machine.clone());
            tokio::spawn(link.clone().beat());
            links.insert(NodeName::from(*name), link);
        }
        let facts =
            names.iter().map(|name| (NodeName::from(*name), member(*name == HOME))).collect();
        let (ledger, ahead) = (Ledger::default(), Ahead::default());
        let realm = Realm {
            links: &links,
            pool: pool(&facts),
            ledger: &ledger,
            story: &story,
            ahead: &ahead,
        };
        let reign = Reign::start(1, 1, &realm).await;
        let people = Records::new(Arc::new(Pen { ledger: ledger.clone(), doom: Doom::none() }));
        let first = desired(&wish, 1);
        promises.allow(wish.parallelism);
        people.put_desired(&first).await.unwrap();
        story.tell("somebody", &format!("pushes r1: {wish:?}"));
        Self {
            story,
            promises,
            links,
            facts,
            ledger,
            backup: None,
            wish,
            desired: first,
            reign,
            people,
            ahead,
            last: None,
            revision: 1,
            lives: 1,
            epoch: 1,
            shown: BTreeSet::new(),
        }
    }

    /// One more machine belongs to the pool.
    pub fn joins(&mut self, name: &str, seed: u64) {
        self.story.tell(name, "joins the pool");
        let machine = Machine::new(name, Dice::new(seed));
        let link = Link::new(machine, false, Dice::new(seed + 1), self.promises.clone());
        self.promises.add(link.machine.clone());
        tokio::spawn(link.clone().beat());
        self.reign.joins(&link, self.lives, self.epoch);
        self.links.insert(name.into(), link);
        self.facts.insert(name.into(), member(false));
        self.set_pool();
    }

    /// What a person does about a machine that is off for good.
    pub fn leaves(&mut self, node: &NodeName) {
        self.story.tell("somebody", &format!("removes node {node}"));
        self.facts.remove(node);
        if let Some(link) = self.links.remove(node) {
            self.promises.forsake(&link.machine);
        }
        self.reign.controller.fleet().leave(node);
        self.set_pool();
    }

    pub fn link(&self, node: &str) -> &Arc<Link> {
        &self.links[&NodeName::from(node)]
    }

    /// Some time, and a pass.
    pub async fn step(&mut self, millis: u64) {
        sleep(Duration::from_millis(millis)).await;
        self.live();
        self.hear();
        match self.reign.pass().await {
            Outcome::Passed(passed) => self.passed(*passed),
            Outcome::Failed(error) => {
                self.last = None;
                let words = with_causes(&error);
                match error {
                    crate::pass::PassError::Unsound { refused, .. } => {
                        self.story.broken(&words);
                        self.story
                            .tell("controller", &format!("plans:\n{}", text::lines(&refused)));
                        self.tell_what_there_is();
                    }
                    _ => self.story.tell("controller", &format!("has no pass: {words}")),
                }
            }
            Outcome::Died => self.dies("dies in the middle of a pass").await,
        }
        self.live();
    }

    /// What is true of the machines until now.
    fn live(&self) {
        self.links.values().for_each(|link| link.machine.live(self.story.now()));
        self.promises.look();
    }

    /// A person's word that a node is dead is over once it is heard.
    fn hear(&mut self) {
        let links = &self.links;
        let mut back = self.facts.iter_mut().filter(|(name, facts)| {
            let is_new = facts.dead.is_some() || facts.is_unheard;
            is_new && links.get(*name).is_some_and(|link| link.is_connected())
        });
        let hear = |(_, facts): (_, &mut NodeFacts)| (facts.dead, facts.is_unheard) = (None, false);
        if back.by_ref().map(hear).count() > 0 {
            self.set_pool();
        }
    }

    fn passed(&mut self, passed: Passed) {
        let pool = self.pool();
        Decision { passed: &passed, pool: &pool, desired: &self.desired }.check(&self.story);
        self.promises.after(&passed.plan);
        self.tell(&passed);
        self.last = Some(passed);
        if self.story.is_broken() {
            self.tell_what_there_is();
        }
    }

    /// Every task of every machine.
    fn tell_what_there_is(&self) {
        for (node, link) in &self.links {
            for task in link.machine.tasks().iter().filter(|task| task.place.slot().is_some()) {
                let (name, image) = (shown(task), &task.spec.image);
                let how = format!("{:?} {:?} {:?}", task.goal, task.phase, task.health);
                let line = format!("has {name} {image} by plan {}: {how}", task.generation);
                self.story.tell(node.as_str(), &line);
            }
        }
    }

    /// What is decided now that was not before, and why.
    fn tell(&mut self, passed: &Passed) {
        if !self.story.is_told {
            return;
        }
        for learned in &passed.plan.learned {
            self.story.tell("controller", &format!("learned: {}", brief(learned)));
        }
        let mut shown = BTreeSet::new();
        for row in text::rows(&passed.plan) {
            let node = row.node.map(|node| format!(" on {node}")).unwrap_or_default();
            let subject = row.slot.or(row.resource).unwrap_or_default();
            let line = format!("{subject}{node}: {}", row.text);
            if !self.shown.contains(&line) {
                self.story.tell("controller", &line);
            }
            shown.insert(line);
        }
        self.shown = shown;
    }

    /// The controller ends, and another one begins with what is on record.
    pub async fn dies(&mut self, how: &str) {
        self.story.tell("controller", &format!("{how}; it starts again"));
        self.begin(0).await;
    }

    async fn begin(&mut self, epochs: u64) {
        (self.lives, self.epoch, self.last) = (self.lives + 1, self.epoch + epochs, None);
        let realm = Realm {
            links: &self.links,
            pool: self.pool(),
            ledger: &self.ledger,
            story: &self.story,
            ahead: &self.ahead,
        };
        self.reign = Reign::start(self.lives, self.epoch, &realm).await;
    }

    /// The controller's records are those of the backup from now on, under a new epoch; its sources say what
    /// they say.
    pub async fn restore(&mut self) {
        let Some(backup) = self.backup.clone() else { return };
        self.story.tell("somebody", "restores the controller from the backup");
        self.ledger.restore(backup, (BEGIN + self.story.now()) / 1_000);
        for (name, facts) in &mut self.facts {
            facts.is_unheard = name.as_str() != HOME;
        }
        self.begin(1).await;
        self.people.put_desired(&self.desired).await.unwrap();
    }

    pub fn pool(&self) -> Pool {
        pool(&self.facts)
    }

    /// What people say of nodes is on record, and the controller hears of it.
    pub fn set_pool(&self) {
        self.reign.controller.fleet().set_pool(self.pool());
    }

    pub async fn push(&mut self, wish: Wish) {
        self.revision += 1;
        self.story.tell("somebody", &format!("pushes r{}: {wish:?}", self.revision));
        (self.desired, self.wish) = (desired(&wish, self.revision), wish);
        self.people.put_desired(&self.desired).await.unwrap();
    }

    pub async fn note(&self, note: impl Fn(&mut Standing)) {
        let (stack, keep) = (super::shop::name(), crate::store::Keep::OnDisk);
        self.people.change_standing(&stack, keep, note).await.unwrap();
    }

    pub fn set_ahead(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }

    pub fn set_availability(&mut self, node: &NodeName, availability: Availability) {
        if let Some(facts) = self.facts.get_mut(node) {
            facts.availability = availability;
        }
        self.set_pool();
    }

    pub fn label(&mut self, node: &NodeName, is_fast: bool) {
        if let Some(facts) = self.facts.get_mut(node) {
            facts.labels = labels(is_fast);
        }
        self.set_pool();
    }
}

fn member(is_home: bool) -> NodeFacts {
    let role = if is_home { Role::Manager } else { Role::Worker };
    NodeFacts { role, labels: labels(true), ..NodeFacts::default() }
}

fn labels(is_fast: bool) -> BTreeMap<String, String> {
    is_fast.then(|| (DISK.to_owned(), "fast".to_owned())).into_iter().collect()
}

fn pool(facts: &BTreeMap<NodeName, NodeFacts>) -> Pool {
    Pool { members: facts.clone() }
}

fn brief(learned: &keel_plan::verdict::Learned) -> String {
    use keel_plan::verdict::Learned;
    match learned {
        Learned::Began { .. } => "a rollout begins".to_owned(),
        Learned::Settled { .. } => "the revision is good".to_owned(),
        Learned::Failed { cause, .. } => format!("the revision failed: {cause:?}"),
        Learned::Completed { service } => format!("job {service} is done"),
        Learned::ScaleEnded { service, .. } => format!("the number set for {service} is over"),
    }
}
