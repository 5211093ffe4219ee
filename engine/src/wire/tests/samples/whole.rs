//! Values with every field set.

use super::{digest, network, pools, slot, sources, task, volume};
use crate::fields::Field;
use crate::{
    Attachment, Device, Disk, ExitCause, Failure, FailureKind, FieldPath, FileMount, Finding,
    FindingCause, FindingSubject, ForeignContainer, Goal, Health, HealthCheck, HealthTest,
    HostDevices, HostFacts, KernelLimit, KernelLimits, Mount, MountSource, NetworkMode, NodeName,
    Observation, ObservedImage, ObservedNetwork, ObservedTask, ObservedVolume, Phase, Place, Port,
    Protocol, PublishedPort, PullPolicy, RestartPolicy, TaskSpec, Tmpfs, Ulimit, Value,
};
use std::net::Ipv4Addr;
use std::sync::Arc;

pub(super) fn observation() -> Observation {
    Observation {
        node: NodeName::new("n1"),
        at: 1,
        version: 2,
        tasks: vec![Arc::new(observed())],
        networks: vec![Arc::new(ObservedNetwork {
            spec: network(),
            pools: pools(),
            link: Some("kl1".into()),
            created: 1,
            tasks: vec![task()],
            message: Some("it waits".into()),
        })],
        volumes: vec![Arc::new(ObservedVolume {
            spec: volume(),
            mountpoint: "/data".into(),
            created: 1,
            tasks: vec![task()],
            anonymous: true,
            message: Some(Failure { kind: FailureKind::DiskFull, text: "it waits".into() }),
        })],
        images: vec![Arc::new(ObservedImage {
            reference: "nginx:1".into(),
            digest: Some(digest()),
            id: Some(digest()),
            size: 1,
            created: Some(2),
            pulling: Some((3, 4)),
            failure: Some(Failure { kind: FailureKind::RegistryAway, text: "away".into() }),
            pulls: 5,
            has_healthcheck: true,
            volumes: vec!["/data".into()],
            entrypoint: vec!["/entry".into()],
            command: vec!["serve".into()],
        })],
        host: Arc::new(host()),
        disk: Some(Disk { total: 2, free: 1 }),
        foreign: vec![ForeignContainer {
            name: "other".into(),
            project: "p".into(),
            service: "s".into(),
            writes: vec!["/srv".into()],
        }],
        findings: vec![finding()],
    }
}

fn host() -> HostFacts {
    let limits = [KernelLimit::Memory, KernelLimit::Cpu, KernelLimit::Pids].into();
    HostFacts {
        hostname: "one".into(),
        os: "linux".into(),
        architecture: "arm".into(),
        variant: Some("v7".into()),
        nano_cpus: 4_000_000_000,
        memory: 8 << 30,
        addresses: vec![Ipv4Addr::new(10, 0, 0, 1).into()],
        labels: [("rack".into(), "a".into())].into(),
        cgroup_version: Some(2),
        limits: Some(KernelLimits(limits)),
        devices: Some(HostDevices {
            listed: ["/dev".into()].into(),
            unlisted: ["/dev/pts".into()].into(),
            paths: ["/dev/null".into()].into(),
        }),
    }
}

fn finding() -> Finding {
    Finding {
        subject: FindingSubject::Task { id: Some(task()), slot: Some(slot()) },
        path: FieldPath::Item(Field::Ports, 1),
        applied: Value::Bytes(1),
        observed: Value::Bytes(2),
        cause: Some(FindingCause::KilledFromOutside { signal: Some(9) }),
        fixed: true,
    }
}

