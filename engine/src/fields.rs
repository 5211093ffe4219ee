//! Every field of a task, once. Diff, hash, in-place update, read-back and report walk this list.
//!
//! # Invariants
//! - A field at its default yields [`Value::Unset`].
//! - Whoever acts on a [`Field`] matches without a wildcard, so that a forgotten one does not
//!   compile; a test below keeps the list and [`TaskSpec`] together.

mod attachment;
mod resource;

use crate::{Limit, Mount, MountSource, Port, TaskSpec, Ulimit, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) use attachment::attachment_diff;
pub use attachment::{
    ATTACHMENT_FIELDS, AttachmentField, AttachmentReader, AttachmentRow, attachment_value,
};
pub use resource::{
    NETWORK_FIELDS, NetworkField, NetworkReader, ResourceChange, ResourceRow, VOLUME_FIELDS,
    VolumeField, resource_diff,
};

/// What a difference costs the running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// Applied to the running container.
    InPlace,
    /// A new container.
    Replace,
}

/// How a field is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// In the running container, by these means.
    InPlace(Applier),
    /// By a new container.
    Replace,
}

/// How a field of a running container is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applier {
    /// Set in its cgroup.
    Limit(Limit),
    /// Whoever supervises the process goes by it from then on.
    Supervisor,
    /// It is only remembered.
    Record,
}

/// Where the value that is really there can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readback<R = Reader> {
    /// In the kernel.
    Kernel(R),
    /// On disk.
    Disk(R),
    /// In the engine's own records.
    Record(R),
    /// Nowhere: what was applied cannot change under a running process.
    Never,
}

impl<R> Readback<R> {
    /// Who reads it, where it can be read.
    #[must_use]
    pub fn reader(self) -> Option<R> {
        match self {
            Self::Kernel(reader) | Self::Disk(reader) | Self::Record(reader) => Some(reader),
            Self::Never => None,
        }
    }
}

/// How a field is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// From its cgroup.
    Limit(Limit),
    /// In the namespaces of its process.
    Sysctls,
    /// Of its process.
    Ulimits,
    /// The folders that its root is made of.
    Layers,
    /// What its process has mounted.
    Mounts,
    /// Whose network namespace it is in.
    Namespace,
    /// Its attachments, each by the fields of [`ATTACHMENT_FIELDS`].
    Attachments,
    /// The port tables, which are read for all tasks at once.
    PortTables,
}

/// One field.
pub struct FieldRow {
    /// Its name as Compose writes it.
    pub name: &'static str,
    /// Its identity in code.
    pub field: Field,
    /// How it is changed.
    pub change: Change,
    /// Where it can be read back.
    pub readback: Readback,
    /// Its value.
    pub get: fn(&TaskSpec) -> Value,
}

impl FieldRow {
    /// What a difference costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match self.change {
            Change::InPlace(_) => Cost::InPlace,
            Change::Replace => Cost::Replace,
        }
    }
}

/// The row of a field.
#[must_use]
pub fn row_of(field: Field) -> &'static FieldRow {
    FIELDS
        .iter()
        .find(|row| row.field == field)
        .expect("every field has its row, by the test below")
}

const fn row(
    name: &'static str,
    field: Field,
    change: Change,
    readback: Readback,
    get: fn(&TaskSpec) -> Value,
) -> FieldRow {
    FieldRow { name, field, change, readback, get }
}

/// A limit is changed and read back where it is held.
const fn limit(
    name: &'static str,
    field: Field,
    limit: Limit,
    get: fn(&TaskSpec) -> Value,
) -> FieldRow {
    let readback = Readback::Kernel(Reader::Limit(limit));
    row(name, field, Change::InPlace(Applier::Limit(limit)), readback, get)
}

const SUPERVISOR: Change = Change::InPlace(Applier::Supervisor);
const REPLACE: Change = Change::Replace;
const RECORD: Change = Change::InPlace(Applier::Record);

