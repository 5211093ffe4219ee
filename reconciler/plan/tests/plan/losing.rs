//! Nodes that are given up, and what becomes of their tasks: elsewhere, meanwhile, and once the node is back.

use crate::world::{World, mount, stack};
use keel_engine::{Availability, Goal, MountSource, NodeName, Phase, TaskId};
use keel_plan::placement::Mode;
use keel_plan::status::{Health, status};
use std::collections::BTreeSet;

impl World {
    /// The node does not answer any more.
    fn silence(mut self, name: &str) -> Self {
        self.silent.insert(name.into(), true);
        self
    }

    /// And is given up.
    fn give_up(self, name: &str) -> Self {
        let mut world = self.silence(name);
        world.down.insert(name.into());
        world
    }

    /// It answers again.
    fn hear(mut self, name: &str) -> Self {
        let node = NodeName::from(name);
        self.silent.remove(&node);
        self.down.remove(&node);
        if let Some(facts) = self.pool.members.get_mut(&node) {
            facts.dead = None;
        }
        self
    }

    /// A person says that its machine does not run any more.
    fn confirm_dead(mut self, name: &str) -> Self {
        self.facts(name).dead = Some(1);
        self
    }

    fn ids(&self, name: &str) -> BTreeSet<TaskId> {
        let node = self.others.get(&NodeName::from(name)).unwrap_or(&self.node);
        let runs = |task: &&std::sync::Arc<keel_engine::ObservedTask>| {
            task.phase == Phase::Running && task.goal == Goal::Running
        };
        node.seen.tasks.iter().filter(runs).map(|task| task.id.clone()).collect()
    }

    fn notes(&self) -> String {
        let now = status(&self.inputs(&self.nodes()));
        keel_plan::text::of_notes(&now.notes).join("\n")
    }

    fn health(&self) -> Health {
        status(&self.inputs(&self.nodes())).health
    }
}

fn three() -> World {
    stack().with_members(&["n1", "n2", "n3"])
}

fn web(replicas: u32) -> World {
    three().wants("web", "nginx:1").times("web", replicas).converge()
}

/// `db` on a node that is not the controller's, tied to it.
fn tied(edit: impl FnOnce(World) -> World) -> World {
    let world = three().label("n2", "disk", "ssd").label("n3", "disk", "ssd");
    let world = world.wants("db", "postgres:16").constrained("db", "node.labels.disk == ssd");
    edit(world).converge()
}

fn exclusive() -> World {
    tied(|world| world.placed("db", |place| place.exclusive = true))
}

fn with_volume() -> World {
    tied(|world| world.with_data("db"))
}

fn home_of(world: &World) -> String {
    world.whereabouts().split(':').next().unwrap().to_owned()
}

fn other(node: &str) -> &'static str {
    if node == "n2" { "n3" } else { "n2" }
}

/// Whoever begins anew knows of a node that does not answer what was written down, and no more.
#[test]
fn an_exclusive_task_that_is_ready_elsewhere_waits_for_a_node_that_was_never_heard() {
    for to_home in [false, true] {
        for steps in 0..12 {
            let mut world = exclusive();
            let from = home_of(&world);
            world.facts(&from).availability = Availability::Drain;
            if to_home {
                world.facts(other(&from)).availability = Availability::Pause;
                world = world.label("n1", "disk", "ssd");
            }
            let mut world = world.steps(steps);
            world.silent.insert(from.as_str().into(), false);
            let world = world.steps(30);
            let running: usize = ["n1", "n2", "n3"].iter().map(|node| world.ids(node).len()).sum();
            assert!(running <= 1, "after {steps} steps, to n1: {to_home}\n{}", world.all());
        }
    }
}

#[test]
fn tasks_of_a_node_that_is_down_run_elsewhere_and_those_of_a_silent_one_do_not() {
    let mut world = web(6).silence("n3");
    let before = (world.ids("n1"), world.ids("n2"));
    world = world.steps(30);
    assert_eq!(world.counts(), [2, 2, 2]);
    world = world.give_up("n3").steps(30);
    assert_eq!(world.counts(), [3, 3, 2], "{}", world.all());
    assert!(world.ids("n1").is_superset(&before.0) && world.ids("n2").is_superset(&before.1));
    assert_eq!((world.health(), world.notes().as_str()), (Health::Healthy, ""));
    assert!(world.standing.bad.is_empty(), "a lost node says nothing of a revision");
}

