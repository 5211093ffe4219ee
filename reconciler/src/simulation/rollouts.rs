//! Situations with names in the middle of a rollout: nodes that die, return, join and leave.

use super::link::Weather;
use super::shop::{AGENT, JOB, WEB, Wish};
use super::situations::{ALL, CUT, situation, web};
use super::watcher::is_of;
use super::world::World;
use keel_engine::{NodeName, Phase};
use keel_plan::standing::ScaleOverride;
use std::collections::BTreeSet;

const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];

impl World {
    /// Passes until something is so.
    async fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..600 {
            if is(self) || self.story.is_broken() {
                return;
            }
            self.step(200).await;
        }
        panic!("{what} never comes");
    }

    /// A node other than the controller's with a task of this image that does not serve yet.
    fn in_flight(&self, image: &str) -> Option<NodeName> {
        let links = self.links.iter().filter(|(_, link)| !link.is_home);
        let mut on = links.filter(|(_, link)| {
            let mut tasks = link.machine.tasks().into_iter();
            tasks.any(|task| {
                task.spec.image == image && matches!(task.phase, Phase::Preparing | Phase::Ready)
            })
        });
        on.next().map(|(node, _)| node.clone())
    }

    fn images(&self, service: &str) -> BTreeSet<String> {
        let tasks = self.links.values().flat_map(|link| link.machine.tasks());
        tasks.filter(|task| is_of(task, service)).map(|task| task.spec.image.clone()).collect()
    }

    fn is_bad(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| last.plan.standing.bad.contains_key(&self.desired.hash))
    }
}

#[test]
fn a_node_that_dies_with_a_slot_under_way_fails_nothing_and_its_slots_go_on_elsewhere() {
    for (parallelism, is_checked) in [(1, true), (1, false), (2, true), (2, false)] {
        let first = Wish { parallelism, is_checked, ..web(10) };
        situation(&FIVE, first.clone(), async |world| {
            world.push(Wish { web: "web:2", ..first }).await;
            world.until("a slot under way", |world| world.in_flight("web:2").is_some()).await;
            let node = world.in_flight("web:2").unwrap();
            world.link(node.as_str()).machine.lose_power();
            world.promises.forgive();
            world.pass_seconds(400).await;
            assert!(!world.is_bad());
            assert_eq!(world.serving(WEB).len(), 10);
            let on_others: BTreeSet<_> = world
                .serving(WEB)
                .into_values()
                .flat_map(|(node, _)| world.on(node.as_str()))
                .filter(|task| is_of(task, WEB))
                .map(|task| task.spec.image.clone())
                .collect();
            assert_eq!(on_others, ["web:2".to_owned()].into());
        });
    }
}

#[test]
fn a_node_that_returns_while_its_slots_begin_elsewhere_leaves_one_task_in_each() {
    for seconds in [10, 15, 18, 20, 25, 40] {
        situation(&FIVE, web(10), async |world| {
            world.push(Wish { web: "web:2", ..web(10) }).await;
            world.until("a slot under way", |world| world.in_flight("web:2").is_some()).await;
            let node = world.in_flight("web:2").unwrap().to_string();
            world.set_weather(&[&node], CUT);
            world.pass_seconds(seconds).await;
            world.set_weather(&[&node], Weather::default());
            for _ in 0..300 {
                let slots: BTreeSet<_> = world
                    .links
                    .values()
                    .flat_map(|link| link.machine.tasks())
                    .filter(|task| super::watcher::is_of_use(task) && is_of(task, WEB))
                    .filter_map(|task| task.place.slot().cloned())
                    .collect();
                assert!(slots.len() >= 9, "after {seconds} s: {slots:?}");
                world.step(1_000).await;
            }
        });
    }
}

#[test]
fn a_node_that_joins_a_rollout_gets_what_each_node_gets_and_one_that_leaves_holds_up_nothing() {
    let first = Wish { agent: Some(1), ..web(2) };
    situation(&ALL, first.clone(), async |world| {
        world.push(Wish { agent: Some(2), ..first }).await;
        world.until("a slot under way", |world| world.in_flight("agent:2").is_some()).await;
        world.joins("e", 77);
        let dead = NodeName::from("d");
        world.link("d").machine.lose_power();
        world.pass_seconds(30).await;
        world.leaves(&dead);
        world.pass_seconds(60).await;
        assert_eq!(world.images(AGENT), ["agent:2".to_owned()].into());
        let nodes: BTreeSet<_> =
            world.serving(AGENT).into_values().map(|(node, _)| node.to_string()).collect();
        assert_eq!(nodes, ["a", "b", "c", "e"].map(str::to_owned).into());
        assert_eq!(world.last.as_ref().unwrap().plan.standing.good, Some(world.desired.hash));
    });
}

