//! `inspect`: everything about one thing, in docker's shape.

use super::resolve::{listed_names, resolve};
use super::{images, networks, ps, volumes};
use crate::ask::{ContainerState, Refusal, RefusalKind};
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::inspected::{
    ContainerConfig, ContainerDetails, ContainerHealth, HealthLog, HostConfig, ImageDetails,
    Inspected, InspectedContainer, InspectedImage, InspectedNetwork, InspectedPool,
    InspectedVolume, Ipam, JoinedNetwork, NetworkDetails, NetworkSettings, PortBinding,
    RestartRule, StateDetails, VolumeDetails,
};
use crate::rows::InspectKind;
use keel_engine::{
    AddressPool, Depth, ExitCause, Health, NodeName, Nodes, ObservedImage, ObservedNetwork,
    ObservedTask, ObservedVolume, Phase, RestartPolicy,
};
use std::collections::BTreeMap;

/// The version of these shapes.
const VERSION: u32 = 1;

/// docker's word for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Controller {
    /// Everything about a container, image, network or volume; docker's field names, beside
    /// `version`.
    pub async fn inspect(
        &self,
        target: &str,
        kind: Option<InspectKind>,
    ) -> Result<Inspected, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let wanted = |this: InspectKind| kind.is_none_or(|kind| kind == this);
        if wanted(InspectKind::Container) {
            match resolve(&seen, target) {
                Ok(tasks) => return Ok(container(tasks[0], &seen)),
                Err(refusal) if kind.is_some() => return Err(refusal),
                Err(refusal) if refusal.kind == RefusalKind::Invalid => return Err(refusal),
                Err(_) => {}
            }
        }
        let found = None
            .or_else(|| image_named(&seen, target).filter(|_| wanted(InspectKind::Image)))
            .or_else(|| network_named(&seen, target).filter(|_| wanted(InspectKind::Network)))
            .or_else(|| volume_named(&seen, target).filter(|_| wanted(InspectKind::Volume)));
        found.ok_or_else(|| {
            let what = match kind {
                Some(InspectKind::Image) => "image",
                Some(InspectKind::Network) => "network",
                Some(InspectKind::Volume) => "volume",
                Some(InspectKind::Container) => "container",
                None => "container, image, network or volume",
            };
            Refusal::not_found(format!("no such {what}: {target}"))
        })
    }
}

fn image_named(seen: &Nodes, name: &str) -> Option<Inspected> {
    images::find(seen, name).first().map(|(node, found)| image(node, found))
}

fn network_named(seen: &Nodes, name: &str) -> Option<Inspected> {
    networks::find(seen, name).first().map(|(node, found)| network(node, found, seen))
}

fn volume_named(seen: &Nodes, name: &str) -> Option<Inspected> {
    seen.volume(name).map(|(node, found)| volume(node, found, seen))
}

fn container(task: &ObservedTask, seen: &Nodes) -> Inspected {
    Inspected::Container(Box::new(InspectedContainer {
        version: VERSION,
        id: task.id.as_str().to_owned(),
        created: rfc3339(task.created),
        name: format!("/{}", listed_names(seen)[&task.id]),
        image: task.digest,
        restart_count: task.restarts,
        state: state(task),
        config: config(task),
        host_config: host_config(task),
        mounts: task.spec.volumes.iter().map(Into::into).collect(),
        network_settings: network_settings(task, seen),
        keel: details(task, seen),
    }))
}

fn details(task: &ObservedTask, seen: &Nodes) -> ContainerDetails {
    let slot = task.place.slot();
    ContainerDetails {
        node: seen.node_of(&task.id).cloned(),
        stack: slot.map(|slot| slot.stack.to_string()),
        service: slot.map(|slot| slot.service.clone()),
        slot: slot.map(|slot| slot.slot.clone()),
        revision: task.revision.clone(),
        generation: task.generation,
        goal: task.goal,
        phase: task.phase.clone(),
        message: task.message.as_ref().map(ToString::to_string),
        failure: task.message.clone(),
        spec: task.spec.clone(),
    }
}

/// Why it cannot be run.
fn why_dead(task: &ObservedTask) -> Option<String> {
    let failure = task.message.as_ref().filter(|_| task.phase == Phase::Rejected);
    failure.map(ToString::to_string)
}

fn state(task: &ObservedTask) -> StateDetails {
    let at = |time: Option<u64>| time.map_or_else(|| NEVER.to_owned(), rfc3339);
    let is_rejected = task.phase == Phase::Rejected;
    StateDetails {
        status: ContainerState::from(&task.phase).word().to_owned(),
        running: matches!(task.phase, Phase::Running | Phase::Draining),
        paused: false,
        restarting: task.phase == Phase::Backoff,
        oom_killed: task.exit_cause == Some(ExitCause::OutOfMemory),
        dead: is_rejected,
        pid: task.pid.unwrap_or(0),
        exit_code: task.exit_code.unwrap_or(0),
        error: why_dead(task).unwrap_or_default(),
        started_at: at(task.started),
        finished_at: at(task.finished),
        health: (task.health != Health::None).then(|| health(task)),
    }
}

fn health(task: &ObservedTask) -> ContainerHealth {
    let output = task.health_output.iter().cloned();
    ContainerHealth {
        status: ps::health(task.health).to_owned(),
        log: output.map(|output| HealthLog { output }).collect(),
    }
}

