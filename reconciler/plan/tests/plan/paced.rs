//! Rollouts as `update_config` and `rollback_config` have them: how many slots at a time, how many may
//! fail, and what happens then.

use crate::world::{World, stack};
use keel_engine::{
    Availability, ExitCause, Goal, Health, ObservedTask, Phase, RestartPolicy, TaskId,
};
use keel_plan::desired::Order;
use keel_plan::pace::{FailureAction, Pace};
use keel_plan::verdict::Learned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A service of so many slots that runs well, with what its file says of its rollouts.
fn fleet(replicas: u32, update: Pace) -> World {
    stack()
        .wants("web", "nginx:1")
        .edit("web", |web| web.replicas = replicas)
        .pace(update)
        .converge()
}

fn pace(parallelism: u32) -> Pace {
    Pace { parallelism, ..Pace::default() }
}

impl World {
    fn pace(self, update: Pace) -> Self {
        self.edit("web", |web| web.update = update)
    }

    fn back(self, rollback: Pace) -> Self {
        self.edit("web", |web| web.rollback = rollback)
    }

    fn tasks(&self) -> impl Iterator<Item = &Arc<ObservedTask>> {
        let others = self.others.values().flat_map(|node| &node.seen.tasks);
        self.node.seen.tasks.iter().chain(others)
    }

    /// The slots that have a task of use.
    fn up(&self) -> BTreeSet<String> {
        let is_up = |task: &&Arc<ObservedTask>| {
            let is_well = matches!(task.health, Health::None | Health::Healthy);
            is_well && task.phase == Phase::Running && task.restarts == 0
        };
        let slots = self.tasks().filter(is_up).filter_map(|task| task.place.slot());
        slots.map(|slot| slot.slot.clone()).collect()
    }

    /// Passes until nothing is left to do: how many of the slots were down at once, and how many tasks
    /// there were at most.
    fn worst(&mut self) -> (usize, usize) {
        let (mut fewest, mut most) = (usize::MAX, 0);
        for _ in 0..2_000 {
            let settled = self.step();
            fewest = fewest.min(self.up().len());
            most = most.max(self.tasks().count());
            if settled && self.plan().is_settled() {
                let wanted = self.desired.services["web"].replicas as usize;
                return (wanted - fewest, most);
            }
        }
        panic!("no end:\n{}", self.shown());
    }

    /// The running tasks, by slot.
    fn by_slot(&self) -> BTreeMap<String, TaskId> {
        let runs = self.tasks().filter(|task| task.phase == Phase::Running);
        runs.filter_map(|task| Some((task.place.slot()?.slot.clone(), task.id.clone()))).collect()
    }

    /// How many containers run each image, and never crashed.
    fn images(&self) -> String {
        let mut images: BTreeMap<&str, usize> = BTreeMap::new();
        let well = |task: &&Arc<ObservedTask>| task.phase == Phase::Running && task.restarts == 0;
        for task in self.tasks().filter(well) {
            *images.entry(&task.spec.image).or_default() += 1;
        }
        let shown: Vec<_> = images.iter().map(|(image, n)| format!("{image} x{n}")).collect();
        shown.join(", ")
    }

    fn is_bad(&self) -> bool {
        self.standing.bad.contains_key(&self.desired.hash)
    }

    fn is_good(&self) -> bool {
        self.standing.good == Some(self.desired.hash)
    }

    fn noted(&self) -> Vec<String> {
        let nodes = self.nodes();
        keel_plan::text::of_notes(&keel_plan::status::status(&self.inputs(&nodes)).notes)
    }

    /// Steps until something is so.
    fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..600 {
            if is(self) {
                return;
            }
            self.step();
        }
        panic!("{what}:\n{}", self.shown());
    }
}