#[test]
fn a_node_that_is_back_stops_what_was_replaced_and_nothing_else_changes() {
    let world = web(6).give_up("n3").steps(30);
    let (one, two) = (world.ids("n1"), world.ids("n2"));
    let mut world = world.hear("n3");
    let shown = world.shown();
    assert_eq!(
        shown.matches("remove: it was replaced while its node was down").count(),
        2,
        "{shown}"
    );
    world = world.steps(30);
    assert_eq!(world.counts(), [3, 3, 0], "{}", world.all());
    assert_eq!((world.ids("n1"), world.ids("n2")), (one, two), "nothing is started anew");
    assert!(world.standing.replaced.is_empty(), "{:?}", world.standing.replaced);
    world = world.times("web", 7).steps(30);
    assert_eq!(world.counts(), [3, 3, 1], "it takes new tasks");
}

/// The old task's clock may be anywhere: generations decide.
#[test]
fn clocks_have_no_say_in_which_of_two_stays() {
    let mut world = web(6);
    let n3 = world.at("n3");
    for task in &mut n3.seen.tasks {
        std::sync::Arc::make_mut(task).created = 9_000_000_000_000;
    }
    let world = world.give_up("n3").steps(30).hear("n3").steps(30);
    assert_eq!(world.counts(), [3, 3, 0], "{}", world.all());
}

#[test]
fn one_that_was_not_replaced_yet_goes_on_without_a_restart() {
    let world = web(6);
    let before = world.ids("n3");
    let mut world = world.give_up("n3");
    // Its first pass only pulls or waits; then the node is back.
    for node in ["n1", "n2"] {
        world.at(node).seen.images.clear();
    }
    world.step();
    assert!(world.standing.replaced.is_empty(), "{}", world.all());
    let world = world.hear("n3").steps(30);
    assert_eq!((world.ids("n3"), world.counts()), (before, vec![2, 2, 2]), "{}", world.all());
}

/// What serves is not traded for what does not yet.
#[test]
fn one_whose_replacement_is_of_no_use_yet_is_kept() {
    let world = three().wants("web", "nginx:1").checked("web").edit("web", |web| {
        web.spec.ports.clear();
    });
    let mut world = world.times("web", 3).converge();
    let before = world.ids("n3");
    assert_eq!(before.len(), 1);
    world = world.give_up("n3");
    // Until its replacement is under way, and not a moment longer.
    for _ in 0..30 {
        world.pass();
        if !world.standing.replaced.is_empty() {
            break;
        }
        world.tick(1_000);
    }
    assert!(!world.standing.replaced.is_empty(), "{}", world.all());
    let world = world.hear("n3");
    let shown = world.shown();
    assert!(
        shown.contains("update: its node answers again before its replacement is available"),
        "{shown}"
    );
    let world = world.steps(60);
    assert_eq!(world.ids("n3"), before, "{}", world.all());
    assert_eq!(world.counts(), [1, 1, 1]);
    assert!(world.standing.replaced.is_empty());
}

#[test]
fn what_left_git_while_its_node_was_away_is_removed_and_its_data_kept() {
    let world = with_volume();
    let node = home_of(&world);
    let world = world.wants("web", "nginx:1").give_up(&node).without("db").steps(30);
    assert_eq!(world.ids(&node).len(), 1, "nobody can be told");
    let mut world = world.hear(&node).steps(30);
    assert!(world.ids(&node).is_empty(), "{}", world.all());
    assert_eq!(world.at(&node).seen.volumes.len(), 1);
}

