//! `inspect`: everything about one thing, in docker's shape.

use super::resolve::{listed_names, resolve};
use super::{images, networks, ps, volumes};
use crate::ask::{Refusal, RefusalKind};
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::rows::InspectKind;
use keel_engine::{
    AddressPool, Depth, ExitCause, Health, MountSource, NodeName, Nodes, ObservedImage,
    ObservedNetwork, ObservedTask, ObservedVolume, Phase, RestartPolicy,
};
use serde_json::{Value, json};

/// docker's word for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Controller {
    /// Everything about a container, image, network or volume; docker's field names, beside
    /// `version`.
    pub async fn inspect(&self, target: &str, kind: Option<InspectKind>) -> Result<Value, Refusal> {
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

fn image_named(seen: &Nodes, name: &str) -> Option<Value> {
    images::find(seen, name).first().map(|(node, found)| image(node, found))
}

fn network_named(seen: &Nodes, name: &str) -> Option<Value> {
    networks::find(seen, name).first().map(|(node, found)| network(node, found, seen))
}

fn volume_named(seen: &Nodes, name: &str) -> Option<Value> {
    seen.volume(name).map(|(node, found)| volume(node, found, seen))
}

fn container(task: &ObservedTask, seen: &Nodes) -> Value {
    let spec = &task.spec;
    let slot = task.place.slot();
    json!({
        "version": 1,
        "Id": task.id.as_str(),
        "Created": rfc3339(task.created),
        "Name": format!("/{}", listed_names(seen)[&task.id]),
        "Image": task.digest,
        "RestartCount": task.restarts,
        "State": state(task),
        "Config": config(task),
        "HostConfig": host_config(task),
        "Mounts": spec.volumes.iter().map(mount).collect::<Vec<_>>(),
        "NetworkSettings": network_settings(task, seen),
        "Keel": {
            "Node": seen.node_of(&task.id),
            "Stack": slot.map(|slot| slot.stack.as_str()),
            "Service": slot.map(|slot| slot.service.as_str()),
            "Slot": slot.map(|slot| slot.slot.as_str()),
            "Revision": task.revision,
            "Generation": task.generation,
            "Goal": task.goal,
            "Phase": task.phase,
            "Message": task.message,
            "Spec": **spec,
        },
    })
}

fn state(task: &ObservedTask) -> Value {
    let at = |time: Option<u64>| time.map_or_else(|| NEVER.to_owned(), rfc3339);
    let health = (task.health != Health::None).then(|| {
        json!({
            "Status": ps::health(task.health),
            "Log": task.health_output.iter().map(|text| json!({ "Output": text })).collect::<Vec<_>>(),
        })
    });
    let mut state = json!({
        "Status": ps::state(&task.phase),
        "Running": matches!(task.phase, Phase::Running | Phase::Draining),
        "Paused": false,
        "Restarting": task.phase == Phase::Backoff,
        "OOMKilled": task.exit_cause == Some(ExitCause::OutOfMemory),
        "Dead": task.phase == Phase::Rejected,
        "Pid": task.pid.unwrap_or(0),
        "ExitCode": task.exit_code.unwrap_or(0),
        "Error": if task.phase == Phase::Rejected { task.message.as_deref() } else { None }.unwrap_or(""),
        "StartedAt": at(task.started),
        "FinishedAt": at(task.finished),
    });
    if let Some(health) = health {
        state["Health"] = health;
    }
    state
}

fn config(task: &ObservedTask) -> Value {
    let spec = &task.spec;
    let variable = |(key, value): (&String, &Option<String>)| {
        value.as_ref().map(|value| format!("{key}={value}"))
    };
    json!({
        "Hostname": spec.hostname.as_deref().unwrap_or(task.id.short()),
        "User": spec.user.as_deref().unwrap_or(""),
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "Env": spec.environment.iter().filter_map(variable).collect::<Vec<_>>(),
        "Cmd": spec.command,
        "Entrypoint": spec.entrypoint,
        "Image": spec.image,
        "WorkingDir": spec.working_dir.as_deref().unwrap_or(""),
        "Labels": spec.labels,
        "StopSignal": spec.stop_signal,
        "StopTimeout": spec.stop_grace_period.map(|millis| millis / 1000),
        "Healthcheck": spec.healthcheck,
    })
}

fn host_config(task: &ObservedTask) -> Value {
    let spec = &task.spec;
    let (policy, most) = match spec.restart {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::OnFailure { max } => ("on-failure", max),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    };
    json!({
        "Memory": spec.mem_limit.unwrap_or(0),
        "MemorySwappiness": spec.mem_swappiness,
        "NanoCpus": spec.cpus.unwrap_or(0),
        "PidsLimit": spec.pids_limit,
        "ShmSize": spec.shm_size.unwrap_or(64 << 20),
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "Init": spec.init,
        "CapAdd": spec.cap_add,
        "CapDrop": spec.cap_drop,
        "SecurityOpt": spec.security_opt,
        "Sysctls": spec.sysctls,
        "Dns": spec.dns,
        "GroupAdd": spec.group_add,
        "AutoRemove": task.auto_remove,
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": most },
    })
}

fn mount(mount: &keel_engine::Mount) -> Value {
    let (kind, name, source) = match &mount.source {
        MountSource::Volume { name, .. } => ("volume", name.as_str(), String::new()),
        MountSource::Anonymous => ("volume", "", String::new()),
        MountSource::Bind { path, .. } => ("bind", "", path.clone()),
        // The node's own copy, which nobody but its tasks has to find.
        MountSource::Revision { path, digest, .. } => {
            ("bind", "", if path.is_empty() { digest.to_string() } else { path.clone() })
        }
    };
    json!({
        "Type": kind,
        "Name": name,
        "Source": source,
        "Destination": mount.target,
        "RW": !mount.read_only,
        "Propagation": mount.propagation.as_deref().unwrap_or("rprivate"),
    })
}

fn network_settings(task: &ObservedTask, seen: &Nodes) -> Value {
    let mut ports = serde_json::Map::new();
    for port in &task.ports {
        let key = format!("{}/{}", port.target, ps::protocol(port.protocol));
        let binding = json!({ "HostIp": port.host_ip, "HostPort": port.published.to_string() });
        if let Some(list) = ports.entry(key).or_insert_with(|| json!([])).as_array_mut() {
            list.push(binding);
        }
    }
    let mut joined = serde_json::Map::new();
    // Of several in one network the first stays.
    for (name, address) in task.addresses.iter().rev() {
        let node = seen.node_of(&task.id).and_then(|node| seen.known(node));
        let network = node.and_then(|seen| seen.network(name));
        let aliases = task.spec.networks.iter().find(|joined| joined.network == *name);
        joined.insert(
            name.clone(),
            json!({
                "NetworkID": networks::id_of(name),
                "IPAddress": address,
                "Gateway": network.map(|network| shown(network.pools.first().and_then(|p| p.gateway))),
                "Aliases": aliases.map(|joined| &joined.aliases),
            }),
        );
    }
    let first = shown(task.addresses.first().map(|(_, address)| address));
    json!({ "IPAddress": first, "Ports": ports, "Networks": joined })
}

fn image(node: &NodeName, image: &ObservedImage) -> Value {
    json!({
        "version": 1,
        "Id": image.id,
        "RepoTags": [image.reference],
        "RepoDigests": image.digest.iter().collect::<Vec<_>>(),
        "Created": image.created.map(rfc3339),
        "Size": image.size,
        "Keel": {
            "Node": node,
            "Failure": image.failure.as_ref().map(|failure| &failure.text),
            "Pulling": image.pulling,
        },
    })
}

fn network(node: &NodeName, network: &ObservedNetwork, seen: &Nodes) -> Value {
    json!({
        "version": 1,
        "Name": network.spec.name,
        "Id": networks::id_of(&network.spec.name),
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.spec.driver_name(),
        "Internal": network.spec.internal,
        "IPAM": { "Config": pools(network) },
        "Labels": network.spec.labels,
        "Containers": networks::users(node, network, seen),
        "Keel": { "Node": node, "Bridge": shown(network.link.as_ref()), "Message": network.message },
    })
}

/// One without addresses until the network is made.
fn pools(network: &ObservedNetwork) -> Vec<Value> {
    if network.pools.is_empty() {
        return vec![json!({ "Subnet": "", "Gateway": "" })];
    }
    let pool =
        |pool: &AddressPool| json!({ "Subnet": pool.subnet, "Gateway": shown(pool.gateway) });
    network.pools.iter().map(pool).collect()
}

/// What there is, or an empty text: docker has no other word for nothing.
fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn volume(node: &NodeName, volume: &ObservedVolume, seen: &Nodes) -> Value {
    json!({
        "version": 1,
        "Name": volume.spec.name,
        "Driver": volume.spec.driver,
        "Mountpoint": volume.mountpoint,
        "CreatedAt": rfc3339(volume.created),
        "Options": volume.spec.driver_opts,
        "Labels": volume.spec.labels,
        "Scope": "local",
        "Keel": {
            "Node": node,
            "Anonymous": volume.anonymous,
            "Containers": volumes::users(node, volume, seen),
        },
    })
}