#[test]
fn as_many_slots_are_replaced_at_a_time_as_the_file_says() {
    for (parallelism, at_once) in [(1, 1), (2, 2), (4, 4), (6, 6), (9, 6), (0, 6)] {
        let mut world = fleet(6, pace(parallelism)).push("web", "nginx:2", "r2");
        assert_eq!(world.worst().0, at_once, "parallelism {parallelism}");
        assert_eq!(world.images(), "nginx:2 x6");
        assert!(world.is_good());
        let mut world = fleet(6, pace(parallelism)).checked("web").edit("web", |web| {
            web.order = Some(Order::StartFirst);
            web.spec.ports.clear();
        });
        world = world.converge().push("web", "nginx:2", "r2");
        assert_eq!(world.worst(), (0, 6 + at_once), "start-first, parallelism {parallelism}");
        assert_eq!(world.images(), "nginx:2 x6");
    }
}

#[test]
fn a_first_deployment_is_no_rollout() {
    let mut world = stack().wants("web", "nginx:1").edit("web", |web| web.replicas = 4);
    world.step();
    world.step();
    assert_eq!(world.tasks().count(), 4, "{}", world.shown());
}

#[test]
fn two_of_six_at_a_time_and_the_next_two_once_those_have_settled() {
    let mut world = fleet(6, pace(2)).push("web", "nginx:2", "r2");
    world.step();
    world.step();
    insta::assert_snapshot!(world.shown(), @r"
    web.1: hold: in progress: it is being prepared
    web.2: hold: in progress: it is being prepared
    web.3: hold: rollout full (2 at a time)
    web.4: hold: rollout full (2 at a time)
    web.5: hold: rollout full (2 at a time)
    web.6: hold: rollout full (2 at a time)
    ");
    let begun = |world: &World| world.tasks().filter(|task| task.spec.image == "nginx:2").count();
    world.until("the next begin", |world| begun(world) > 2);
    let old: Vec<_> = world.tasks().filter(|task| task.spec.image == "nginx:2").cloned().collect();
    let settled = old
        .iter()
        .filter(|task| task.started.is_some_and(|started| started + 10_000 <= world.node.seen.at));
    assert_eq!((settled.count(), begun(&world)), (2, 4));
}

/// What nobody misses is replaced first, then what an overtaken rollout left.
#[test]
fn slots_that_are_down_go_first_and_then_those_of_a_rollout_that_was_overtaken() {
    let mut world = fleet(5, pace(1)).push("web", "nginx:2", "r2");
    let second = |world: &World| {
        let mut new = world.tasks().filter(|task| task.spec.image == "nginx:2");
        new.any(|task| task.place.slot().is_some_and(|slot| slot.slot == "2"))
    };
    world.until("the first is done, and the second has begun", second);
    world.node.named("shop-web-4").phase = Phase::Rejected;
    let mut world = world.push("web", "nginx:3", "r3");
    let mut order: Vec<String> = vec![];
    for _ in 0..200 {
        world.step();
        let new = world.tasks().filter(|task| task.spec.image == "nginx:3");
        for slot in new.filter_map(|task| task.place.slot()).map(|slot| slot.slot.clone()) {
            if !order.contains(&slot) {
                order.push(slot);
            }
        }
    }
    assert_eq!(order, ["4", "1", "2", "3", "5"], "{}", world.shown());
}

#[test]
fn the_share_that_may_fail_is_judged_by_all_slots() {
    let ratio = |parallelism| Pace { max_failure_ratio: 300_000, ..pace(parallelism) };
    for parallelism in [0, 1, 4] {
        let world = fleet(10, ratio(parallelism)).push("web", "some-crash:3", "r2").converge();
        assert!(!world.is_bad() && world.is_good(), "3 of 10 may fail: {}", world.shown());
        assert!(world.images().ends_with("some-crash:3 x7"), "{}", world.images());
        assert_eq!(world.shown().matches("hold: failed").count(), 3, "{}", world.shown());
        let world = fleet(10, ratio(parallelism)).push("web", "some-crash:4", "r2").converge();
        assert!(world.is_bad(), "4 may not");
        assert_eq!(world.images(), "nginx:1 x10", "back to what was good");
    }
}

/// The tolerated failures of one revision are no part of the next one's rollout.
#[test]
fn after_failures_that_were_few_the_next_revision_goes_everywhere() {
    let update = Pace { max_failure_ratio: 500_000, ..pace(1) };
    let world = fleet(4, update).push("web", "some-crash:2", "r2").converge();
    let mut world = world.pace(pace(1)).push("web", "nginx:3", "r3");
    let before = 4 - world.up().len();
    assert!(world.worst().0 <= before.max(1), "none is stopped beside those");
    assert_eq!(world.images(), "nginx:3 x4");
    assert!(world.is_good());
}

#[test]
fn what_dies_at_once_is_tried_in_as_many_slots_as_go_at_a_time() {
    for round in ["r2", "r3"] {
        let world = fleet(6, pace(2));
        let before = world.by_slot();
        let mut world = world.push("web", &format!("crash:{round}"), round);
        let mut tried = BTreeSet::new();
        while !world.is_bad() {
            let bad = world.tasks().filter(|task| task.spec.image.starts_with("crash"));
            tried.extend(bad.filter_map(|task| task.place.slot()).map(|slot| slot.slot.clone()));
            assert!(["3", "4", "5", "6"].iter().all(|slot| world.up().contains(*slot)));
            world.step();
        }
        assert_eq!(tried, ["1".to_owned(), "2".to_owned()].into());
        let world = world.converge();
        assert_eq!(world.by_slot(), before, "the same containers as before");
        // Another bad one comes back to what was good, and not to the one before it.
        let world = world.push("web", "crash:again", "r9").converge();
        assert_eq!((world.is_bad(), world.by_slot()), (true, before));
    }
}

#[test]
fn what_the_file_says_of_a_failure_wins_over_the_policy() {
    use FailureAction::{Continue, Pause, Rollback};
    let push = |action, policy| {
        let update = Pace { failure_action: action, ..pace(1) };
        let mut world = fleet(4, update);
        world.desired.policy.rollback = policy;
        let world = world.push("web", "some-crash:1", "r2").converge();
        assert!(world.is_bad() && !world.is_good());
        let failed = world.learned.iter().filter(|one| matches!(one, Learned::Failed { .. }));
        assert_eq!(failed.count(), 1, "it is told once");
        world
    };
    for (action, policy) in [(None, true), (Some(Rollback), true), (Some(Rollback), false)] {
        let world = push(action, policy);
        assert_eq!(world.images(), "nginx:1 x4", "{action:?}, {policy}");
    }
    for (action, policy, note) in [
        (
            None,
            false,
            "revision r2 failed: web.1 exited (1) 3 times; it stays, by `rollback: false`",
        ),
        (
            Some(Pause),
            true,
            "revision r2 failed: web.1 exited (1) 3 times; it stays, by `failure_action: pause`",
        ),
    ] {
        let world = push(action, policy);
        assert_eq!(world.images(), "nginx:1 x3", "{action:?}, {policy}: three were not touched");
        assert_eq!(world.noted()[0], note);
        let again = world.push("web", "nginx:3", "r3").converge();
        assert_eq!(again.images(), "nginx:3 x4", "the next revision goes on");
    }
    let world = push(Some(Continue), true);
    assert_eq!(world.images(), "some-crash:1 x3");
    insta::assert_snapshot!(world.noted()[0], @"revision r2 failed: web.1 exited (1) 3 times; its rollout goes on, by `failure_action: continue`");
    assert!(world.shown().starts_with("web.1: hold: failed: "), "{}", world.shown());
}

#[test]
fn a_bad_revision_with_nothing_good_before_stops_nothing_that_serves() {
    for action in [None, Some(FailureAction::Pause), Some(FailureAction::Rollback)] {
        let update = Pace { failure_action: action, ..pace(2) };
        let mut world = fleet(4, update);
        (world.standing.good, world.standing.good_desired) = (None, None);
        let mut world = world.push("web", "crash", "r2");
        world.until("it failed", World::is_bad);
        let up = world.up();
        assert_eq!(up.len(), 2, "{}", world.shown());
        let world = world.converge();
        assert!(world.up().is_superset(&up), "{action:?}: {}", world.shown());
    }
}

#[test]
fn coming_back_has_a_pace_of_its_own() {
    // The sixth comes back too.
    for (parallelism, at_once) in [(1, 1..=1), (3, 2..=3), (0, 5..=5)] {
        // Five of six have it, then the last one fails.
        let world = fleet(6, pace(5)).back(pace(parallelism));
        let mut world = world.converge().push("web", "late", "r2");
        let has = |world: &World| {
            let new = world.tasks().filter(|task| task.spec.image == "late");
            new.filter(|task| task.phase == Phase::Running).count()
        };
        world.until("five have settled", |world| has(world) == 6);
        let last = world.by_slot()["6"].clone();
        for task in world.node.seen.tasks.iter_mut().filter(|task| task.id == last) {
            let task = Arc::make_mut(task);
            (task.phase, task.restarts, task.exit_code) = (Phase::Backoff, 3, Some(1));
            task.finished = Some(task.started.unwrap() + 1);
        }
        let mut most = 0;
        for _ in 0..300 {
            world.step();
            let up = world.up();
            most = most.max(5 - up.iter().filter(|slot| *slot != "6").count());
        }
        assert!(world.is_bad());
        assert!(at_once.contains(&most), "{most}, parallelism {parallelism}");
        assert_eq!(world.images(), "nginx:1 x6");
    }
}

#[test]
fn a_rollback_that_fails_stops_there_and_turns_no_more() {
    for (back, tried) in [
        (pace(1), 1..=1),
        (pace(2), 1..=2),
        (Pace { max_failure_ratio: 500_000, ..pace(1) }, 3..=3),
        (Pace { failure_action: Some(FailureAction::Continue), ..pace(1) }, 4..=4),
    ] {
        let world = fleet(5, pace(4)).back(back).converge();
        let mut world = world.push("web", "late", "r2");
        let on = |world: &World, image: &str| {
            world.tasks().filter(|task| task.spec.image == image).count()
        };
        let runs = |world: &World| {
            let new = world.tasks().filter(|task| task.spec.image == "late");
            new.filter(|task| task.phase == Phase::Running).count()
        };
        world.until("the last one has begun", |world| runs(world) == 5);
        // It crashes, and of what was good before nothing new runs any more.
        let last = world.by_slot()["5"].clone();
        for task in world.node.seen.tasks.iter_mut().filter(|task| task.id == last) {
            let task = Arc::make_mut(task);
            (task.phase, task.restarts, task.exit_code) = (Phase::Backoff, 3, Some(1));
        }
        world.step();
        assert!(world.is_bad());
        world.node.crashing.push("nginx:1".into());
        for _ in 0..300 {
            world.step();
        }
        let late = runs(&world);
        assert!(tried.contains(&(4 - late)), "{late}, {back:?}: {}", world.shown());
        assert_eq!(world.standing.bad.len(), 1, "nothing else is marked");
        assert_eq!(on(&world, "nginx:1"), 5 - late);
    }
}

#[test]
fn what_was_not_touched_is_not_touched_by_a_push_that_takes_it_back() {
    let world = fleet(6, pace(2));
    let before = world.by_slot();
    let mut world = world.push("web", "nginx:2", "r2");
    let is_new = |world: &World| {
        let new = world.tasks().filter(|task| task.spec.image == "nginx:2");
        new.filter(|task| task.phase == Phase::Running).count() == 2
    };
    world.until("two are new", is_new);
    let world = world.push("web", "nginx:1", "r3").converge();
    assert_eq!(world.by_slot(), before);
    assert!(world.is_good());
}

/// A task ends at an age; whether that is the revision's fault.
#[test]
fn an_end_counts_while_the_task_is_watched() {
    let second = 1_000;
    for (name, update, age, fails) in [
        ("watched", Pace { monitor: Some(20 * second), ..pace(1) }, 19, true),
        ("no longer watched", Pace { monitor: Some(20 * second), ..pace(1) }, 21, false),
        ("never shorter than settle", Pace { monitor: Some(second), ..pace(1) }, 8, true),
        ("a delay is watched too", Pace { delay: 60 * second, ..pace(1) }, 30, true),
        (
            "in the last slot as well",
            Pace { delay: 60 * second, monitor: Some(5 * second), ..pace(0) },
            30,
            true,
        ),
    ] {
        let mut world = fleet(2, update).edit("web", |web| {
            web.spec.restart = RestartPolicy::No;
            web.spec.ports = vec![crate::world::port(80)];
        });
        world.desired.services.get_mut("web").unwrap().spec.ports[0].published = None;
        let mut world = world.converge().push("web", "nginx:2", "r2");
        let started = |world: &World| {
            let mut new = world.tasks().filter(|task| task.spec.image == "nginx:2");
            new.find(|task| task.phase == Phase::Running)?.started
        };
        world.until("one runs", |world| started(world).is_some());
        let began = started(&world).unwrap();
        world.until("it is that old", |world| began + age * second <= world.node.seen.at);
        let at = world.node.seen.at;
        let mut new = world.node.seen.tasks.iter_mut();
        let task = new.find(|task| task.spec.image == "nginx:2" && task.started == Some(began));
        let task = Arc::make_mut(task.unwrap());
        (task.phase, task.finished) = (Phase::Exited, Some(at));
        (task.exit_code, task.exit_cause) = (Some(1), Some(ExitCause::Own));
        world.step();
        assert_eq!(world.is_bad(), fails, "{name}: {}", world.shown());
    }
}

#[test]
fn what_ends_well_is_done_or_failed_as_its_restart_policy_says() {
    for (restart, fails) in [
        (RestartPolicy::Always, true),
        (RestartPolicy::UnlessStopped, true),
        (RestartPolicy::No, false),
        (RestartPolicy::OnFailure { max: 0 }, false),
    ] {
        let world = fleet(2, pace(2)).edit("web", |web| web.spec.restart = restart).converge();
        let world = world.push("web", "job", "r2").converge();
        assert_eq!(world.is_bad(), fails, "{restart:?}: {}", world.shown());
    }
}

/// Both at a time have no room on the node, so one goes first, whatever the file wants; and says so.
#[test]
fn a_surge_without_room_is_none_and_says_so() {
    use keel_engine::MountSource;
    let data = MountSource::Bind { path: "/srv/web".into(), create: true };
    let cases: [(&str, &dyn Fn(World) -> World); 3] = [
        ("the node has no room for both", &|world: World| {
            let gib = crate::members::GIB;
            world.with_members(&["n1", "n2"]).sized("n2", 4, 1).edit("web", |web| {
                web.spec.reserved_memory = Some(3 * gib);
            })
        }),
        ("its data can have only one writer", &|world: World| {
            let mount = crate::world::mount(data.clone());
            world.edit("web", |web| web.spec.volumes = vec![mount])
        }),
        ("its address is fixed", &|world: World| {
            world.edit("web", |web| {
                web.spec.networks[0].addresses = vec!["10.9.8.7".parse().unwrap()];
            })
        }),
    ];
    for (why, change) in cases {
        let world = stack().wants("web", "nginx:1");
        let world = world.edit("web", |web| web.order = Some(Order::StartFirst));
        let mut world = change(world).converge().push("web", "nginx:2", "r2");
        let story = world.story();
        let said = format!("despite `order: start-first`: {why}");
        assert!(story.contains(&said), "{why}: {story}");
        assert!(world.is_good());
    }
}

#[test]
fn a_delay_stands_between_one_slot_and_the_next() {
    let mut world = fleet(2, Pace { delay: 60_000, ..pace(1) }).push("web", "nginx:2", "r2");
    let first = |world: &World, slot: &str| {
        let new = world.tasks().filter(|task| task.spec.image == "nginx:2");
        let mut own = new.filter(|task| task.place.slot().is_some_and(|one| one.slot == slot));
        own.find_map(|task| Some((task.created, task.started?)))
    };
    world.until("the second has begun", |world| first(world, "2").is_some());
    let ((_, one), (two, _)) = (first(&world, "1").unwrap(), first(&world, "2").unwrap());
    assert!(two >= one + 60_000, "{one} {two}");
}

#[test]
fn a_service_that_shrinks_meanwhile_does_so_first_and_is_judged_by_what_is_left() {
    let update = Pace { max_failure_ratio: 500_000, ..pace(2) };
    let mut world = fleet(5, update).push("web", "some-crash:1", "r2");
    let failed = |world: &World| world.shown().contains("web.1: hold: failed");
    world.until("the first one failed", failed);
    assert!(!world.is_bad());
    // Slot 1 is of no use, and the others are what is left.
    let world = world.edit("web", |web| web.replicas = 2);
    let shown = world.shown();
    assert!(shown.contains("web.1: remove: 2 tasks desired"), "{shown}");
    let waits = "hold: in progress: its service is scaled down first";
    assert!(!shown.contains("replace") || shown.contains(waits), "{shown}");
    let mut world = world.converge();
    assert!(world.is_good(), "{}", world.shown());
    assert_eq!(world.images(), "some-crash:1 x2");
    assert_eq!(world.worst().0, 0);
}

/// Nothing is stopped while another one is down by itself; but not for ever.
#[test]
fn a_slot_that_is_down_is_awaited() {
    let world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 2);
    let world = world.edit("web", |web| web.order = Some(Order::StopFirst)).converge();
    assert_eq!(world.whereabouts(), "n1: web.1; n2: web.2");
    let mut world = world;
    world.silent.insert("n2".into(), true);
    let mut world = world.push("web", "nginx:2", "r2");
    world.node.image("nginx:2");
    for _ in 0..5 {
        world.step();
    }
    insta::assert_snapshot!(world.shown().lines().next().unwrap(), @"web.1: hold: in progress: web.2 is down, and is awaited first");
    assert!(world.up().contains("1"));
    // The node's own time stands still while it is silent.
    world.node.seen.at += 600_000;
    let waits = world.shown().contains("is awaited first");
    assert!(!waits, "{}", world.shown());
}

