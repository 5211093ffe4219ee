//! What a specification is made of, beside the task itself: what the image says, and what the host is like.

use crate::runtime::overlay::Layers;
use keel_engine::TaskSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A mount's type: a file with content from `source`, in memory.
pub const FILE: &str = "keel.file";

/// A mount's type: this very program.
pub const SELF: &str = "keel.self";

/// Where the init lies that `init: true` asks for.
pub const INIT: &str = "/sbin/docker-init";

/// What the image's configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// ENV, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// USER.
    pub user: Option<String>,
    /// WORKDIR.
    pub working_dir: Option<String>,
    /// VOLUME.
    pub volumes: Vec<String>,
    /// STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
}

/// A mount whose source on the host is known: a volume's folder, a bind, a revision's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMount {
    /// Absolute path on the host; it exists.
    pub source: PathBuf,
    /// A folder on the way there that no link in it leaves: the volume that it is a part of.
    pub beneath: Option<PathBuf>,
    /// Absolute path in the container.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// `rprivate` (unset), `rshared`, `rslave`, ….
    pub propagation: Option<String>,
}

/// A device of the host, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// Path in the container.
    pub path: String,
    /// Block, else character.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Letters of `rwm`.
    pub access: String,
}

/// What the host is like, as far as a specification depends on it.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// The task's short id: its host name unless it has another.
    pub short_id: String,
    /// The task's folder.
    pub dir: PathBuf,
    /// The root's copy of this program that is the init of whoever asks for one, if it could be made.
    pub init: Option<PathBuf>,
    /// Where configs and secrets lie by digest.
    pub secrets: PathBuf,
    /// The image's layers and the task's own.
    pub layers: Layers,
    /// The task's cgroup, relative to a hierarchy's mount point.
    pub cgroup: String,
    /// All volumes, binds and revision files.
    pub mounts: Vec<HostMount>,
    /// The devices that the task names; all of the host's for a privileged one.
    pub devices: Vec<DeviceNode>,
    /// Hard limits in force, by lower-case name, where they cannot be raised.
    pub hard_limits: BTreeMap<String, u64>,
    /// Folders by which each CPU tells how hot it is, and so what others do with it.
    pub throttles: Vec<String>,
    /// Capabilities that this program may pass on (upper case, without `CAP_`).
    pub capabilities: BTreeSet<String>,
}

/// The name that a container has for itself.
pub(super) fn hostname(task: &TaskSpec, host: &HostFacts) -> String {
    task.hostname.clone().unwrap_or_else(|| host.short_id.clone())
}