#[test]
fn data_waits_for_its_node_and_names_the_command() {
    let world = with_volume();
    let node = home_of(&world);
    let before = world.ids(&node);
    let world = world.give_up(&node).steps(60);
    assert_eq!(world.whereabouts(), format!("{node}: db.1"), "no twin");
    let told = format!(
        "db.1: waits for node {node}, which is down: the data of volume shop_data is there; if that machine does not \
         run any more, run `keel node confirm-dead {node}`"
    );
    assert_eq!((world.health(), world.notes()), (Health::Degraded, told));
    let world = world.hear(&node).steps(30);
    assert_eq!((world.ids(&node), world.health()), (before, Health::Healthy));
}

#[test]
fn a_host_path_and_an_exclusive_service_wait_too() {
    let path = tied(|world| {
        world.edit("db", |db| {
            db.spec.volumes =
                vec![mount(MountSource::Bind { path: "/srv/db".into(), create: true })];
        })
    });
    let node = home_of(&path);
    let path = path.give_up(&node).steps(60);
    assert!(path.shown().contains("the data in /srv/db is there"), "{}", path.shown());
    let world = exclusive();
    let node = home_of(&world);
    let world = world.give_up(&node).steps(60);
    assert_eq!(world.counts().iter().sum::<usize>(), 1);
    assert!(world.shown().contains("it is exclusive, so no second one is started"));
}

#[test]
fn a_persons_word_frees_what_waits_and_what_comes_back_stops_first() {
    for world in [with_volume(), exclusive()] {
        let node = home_of(&world);
        let there = other(&node);
        let world = world.give_up(&node).steps(10).confirm_dead(&node).steps(30);
        assert_eq!(world.ids(there).len(), 1, "{}", world.all());
        let kept = world.ids(there);
        let world = world.hear(&node);
        let shown = world.shown();
        assert!(shown.contains("db.1: remove: it was replaced while its node was down"), "{shown}");
        // While it still runs there, nothing of the stack begins there.
        let new = |world: World| world.wants("web", "nginx:1").times("web", 6);
        let mut busy = new(world);
        busy.at(&node).seen.images.clear();
        let plan = busy.plan();
        let starts = plan.wishes().any(|wish| {
            let task = match &wish.what {
                keel_engine::Assignment::Task(task) => task,
                _ => return false,
            };
            wish.node == NodeName::from(node.as_str()) && task.goal < Goal::Stopped
        });
        assert!(!starts, "{}", busy.all());
        let world = busy.steps(60);
        assert!(world.ids(there).is_superset(&kept), "{}", world.all());
        let twice = world.running().matches("shop-db-1").count();
        assert_eq!(twice, 1, "{}", world.all());
    }
}

/// The data of the node that came back is not what the slot goes on with.
#[test]
fn a_slot_stays_with_the_data_that_it_has_now() {
    let world = with_volume();
    let node = home_of(&world);
    let world = world.give_up(&node).confirm_dead(&node).steps(30).hear(&node).steps(30);
    let there = other(&node);
    let world = world.set(there, keel_engine::Availability::Drain).steps(30);
    assert_eq!(world.whereabouts(), format!("{there}: db.1"), "{}", world.all());
}

#[test]
fn a_controller_that_starts_meanwhile_starts_nothing_twice() {
    let world = exclusive();
    let node = home_of(&world);
    let mut world = world.give_up(&node).confirm_dead(&node).steps(30);
    // It has heard nothing of the node since, and nobody is given up yet.
    world.silent.insert(node.as_str().into(), false);
    world.down.clear();
    world.facts(&node).dead = None;
    let world = world.steps(60);
    assert_eq!(world.ids(other(&node)).len(), 1, "{}", world.all());
    assert_eq!(world.shown(), "db.1: hold: converged\n");
    let world = world.hear(&node).steps(60);
    assert_eq!(world.whereabouts(), format!("{}: db.1", other(&node)));
    // Not replaced yet: then it is as if nothing had been known.
    let mut world = web(6).give_up("n3");
    world.at("n1").seen.images.clear();
    world.at("n2").seen.images.clear();
    world.step();
    world.silent.insert("n3".into(), false);
    world.down.clear();
    let world = world.steps(30);
    assert_eq!(world.counts(), [2, 2, 2], "{}", world.all());
}

