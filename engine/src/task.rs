//! What a task is asked to be: the fully lowered service, with nothing left to choose but what
//! only the node knows (addresses, the image's digest, free ports).
//!
//! Units: bytes, nanoseconds of CPU per second, milliseconds. A field at its default is not
//! stored. Unknown fields in a stored form are ignored, so that older code reads newer records.

use crate::Digest;
use keel_names::address::stored_address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Everything that makes a container what it is. Field names are Compose's; each has its row in
/// [`crate::fields`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskSpec {
    /// The container's name: `STACK-SERVICE-SLOT`, or `container_name`.
    pub container_name: String,
    /// The image reference as written.
    pub image: String,
    /// When the image is pulled.
    #[serde(skip_serializing_if = "is_default")]
    pub pull_policy: PullPolicy,
    /// Arguments; `None` is the image's CMD, empty clears it.
    #[serde(skip_serializing_if = "is_default")]
    pub command: Option<Vec<String>>,
    /// `None` is the image's ENTRYPOINT, empty clears it. Setting it clears the image's CMD.
    #[serde(skip_serializing_if = "is_default")]
    pub entrypoint: Option<Vec<String>>,
    /// Variables; `None` removes one that the image sets.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: BTreeMap<String, Option<String>>,
    /// `None` is the image's WORKDIR.
    #[serde(skip_serializing_if = "is_default")]
    pub working_dir: Option<String>,
    /// `user[:group]`, names or numbers; `None` is the image's USER.
    #[serde(skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// Further groups, names or numbers.
    #[serde(skip_serializing_if = "is_default")]
    pub group_add: Vec<String>,
    /// `None` is the task's short id.
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: Option<String>,
    /// A terminal for the process.
    #[serde(skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Standard input stays open.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin_open: bool,
    /// A small init as process 1, that reaps and forwards signals.
    #[serde(skip_serializing_if = "is_default")]
    pub init: bool,
    /// The root file system is read-only.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// All capabilities and devices, no seccomp profile, no masked paths.
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// Capabilities beyond the default set; `ALL` is all.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_add: BTreeSet<Capability>,
    /// Capabilities taken away; `ALL` is all.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_drop: BTreeSet<Capability>,
    /// `no-new-privileges[:true]`, `seccomp=unconfined`, `seccomp=PROFILE-JSON`.
    #[serde(skip_serializing_if = "is_default")]
    pub security_opt: Vec<String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<Device>,
    /// Kernel parameters of the task's own namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits by lower-case name (`nofile`).
    #[serde(skip_serializing_if = "is_default")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Size of /dev/shm in bytes; `None` is 64 MiB.
    #[serde(skip_serializing_if = "is_default")]
    pub shm_size: Option<u64>,
    /// Memory limit in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_limit: Option<u64>,
    /// How readily the kernel swaps: 0 to 100; `None` is as the host has it.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_swappiness: Option<u64>,
    /// CPU limit in nanoseconds per second (1.5 CPUs are 1,500,000,000).
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: Option<u64>,
    /// Process limit.
    #[serde(skip_serializing_if = "is_default")]
    pub pids_limit: Option<u64>,
    /// CPU time that its node keeps for it, in nanoseconds per second. Only placement goes by it.
    #[serde(skip_serializing_if = "is_default")]
    pub reserved_cpus: Option<u64>,
    /// Memory that its node keeps for it, in bytes. Only placement goes by it.
    #[serde(skip_serializing_if = "is_default")]
    pub reserved_memory: Option<u64>,
    /// Memory file systems.
    #[serde(skip_serializing_if = "is_default")]
    pub tmpfs: Vec<Tmpfs>,
    /// Volumes and bind mounts.
    #[serde(skip_serializing_if = "is_default")]
    pub volumes: Vec<Mount>,
    /// Files with content from the stack.
    #[serde(skip_serializing_if = "is_default")]
    pub configs: Vec<FileMount>,
    /// The same, secret.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: Vec<FileMount>,
    /// Whose network namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub network_mode: NetworkMode,
    /// Networks that the task joins, in order; the first with a gateway gives the default route.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: Vec<Attachment>,
    /// Published ports.
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<Port>,
    /// Name servers instead of the host's.
    #[serde(skip_serializing_if = "is_default")]
    pub dns: Vec<String>,
    /// Lines of /etc/hosts: name, and address or `host-gateway`.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_hosts: Vec<(String, String)>,
    /// How to tell that the task is well; `None` is the image's own check.
    #[serde(skip_serializing_if = "is_default")]
    pub healthcheck: Option<HealthCheck>,
    /// What happens when the process ends.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: RestartPolicy,
    /// `None` is the image's STOPSIGNAL, else SIGTERM.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: Option<String>,
    /// Milliseconds between that signal and SIGKILL; `None` is 10 s.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_grace_period: Option<u64>,
    /// Labels, ours and Compose's among them.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl TaskSpec {
    /// The grace period, default filled in.
    #[must_use]
    pub fn grace_ms(&self) -> u64 {
        self.stop_grace_period.unwrap_or(10_000)
    }

    /// Whether it may write to data that outlives it: a named volume or a host path.
    #[must_use]
    pub fn writes_data(&self) -> bool {
        self.volumes.iter().any(|mount| {
            !mount.read_only
                && !mount.shared
                && matches!(mount.source, MountSource::Volume { .. } | MountSource::Bind { .. })
        })
    }

    /// What the node has to be handed before it can run: configs, secrets, files of a revision.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        let files = self.configs.iter().chain(&self.secrets).map(|file| file.digest);
        files.chain(self.volumes.iter().filter_map(|mount| mount.source.tree()))
    }

    /// Of the paths that an image declares as volumes those where the task mounts nothing of its
    /// own: there it gets an anonymous volume.
    #[must_use]
    pub fn uncovered(&self, declared: &[String]) -> Vec<String> {
        let plain = |path: &str| path.trim_end_matches('/').to_owned();
        let own = self.volumes.iter().map(|mount| plain(&mount.target));
        let own: BTreeSet<_> = own.chain(self.tmpfs.iter().map(|t| plain(&t.target))).collect();
        let declared = declared.iter().map(|path| plain(path));
        declared.filter(|path| path.starts_with('/') && !own.contains(path)).collect()
    }
}