#[test]
fn a_drain_takes_no_more_than_a_rollout_beside_it() {
    for (parallelism, moves) in [(1, 1), (2, 2), (0, 1)] {
        let world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 6);
        let world = world.pace(pace(parallelism)).converge();
        let mut world = world.set("n2", Availability::Drain);
        let mut most = 0;
        for _ in 0..200 {
            let double = world.tasks().count() - world.up().len().min(6);
            most = most.max(double);
            world.step();
        }
        assert_eq!(most, moves, "parallelism {parallelism}");
        // Both at a time: a revision for all of them while a node is emptied.
        let world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").times("web", 6);
        let world = world.pace(pace(parallelism)).converge().set("n2", Availability::Drain);
        let mut world = world.push("web", "nginx:2", "r2");
        let limit = if parallelism == 0 { 6 } else { parallelism as usize };
        assert!(world.worst().0 <= limit);
        assert_eq!(world.images(), "nginx:2 x6");
        assert!(world.whereabouts().starts_with("n1:") && !world.whereabouts().contains("n2"));
    }
}

#[test]
fn a_global_service_is_judged_by_the_nodes_that_answer() {
    let nodes = ["n1", "n2", "n3", "n4"];
    let global = |update| {
        let world = stack().with_members(&nodes).wants("web", "nginx:1").edit("web", |web| {
            web.placement.mode = keel_plan::placement::Mode::Global;
        });
        world.pace(update).converge()
    };
    let mut world = global(pace(2)).push("web", "nginx:2", "r2");
    let mut fewest = 4;
    for step in 0..200 {
        world.step();
        fewest = fewest.min(world.up().len());
        if step == 10 {
            // One joins, one leaves: the rollout goes on over those that there are.
            world = world.with_member("n5").lose("n4");
            fewest = 4;
        }
    }
    assert!(fewest >= 2, "two of four at a time");
    assert_eq!(world.images(), "nginx:2 x4");
    assert!(world.is_good());
}