#[test]
fn a_global_service_does_not_count_a_node_that_is_down() {
    let world = three().wants("agent", "agent:1");
    let world = world.placed("agent", |place| place.mode = Mode::Global).converge();
    let before = world.ids("n3");
    let world = world.give_up("n3").push("agent", "agent:2", "r2").steps(60);
    let now = status(&world.inputs(&world.nodes()));
    assert_eq!((now.services["agent"], now.health), ((2, 2), Health::Healthy));
    assert_eq!(world.notes(), "node n3 is down, and agent.n3 with it");
    assert!(world.standing.rollout.is_none(), "the rollout ends without it");
    let world = world.hear("n3");
    assert_eq!(world.ids("n3"), before);
    let world = world.steps(60);
    assert_eq!(
        world.running(),
        "shop-agent-n1=agent:2 shop-agent-n2=agent:2 shop-agent-n3=agent:2"
    );
}

#[test]
fn a_job_that_is_done_is_not_run_again_and_one_that_is_not_is() {
    let job = |world: World| {
        let world = world.wants("report", "report:1").edit("report", |job| {
            job.spec.restart = keel_engine::RestartPolicy::No;
        });
        world.placed("report", |place| place.mode = Mode::ReplicatedJob).times("report", 3)
    };
    let mut world = job(three()).steps(5);
    assert_eq!(world.counts(), [1, 1, 1], "{}", world.all());
    let end = |world: &mut World, name: &str| {
        for task in &mut world.at(name).seen.tasks {
            let task = std::sync::Arc::make_mut(task);
            (task.phase, task.exit_code) = (Phase::Exited, Some(0));
            task.exit_cause = Some(keel_engine::ExitCause::Own);
            task.finished = Some(1_010_000);
        }
    };
    end(&mut world, "n2");
    let world = world.steps(5).give_up("n2").steps(20);
    assert_eq!(world.counts(), [1, 0, 1], "done is done: {}", world.all());
    let world = world.give_up("n3").steps(20);
    assert_eq!(world.counts(), [2, 0, 1], "{}", world.all());
}

/// Mid-rollout, too: the slot is lost and not failed, and no more than one is down by our own hand.
#[test]
fn a_rollout_survives_the_loss_of_a_node() {
    let world = three().wants("web", "nginx:1").checked("web").edit("web", |web| {
        web.spec.ports.clear();
    });
    let mut world = world.times("web", 6).converge().push("web", "nginx:2", "r2");
    for _ in 0..12 {
        world.step();
    }
    let world = world.give_up("n3").steps(300);
    assert!(world.standing.bad.is_empty(), "{:?}", world.standing.bad);
    assert_eq!(world.counts()[..2], [3, 3], "{}", world.all());
    let world = world.hear("n3").steps(60);
    assert_eq!(world.counts(), [3, 3, 0], "{}", world.all());
    assert!(!world.running().contains("nginx:1"));
}

#[test]
fn two_losses_and_a_return_leave_one_of_each() {
    let world = web(6).give_up("n3").steps(30);
    let world = world.give_up("n2").steps(30);
    assert_eq!(world.counts()[0], 6, "{}", world.all());
    let world = world.hear("n3").steps(30).hear("n2").steps(30);
    assert_eq!(world.counts(), [6, 0, 0], "{}", world.all());
    assert!(world.standing.replaced.is_empty());
}

/// The replacement is lost as well before it was of use: what comes back first goes on.
#[test]
fn where_the_replacement_is_lost_too_the_first_to_come_back_goes_on() {
    let world = tied(|world| world);
    let node = home_of(&world);
    let there = other(&node);
    let before = world.ids(&node);
    let world = world.give_up(&node).steps(20);
    assert_eq!(world.ids(there).len(), 1, "{}", world.all());
    let world = world.give_up(there).hear(&node);
    let shown = world.shown();
    assert!(shown.contains("update: its node answers again"), "{shown}");
    let world = world.steps(20);
    assert_eq!((world.ids(&node), world.health()), (before.clone(), Health::Healthy));
    let world = world.hear(there).steps(20);
    assert_eq!(world.whereabouts(), format!("{node}: db.1"), "{}", world.all());
    assert_eq!(world.ids(&node), before);
    assert!(world.standing.replaced.is_empty());
}

