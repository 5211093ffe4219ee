//! Situations with names, played through by hand: what follows from each is known.

use super::link::Weather;
use super::machine::BEGIN;
use super::schedule::played;
use super::shop::{AGENT, DB, LEADER, WEB, Wish};
use super::watcher::{is_of, is_of_use};
use super::world::World;
use keel_engine::{Availability, NodeName, ObservedTask, Phase, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) const ALL: [&str; 4] = ["a", "b", "c", "d"];
const YEAR: i64 = 365 * 86_400_000;

pub(super) fn web(replicas: u32) -> Wish {
    Wish {
        web: "web:1",
        replicas,
        is_checked: true,
        needs_disk: false,
        db: None,
        leader: None,
        agent: None,
        has_job: false,
        parallelism: 1,
    }
}

/// A pool on which this is settled; then the script, then a look at whether all is well.
pub(super) fn situation(names: &[&str], wish: Wish, script: impl AsyncFnOnce(&mut World)) {
    let told = played(async {
        let mut world = World::new(names, wish, 1, true).await;
        world.settle().await;
        script(&mut world).await;
        world.quiet().await;
        world.is_well().await;
        world.story.end()
    });
    assert!(told.broken().is_empty(), "{}\n{}", told.story(), told.broken().join("\n"));
}

pub(super) const CUT: Weather =
    Weather { is_cut_there: true, is_cut_back: true, lost: 0, repeated: 0, late: 0 };

impl World {
    /// At least so many seconds.
    pub async fn pass_seconds(&mut self, seconds: u64) {
        let until = self.story.now() + seconds * 1_000;
        while self.story.now() < until {
            self.step(1_000).await;
        }
    }

    /// Cuts nodes off, and says after how many seconds the last of them is given up.
    pub async fn given_up(&mut self, nodes: &[&str]) -> u64 {
        let from = self.story.now();
        self.set_weather(nodes, CUT);
        while !nodes.iter().all(|node| self.is_down(node)) {
            assert!(self.story.now() < from + 600_000, "{nodes:?} are never given up");
            self.step(500).await;
        }
        (self.story.now() - from) / 1_000
    }

    pub fn set_weather(&self, nodes: &[&str], weather: Weather) {
        nodes.iter().for_each(|node| self.link(node).set_weather(weather));
    }

    pub fn on(&self, node: &str) -> Vec<Arc<ObservedTask>> {
        self.link(node).machine.tasks()
    }

    /// Tasks that serve, with the node and the process of each.
    pub fn serving(&self, service: &str) -> BTreeMap<TaskId, (NodeName, Option<u32>)> {
        let links = self.links.iter().filter(|(_, link)| link.machine.is_on());
        let tasks = links.flat_map(|(name, link)| {
            link.machine.tasks().into_iter().map(move |task| (name.clone(), task))
        });
        let those = tasks.filter(|(_, task)| is_of(task, service) && is_of_use(task));
        those.map(|(node, task)| (task.id.clone(), (node, task.pid))).collect()
    }

    /// The node that a service's only task serves on.
    pub fn node_of(&self, service: &str) -> String {
        let serving = self.serving(service);
        assert_eq!(serving.len(), 1, "{service}: {serving:?}");
        serving.into_values().next().unwrap().0.to_string()
    }

    pub fn is_down(&self, node: &str) -> bool {
        let last = self.last.as_ref().unwrap();
        last.nodes.silent(&node.into()).is_some_and(|silent| silent.is_down)
    }
}

#[test]
fn a_controller_that_dies_at_any_write_or_message_of_a_rollout_goes_on_where_it_was() {
    for edge in 0..60 {
        situation(&ALL[..3], web(3), async |world| {
            world.push(Wish { web: "web:2", ..web(3) }).await;
            world.reign.doom.after(edge);
            world.pass_seconds(20).await;
        });
    }
}

#[test]
fn what_comes_twice_and_late_is_done_once() {
    situation(&ALL[..3], Wish { leader: Some(1), ..web(3) }, async |world| {
        let weather = Weather { repeated: 100, late: 2_000, ..Weather::default() };
        world.set_weather(&["b", "c"], weather);
        for revision in ["web:2", "web:3", "web:1"] {
            world.push(Wish { web: revision, leader: Some(2), ..web(3) }).await;
            world.pass_seconds(6).await;
        }
    });
}

#[test]
fn where_all_nodes_fall_silent_together_nothing_is_started_elsewhere() {
    situation(&ALL, web(4), async |world| {
        let before = world.serving(WEB);
        world.set_weather(&["b", "c", "d"], CUT);
        world.pass_seconds(300).await;
        assert!(!world.is_down("b"));
        assert_eq!(world.serving(WEB), before);
    });
}

#[test]
fn one_silent_node_is_given_up_after_its_time_and_two_of_three_after_four_times_that() {
    situation(&ALL, web(4), async |world| {
        // A pass that waits for the node's answer when the time comes is the next to know.
        let after = world.given_up(&["b"]).await;
        assert!((12..30).contains(&after), "{after}");
    });
    situation(&ALL, web(4), async |world| {
        let after = world.given_up(&["b", "c"]).await;
        assert!((56..75).contains(&after), "{after}");
    });
}