fn observed() -> ObservedTask {
    ObservedTask {
        id: task(),
        place: Place::Slot(slot()),
        generation: 3,
        goal: Goal::Running,
        spec: Arc::new(spec()),
        digest: Some(digest()),
        joins: Some(task()),
        apart: true,
        revision: "abc".into(),
        origins: serde_json::json!({"image": "compose.yaml:3:5"}),
        auto_remove: true,
        phase: Phase::Running,
        message: Some("it waits".into()),
        attempts: 1,
        pid: Some(2),
        created: 3,
        started: Some(4),
        finished: Some(5),
        exit_code: Some(-1),
        exit_cause: Some(ExitCause::Own),
        restarts: 6,
        health: Health::Healthy,
        health_since: Some(7),
        health_output: Some("ok".into()),
        health_limit: Some(8),
        addresses: vec![("shop_default".into(), Ipv4Addr::new(172, 20, 0, 2).into())],
        ports: vec![PublishedPort {
            host_ip: Ipv4Addr::UNSPECIFIED.into(),
            published: 80,
            target: 8080,
            protocol: Protocol::Tcp,
        }],
        findings: vec![finding()],
    }
}

/// Every field set.
pub(super) fn spec() -> TaskSpec {
    let word = || "x".to_owned();
    let file = FileMount {
        name: word(),
        digest: digest(),
        target: "/run/x".into(),
        uid: 1,
        gid: 2,
        mode: Some(0o400),
    };
    TaskSpec {
        container_name: "shop-web-1".into(),
        image: "nginx:1".into(),
        pull_policy: PullPolicy::Always,
        command: Some(vec![word()]),
        entrypoint: Some(vec![]),
        environment: [("A".into(), Some("b".into())), ("C".into(), None)].into(),
        working_dir: Some("/".into()),
        user: Some("1:1".into()),
        group_add: vec![word()],
        hostname: Some(word()),
        tty: true,
        stdin_open: true,
        init: true,
        read_only: true,
        privileged: true,
        cap_add: ["NET_ADMIN".into()].into(),
        cap_drop: ["ALL".into()].into(),
        security_opt: vec!["no-new-privileges:true".into()],
        devices: vec![Device {
            source: "/dev/a".into(),
            target: "/dev/b".into(),
            permissions: "rwm".into(),
        }],
        sysctls: [("net.core.somaxconn".into(), "1".into())].into(),
        ulimits: [("nofile".into(), Ulimit { soft: 1, hard: -1 })].into(),
        shm_size: Some(1),
        mem_limit: Some(2),
        mem_swappiness: Some(3),
        cpus: Some(4),
        pids_limit: Some(5),
        reserved_cpus: Some(500_000_000),
        reserved_memory: Some(1 << 20),
        tmpfs: vec![Tmpfs {
            target: "/tmp".into(),
            size: Some(6),
            mode: Some(0o700),
            options: vec!["noexec".into()],
        }],
        volumes: sources().into_iter().map(mount).collect(),
        configs: vec![file.clone()],
        secrets: vec![file],
        network_mode: NetworkMode::Host,
        networks: vec![Attachment {
            network: "shop_default".into(),
            aliases: vec!["web".into()],
            addresses: vec![Ipv4Addr::new(172, 20, 0, 9).into()],
        }],
        ports: vec![Port {
            host_ip: Some(Ipv4Addr::LOCALHOST.into()),
            published: Some(80),
            target: 8080,
            protocol: Protocol::Udp,
        }],
        dns: vec!["9.9.9.9".into()],
        extra_hosts: vec![("a".into(), "host-gateway".into())],
        healthcheck: Some(HealthCheck {
            test: HealthTest::Shell("exit 0".into()),
            interval: Some(1),
            timeout: Some(2),
            retries: Some(3),
            start_period: Some(4),
            start_interval: Some(5),
        }),
        restart: RestartPolicy::Always,
        stop_signal: Some("TERM".into()),
        stop_grace_period: Some(1),
        labels: [("a".into(), "b".into())].into(),
    }
}

fn mount(source: MountSource) -> Mount {
    Mount {
        source,
        target: "/data".into(),
        read_only: true,
        shared: true,
        propagation: Some("rslave".into()),
        digest: Some(digest()),
    }
}