/// The fields of [`TaskSpec`], in the order in which they are shown.
#[rustfmt::skip]
pub const FIELDS: &[FieldRow] = &[
    row("container_name", Field::ContainerName, REPLACE, Readback::Never, |t| text(&t.container_name)),
    row("image", Field::Image, REPLACE, Readback::Disk(Reader::Layers), |t| text(&t.image)),
    row("pull_policy", Field::PullPolicy, RECORD, Readback::Never, |t| word(&t.pull_policy)),
    row("command", Field::Command, REPLACE, Readback::Never, |t| optional_list(t.command.as_ref())),
    row("entrypoint", Field::Entrypoint, REPLACE, Readback::Never, |t| optional_list(t.entrypoint.as_ref())),
    row("environment", Field::Environment, REPLACE, Readback::Never, |t| environment(&t.environment)),
    row("working_dir", Field::WorkingDir, REPLACE, Readback::Never, |t| optional_text(t.working_dir.as_ref())),
    row("user", Field::User, REPLACE, Readback::Never, |t| optional_text(t.user.as_ref())),
    row("group_add", Field::GroupAdd, REPLACE, Readback::Never, |t| list(&t.group_add)),
    row("hostname", Field::Hostname, REPLACE, Readback::Never, |t| optional_text(t.hostname.as_ref())),
    row("tty", Field::Tty, REPLACE, Readback::Never, |t| flag(t.tty)),
    row("stdin_open", Field::StdinOpen, REPLACE, Readback::Never, |t| flag(t.stdin_open)),
    row("init", Field::Init, REPLACE, Readback::Never, |t| flag(t.init)),
    row("read_only", Field::ReadOnly, REPLACE, Readback::Never, |t| flag(t.read_only)),
    row("privileged", Field::Privileged, REPLACE, Readback::Never, |t| flag(t.privileged)),
    row("cap_add", Field::CapAdd, REPLACE, Readback::Never, |t| list(&t.cap_add)),
    row("cap_drop", Field::CapDrop, REPLACE, Readback::Never, |t| list(&t.cap_drop)),
    row("security_opt", Field::SecurityOpt, REPLACE, Readback::Never, |t| list(&t.security_opt)),
    row("devices", Field::Devices, REPLACE, Readback::Never, |t| words(&t.devices)),
    row("sysctls", Field::Sysctls, REPLACE, Readback::Kernel(Reader::Sysctls), |t| map(&t.sysctls)),
    row("ulimits", Field::Ulimits, REPLACE, Readback::Kernel(Reader::Ulimits), |t| limits(&t.ulimits)),
    row("shm_size", Field::ShmSize, REPLACE, Readback::Never, |t| optional(t.shm_size, Value::Bytes)),
    limit("mem_limit", Field::MemLimit, Limit::Memory, |t| Limit::Memory.value(t.mem_limit)),
    limit("mem_swappiness", Field::MemSwappiness, Limit::Swappiness, |t| Limit::Swappiness.value(t.mem_swappiness)),
    limit("cpus", Field::Cpus, Limit::Cpus, |t| Limit::Cpus.value(t.cpus)),
    limit("pids_limit", Field::PidsLimit, Limit::Pids, |t| Limit::Pids.value(t.pids_limit)),
    row("reserved_cpus", Field::ReservedCpus, RECORD, Readback::Never, |t| Limit::Cpus.value(t.reserved_cpus)),
    row("reserved_memory", Field::ReservedMemory, RECORD, Readback::Never, |t| optional(t.reserved_memory, Value::Bytes)),
    row("tmpfs", Field::Tmpfs, REPLACE, Readback::Never, |t| words(&t.tmpfs)),
    row("volumes", Field::Volumes, REPLACE, Readback::Kernel(Reader::Mounts), |t| mounts(&t.volumes)),
    row("configs", Field::Configs, REPLACE, Readback::Never, |t| words(&t.configs)),
    row("secrets", Field::Secrets, REPLACE, Readback::Never, |t| words(&t.secrets)),
    row("network_mode", Field::NetworkMode, REPLACE, Readback::Kernel(Reader::Namespace), |t| word(&t.network_mode)),
    row("networks", Field::Networks, REPLACE, Readback::Kernel(Reader::Attachments), |t| words(&t.networks)),
    row("ports", Field::Ports, REPLACE, Readback::Kernel(Reader::PortTables), |t| ports(&t.ports)),
    row("dns", Field::Dns, REPLACE, Readback::Never, |t| list(&t.dns)),
    row("extra_hosts", Field::ExtraHosts, REPLACE, Readback::Never, |t| pairs(&t.extra_hosts)),
    row("healthcheck", Field::Healthcheck, SUPERVISOR, Readback::Never, |t| optional_word(t.healthcheck.as_ref())),
    row("restart", Field::Restart, SUPERVISOR, Readback::Never, |t| word(&t.restart)),
    row("stop_signal", Field::StopSignal, SUPERVISOR, Readback::Never, |t| optional_text(t.stop_signal.as_ref())),
    row("stop_grace_period", Field::StopGracePeriod, SUPERVISOR, Readback::Never, |t| optional(t.stop_grace_period, Value::Millis)),
    row("labels", Field::Labels, RECORD, Readback::Never, |t| map(&t.labels)),
];