fn config(task: &ObservedTask) -> ContainerConfig {
    let spec = &task.spec;
    let variable = |(key, value): (&String, &Option<String>)| {
        value.as_ref().map(|value| format!("{key}={value}"))
    };
    ContainerConfig {
        hostname: spec.hostname.clone().unwrap_or_else(|| task.id.short().to_owned()),
        user: spec.user.clone().unwrap_or_default(),
        tty: spec.tty,
        open_stdin: spec.stdin_open,
        env: spec.environment.iter().filter_map(variable).collect(),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        image: spec.image.clone(),
        working_dir: spec.working_dir.clone().unwrap_or_default(),
        labels: spec.labels.clone(),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period.map(|millis| millis / 1000),
        healthcheck: spec.healthcheck.clone(),
    }
}

fn host_config(task: &ObservedTask) -> HostConfig {
    let spec = &task.spec;
    let (policy, most) = match spec.restart {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::OnFailure { max } => ("on-failure", max),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    };
    HostConfig {
        memory: spec.mem_limit.unwrap_or(0),
        memory_swappiness: spec.mem_swappiness,
        nano_cpus: spec.cpus.unwrap_or(0),
        pids_limit: spec.pids_limit,
        shm_size: spec.shm_size.unwrap_or(64 << 20),
        privileged: spec.privileged,
        readonly_rootfs: spec.read_only,
        init: spec.init,
        cap_add: spec.cap_add.clone(),
        cap_drop: spec.cap_drop.clone(),
        security_opt: spec.security_opt.clone(),
        sysctls: spec.sysctls.clone(),
        dns: spec.dns.clone(),
        group_add: spec.group_add.clone(),
        auto_remove: task.auto_remove,
        restart_policy: RestartRule { name: policy.to_owned(), maximum_retry_count: most },
    }
}

fn network_settings(task: &ObservedTask, seen: &Nodes) -> NetworkSettings {
    let mut ports: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for port in &task.ports {
        let key = format!("{}/{}", port.target, ps::protocol(port.protocol));
        let binding = PortBinding { host_ip: port.host_ip, host_port: port.published.to_string() };
        ports.entry(key).or_default().push(binding);
    }
    let node = seen.node_of(&task.id).and_then(|node| seen.known(node));
    // Of several in one network the first stays.
    let networks = task.addresses.iter().rev().map(|(name, address)| {
        let network = node.and_then(|seen| seen.network(name));
        let attachment = task.spec.networks.iter().find(|joined| joined.network == *name);
        let joined = JoinedNetwork {
            network_id: networks::id_of(name),
            ip_address: *address,
            gateway: network.map(|network| shown(network.pools.first().and_then(|p| p.gateway))),
            aliases: attachment.map(|joined| joined.aliases.clone()),
        };
        (name.clone(), joined)
    });
    let ip_address = shown(task.addresses.first().map(|(_, address)| address));
    NetworkSettings { ip_address, ports, networks: networks.collect() }
}

fn image(node: &NodeName, image: &ObservedImage) -> Inspected {
    Inspected::Image(InspectedImage {
        version: VERSION,
        id: image.id,
        repo_tags: vec![image.reference.clone()],
        repo_digests: image.digest.into_iter().collect(),
        created: image.created.map(rfc3339),
        size: image.size,
        keel: ImageDetails {
            node: node.clone(),
            failure: image.failure.as_ref().map(|failure| failure.text.clone()),
            pulling: image.pulling,
        },
    })
}

fn network(node: &NodeName, network: &ObservedNetwork, seen: &Nodes) -> Inspected {
    Inspected::Network(InspectedNetwork {
        version: VERSION,
        name: network.spec.name.clone(),
        id: networks::id_of(&network.spec.name),
        created: rfc3339(network.created),
        scope: "local".to_owned(),
        driver: network.spec.driver_name().to_owned(),
        internal: network.spec.internal,
        ipam: Ipam { config: pools(network) },
        labels: network.spec.labels.clone(),
        containers: networks::users(node, network, seen),
        keel: NetworkDetails {
            node: node.clone(),
            bridge: shown(network.link.as_ref()),
            message: network.message.as_ref().map(ToString::to_string),
            failure: network.message.clone(),
        },
    })
}

/// One without addresses until the network is made.
fn pools(network: &ObservedNetwork) -> Vec<InspectedPool> {
    if network.pools.is_empty() {
        return vec![InspectedPool { subnet: String::new(), gateway: String::new() }];
    }
    let pool = |pool: &AddressPool| InspectedPool {
        subnet: pool.subnet.to_string(),
        gateway: shown(pool.gateway),
    };
    network.pools.iter().map(pool).collect()
}

/// What there is, or an empty text: docker has no other word for nothing.
fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn volume(node: &NodeName, volume: &ObservedVolume, seen: &Nodes) -> Inspected {
    Inspected::Volume(InspectedVolume {
        version: VERSION,
        name: volume.spec.name.clone(),
        driver: volume.spec.driver.clone(),
        mountpoint: volume.mountpoint.clone(),
        created_at: rfc3339(volume.created),
        options: volume.spec.driver_opts.clone(),
        labels: volume.spec.labels.clone(),
        scope: "local".to_owned(),
        keel: VolumeDetails {
            node: node.clone(),
            anonymous: volume.anonymous,
            containers: volumes::users(node, volume, seen),
        },
    })
}

#[cfg(test)]
mod tests;
