//! How a schedule ends: faults stop, and within a bound all is as it shall be, with nothing left over.

use super::link::{Link, Weather};
use super::shop::{AGENT, Behavior, DB, JOB, LEADER, WEB, Wish, behavior};
use super::watcher::is_of;
use super::world::World;
use keel_engine::{Availability, NodeName, ObservedTask, Phase};
use keel_plan::desired::Desired;
use keel_plan::pool::NodeFacts;
use std::collections::BTreeSet;
use std::sync::Arc;

/// After the last fault all has to be well within so many passes.
const PASSES: u32 = 120;
/// Messages that were sent before are still on their way for so long.
const ECHO: u64 = 20_000;

impl World {
    /// Everything is repaired, and what is still on its way arrives.
    pub async fn quiet(&mut self) {
        self.story.tell("all", "no more faults from here on");
        self.links.values().for_each(|link| link.set_weather(Weather::default()));
        for node in self.links.keys().cloned().collect::<Vec<_>>() {
            self.power_on(&node);
        }
        self.reign.doom.after(u64::MAX);
        self.mend_what_only_people_can().await;
        let until = self.story.now() + ECHO;
        while self.story.now() < until && !self.story.is_broken() {
            self.step(4_000).await;
        }
        self.settle().await;
        if self.believes_in_what_fails() {
            self.push(Wish { web: "web:2", ..self.wish.clone() }).await;
            self.settle().await;
        }
    }

    /// A revision was good while nobody wanted a task of it, and fails now.
    fn believes_in_what_fails(&self) -> bool {
        let web = self.planned().services.get(WEB).map(|web| behavior(&web.spec.image));
        matches!(web, Some(Behavior::Crashes | Behavior::Sick))
    }

    /// An image that no registry has is awaited, and a number that holds for a year is, too; a paused node keeps
    /// what it has, and a drained one the data of a task that nothing else may start.
    async fn mend_what_only_people_can(&mut self) {
        let is_paused = |facts: &NodeFacts| facts.availability == Availability::Pause;
        let paused = self.facts.iter().filter(|(_, facts)| is_paused(facts));
        let paused = paused.map(|(node, _)| node.clone());
        let is_left = !self.tasks().iter().any(|(_, task)| is_of(task, DB));
        let keep = |link: &Link| is_left && !link.machine.state().volumes.is_empty();
        let keepers = self.links.iter().filter(|(_, link)| keep(link));
        let keepers = keepers.map(|(node, _)| node.clone());
        for node in paused.chain(keepers).collect::<BTreeSet<_>>() {
            self.set_availability(&node, Availability::Active);
        }
        let now = self.reign.controller.now();
        self.note(|standing| {
            standing.scaled.values_mut().for_each(|scale| scale.until = Some(now));
        })
        .await;
        if self.wish.web == "web:gone" {
            self.push(Wish { web: "web:2", ..self.wish.clone() }).await;
        }
    }

    /// Passes until nothing is left to do.
    pub async fn settle(&mut self) {
        for _ in 0..PASSES {
            if self.story.is_broken() {
                return;
            }
            self.step(1_500).await;
            if self.last.as_ref().is_some_and(|one| {
                one.plan.is_settled() && one.refused.is_none() && self.is_still()
            }) {
                return;
            }
        }
        self.story.broken(&format!("not converged after {PASSES} passes:\n{}", self.open()));
    }

    /// No machine has anything before it.
    fn is_still(&self) -> bool {
        let busy = |task: &Arc<ObservedTask>| {
            matches!(task.phase, Phase::Pending | Phase::Preparing | Phase::Draining)
                || (task.phase == Phase::Running && behavior(&task.spec.image) == Behavior::Ends)
        };
        !self.links.values().any(|link| link.machine.tasks().iter().any(busy))
    }

    fn open(&self) -> String {
        self.last.as_ref().map_or("no pass at all".into(), |one| keel_plan::text::lines(&one.plan))
    }

    fn tasks(&self) -> Vec<(NodeName, Arc<ObservedTask>)> {
        let of = |(name, link): (&NodeName, &Arc<super::link::Link>)| {
            let name = name.clone();
            link.machine.tasks().into_iter().map(move |task| (name.clone(), task))
        };
        self.links.iter().flat_map(of).collect()
    }

    /// What runs is what is asked for, once, where it may be; and it stays as it is.
    pub async fn is_well(&mut self) {
        if self.story.is_broken() {
            return;
        }
        let (before, found) = (self.shape(), self.found());
        if found != self.expected() {
            let open = self.open();
            let expected = self.expected();
            self.story.broken(&format!(
                "settled, but not as it shall be: {found:?}, not {expected:?}\n{open}"
            ));
        }
        self.step(5_000).await;
        self.step(60_000).await;
        if self.shape() != before {
            self.story.broken("what was settled is changed without a reason");
        }
    }

    /// All tasks, and their processes.
    fn shape(&self) -> Vec<String> {
        let tasks = self.tasks();
        let one = |(node, task): &(NodeName, Arc<ObservedTask>)| {
            format!("{node} {} {:?} {:?} {:?}", task.id, task.goal, task.phase, task.pid)
        };
        tasks.iter().map(one).collect()
    }

    fn planned(&self) -> &Desired {
        let standing = self.last.as_ref().map(|last| &last.plan.standing);
        let bad = standing.filter(|standing| standing.bad.contains_key(&self.desired.hash));
        bad.and_then(|standing| standing.good_desired.as_deref()).unwrap_or(&self.desired)
    }

    /// Of each service how many tasks there are, how many of them run what they shall, and on drained nodes.
    fn found(&self) -> Vec<(&'static str, [usize; 3])> {
        let (tasks, planned) = (self.tasks(), self.planned());
        let drained = |node: &NodeName| {
            self.facts.get(node).is_none_or(|facts| facts.availability == Availability::Drain)
        };
        let count = |service: &'static str| {
            let all: Vec<_> = tasks.iter().filter(|(_, task)| is_of(task, service)).collect();
            let wants = planned.services.get(service);
            let right = all.iter().filter(|(_, task)| {
                let ended = if service == JOB { Phase::Exited } else { Phase::Running };
                task.phase == ended && wants.is_some_and(|one| one.spec.image == task.spec.image)
            });
            let on_drained = all.iter().filter(|(node, _)| drained(node) && service != DB);
            (service, [all.len(), right.count(), on_drained.count()])
        };
        [WEB, DB, LEADER, AGENT].into_iter().map(count).collect()
    }

    fn expected(&self) -> Vec<(&'static str, [usize; 3])> {
        let (planned, now) = (self.planned(), self.reign.controller.now());
        let standing = self.last.as_ref().map(|last| last.plan.standing.clone());
        let active = self.facts.values().filter(|one| one.availability != Availability::Drain);
        let active = active.count();
        let count = |service: &'static str| {
            let Some(one) = planned.services.get(service) else { return (service, [0, 0, 0]) };
            let number = standing
                .as_ref()
                .map_or(one.replicas, |standing| standing.replicas(service, one, now));
            let number = usize::try_from(number).unwrap();
            let number = if service == AGENT { active } else { number };
            (service, [number, number, 0])
        };
        [WEB, DB, LEADER, AGENT].into_iter().map(count).collect()
    }
}
