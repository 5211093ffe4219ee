//! What `inspect` tells of one thing: docker's field names, with ours below `Keel`.

use keel_engine::{
    Capability, Digest, Failure, Goal, HealthCheck, Mount, MountSource, NodeName, Phase, TaskSpec,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// `inspect`: everything about one thing. Of several things that are asked for, a list of these.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Inspected {
    /// A container.
    Container(Box<InspectedContainer>),
    /// An image.
    Image(InspectedImage),
    /// A network.
    Network(InspectedNetwork),
    /// A volume.
    Volume(InspectedVolume),
}

/// A container.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedContainer {
    /// Of this shape.
    #[serde(rename = "version")]
    pub version: u32,
    /// The task's id.
    pub id: String,
    /// When it was assigned first, RFC 3339.
    pub created: String,
    /// Its name, after a slash.
    pub name: String,
    /// The image's manifest digest, once it is known.
    pub image: Option<Digest>,
    /// Runs beyond the first, by the restart policy.
    pub restart_count: u32,
    /// How it is.
    pub state: StateDetails,
    /// What it runs.
    pub config: ContainerConfig,
    /// What it has of the host.
    pub host_config: HostConfig,
    /// Volumes and bind mounts.
    pub mounts: Vec<InspectedMount>,
    /// Addresses and ports.
    pub network_settings: NetworkSettings,
    /// What docker has no field for.
    pub keel: ContainerDetails,
}

/// How a container is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StateDetails {
    /// docker's word for it: `running`, `exited`, ….
    pub status: String,
    /// Its process runs.
    pub running: bool,
    /// Never: containers are not paused.
    pub paused: bool,
    /// Its process ended and will run again.
    pub restarting: bool,
    /// The kernel ran out of its memory limit.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// It cannot be what was asked for.
    pub dead: bool,
    /// Process 1, as the host sees it; 0 without one.
    pub pid: u32,
    /// How the last run ended.
    pub exit_code: i32,
    /// Why it cannot be what was asked for.
    pub error: String,
    /// When the last run began, RFC 3339.
    pub started_at: String,
    /// When the last run ended, RFC 3339.
    pub finished_at: String,
    /// What its health check says, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<ContainerHealth>,
}

/// What a health check says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerHealth {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// What it printed last.
    pub log: Vec<HealthLog>,
}

/// What one run of a health check printed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct HealthLog {
    /// Its last lines.
    pub output: String,
}

/// What a container runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// Its host name.
    pub hostname: String,
    /// The user; empty is the image's.
    pub user: String,
    /// A terminal for the process.
    pub tty: bool,
    /// Standard input stays open.
    pub open_stdin: bool,
    /// Variables, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// Arguments; `null` is the image's.
    pub cmd: Option<Vec<String>>,
    /// `null` is the image's.
    pub entrypoint: Option<Vec<String>>,
    /// The image, as written.
    pub image: String,
    /// Empty is the image's.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `null` is the image's.
    pub stop_signal: Option<String>,
    /// Seconds until it is killed; `null` is 10.
    pub stop_timeout: Option<u64>,
    /// `null` is the image's.
    pub healthcheck: Option<HealthCheck>,
}

/// What a container has of the host.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    /// Memory limit in bytes; 0 is none.
    pub memory: u64,
    /// 0 to 100; `null` is as the host has it.
    pub memory_swappiness: Option<u64>,
    /// CPU limit in nanoseconds per second; 0 is none.
    pub nano_cpus: u64,
    /// Process limit.
    pub pids_limit: Option<u64>,
    /// Size of /dev/shm in bytes.
    pub shm_size: u64,
    /// All capabilities and devices.
    pub privileged: bool,
    /// The root file system is read-only.
    pub readonly_rootfs: bool,
    /// A small init is process 1.
    pub init: bool,
    /// Capabilities beyond the default set.
    pub cap_add: BTreeSet<Capability>,
    /// Capabilities taken away.
    pub cap_drop: BTreeSet<Capability>,
    /// Security options, as written.
    pub security_opt: Vec<String>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Name servers instead of the host's.
    pub dns: Vec<String>,
    /// Further groups.
    pub group_add: Vec<String>,
    /// It is removed once it has ended.
    pub auto_remove: bool,
    /// What happens when its process ends.
    pub restart_policy: RestartRule,
}

/// What happens when a container's process ends.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RestartRule {
    /// `no`, `always`, `on-failure` or `unless-stopped`.
    pub name: String,
    /// How often after a failure; 0 is without end.
    pub maximum_retry_count: u32,
}

/// A volume or bind mount of a container.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedMount {
    /// `volume` or `bind`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The volume's name; empty where there is none.
    pub name: String,
    /// A path of the host, or the digest of a file of the revision; empty for a volume.
    pub source: String,
    /// Where it is in the container.
    pub destination: String,
    /// It can be written to.
    #[serde(rename = "RW")]
    pub writable: bool,
    /// How mounts below it pass on.
    pub propagation: String,
}

