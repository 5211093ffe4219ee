//! What can happen to a pool, and what people can do with it.

use super::dice::Dice;
use super::link::Weather;
use super::shop::{WEB, Wish};
use super::world::{HOME, World};
use keel_engine::{Availability, NodeName, Phase};
use keel_plan::standing::ScaleOverride;

/// A day and a year.
const DAY: i64 = 86_400_000;
const YEAR: i64 = 365 * DAY;

impl World {
    /// One of them, as the dice say.
    pub async fn something_happens(&mut self, dice: &Dice) {
        match dice.below(18) {
            0..=2 => self.weather(dice),
            3 => self.power(dice).await,
            4 => self.task_dies(dice),
            5..=7 => self.revision(dice).await,
            8 => self.scale(dice).await,
            9 => self.availability(dice),
            10 => self.labels(dice),
            11 | 12 => self.doom(dice),
            13 => self.clock(dice),
            14 => self.confirm_dead(dice),
            15 => self.line_breaks(dice),
            16 => self.backup_or_restore(dice).await,
            _ => self.remove_node(dice),
        }
    }

    fn some_node(&self, dice: &Dice) -> NodeName {
        let names: Vec<_> = self.links.keys().cloned().collect();
        dice.pick(&names).clone()
    }

    fn weather(&mut self, dice: &Dice) {
        let node = self.some_node(dice);
        if node.as_str() == HOME {
            return;
        }
        let lossy = Weather { lost: 30, repeated: 30, late: 3_000, ..Weather::default() };
        let kinds = [
            Weather::default(),
            lossy,
            Weather { is_cut_there: true, is_cut_back: true, ..Weather::default() },
            Weather { is_cut_there: true, ..lossy },
            Weather { is_cut_back: true, ..lossy },
            Weather { repeated: 80, late: 500, ..Weather::default() },
        ];
        let weather = *dice.pick(&kinds);
        self.story.tell(node.as_str(), &format!("has another network: {weather:?}"));
        self.links[&node].set_weather(weather);
    }

    /// A machine goes off, or on again. With the controller's own the controller dies.
    async fn power(&mut self, dice: &Dice) {
        let node = self.some_node(dice);
        let machine = self.links[&node].machine.clone();
        match machine.is_on() {
            true => {
                self.story.tell(node.as_str(), "loses its power");
                machine.lose_power();
                self.promises.forgive();
            }
            false => self.power_on(&node),
        }
        if node.as_str() == HOME {
            self.power_on(&node);
            self.dies("dies with its machine").await;
        }
    }

    pub fn power_on(&self, node: &NodeName) {
        let machine = &self.links[node].machine;
        if !machine.is_on() {
            self.story.tell(node.as_str(), "starts again");
            machine.gain_power(self.story.now());
        }
    }

    fn task_dies(&mut self, dice: &Dice) {
        let node = self.some_node(dice);
        let machine = &self.links[&node].machine;
        let tasks = machine.tasks();
        let running: Vec<_> = tasks.iter().filter(|task| task.phase == Phase::Running).collect();
        if machine.is_on() && !running.is_empty() {
            let task = dice.pick(&running);
            self.story.tell(node.as_str(), &format!("somebody kills {}", task.spec.container_name));
            machine.kill(&task.id, self.story.now());
            self.promises.forgive();
        }
    }

    async fn revision(&mut self, dice: &Dice) {
        let mut wish = self.wish.clone();
        let images = ["web:1", "web:2", "web:3", "web:crash", "web:sick", "web:gone"];
        match dice.below(6) {
            0..=2 => wish.web = *dice.pick(&images),
            3 => wish.replicas = u32::try_from(dice.between(1, 5)).unwrap(),
            4 => wish.db = *dice.pick(&[None, Some(1), Some(2)]),
            _ => wish.leader = *dice.pick(&[None, Some(1), Some(2)]),
        }
        if dice.percent(15) {
            let agent = dice.percent(50).then(|| if dice.percent(50) { 1 } else { 2 });
            wish = Wish { agent, has_job: dice.percent(50), ..wish };
        }
        self.push(wish).await;
    }

    async fn scale(&mut self, dice: &Dice) {
        let replicas = u32::try_from(dice.between(0, 6)).unwrap();
        let since = self.reign.controller.now();
        let until = dice.percent(80).then(|| since + dice.between(2_000, 60_000));
        self.story.tell("somebody", &format!("scales web to {replicas} for a while"));
        let scale = ScaleOverride { replicas, by: "ann".into(), since, until, reason: None };
        self.note(|standing| drop(standing.scaled.insert(WEB.into(), scale.clone()))).await;
    }

    fn availability(&mut self, dice: &Dice) {
        let node = self.some_node(dice);
        let kinds = [Availability::Active, Availability::Pause, Availability::Drain];
        let availability = *dice.pick(&kinds);
        if node.as_str() != HOME && self.facts.contains_key(&node) {
            self.story.tell(node.as_str(), &format!("is {availability:?} from now on"));
            self.set_availability(&node, availability);
        }
    }

    fn labels(&mut self, dice: &Dice) {
        let (node, is_fast) = (self.some_node(dice), dice.percent(60));
        if node.as_str() != HOME && self.facts.contains_key(&node) {
            self.story.tell(node.as_str(), &format!("has a fast disk: {is_fast}"));
            self.label(&node, is_fast);
        }
    }

    /// The controller dies after some of the writes and messages that it makes next.
    fn doom(&mut self, dice: &Dice) {
        self.reign.doom.after(dice.below(16));
    }

    fn clock(&mut self, dice: &Dice) {
        let most = *dice.pick(&[60_000, DAY, YEAR]);
        let to = i64::try_from(dice.below(2 * most.unsigned_abs())).unwrap() - most;
        let node = self.some_node(dice);
        if dice.percent(30) || node.as_str() == HOME {
            // The controller and its own machine have one clock.
            self.story.tell("controller", &format!("its clock is set to {} s off", to / 1_000));
            self.set_ahead(to);
            self.link(HOME).machine.state().clock = to;
        } else {
            self.story.tell(node.as_str(), &format!("its clock is set to {} s off", to / 1_000));
            self.links[&node].machine.state().clock = to;
        }
    }

    /// Refused while the node is connected. People say it of machines that are off.
    fn confirm_dead(&mut self, dice: &Dice) {
        let node = self.some_node(dice);
        let link = self.links[&node].clone();
        let now = self.reign.controller.now();
        let Some(facts) = self.facts.get_mut(&node) else { return };
        if link.is_connected() || link.machine.is_on() {
            return;
        }
        facts.dead = Some(now);
        self.story.tell("somebody", &format!("says that {node} is dead"));
        self.promises.forsake(&link.machine);
        self.set_pool();
    }

    fn line_breaks(&mut self, dice: &Dice) {
        let node = self.some_node(dice);
        if node.as_str() != HOME {
            self.story.tell(node.as_str(), "loses its connection");
            self.links[&node].disconnect();
        }
    }

    async fn backup_or_restore(&mut self, dice: &Dice) {
        if self.backup.is_some() && dice.percent(60) {
            self.restore().await;
        } else {
            self.story.tell("somebody", "makes a backup of the controller");
            self.backup = Some(self.ledger.backup());
        }
    }

    /// Of machines that are off for good.
    fn remove_node(&mut self, dice: &Dice) {
        let node = self.some_node(dice);
        let link = self.links[&node].clone();
        if self.facts.len() < 3 || link.is_connected() || link.machine.is_on() {
            return;
        }
        self.leaves(&node);
    }
}