#[test]
fn a_number_that_expires_in_a_rollout_takes_away_what_is_of_no_use_first() {
    situation(&ALL, Wish { is_checked: false, ..web(3) }, async |world| {
        let since = world.reign.controller.now();
        let until = Some(since + 25_000);
        let by = "ann".to_owned();
        let scale = ScaleOverride { replicas: 6, by, since, until, reason: None };
        world.note(|standing| drop(standing.scaled.insert(WEB.into(), scale.clone()))).await;
        world.pass_seconds(15).await;
        assert_eq!(world.serving(WEB).len(), 6);
        world.push(Wish { web: "web:2", is_checked: false, ..web(3) }).await;
        let mut fewest = usize::MAX;
        for _ in 0..90 {
            world.step(1_000).await;
            fewest = fewest.min(world.serving(WEB).len());
        }
        assert!(fewest >= 2, "one at a time: {fewest}");
        assert_eq!(world.serving(WEB).len(), 3);
        assert_eq!(world.images(WEB), ["web:2".to_owned()].into());
    });
}

#[test]
fn a_job_that_is_done_stays_done_and_one_that_is_not_runs_once_more_elsewhere() {
    let first = Wish { has_job: true, ..web(1) };
    let runs = |world: &World| -> BTreeSet<_> {
        let tasks = world.links.values().flat_map(|link| link.machine.tasks());
        let ran = tasks.filter(|task| is_of(task, JOB) && task.started.is_some());
        ran.map(|task| task.id.clone()).collect()
    };
    situation(&ALL, first.clone(), async |world| {
        let before = runs(world);
        world.link("b").machine.lose_power();
        world.link("c").machine.lose_power();
        world.promises.forgive();
        world.pass_seconds(200).await;
        assert!(runs(world).is_subset(&before), "what was done runs again");
    });
    situation(&ALL, web(1), async |world| {
        world.push(first.clone()).await;
        let running = |world: &World| {
            let links = world.links.iter().filter(|(_, link)| !link.is_home);
            let mut on = links.filter(|(_, link)| {
                let mut tasks = link.machine.tasks().into_iter();
                tasks.any(|task| is_of(&task, JOB) && task.phase == Phase::Running)
            });
            on.next().map(|(node, _)| node.clone())
        };
        world.until("a job that runs", |world| running(world).is_some()).await;
        let node = running(world).unwrap();
        world.link(node.as_str()).machine.lose_power();
        world.promises.forgive();
        world.pass_seconds(120).await;
        let done = |task: &keel_engine::ObservedTask| {
            task.phase == Phase::Exited && task.exit_code == Some(0)
        };
        let links = world.links.values().filter(|link| link.machine.is_on());
        let tasks = links.flat_map(|link| link.machine.tasks());
        let slots: Vec<_> = tasks
            .filter(|task| is_of(task, JOB) && done(task))
            .filter_map(|task| task.place.slot().map(|slot| slot.slot.clone()))
            .collect();
        let each: BTreeSet<_> = slots.iter().collect();
        assert_eq!((slots.len(), each.len()), (2, 2), "{slots:?}");
    });
}

#[test]
fn what_changes_while_a_node_is_silent_reaches_it_when_it_is_back_and_counts_for_nothing() {
    let first = Wish { agent: Some(1), ..web(3) };
    situation(&ALL[..3], first.clone(), async |world| {
        world.set_weather(&["b"], CUT);
        world
            .until("silence", |world| {
                world.last.as_ref().unwrap().nodes.silent(&"b".into()).is_some()
            })
            .await;
        world.push(Wish { agent: Some(2), ..first }).await;
        world
            .until("the others", |world| {
                ["a", "c"].iter().all(|node| {
                    let tasks = world.on(node);
                    tasks
                        .iter()
                        .filter(|task| is_of(task, AGENT))
                        .all(|task| task.spec.image == "agent:2")
                })
            })
            .await;
        world.pass_seconds(20).await;
        assert!(!world.is_bad());
        world.set_weather(&["b"], Weather::default());
        world.pass_seconds(30).await;
        assert_eq!(world.images(AGENT), ["agent:2".to_owned()].into());
        assert!(!world.is_bad());
    });
}