/// A field of [`TaskSpec`].
#[allow(missing_docs, reason = "each is documented at its field in TaskSpec")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    ContainerName,
    Image,
    PullPolicy,
    Command,
    Entrypoint,
    Environment,
    WorkingDir,
    User,
    GroupAdd,
    Hostname,
    Tty,
    StdinOpen,
    Init,
    ReadOnly,
    Privileged,
    CapAdd,
    CapDrop,
    SecurityOpt,
    Devices,
    Sysctls,
    Ulimits,
    ShmSize,
    MemLimit,
    MemSwappiness,
    Cpus,
    PidsLimit,
    ReservedCpus,
    ReservedMemory,
    Tmpfs,
    Volumes,
    Configs,
    Secrets,
    NetworkMode,
    Networks,
    Ports,
    Dns,
    ExtraHosts,
    Healthcheck,
    Restart,
    StopSignal,
    StopGracePeriod,
    Labels,
}

fn text(value: &str) -> Value {
    if value.is_empty() { Value::Unset } else { Value::Text(value.to_owned()) }
}

fn flag(value: bool) -> Value {
    if value { Value::Bool(true) } else { Value::Unset }
}

fn optional<T>(value: Option<T>, kind: fn(T) -> Value) -> Value {
    value.map_or(Value::Unset, kind)
}

fn optional_text(value: Option<&String>) -> Value {
    value.map_or(Value::Unset, |value| Value::Text(value.clone()))
}

fn optional_list(value: Option<&Vec<String>>) -> Value {
    value.map_or(Value::Unset, |value| Value::List(value.clone()))
}

fn list<'a>(values: impl IntoIterator<Item = &'a String>) -> Value {
    let values: Vec<_> = values.into_iter().cloned().collect();
    if values.is_empty() { Value::Unset } else { Value::List(values) }
}

fn map(values: &BTreeMap<String, String>) -> Value {
    if values.is_empty() { Value::Unset } else { Value::Map(values.clone()) }
}

/// A removed variable is shown as `KEY=` with nothing in a form that no value can have.
fn environment(values: &BTreeMap<String, Option<String>>) -> Value {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "\u{0}removed".to_owned());
    map(&values.iter().map(|(key, value)| (key.clone(), shown(value))).collect())
}

fn limits(values: &BTreeMap<String, Ulimit>) -> Value {
    let shown = |limit: &Ulimit| format!("{}:{}", limit.soft, limit.hard);
    map(&values.iter().map(|(name, limit)| (name.clone(), shown(limit))).collect())
}

fn pairs(values: &[(String, String)]) -> Value {
    let lines: Vec<_> = values.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    list(&lines)
}

/// A compound value as its stored form: exact, and readable enough.
fn stored<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value).expect("our own types have string keys and no failing field")
    {
        serde_json::Value::String(word) => word,
        other => other.to_string(),
    }
}