/// A capability's name without `CAP_`, upper case (`NET_ADMIN`), or `ALL`.
pub type Capability = String;

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// Only if it is not there.
    #[default]
    Missing,
    /// At each decision of a person, and for each new stack hash.
    Always,
    /// Never: it must be there.
    Never,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Letters of `rwm`.
    pub permissions: String,
}

/// A pair of limits; -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ulimit {
    /// What is in force.
    pub soft: i64,
    /// How far the process may raise it.
    pub hard: i64,
}

/// A memory file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tmpfs {
    /// Absolute path in the container.
    pub target: String,
    /// Bytes; `None` is the kernel's default.
    #[serde(skip_serializing_if = "is_default")]
    pub size: Option<u64>,
    /// Mode of its root; `None` is 1777.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: Option<u32>,
    /// Further mount options as written (`noexec`, `uid=1000`).
    #[serde(skip_serializing_if = "is_default")]
    pub options: Vec<String>,
}

/// Where a mount's content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A named volume, by its full name.
    Volume {
        /// `STACK_NAME`, or an external volume's own name.
        name: String,
        /// Leave an empty volume empty.
        #[serde(default, skip_serializing_if = "is_default")]
        nocopy: bool,
        /// A folder inside of it.
        #[serde(default, skip_serializing_if = "is_default")]
        subpath: Option<String>,
    },
    /// A volume without a name; it passes to the slot's next task.
    Anonymous,
    /// A path of the host.
    Bind {
        /// Absolute.
        path: String,
        /// Make a missing folder.
        #[serde(default, skip_serializing_if = "is_default")]
        create: bool,
    },
    /// A file or folder of a revision: read-only, and part of the task's meaning by its content.
    Revision {
        /// Empty, but for what an earlier version assigned: then an absolute path in the controller's
        /// checkout. Not part of the meaning; always stored, since shims of that version read it.
        #[serde(default)]
        path: String,
        /// Digest of what is written there, which is the meaning: that of a link is what it points to.
        digest: Digest,
        /// The [`crate::Tree`] that it leads to, where that is another one.
        #[serde(default, skip_serializing_if = "is_default")]
        tree: Option<Digest>,
    },
}

impl MountSource {
    /// The tree that has the content, where the node was handed one.
    #[must_use]
    pub fn tree(&self) -> Option<Digest> {
        match self {
            Self::Revision { path, digest, tree } if path.is_empty() => {
                Some(tree.unwrap_or(*digest))
            }
            _ => None,
        }
    }

