use super::*;
use crate::operate::samples::task;
use keel_engine::{Depth, Engine, ObservedTask, TaskAssignment, TaskSpec};
use keel_testing::fake::Fake;
use std::sync::Arc;

fn password(password: &str) -> Login {
    Login::Password { user: "ann".into(), password: password.into() }
}

fn image(node: &str, reference: &str, policy: PullPolicy) -> Wish {
    let what = Assignment::Image { reference: reference.into(), policy, wanted: Presence::Present };
    Wish { node: node.into(), what }
}

fn of_task(image: &str, goal: Goal, phase: Phase) -> ObservedTask {
    let seen = task("web", "1", 'a', 1);
    let spec = TaskSpec { image: image.into(), ..TaskSpec::clone(&seen.spec) };
    ObservedTask { spec: spec.into(), goal, phase, ..seen }
}

fn wished(node: &str, image: &str, goal: Goal) -> Wish {
    let told = TaskAssignment::again(&of_task(image, goal, Phase::Pending), goal, 1);
    Wish { node: node.into(), what: Assignment::Task(Box::new(told)) }
}

fn stack() -> StackName {
    StackName::new("hello").unwrap()
}

/// A controller's own node that is logged in to r.io, and two others.
struct Pool {
    fleet: Fleet,
    home: Arc<Fake>,
    far: Arc<Fake>,
    other: Arc<Fake>,
}

impl Pool {
    fn new() -> Self {
        let [home, far, other] = ["home", "far", "other"].map(|name| Arc::new(Fake::new(name)));
        home.log_in("r.io", Some(password("s3cret")));
        home.log_in("else.io", Some(password("never")));
        let fleet = Fleet::of("home".into(), home.clone());
        fleet.join("far".into(), far.clone());
        fleet.join("other".into(), other.clone());
        Self { fleet, home, far, other }
    }

    async fn lend(&self, wishes: &[Wish]) -> Result<()> {
        let seen = self.fleet.observe(Depth::State).await.unwrap();
        let turns = self.fleet.turn_everywhere().await.unwrap();
        self.fleet.lend(&turns, &pulls(&stack(), &seen, wishes)).await
    }
}

#[tokio::test]
async fn a_node_is_lent_the_login_of_what_it_pulls_and_nobody_else_is() {
    let pool = Pool::new();
    let wishes = [
        image("far", "r.io/app:1", PullPolicy::Missing),
        image("far", "open.io/app:1", PullPolicy::Missing),
        image("far", "keel.local/hello", PullPolicy::Missing),
        image("home", "else.io/app", PullPolicy::Missing),
        image("other", "else.io/app", PullPolicy::Never),
    ];
    pool.lend(&wishes).await.unwrap();
    let lent = |image: &str, login| LentLogin { image: image.into(), login };
    let expected = [lent("open.io/app:1", None), lent("r.io/app:1", Some(password("s3cret")))];
    assert_eq!(pool.far.take_lent(), expected);
    assert_eq!((pool.home.take_lent(), pool.other.take_lent()), (vec![], vec![]));

    // Another password, and none any more, count for the next pull.
    for login in [Some(password("n3w")), None] {
        pool.home.log_in("r.io", login.clone());
        pool.lend(&wishes[..1]).await.unwrap();
        assert_eq!(pool.far.take_lent(), [lent("r.io/app:1", login)]);
    }
}

#[tokio::test]
async fn a_node_that_is_told_nothing_is_lent_nothing() {
    let pool = Pool::new();
    let seen = pool.fleet.observe(Depth::State).await.unwrap();
    let pulls = pulls(&stack(), &seen, &[image("far", "r.io/app:1", PullPolicy::Always)]);
    let turns = pool.fleet.turn(&["home".into()].into()).await.unwrap();
    pool.fleet.lend(&turns, &pulls).await.unwrap();
    assert_eq!(pool.far.take_lent(), []);
}

#[tokio::test]
async fn a_task_needs_a_login_until_its_image_is_there() {
    let pool = Pool::new();
    let wishes = [wished("far", "r.io/app:1", Goal::Running)];
    pool.lend(&wishes).await.unwrap();
    assert_eq!(pool.far.take_lent().len(), 1);
    pool.lend(&[wished("far", "r.io/app:1", Goal::Stopped)]).await.unwrap();
    assert_eq!(pool.far.take_lent(), [], "what does not run pulls nothing");
    pool.far.assign(&[image("far", "r.io/app:1", PullPolicy::Missing).what]).await.unwrap();
    pool.lend(&wishes).await.unwrap();
    assert_eq!(pool.far.take_lent(), [], "it is there");
}

#[test]
fn a_task_that_waits_for_its_image_is_lent_a_login_whatever_is_decided() {
    let node = |task: ObservedTask| {
        let seen =
            Observation { node: "far".into(), tasks: vec![task.into()], ..Observation::default() };
        let report = keel_engine::NodeReport::Known(Arc::new(seen));
        Nodes { home: "home".into(), reports: [("far".into(), report)].into() }
    };
    for (goal, phase, expected) in [
        (Goal::Running, Phase::Pending, 1),
        (Goal::Running, Phase::Preparing, 1),
        (Goal::Running, Phase::Running, 0),
        (Goal::Removed, Phase::Preparing, 0),
    ] {
        let nodes = node(of_task("r.io/app:1", goal, phase.clone()));
        assert_eq!(pulls(&stack(), &nodes, &[]).len(), expected, "{goal:?} {phase:?}");
    }
}
