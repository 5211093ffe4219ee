//! The stack of every schedule, and what its images do when they run.

use keel_engine::{
    Digest, HealthCheck, HealthTest, Mount, MountSource, Port, Protocol, RestartPolicy, StackName,
    TaskSpec, VolumeSpec, digest_of, hash_of,
};
use keel_plan::desired::{Desired, DesiredService, DesiredVolume, Owner, Policy};
use keel_plan::pace::Pace;
use keel_plan::placement::{Mode, Placement};
use std::collections::BTreeMap;

/// Tasks of which there can be several, and that roll.
pub(super) const WEB: &str = "web";
/// One with data of its own, which ties it to its node.
pub(super) const DB: &str = "db";
/// One without data, of which there may be one alone all the same.
pub(super) const LEADER: &str = "leader";
/// One on each node.
pub(super) const AGENT: &str = "agent";
/// Two that run until they end well, once.
pub(super) const JOB: &str = "job";

/// Services of which two tasks never run at a time.
pub(super) const ALONE: [&str; 2] = [DB, LEADER];

/// The label that `web` may ask of its nodes.
pub(super) const DISK: &str = "disk";

/// What is new proves itself for so long; milliseconds.
pub(super) const SETTLE: u64 = 3_000;

pub(super) fn name() -> StackName {
    StackName::new("shop").unwrap()
}

/// How the tasks of an image behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behavior {
    Well,
    /// It ends badly, again and again.
    Crashes,
    /// Its check fails.
    Sick,
    /// It ends well.
    Ends,
    /// No registry has it.
    Gone,
}

pub(super) fn behavior(image: &str) -> Behavior {
    match image.split_once(':').map(|(_, tag)| tag) {
        Some("crash") => Behavior::Crashes,
        Some("sick") => Behavior::Sick,
        Some("gone") => Behavior::Gone,
        Some("ends") => Behavior::Ends,
        _ => Behavior::Well,
    }
}

/// What a revision is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub web: &'static str,
    pub replicas: u32,
    /// `web` has a port and a check: its new tasks start before the old ones go.
    pub is_checked: bool,
    /// `web` runs on nodes with a fast disk alone.
    pub needs_disk: bool,
    pub db: Option<u32>,
    pub leader: Option<u32>,
    pub agent: Option<u32>,
    pub has_job: bool,
    /// So many slots of `web` are replaced at a time.
    pub parallelism: u32,
}

pub(super) fn desired(wish: &Wish, revision: u32) -> Desired {
    let mut services = BTreeMap::new();
    services.insert(WEB.to_owned(), web(wish));
    if let Some(version) = wish.db {
        let mut db = service(DB, if version == 1 { "db:1" } else { "db:2" }, 1);
        db.spec.volumes = vec![data()];
        services.insert(DB.to_owned(), db);
    }
    if let Some(version) = wish.leader {
        let mut leader = service(LEADER, if version == 1 { "leader:1" } else { "leader:2" }, 1);
        leader.placement.exclusive = true;
        services.insert(LEADER.to_owned(), leader);
    }
    if let Some(version) = wish.agent {
        let mut agent = service(AGENT, if version == 1 { "agent:1" } else { "agent:2" }, 1);
        agent.placement.mode = Mode::Global;
        services.insert(AGENT.to_owned(), agent);
    }
    if wish.has_job {
        let mut job = service(JOB, "job:ends", 2);
        job.placement.mode = Mode::ReplicatedJob;
        job.spec.restart = RestartPolicy::OnFailure { max: 0 };
        services.insert(JOB.to_owned(), job);
    }
    services.values_mut().for_each(|service| service.hash = hash_of(&service.spec));
    let meaning: Vec<_> =
        services.iter().map(|(n, s)| (n, s.hash, s.replicas, &s.placement)).collect();
    Desired {
        stack: name(),
        owner: Owner::Source { name: "default".into(), location: "/srv".into() },
        revision: format!("r{revision}"),
        hash: digest_of(&meaning),
        services,
        networks: BTreeMap::new(),
        volumes: [("shop_data".to_owned(), volume())].into(),
        policy: Policy { settle: SETTLE, ..Policy::default() },
        confined: false,
    }
}

fn web(wish: &Wish) -> DesiredService {
    let mut web = service(WEB, wish.web, wish.replicas);
    web.update.parallelism = wish.parallelism;
    web.rollback.parallelism = wish.parallelism;
    if wish.is_checked {
        let (host_ip, published) = (None, None);
        web.spec.ports = vec![Port { host_ip, published, target: 80, protocol: Protocol::Tcp }];
        web.spec.healthcheck = Some(check());
    }
    if wish.needs_disk {
        let fast = keel_names::constraint::Constraint::parse("node.labels.disk == fast").unwrap();
        web.placement.constraints = vec![fast];
    }
    web
}

fn data() -> Mount {
    let source = MountSource::Volume { name: "shop_data".into(), nocopy: false, subpath: None };
    let (target, read_only) = ("/data".into(), false);
    Mount { source, target, read_only, shared: false, propagation: None, digest: None }
}

fn volume() -> DesiredVolume {
    let labels = [("com.docker.compose.project".to_owned(), "shop".to_owned())].into();
    let (name, driver) = ("shop_data".to_owned(), "local".to_owned());
    let spec = VolumeSpec { name, driver, labels, ..VolumeSpec::default() };
    DesiredVolume { spec, external: false, origin: None }
}

fn check() -> HealthCheck {
    HealthCheck {
        test: HealthTest::Shell("true".into()),
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    }
}

fn service(name: &str, image: &str, replicas: u32) -> DesiredService {
    let spec = TaskSpec {
        container_name: format!("shop-{name}"),
        image: image.into(),
        restart: RestartPolicy::UnlessStopped,
        ..TaskSpec::default()
    };
    DesiredService {
        hash: Digest::of(b""),
        spec,
        fixed_name: false,
        replicas,
        placement: Placement::default(),
        depends_on: vec![],
        order: None,
        update: Pace::default(),
        rollback: Pace::default(),
        rollback_order: None,
        held: vec![],
        drift: None,
        settle: None,
        health_timeout: Some(20_000),
        image_wait: Some(30_000),
        run: None,
        origins: BTreeMap::new(),
    }
}