    /// The path in the controller's checkout that an earlier version assigned.
    #[must_use]
    pub fn checkout_path(&self) -> Option<&str> {
        match self {
            Self::Revision { path, .. } if !path.is_empty() => Some(path),
            _ => None,
        }
    }
}

/// A volume or a bind mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mount {
    /// Where the content is.
    pub source: MountSource,
    /// Absolute path in the container.
    pub target: String,
    /// No writing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Several tasks may write at once (`x-keel: {shared: true}`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub shared: bool,
    /// `rprivate` (unset), `rshared`, `rslave`, ….
    #[serde(default, skip_serializing_if = "is_default")]
    pub propagation: Option<String>,
    /// Digest of a bound file whose content is part of the task's meaning (a read-only one of a
    /// served folder).
    #[serde(default, skip_serializing_if = "is_default")]
    pub digest: Option<Digest>,
}

/// A file whose content the node was handed as [`crate::Content`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileMount {
    /// The config's or secret's name in the Compose file.
    pub name: String,
    /// Of its content.
    pub digest: Digest,
    /// Absolute path in the container.
    pub target: String,
    /// Owner.
    #[serde(default, skip_serializing_if = "is_default")]
    pub uid: u32,
    /// Group.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gid: u32,
    /// Permission bits; `None` is 0444.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Option<u32>,
}

/// Whose network namespace a task has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// Its own, attached to its networks.
    #[default]
    Networks,
    /// The host's.
    Host,
    /// Its own, with nothing but loopback.
    None,
    /// That of the task of this service in the same stack.
    Service(String),
    /// That of another container, by name or id.
    Container(String),
}

/// One network that a task joins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "StoredAttachment")]
#[serde(from = "StoredAttachment", into = "StoredAttachment")]
pub struct Attachment {
    /// The network's full name.
    pub network: String,
    /// Names for the task inside that network, the service's own among them.
    pub aliases: Vec<String>,
    /// Fixed addresses: at most one of each family.
    pub addresses: Vec<IpAddr>,
}

/// How it is stored, and hashed: by Compose's keys.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct StoredAttachment {
    network: String,
    #[serde(skip_serializing_if = "is_default")]
    aliases: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    ipv4_address: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "is_default")]
    ipv6_address: Option<Ipv6Addr>,
}

impl From<StoredAttachment> for Attachment {
    fn from(stored: StoredAttachment) -> Self {
        let v4 = stored.ipv4_address.map(IpAddr::V4);
        let addresses = v4.into_iter().chain(stored.ipv6_address.map(IpAddr::V6)).collect();
        Self { network: stored.network, aliases: stored.aliases, addresses }
    }
}

impl From<Attachment> for StoredAttachment {
    fn from(attachment: Attachment) -> Self {
        let Attachment { network, aliases, addresses } = attachment;
        let mut stored = Self { network, aliases, ..Self::default() };
        for address in addresses {
            match address {
                IpAddr::V4(address) => stored.ipv4_address = Some(address),
                IpAddr::V6(address) => stored.ipv6_address = Some(address),
            }
        }
        stored
    }
}

/// A transport protocol.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// Address of the host; `None` is all.
    #[serde(default, deserialize_with = "stored_address", skip_serializing_if = "is_default")]
    pub host_ip: Option<IpAddr>,
    /// Port on the host; `None`: the node chooses one and reports it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub published: Option<u16>,
    /// Port in the container.
    pub target: u16,
    /// Transport.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: Protocol,
}

/// What a health check runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthTest {
    /// No check, not even the image's.
    Disabled,
    /// The image's own test, with other times.
    Image,
    /// A program and its arguments.
    Command(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

/// How to tell that a task is well. Times in milliseconds; `None` is the image's, else docker's
/// default (interval 30 s, timeout 30 s, retries 3, start period 0, start interval 5 s).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthCheck {
    /// What runs.
    pub test: HealthTest,
    /// Between checks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interval: Option<u64>,
    /// How long one may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<u64>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Option<u32>,
    /// Failures within this time after the start do not count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_period: Option<u64>,
    /// Between checks within the start period.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_interval: Option<u64>,
}

/// What happens when the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Another run, always.
    Always,
    /// Another run after a failure, at most so often (0: without end).
    OnFailure {
        /// Runs beyond the first.
        max: u32,
    },
    /// As `always`, but not after a person's stop.
    UnlessStopped,
}
