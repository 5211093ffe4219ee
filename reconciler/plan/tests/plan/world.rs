//! A stack on a node: starts from the dull case, and reads like what happens to it.

use crate::node::Node;
use keel_engine::{
    Attachment, Digest, HealthCheck, HealthTest, Mount, MountSource, NetworkSpec, NodeName,
    NodeReport, Nodes, Port, StackName, TaskSpec, VolumeSpec, digest_of, hash_of,
};
use keel_plan::desired::{
    Condition, DependsOn, Desired, DesiredNetwork, DesiredService, DesiredVolume, Origin, Owner,
    Policy, Run,
};
use keel_plan::pace::Pace;
use keel_plan::placement::Placement;
use keel_plan::pool::Pool;
use keel_plan::standing::{Ask, AskVerb, Standing};
use keel_plan::verdict::{Learned, Plan};
use keel_plan::{Asked, Inputs, invariants, text};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub struct World {
    pub desired: Desired,
    pub standing: Standing,
    /// The controller's own.
    pub node: Node,
    pub others: BTreeMap<NodeName, Node>,
    /// Those that do not answer, and whether they ever did.
    pub silent: BTreeMap<NodeName, bool>,
    /// Those of them that are given up.
    pub down: BTreeSet<NodeName>,
    /// Which of the nodes things are placed on.
    pub pool: Pool,
    pub asked: Asked,
    pub owner: Option<Owner>,
    pub learned: Vec<Learned>,
}

/// A stack `shop` that wants nothing yet, with its default network, at noon.
pub fn stack() -> World {
    let stack = StackName::new("shop").unwrap();
    let labels: BTreeMap<_, _> =
        [("com.docker.compose.project".to_owned(), "shop".to_owned())].into();
    let spec = NetworkSpec {
        name: "shop_default".into(),
        driver: "bridge".into(),
        labels,
        ..NetworkSpec::default()
    };
    let desired = Desired {
        stack,
        owner: Owner::Cli { path: "/srv/shop".into() },
        revision: "r1".into(),
        hash: Digest::of(b""),
        services: BTreeMap::new(),
        networks: [(spec.name.clone(), DesiredNetwork { spec, external: false, origin: None })]
            .into(),
        volumes: BTreeMap::new(),
        policy: Policy::default(),
        confined: false,
    };
    let mut node = Node::default();
    node.seen.at = 1_000_000;
    node.seen.node = "n1".into();
    World {
        desired,
        standing: Standing::default(),
        node,
        others: BTreeMap::new(),
        silent: BTreeMap::new(),
        down: BTreeSet::new(),
        pool: Pool::default(),
        asked: Asked::default(),
        owner: None,
        learned: vec![],
    }
}

impl World {
    pub fn wants(mut self, name: &str, image: &str) -> Self {
        let spec = TaskSpec {
            container_name: format!("shop-{name}"),
            image: image.into(),
            restart: keel_engine::RestartPolicy::UnlessStopped,
            networks: vec![Attachment {
                network: "shop_default".into(),
                aliases: vec![name.into()],
                addresses: vec![],
            }],
            ..TaskSpec::default()
        };
        let origin = Origin {
            file: "compose.yaml".into(),
            line: 7,
            column: 12,
            len: 2,
            text: format!("    image: {image}"),
        };
        let service = DesiredService {
            hash: hash_of(&spec),
            spec,
            fixed_name: false,
            replicas: 1,
            placement: Placement::default(),
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
            origins: [("image".to_owned(), origin)].into(),
        };
        self.desired.services.insert(name.into(), service);
        self.hashed()
    }

    pub fn edit(mut self, name: &str, edit: impl FnOnce(&mut DesiredService)) -> Self {
        edit(self.desired.services.get_mut(name).unwrap());
        self.hashed()
    }

    pub fn without(mut self, name: &str) -> Self {
        self.desired.services.remove(name);
        self.hashed()
    }

    /// Another image, as a new revision.
    pub fn push(self, name: &str, image: &str, revision: &str) -> Self {
        let mut world = self.edit(name, |service| service.spec.image = image.into());
        world.desired.revision = revision.into();
        world
    }

    /// A health check and a published port: start-first where it is safe.
    pub fn checked(self, name: &str) -> Self {
        self.edit(name, |service| {
            service.spec.ports = vec![port(8080)];
            service.spec.healthcheck = Some(HealthCheck {
                test: HealthTest::Shell("true".into()),
                interval: None,
                timeout: None,
                retries: None,
                start_period: None,
                start_interval: None,
            });
        })
    }

    /// A named volume that it writes to.
    pub fn with_data(mut self, name: &str) -> Self {
        let labels: BTreeMap<_, _> =
            [("com.docker.compose.project".to_owned(), "shop".to_owned())].into();
        let driver = "local".to_owned();
        let spec = VolumeSpec { name: "shop_data".into(), driver, labels, ..Default::default() };
        let volume = DesiredVolume { spec, external: false, origin: None };
        self.desired.volumes.insert("shop_data".into(), volume);
        self.edit(name, |service| {
            let source =
                MountSource::Volume { name: "shop_data".into(), nocopy: false, subpath: None };
            service.spec.volumes = vec![mount(source)];
        })
    }

    pub fn after(self, name: &str, other: &str, condition: Condition) -> Self {
        let service = other.to_owned();
        self.edit(name, |this| {
            this.depends_on =
                vec![DependsOn { service, condition, required: true, restart: false }];
        })
    }

    /// A job that runs before each deploy.
    pub fn before_deploy(self, name: &str) -> Self {
        self.edit(name, |service| {
            service.run = Some(Run::BeforeDeploy);
            service.spec.restart = keel_engine::RestartPolicy::No;
        })
    }