/// A repair is no test of a revision: what is unproven gets no slot that it did not have.
#[test]
fn a_slot_that_is_lost_mid_rollout_comes_back_as_it_was_until_the_revision_is_proven() {
    let world = three().wants("web", "nginx:1").times("web", 6).converge();
    let mut world = world.edit("web", |web| web.settle = Some(60_000)).push("web", "nginx:2", "r2");
    world = world.give_up("n3").steps(20);
    let running = world.running();
    assert!(running.matches("nginx:2").count() <= 2, "{running}\n{}", world.all());
    assert_eq!(world.counts()[..2], [3, 3], "{}", world.all());
    let world = world.steps(600);
    assert_eq!(world.running().matches("nginx:2").count(), 6, "{}", world.all());
    assert_eq!(world.counts(), [3, 3, 2]);
}

/// A revision that failed and stays by policy gets no slots either.
#[test]
fn a_lost_slot_of_a_revision_that_is_held_comes_back_as_it_was() {
    let mut world = three().wants("web", "nginx:1").times("web", 6);
    world.desired.policy.rollback = false;
    let mut world = world.converge().push("web", "nginx:2", "r2");
    world.standing.tried = Some(world.desired.hash);
    let bad = keel_plan::standing::KnownBad {
        revision: "r2".into(),
        at: world.node.seen.at,
        cause: keel_plan::why::FailureCause::NotTriedAgain,
        since: world.node.seen.at,
        action: None,
    };
    world.standing.bad.insert(world.desired.hash, bad);
    let world = world.steps(5).give_up("n3").steps(60);
    assert_eq!(world.counts(), [3, 3, 2], "{}", world.all());
    assert!(!world.running().contains("nginx:2"));
}

/// What a silent node may still run is remembered while nobody wants it.
#[test]
fn an_exclusive_service_that_leaves_the_source_and_comes_back_meanwhile_is_not_started_twice() {
    let exclusive = |world: World| world.edit("lone", |lone| lone.placement.exclusive = true);
    let world = exclusive(three().wants("web", "nginx:1").wants("lone", "lone:1"));
    let mut world = world;
    std::sync::Arc::make_mut(&mut world.standing.chosen).insert("lone.1".into(), "n2".into());
    let world = world.converge();
    assert!(world.whereabouts().contains("n2: lone.1"), "{}", world.whereabouts());
    // The controller starts anew, and never hears of that node.
    let mut world = world;
    world.silent.insert("n2".into(), false);
    world = world.without("lone").steps(5);
    let mut world = exclusive(world.wants("lone", "lone:1")).steps(5);
    assert!(world.shown().contains("lone.1: hold: waits for node n2"), "{}", world.shown());
    world.silent.clear();
    let world = world.converge();
    assert!(world.whereabouts().contains("n2: lone.1"), "{}", world.whereabouts());
}

/// After a restore nobody knows what a silent node was told last.
#[test]
fn what_may_run_once_alone_waits_after_a_restore_for_each_node_that_was_not_heard() {
    let world = three().wants("web", "nginx:1").wants("lone", "lone:1");
    let mut world = world.edit("lone", |lone| lone.placement.exclusive = true);
    world.silent.insert("n3".into(), false);
    world.facts("n3").is_unheard = true;
    let world = world.steps(10);
    let shown = world.shown();
    assert!(shown.contains("lone.1: hold: waits for node n3, which does not answer"), "{shown}");
    assert!(shown.contains("web.1: hold: waits for web to be available"), "{shown}");
    // It is heard, and has nothing.
    let mut world = world.hear("n3");
    world.facts("n3").is_unheard = false;
    assert!(world.converge().running().contains("shop-lone-1=lone:1"));
    // Or a person says that it does not run any more.
    let mut world = three().wants("lone", "lone:1");
    world = world.edit("lone", |lone| lone.placement.exclusive = true);
    world.silent.insert("n3".into(), false);
    world.facts("n3").is_unheard = true;
    let world = world.confirm_dead("n3").converge();
    assert!(world.running().contains("shop-lone-1=lone:1"));
}