fn word<T: Serialize + Default + PartialEq>(value: &T) -> Value {
    if *value == T::default() { Value::Unset } else { Value::Text(stored(value)) }
}

fn optional_word<T: Serialize>(value: Option<&T>) -> Value {
    value.map_or(Value::Unset, |value| Value::Text(stored(value)))
}

fn words<T: Serialize>(values: &[T]) -> Value {
    let values: Vec<_> = values.iter().map(stored).collect();
    list(&values)
}

fn ports(values: &[Port]) -> Value {
    let values: Vec<_> = values.iter().map(Port::to_string).collect();
    list(&values)
}

/// As Compose writes it: `[HOST_IP:][PUBLISHED:]TARGET/PROTOCOL`.
impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            None => {}
        }
        if let Some(published) = self.published {
            write!(f, "{published}:")?;
        } else if self.host_ip.is_some() {
            write!(f, ":")?;
        }
        write!(f, "{}/{}", self.target, stored(&self.protocol))
    }
}

/// Where the content of a revision lies is no part of the meaning, only what it is.
fn mounts(values: &[Mount]) -> Value {
    let meaning = |mount: &Mount| {
        let mut mount = mount.clone();
        if let MountSource::Revision { path, tree, .. } = &mut mount.source {
            path.clear();
            *tree = None;
        }
        mount
    };
    words(&values.iter().map(meaning).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attachment, Device, Digest, FileMount, HealthCheck, HealthTest, NetworkMode, PullPolicy,
        RestartPolicy, Tmpfs, diff, hash_of,
    };
    use std::collections::BTreeSet;

    /// A task that sets every field: it is stored in full, so its keys are all there are.
    fn full() -> TaskSpec {
        let word = || "x".to_owned();
        let digest = Digest::of(b"x");
        let file =
            FileMount { name: word(), digest, target: word(), uid: 1, gid: 1, mode: Some(1) };
        TaskSpec {
            container_name: word(),
            image: word(),
            pull_policy: PullPolicy::Always,
            command: Some(vec![]),
            entrypoint: Some(vec![]),
            environment: [(word(), None)].into(),
            working_dir: Some(word()),
            user: Some(word()),
            group_add: vec![word()],
            hostname: Some(word()),
            tty: true,
            stdin_open: true,
            init: true,
            read_only: true,
            privileged: true,
            cap_add: [word()].into(),
            cap_drop: [word()].into(),
            security_opt: vec![word()],
            devices: vec![Device { source: word(), target: word(), permissions: word() }],
            sysctls: [(word(), word())].into(),
            ulimits: [(word(), Ulimit { soft: 1, hard: 2 })].into(),
            shm_size: Some(1),
            mem_limit: Some(1),
            mem_swappiness: Some(1),
            cpus: Some(1),
            pids_limit: Some(1),
            reserved_cpus: Some(1),
            reserved_memory: Some(1),
            tmpfs: vec![Tmpfs { target: word(), ..Tmpfs::default() }],
            volumes: vec![revision("/checkout/1", &digest)],
            configs: vec![file.clone()],
            secrets: vec![file],
            network_mode: NetworkMode::Host,
            networks: vec![Attachment::default()],
            ports: vec![Port {
                host_ip: None,
                published: Some(1),
                target: 2,
                protocol: crate::Protocol::Udp,
            }],
            dns: vec![word()],
            extra_hosts: vec![(word(), word())],
            healthcheck: Some(HealthCheck {
                test: HealthTest::Disabled,
                interval: None,
                timeout: None,
                retries: None,
                start_period: None,
                start_interval: None,
            }),
            restart: RestartPolicy::Always,
            stop_signal: Some(word()),
            stop_grace_period: Some(1),
            labels: [(word(), word())].into(),
        }
    }

    fn revision(path: &str, digest: &Digest) -> Mount {
        let source = MountSource::Revision { path: path.into(), digest: *digest, tree: None };
        let (target, digest) = ("/x".into(), None);
        Mount { source, target, read_only: true, shared: false, propagation: None, digest }
    }

    #[test]
    fn every_field_has_its_row() {
        let stored = serde_json::to_value(full()).unwrap();
        let keys: BTreeSet<_> = stored.as_object().unwrap().keys().map(String::as_str).collect();
        let rows: BTreeSet<_> = FIELDS.iter().map(|row| row.name).collect();
        assert_eq!(rows, keys);
        assert_eq!(rows.len(), FIELDS.len(), "a row twice");
    }

    #[test]
    fn a_default_is_neither_shown_nor_stored() {
        let dull = TaskSpec::default();
        for row in FIELDS {
            assert_eq!((row.get)(&dull), Value::Unset, "{}", row.name);
            assert_ne!((row.get)(&full()), Value::Unset, "{}", row.name);
        }
        let stored = serde_json::to_value(&dull).unwrap();
        assert_eq!(stored.as_object().unwrap().len(), 2, "only what is always set: {stored}");
    }

    #[test]
    fn the_hash_is_over_meaning() {
        let base = full();
        let mut renamed = base.clone();
        renamed.container_name = "other".into();
        let mut moved = base.clone();
        moved.volumes = vec![revision("/checkout/2", &Digest::of(b"x"))];
        assert_eq!(hash_of(&base), hash_of(&renamed), "a slot's name");
        assert_eq!(hash_of(&base), hash_of(&moved), "another checkout of the same content");
        moved.volumes = vec![revision("", &Digest::of(b"x"))];
        assert_eq!(hash_of(&base), hash_of(&moved), "the node's own copy of it");
        let mut edited = base.clone();
        edited.volumes = vec![revision("/checkout/1", &Digest::of(b"y"))];
        assert_ne!(hash_of(&base), hash_of(&edited), "another content");
    }

    /// The hash is over these very texts: a version that reads more must not restart what runs.
    #[test]
    fn addresses_are_shown_and_stored_as_they_ever_were() {
        let old = r#"{"container_name":"c","image":"i","networks":[{"network":"n","aliases":["a"],"ipv4_address":"10.0.0.6"}],"ports":[{"host_ip":"127.0.0.1","published":80,"target":80},{"host_ip":"::","target":53,"protocol":"udp"}]}"#;
        let spec: TaskSpec = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), old);
        let value = |field| (row_of(field).get)(&spec).to_string();
        assert_eq!(
            value(Field::Networks),
            r#"[{"aliases":["a"],"ipv4_address":"10.0.0.6","network":"n"}]"#
        );
        assert_eq!(value(Field::Ports), "[127.0.0.1:80:80/tcp, [::]::53/udp]");
        let hash = hash_of(&spec).to_string();
        assert_eq!(hash, "sha256:901cc97327e7f85c2622312e16139af942dcd00f16f205ea509448e3322889fb");
    }

    #[test]
    fn a_difference_names_field_values_and_cost() {
        let (mut from, mut to) = (TaskSpec::default(), TaskSpec::default());
        (from.mem_limit, to.mem_limit) = (Some(64 << 20), Some(128 << 20));
        to.image = "nginx".into();
        let shown: Vec<_> = diff(&from, &to)
            .iter()
            .map(|d| format!("{}: {} -> {} ({:?})", d.name, d.from, d.to, d.cost))
            .collect();
        assert_eq!(
            shown,
            ["image: unset -> nginx (Replace)", "mem_limit: 64MiB -> 128MiB (InPlace)"]
        );
    }

    #[test]
    fn ports_print_as_compose_writes_them() {
        let port = |host_ip: Option<&str>, published| Port {
            host_ip: host_ip.and_then(|ip| ip.parse().ok()),
            published,
            target: 80,
            protocol: crate::Protocol::Tcp,
        };
        assert_eq!(port(None, Some(8080)).to_string(), "8080:80/tcp");
        assert_eq!(port(Some("127.0.0.1"), Some(8080)).to_string(), "127.0.0.1:8080:80/tcp");
        assert_eq!(port(Some("::1"), None).to_string(), "[::1]::80/tcp");
        assert_eq!(port(None, None).to_string(), "80/tcp");
    }
}