#[test]
fn a_node_that_dies_during_a_rollout_makes_no_failure() {
    let nodes = ["n1", "n2", "n3", "n4", "n5"];
    let world = stack().with_members(&nodes).wants("web", "nginx:1").times("web", 10);
    let mut world = world.pace(pace(2)).converge().push("web", "nginx:2", "r2");
    let new = |world: &World| world.tasks().any(|task| task.spec.image == "nginx:2");
    world.until("it has begun", new);
    let slot = |task: &ObservedTask| task.place.slot().map(|slot| slot.slot.clone());
    let begun = world.tasks().find(|task| task.spec.image == "nginx:2").map(|task| slot(task));
    let has = |name: &&&str| {
        let node = world.others.get(&keel_engine::NodeName::from(**name));
        node.is_some_and(|node| node.seen.tasks.iter().any(|task| Some(slot(task)) == begun))
    };
    // The controller's own node never is silent to itself.
    let lost = nodes.iter().find(has).copied().unwrap_or("n2");
    world.silent.insert(lost.into(), true);
    world.down.insert(lost.into());
    for _ in 0..400 {
        world.step();
    }
    assert!(!world.is_bad(), "{}", world.shown());
    assert!(world.counts().iter().sum::<usize>() >= 10, "{}", world.whereabouts());
    assert!(world.is_good(), "{}", world.shown());
}