/// A container's addresses and ports.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    /// The first one; empty where there is none.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// Published ports, by `PORT/PROTOCOL` of the container.
    pub ports: BTreeMap<String, Vec<PortBinding>>,
    /// By the network's full name.
    pub networks: BTreeMap<String, JoinedNetwork>,
}

/// Where a port is published.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PortBinding {
    /// Address of the host.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: String,
}

/// A network that a container is in.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct JoinedNetwork {
    /// The network's id.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// The container's address there.
    #[serde(rename = "IPAddress")]
    pub ip_address: IpAddr,
    /// The network's gateway; `null` where the network is not known.
    pub gateway: Option<String>,
    /// The container's names there.
    pub aliases: Option<Vec<String>>,
}

/// What docker has no field for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerDetails {
    /// Where it is.
    pub node: Option<NodeName>,
    /// Its stack; `null` for one of `keel run`.
    pub stack: Option<String>,
    /// Its service.
    pub service: Option<String>,
    /// Its place among the service's replicas.
    pub slot: Option<String>,
    /// The revision that it was assigned with.
    pub revision: String,
    /// The generation that it was assigned last.
    pub generation: u64,
    /// How far it shall get.
    pub goal: Goal,
    /// Where it is on its way.
    pub phase: Phase,
    /// What it is doing, or what failed last.
    pub message: Option<String>,
    /// The same as a kind with its data.
    pub failure: Option<Failure>,
    /// What was applied.
    pub spec: Arc<TaskSpec>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedImage {
    /// Of this shape.
    #[serde(rename = "version")]
    pub version: u32,
    /// The config's digest.
    pub id: Option<Digest>,
    /// As written by whoever asked for it.
    pub repo_tags: Vec<String>,
    /// Manifest digests.
    pub repo_digests: Vec<Digest>,
    /// When it was built, RFC 3339.
    pub created: Option<String>,
    /// Bytes of its layers.
    pub size: u64,
    /// What docker has no field for.
    pub keel: ImageDetails,
}

/// What docker has no field for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ImageDetails {
    /// Where it is.
    pub node: NodeName,
    /// Why the last pull failed.
    pub failure: Option<String>,
    /// A pull that is under way: bytes done, and bytes in all.
    pub pulling: Option<(u64, u64)>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedNetwork {
    /// Of this shape.
    #[serde(rename = "version")]
    pub version: u32,
    /// Its full name.
    pub name: String,
    /// Made of its name.
    pub id: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// `local`.
    pub scope: String,
    /// What makes it.
    pub driver: String,
    /// It has no way out.
    pub internal: bool,
    /// Its addresses.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the containers in it.
    pub containers: Vec<String>,
    /// What docker has no field for.
    pub keel: NetworkDetails,
}

/// A network's addresses.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Ipam {
    /// One without addresses until the network is made.
    pub config: Vec<InspectedPool>,
}

/// A pool of addresses.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedPool {
    /// Its subnet; empty until the network is made.
    pub subnet: String,
    /// The host's address in it; empty where there is none.
    pub gateway: String,
}

/// What docker has no field for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkDetails {
    /// Where it is.
    pub node: NodeName,
    /// The host's link that stands for it; empty until it is made.
    pub bridge: String,
    /// Why it could not be made, or taken down.
    pub message: Option<String>,
    /// The same as a kind with its data.
    pub failure: Option<Failure>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedVolume {
    /// Of this shape.
    #[serde(rename = "version")]
    pub version: u32,
    /// Its full name.
    pub name: String,
    /// `local`.
    pub driver: String,
    /// Where its data is.
    pub mountpoint: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `local`.
    pub scope: String,
    /// What docker has no field for.
    pub keel: VolumeDetails,
}

/// What docker has no field for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeDetails {
    /// Where it is.
    pub node: NodeName,
    /// It has no name of its own.
    pub anonymous: bool,
    /// Names of the containers that mount it.
    pub containers: Vec<String>,
}

impl From<&Mount> for InspectedMount {
    fn from(mount: &Mount) -> Self {
        let (kind, name, source) = match &mount.source {
            MountSource::Volume { name, .. } => ("volume", name.clone(), String::new()),
            MountSource::Anonymous => ("volume", String::new(), String::new()),
            MountSource::Bind { path, .. } => ("bind", String::new(), path.clone()),
            // The node's own copy, which nobody but its tasks has to find.
            MountSource::Revision { path, digest, .. } if path.is_empty() => {
                ("bind", String::new(), digest.to_string())
            }
            MountSource::Revision { path, .. } => ("bind", String::new(), path.clone()),
        };
        Self {
            kind: kind.to_owned(),
            name,
            source,
            destination: mount.target.clone(),
            writable: !mount.read_only,
            propagation: mount.propagation.clone().unwrap_or_else(|| "rprivate".to_owned()),
        }
    }
}