    fn hashed(mut self) -> Self {
        for service in self.desired.services.values_mut() {
            service.hash = hash_of(&service.spec);
        }
        let services: Vec<_> = self
            .desired
            .services
            .iter()
            .map(|(n, s)| (n, &s.hash, s.replicas, s.run, &s.placement))
            .collect();
        self.desired.hash = digest_of(&services);
        self
    }

    /// A person asks something of a container, if there is one of this name.
    pub fn asks(&mut self, name: &str, verb: AskVerb) {
        let named =
            |task: &&std::sync::Arc<keel_engine::ObservedTask>| task.spec.container_name == name;
        let task = self.node.seen.tasks.iter().filter(named).max_by_key(|task| task.created);
        if let Some(task) = task {
            self.standing.asks.insert(task.id.clone(), Ask::of(verb));
        }
    }

    /// One more node, at the same time.
    pub fn with_node(mut self, name: &str) -> Self {
        let mut node = Node::default();
        (node.seen.at, node.seen.node) = (self.node.seen.at, name.into());
        self.others.insert(name.into(), node);
        self
    }

    pub fn nodes(&self) -> Nodes {
        let all = std::iter::once(&self.node).chain(self.others.values());
        let report = |node: &Node| {
            let (name, seen) = (node.seen.node.clone(), Arc::new(node.seen.clone()));
            let report = match self.silent.get(&name) {
                None => NodeReport::Known(seen),
                Some(answered) => NodeReport::Unknown {
                    since: node.seen.at,
                    why: "no route to host".into(),
                    last: answered.then_some(seen),
                    is_down: self.down.contains(&name),
                },
            };
            (name, report)
        };
        Nodes { home: self.node.seen.node.clone(), reports: all.map(report).collect() }
    }

    pub fn inputs<'a>(&'a self, nodes: &'a Nodes) -> Inputs<'a> {
        Inputs {
            stack: &self.desired.stack,
            desired: Some(&self.desired),
            owner: self.owner.as_ref(),
            standing: &self.standing,
            nodes,
            pool: &self.pool,
            asked: self.asked.clone(),
            now: self.node.seen.at,
        }
    }

    pub fn plan(&self) -> Plan {
        let nodes = self.nodes();
        let inputs = self.inputs(&nodes);
        let plan = keel_plan::plan(&inputs);
        let broken = invariants::broken(&inputs, &plan);
        assert!(broken.is_empty(), "{broken:#?}\n{}", text::lines(&plan));
        plan
    }

    /// The verdicts on slots.
    pub fn shown(&self) -> String {
        let slots =
            text::rows(&self.plan()).into_iter().filter_map(|row| Some((row.slot?, row.text)));
        slots.map(|(slot, text)| format!("{slot}: {text}\n")).collect()
    }

    /// All verdicts.
    pub fn all(&self) -> String {
        let shown = text::lines(&self.plan());
        assert_eq!(shown, text::lines(&self.plan()), "equal inputs, equal plans");
        shown
    }

    /// The same stack, out of a source.
    pub fn served(mut self) -> Self {
        let location = "/srv/stacks".to_owned();
        self.desired.owner = Owner::Source { name: "default".into(), location };
        self
    }

    /// Plans, records and sends; whether nothing is left to do or to wait for.
    pub fn pass(&mut self) -> bool {
        let plan = self.plan();
        self.take(&plan);
        plan.is_settled()
    }

    /// Records a plan and sends it.
    pub fn take(&mut self, plan: &Plan) {
        self.standing = plan.standing.clone();
        self.learned.extend(plan.learned.clone());
        self.asked = Asked { services: self.asked.services.clone(), ..Asked::default() };
        for wish in plan.wishes() {
            let other = self.others.get_mut(&wish.node);
            other.unwrap_or(&mut self.node).assign(&wish.what);
        }
    }

    /// One pass, one second.
    pub fn step(&mut self) -> bool {
        let settled = self.pass();
        self.tick(1_000);
        settled
    }

    pub fn tick(&mut self, millis: u64) {
        self.node.tick(millis);
        self.others.values_mut().for_each(|node| node.tick(millis));
    }

    /// Passes until nothing is left to do or to wait for.
    pub fn converge(mut self) -> Self {
        for _ in 0..600 {
            if self.step() && self.plan().is_settled() {
                return self;
            }
        }
        panic!("no end:\n{}", text::lines(&self.plan()));
    }

    /// What happens to the slots until nothing is left to do; each line once.
    pub fn story(&mut self) -> String {
        let (mut story, mut last) = (String::new(), String::new());
        for _ in 0..600 {
            let shown = self.shown();
            if shown != last {
                story += &format!("--\n{shown}");
                last = shown;
            }
            if self.step() && self.plan().is_settled() {
                let shown = self.shown();
                return if shown == last { story } else { story + "--\n" + &shown };
            }
        }
        panic!("no end:\n{story}");
    }

    /// Running containers with their images, of all nodes.
    pub fn running(&self) -> String {
        let others = self.others.values().flat_map(|node| &node.seen.tasks);
        let tasks = self.node.seen.tasks.iter().chain(others);
        let mut running: Vec<_> = tasks
            .filter(|task| task.phase == keel_engine::Phase::Running)
            .map(|task| format!("{}={}", task.spec.container_name, task.spec.image))
            .collect();
        running.sort();
        running.join(" ")
    }
}

pub fn port(published: u16) -> Port {
    Port {
        host_ip: None,
        published: Some(published),
        target: 80,
        protocol: keel_engine::Protocol::Tcp,
    }
}

pub fn mount(source: MountSource) -> Mount {
    Mount {
        source,
        target: "/data".into(),
        read_only: false,
        shared: false,
        propagation: None,
        digest: None,
    }
}