/// Records of a version that knew nothing of this are read as what says nothing.
#[test]
fn an_older_record_is_read() {
    let world = fleet(1, Pace::default());
    let text = serde_json::to_string(&world.desired).unwrap();
    assert!(!text.contains("rollback_order") && !text.contains("\"update\""), "{text}");
    assert_eq!(serde_json::from_str::<keel_plan::desired::Desired>(&text).unwrap(), world.desired);
    let mark = r#"{"revision":"r2","at":1,"reason":"it exits","since":0}"#;
    let mark: keel_plan::standing::KnownBad = serde_json::from_str(mark).unwrap();
    assert_eq!(mark.action, None, "the policy says it");
}

/// What is ready to take over keeps nobody waiting that is down.
#[test]
fn a_slot_that_goes_down_meanwhile_comes_before_one_that_serves() {
    let mut world = fleet(2, pace(1)).push("web", "nginx:2", "r2");
    let is_ready = |task: &ObservedTask| task.goal == Goal::Ready && task.phase == Phase::Ready;
    world.until("nothing is ready", |world| world.tasks().any(|task| is_ready(task)));
    for task in &mut world.node.seen.tasks {
        let task = Arc::make_mut(task);
        if task.place.slot().is_some_and(|slot| slot.slot == "2") {
            (task.phase, task.exit_code) = (Phase::Exited, Some(137));
            (task.exit_cause, task.finished) =
                (Some(ExitCause::KilledFromOutside), Some(world.node.seen.at));
        }
    }
    insta::assert_snapshot!(world.shown(), @r"
    web.1: hold: in progress: web.2 is down, and is awaited first
    web.2: replace: image nginx:1 -> nginx:2 (compose.yaml:7:12)
    ");
    let world = world.converge();
    assert_eq!(world.images(), "nginx:2 x2");
    assert!(world.is_good());
}

/// What runs nowhere has proven nothing.
#[test]
fn a_revision_that_a_paused_node_keeps_out_is_not_good_yet() {
    let world = stack().with_members(&["n1", "n2"]).wants("web", "nginx:1").converge();
    let node = if world.whereabouts().starts_with("n1") { "n1" } else { "n2" };
    let mut world = world.set(node, Availability::Pause).push("web", "nginx:2", "r2");
    world = world.steps(60);
    assert_eq!((world.images().as_str(), world.is_good()), ("nginx:1 x1", false));
    let world = world.set(node, Availability::Active).converge();
    assert_eq!((world.images().as_str(), world.is_good()), ("nginx:2 x1", true));
}
