//! Stacks, what is remembered of them, and where their tasks are.

use crate::pool;
use keel_engine::{Digest, Nodes, RestartPolicy, StackName, TaskSpec, hash_of};
use keel_plan::desired::{Desired, DesiredService, Owner, Policy};
use keel_plan::pace::Pace;
use keel_plan::placement::Placement;
use keel_plan::pool::Pool;
use keel_plan::standing::Standing;
use keel_plan::{Asked, Inputs, plan};
use std::collections::BTreeMap;
use std::fmt;

/// When everything is planned; milliseconds.
pub const NOW: u64 = 1_000_000;

/// So many stacks, each of so many services with so many tasks.
pub struct Shape {
    pub stacks: usize,
    pub services: usize,
    pub replicas: u32,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stacks, services, replicas } = self;
        write!(f, "{stacks} × {services} services × {replicas} tasks")
    }
}

/// One stack at some moment: what its revision asks for, and what is remembered.
#[derive(Clone)]
pub struct Moment {
    desired: Desired,
    standing: Standing,
    pool: Pool,
}

impl Moment {
    pub fn inputs<'a>(&'a self, nodes: &'a Nodes) -> Inputs<'a> {
        Inputs {
            stack: &self.desired.stack,
            desired: Some(&self.desired),
            owner: None,
            standing: &self.standing,
            nodes,
            pool: &self.pool,
            asked: Asked::default(),
            now: NOW,
        }
    }
}

/// One stack, as time goes by.
pub struct Stack {
    /// Nothing of it runs.
    pub new: Moment,
    /// The nodes that it finds then: those before it run.
    pub found: Nodes,
    /// All of it runs, and has settled.
    pub settled: Moment,
    /// The same, with a new revision of every service.
    pub next: Moment,
}

/// All stacks, placed one after the other, and the nodes that run them.
pub fn placed(shape: &Shape) -> (Vec<Stack>, Nodes) {
    let mut nodes = pool::empty();
    let begun = (0..shape.stacks).map(|number| {
        let (desired, pool) = (desired(shape, number, "r1"), pool::pool());
        let new = Moment { desired, standing: Standing::default(), pool };
        let (found, first) = (nodes.clone(), plan(&new.inputs(&nodes)));
        nodes = pool::after(std::mem::take(&mut nodes), &first);
        (new, found, first.standing)
    });
    let begun: Vec<_> = begun.collect();
    let nodes = pool::in_order(nodes);
    let stacks = begun.into_iter().enumerate().map(|(number, (new, found, standing))| {
        let settled = settled(Moment { standing, ..new.clone() }, &nodes);
        let next = Moment { desired: desired(shape, number, "r2"), ..settled.clone() };
        Stack { new, found, settled, next }
    });
    (stacks.collect(), nodes)
}

/// Once a pass has found all tasks running.
fn settled(moment: Moment, nodes: &Nodes) -> Moment {
    let seen = plan(&moment.inputs(nodes));
    let settled = Moment { standing: seen.standing, ..moment };
    assert!(plan(&settled.inputs(nodes)).is_settled());
    settled
}

fn desired(shape: &Shape, number: usize, revision: &str) -> Desired {
    let stack = format!("stack-{number:03}");
    let services = (0..shape.services).map(|number| {
        let name = format!("service-{number:03}");
        let service = service(&format!("{stack}-{name}"), number, shape.replicas, revision);
        (name, service)
    });
    Desired {
        services: services.collect(),
        owner: Owner::Cli { path: format!("/srv/{stack}") },
        hash: Digest::of(format!("{stack} {revision}").as_bytes()),
        stack: StackName::new(stack).expect("a name"),
        revision: revision.into(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        policy: Policy::default(),
        confined: false,
    }
}

/// A tenth of the services is spread over zones.
fn service(name: &str, number: usize, replicas: u32, revision: &str) -> DesiredService {
    let spec = TaskSpec {
        container_name: name.to_owned(),
        image: format!("app:{}", number % pool::IMAGES),
        environment: [("REVISION".to_owned(), Some(revision.to_owned()))].into(),
        restart: RestartPolicy::UnlessStopped,
        reserved_memory: Some(16 << 20),
        ..TaskSpec::default()
    };
    let spread = if number.is_multiple_of(10) { vec!["zone".to_owned()] } else { vec![] };
    DesiredService {
        hash: hash_of(&spec),
        spec,
        fixed_name: false,
        replicas,
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
    }
}