#[test]
fn clocks_that_jump_by_a_year_restart_nothing_and_hold_up_no_rollout() {
    for (node, to) in [("b", YEAR), ("b", -YEAR), ("a", YEAR), ("a", -YEAR)] {
        situation(&ALL[..3], Wish { leader: Some(1), ..web(3) }, async |world| {
            let before = (world.serving(WEB), world.serving(LEADER));
            world.link(node).machine.state().clock = to;
            if node == "a" {
                world.set_ahead(to);
            }
            world.pass_seconds(60).await;
            assert_eq!((world.serving(WEB), world.serving(LEADER)), before, "{node} {to}");
            world.push(Wish { web: "web:2", leader: Some(1), ..web(3) }).await;
            world.pass_seconds(90).await;
            let images: BTreeSet<_> = ["a", "b", "c"]
                .iter()
                .flat_map(|node| world.on(node))
                .filter(|task| is_of(task, WEB))
                .map(|task| task.spec.image.clone())
                .collect();
            assert_eq!(images, ["web:2".to_owned()].into(), "{node} {to}");
        });
    }
}

#[test]
fn nothing_new_is_placed_where_the_controller_hears_and_is_not_heard() {
    situation(&ALL[..3], web(2), async |world| {
        let before = world.serving(WEB);
        let weather = Weather { is_cut_there: true, ..Weather::default() };
        world.link("b").set_weather(weather);
        let there = world.on("b").len();
        world.pass_seconds(30).await;
        world.push(web(6)).await;
        world.pass_seconds(60).await;
        assert_eq!(world.on("b").len(), there);
        assert!(before.iter().all(|(id, task)| world.serving(WEB).get(id) == Some(task)));
    });
}

#[test]
fn an_exclusive_task_and_one_with_data_wait_for_a_persons_word_and_what_comes_back_stops() {
    for service in [LEADER, DB] {
        situation(&ALL, Wish { leader: Some(1), db: Some(1), ..web(1) }, async |world| {
            let node = world.node_of(service);
            if node == "a" {
                world.set_availability(&"a".into(), Availability::Active);
                return;
            }
            world.link(&node).machine.lose_power();
            world.promises.forgive();
            world.pass_seconds(120).await;
            assert!(world.serving(service).is_empty(), "nobody said that it is dead");
            world.facts.get_mut(&NodeName::from(node.as_str())).unwrap().dead = Some(BEGIN);
            let machine = world.link(&node).machine.clone();
            world.promises.forsake(&machine);
            world.set_pool();
            world.pass_seconds(30).await;
            assert_ne!(world.node_of(service), node);
            world.power_on(&node.as_str().into());
            world.pass_seconds(60).await;
            assert!(world.on(&node).iter().all(|task| !is_of(task, service)));
        });
    }
}

#[test]
fn tasks_go_on_while_the_controller_is_down_for_a_day() {
    situation(&ALL, Wish { leader: Some(1), db: Some(1), ..web(4) }, async |world| {
        let before = [WEB, LEADER, DB].map(|service| world.serving(service));
        tokio::time::sleep(std::time::Duration::from_secs(86_400)).await;
        world.dies("was down for a day").await;
        world.pass_seconds(60).await;
        assert_eq!([WEB, LEADER, DB].map(|service| world.serving(service)), before);
    });
}

#[test]
fn after_a_restore_nothing_that_runs_is_started_a_second_time() {
    situation(&ALL, Wish { leader: Some(1), db: Some(1), ..web(4) }, async |world| {
        let before = [WEB, LEADER, DB].map(|service| world.serving(service));
        world.backup = Some(world.ledger.backup());
        world.restore().await;
        world.pass_seconds(60).await;
        assert_eq!([WEB, LEADER, DB].map(|service| world.serving(service)), before);
    });
}

#[test]
fn a_node_that_returns_keeps_what_was_not_replaced_and_loses_what_left_the_source() {
    situation(
        &ALL,
        Wish { db: Some(1), leader: Some(1), agent: Some(1), ..web(4) },
        async |world| {
            let node = world.node_of(DB);
            let before = world.serving(DB);
            world.link(&node).set_weather(CUT);
            world.pass_seconds(40).await;
            assert_eq!(world.serving(DB), before, "it goes on there, and nowhere else");
            world.push(Wish { db: Some(1), agent: None, ..web(4) }).await;
            world.pass_seconds(20).await;
            world.link(&node).set_weather(Weather::default());
            world.pass_seconds(30).await;
            assert_eq!(world.serving(DB), before, "the same process with the same data");
            assert!(world.serving(AGENT).is_empty() && world.serving(LEADER).is_empty());
        },
    );
}

#[test]
fn a_drained_node_gives_its_tasks_up_one_by_one_and_gets_nothing_back_by_itself() {
    situation(&ALL[..3], web(6), async |world| {
        world.set_availability(&"b".into(), Availability::Drain);
        for _ in 0..90 {
            world.step(1_000).await;
            assert!(world.serving(WEB).len() >= 5);
        }
        assert!(world.on("b").is_empty());
        let before = world.serving(WEB);
        world.set_availability(&"b".into(), Availability::Active);
        world.pass_seconds(30).await;
        assert_eq!(world.serving(WEB), before);
        world.push(web(7)).await;
        world.pass_seconds(30).await;
        assert_eq!(world.on("b").iter().filter(|task| task.phase == Phase::Running).count(), 1);
    });
}

#[test]
fn with_a_third_of_all_messages_lost_it_converges_and_restarts_nothing_that_was_right() {
    situation(&ALL, Wish { leader: Some(1), db: Some(1), ..web(4) }, async |world| {
        let weather = Weather { lost: 30, repeated: 30, late: 3_000, ..Weather::default() };
        world.set_weather(&["b", "c", "d"], weather);
        let before = [LEADER, DB].map(|service| world.serving(service));
        world.push(Wish { web: "web:2", leader: Some(1), db: Some(1), ..web(5) }).await;
        for _ in 0..60 {
            world.step(1_000).await;
        }
        world.set_weather(&["b", "c", "d"], Weather::default());
        world.pass_seconds(60).await;
        assert_eq!([LEADER, DB].map(|service| world.serving(service)), before);
    });
}
