//! How long it takes to plan 10,000 tasks on 100 nodes: `cargo bench -p keel-plan --bench schedule`. Before
//! anything exists, and again once all of them run.

use keel_engine::{
    Digest, Goal, Health, NodeName, NodeReport, Nodes, Observation, ObservedImage, ObservedTask,
    Phase, RestartPolicy, StackName, TaskAssignment, TaskSpec, hash_of,
};
use keel_plan::desired::{Desired, DesiredService, Owner, Policy};
use keel_plan::pace::Pace;
use keel_plan::placement::Placement;
use keel_plan::pool::{NodeFacts, Pool};
use keel_plan::standing::Standing;
use keel_plan::verdict::Plan;
use keel_plan::{Asked, Inputs};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NODES: usize = 100;
const SERVICES: usize = 100;
const REPLICAS: u32 = 100;
const IMAGES: usize = 10;
const ZONES: [&str; 3] = ["a", "b", "c"];

fn main() {
    let desired = desired();
    let pool = Pool { members: (0..NODES).map(|n| (node(n), facts(n))).collect() };
    let empty = nodes(&BTreeMap::new());
    let standing = Standing::default();
    let (what, tasks) = (format!("10,000 tasks on {NODES} nodes"), SERVICES * REPLICAS as usize);
    let first = plan(&desired, &pool, &empty, &standing);
    let placed = placed(&first);
    assert_eq!(placed.values().map(Vec::len).sum::<usize>(), tasks);
    println!("{what}, all new: {:?}", best(|| plan(&desired, &pool, &empty, &standing)));
    let check =
        || keel_plan::invariants::broken(&inputs(&desired, &pool, &empty, &standing), &first);
    println!("  its check: {:?}", best(check));
    let full = nodes(&placed);
    let standing = first.standing.clone();
    println!("{what}, all running: {:?}", best(|| plan(&desired, &pool, &full, &standing)));
}

fn best<T>(work: impl Fn() -> T) -> Duration {
    let timed = |()| {
        let begun = Instant::now();
        drop(work());
        begun.elapsed()
    };
    [(), (), (), (), ()].map(timed).into_iter().min().expect("there are five")
}

fn plan(desired: &Desired, pool: &Pool, nodes: &Nodes, standing: &Standing) -> Plan {
    keel_plan::plan(&inputs(desired, pool, nodes, standing))
}

fn inputs<'a>(
    desired: &'a Desired,
    pool: &'a Pool,
    nodes: &'a Nodes,
    standing: &'a Standing,
) -> Inputs<'a> {
    let (stack, asked) = (&desired.stack, Asked::default());
    let desired = Some(desired);
    Inputs { stack, desired, owner: None, standing, nodes, pool, asked, now: 1_000_000 }
}

fn node(number: usize) -> NodeName {
    NodeName::new(format!("node-{number:03}"))
}

fn facts(number: usize) -> NodeFacts {
    let zone = ("zone".to_owned(), ZONES[number % ZONES.len()].to_owned());
    NodeFacts { labels: [zone].into(), ..NodeFacts::default() }
}

/// A tenth of the services spread over zones.
fn desired() -> Desired {
    let services = (0..SERVICES).map(|number| {
        let name = format!("service-{number:03}");
        let spec = TaskSpec {
            container_name: format!("big-{name}"),
            image: format!("app:{}", number % IMAGES),
            restart: RestartPolicy::UnlessStopped,
            reserved_memory: Some(16 << 20),
            ..TaskSpec::default()
        };
        let spread = if number % 10 == 0 { vec!["zone".to_owned()] } else { vec![] };
        let service = DesiredService {
            hash: hash_of(&spec),
            spec,
            fixed_name: false,
            replicas: REPLICAS,
            placement: Placement { spread, ..Placement::default() },
            depends_on: vec![],
            order: None,
            update: Pace::default(),
            rollback: Pace::default(),
            rollback_order: None,
            held: vec![],
            drift: None,
            settle: None,
            health_timeout: None,
            image_wait: None,
            run: None,
            origins: BTreeMap::new(),
        };
        (name, service)
    });
    Desired {
        stack: StackName::new("big").expect("a name"),
        owner: Owner::Cli { path: "/srv/big".into() },
        revision: "r1".into(),
        hash: Digest::of(b"big"),
        services: services.collect(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        policy: Policy::default(),
        confined: false,
    }
}

/// The tasks that a plan starts, by their nodes.
fn placed(plan: &Plan) -> BTreeMap<NodeName, Vec<TaskAssignment>> {
    let mut placed: BTreeMap<NodeName, Vec<TaskAssignment>> = BTreeMap::new();
    for wish in plan.wishes() {
        if let keel_engine::Assignment::Task(task) = &wish.what {
            placed.entry(wish.node.clone()).or_default().push((**task).clone());
        }
    }
    placed
}

fn nodes(placed: &BTreeMap<NodeName, Vec<TaskAssignment>>) -> Nodes {
    let reports = (0..NODES).map(node).map(|name| {
        let image = |number: usize| {
            let reference = format!("app:{number}");
            let digest = Some(Digest::of(reference.as_bytes()));
            Arc::new(ObservedImage { reference, digest, ..ObservedImage::default() })
        };
        let images = (0..IMAGES).map(image).collect();
        let mut seen = Observation { node: name.clone(), images, ..Observation::default() };
        let host = Arc::make_mut(&mut seen.host);
        (host.nano_cpus, host.memory) = (64_000_000_000, 256 << 30);
        let tasks = placed.get(&name).into_iter().flatten();
        seen.tasks = tasks.map(|task| Arc::new(running(task))).collect();
        (name, NodeReport::Known(Arc::new(seen)))
    });
    Nodes { home: node(0), reports: reports.collect() }
}

fn running(task: &TaskAssignment) -> ObservedTask {
    ObservedTask {
        id: task.id.clone(),
        place: task.place.clone(),
        generation: task.generation,
        goal: Goal::Running,
        spec: task.spec.clone(),
        digest: task.digest,
        joins: None,
        apart: false,
        revision: task.revision.clone(),
        origins: task.origins.clone(),
        auto_remove: false,
        phase: Phase::Running,
        message: None,
        attempts: 0,
        pid: Some(1),
        created: 900_000,
        started: Some(900_000),
        finished: None,
        exit_code: None,
        exit_cause: None,
        restarts: 0,
        health: Health::None,
        health_since: None,
        health_output: None,
        health_limit: None,
        addresses: vec![],
        ports: vec![],
        findings: vec![],
    }
}
