//! The typed model of one service, by topic. Plain values; where they were written is beside
//! them in [`Service::origins`].

pub mod depends;
pub mod deploy;
pub mod grants;
pub mod health;
pub mod limits;
pub mod mounts;
pub mod networks;
pub mod placement;
pub mod ports;
pub mod process;
mod reference;
pub mod rollout;
pub mod security;

use std::collections::{BTreeMap, BTreeSet};

pub use crate::scalar::NanoCpus;
pub use depends::{Condition, Dependency};
pub use deploy::{Deploy, Mode, Restart};
pub use grants::Grant;
pub use health::{Health, Test};
pub use limits::{Limits, Ulimit};
pub use mounts::{Mount, MountKind, Propagation};
pub use networks::{Address, Attachment, ExtraHost, NetworkMode, Networking};
pub use placement::Placement;
pub use ports::{Exposed, Port, Protocol, Published};
pub use process::{Process, PullPolicy};
pub use rollout::{FailureAction, RolloutConfig, UpdateOrder};
pub use security::{Device, Seccomp, Security};

use crate::advice;
use crate::code::Code;
use crate::decode::Field;
use crate::extension::Policy;
use crate::held::Held;
use crate::keys::Place;
use crate::problem::Problem;
use crate::span::Origins;

/// One service of a stack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// Its key under `services`.
    pub name: String,
    /// Whether a profile that is on, or having no profiles, enables it.
    pub enabled: bool,
    /// `profiles`.
    pub profiles: Vec<String>,
    /// `image`, as written. Absent only in a held service (one with `build` alone).
    pub image: Option<String>,
    /// `pull_policy`; `missing` when absent.
    pub pull_policy: PullPolicy,
    /// `container_name`.
    pub container_name: Option<String>,
    /// Container labels.
    pub labels: BTreeMap<String, String>,
    /// What runs, as whom, in what surroundings.
    pub process: Process,
    /// Memory, CPU, processes, ulimits.
    pub limits: Limits,
    /// Privileges, devices, kernel settings.
    pub security: Security,
    /// Networks, names, DNS.
    pub networking: Networking,
    /// `ports`, ranges expanded.
    pub ports: Vec<Port>,
    /// `expose`, ranges expanded: documentation only.
    pub expose: Vec<Exposed>,
    /// `volumes`; `mounts[i]` has the origin `volumes[i]`.
    pub mounts: Vec<Mount>,
    /// `tmpfs`; `tmpfs[i]` has the origin `tmpfs[i]`. All of them are [`MountKind::Tmpfs`].
    pub tmpfs: Vec<Mount>,
    /// `configs` of the service.
    pub configs: Vec<Grant>,
    /// `secrets` of the service.
    pub secrets: Vec<Grant>,
    /// `healthcheck`; absent: the image's.
    pub health: Option<Health>,
    /// `depends_on` and what other keys imply, by service.
    pub depends_on: BTreeMap<String, Dependency>,
    /// `restart` (or `deploy.restart_policy` in its place).
    pub restart: Restart,
    /// Replicas and how they are replaced.
    pub deploy: Deploy,
    /// Which nodes may run it, and what they keep for it.
    pub placement: Placement,
    /// `x-keel` of the service.
    pub policy: Policy,
    /// `x-keel.allow` of the service: warnings that are meant.
    pub allow: BTreeSet<Code>,
    /// Where each field was written. Limits are under `mem_limit`, `cpus` and `pids_limit` too
    /// when `deploy.resources.limits` gave them, reservations under `reserved_memory` and
    /// `reserved_cpus`, replicas under `deploy.replicas` also when
    /// `scale` did.
    pub origins: Origins,
    /// Legal keys of it that this version does not run.
    pub held: Vec<Held>,
}

impl Service {
    /// Decodes one entry of `services`. Env files are left out: reading them is the caller's.
    pub(crate) fn decode(name: &str, field: &Field<'_>) -> Self {
        let text = |key| field.get(key).and_then(|field| field.text());
        let grants = |key, folder: &str| -> Vec<Grant> {
            let items = field.get(key).map(|field| field.list()).unwrap_or_default();
            items.iter().filter_map(|item| Grant::decode(item, folder)).collect()
        };
        Self {
            name: name.to_owned(),
            enabled: true,
            profiles: field.get("profiles").map(|field| field.texts()).unwrap_or_default(),
            image: image(name, field),
            pull_policy: PullPolicy::decode(field),
            container_name: text("container_name"),
            labels: field.get("labels").map(|field| field.pairs()).unwrap_or_default(),
            process: Process::decode(field),
            limits: Limits::decode(field),
            security: Security::decode(field),
            networking: Networking::decode(field),
            ports: ports::decode(field),
            expose: ports::exposed(field),
            mounts: mounts::decode(field),
            tmpfs: mounts::tmpfs(field),
            configs: grants("configs", "/"),
            secrets: grants("secrets", "/run/secrets/"),
            health: Health::decode(field),
            depends_on: depends::decode(field),
            restart: Restart::decode(field),
            deploy: Deploy::decode(field),
            placement: Placement::decode(field),
            policy: Policy::decode(field),
            allow: crate::allow::decode(field),
            origins: Origins::default(),
            held: Vec::new(),
        }
    }
}

/// A service that is called like a key of services is a key that has slipped out of one.
pub(crate) fn slipped(name: &str) -> Option<String> {
    let a_service = Place::root().key("services")?.key("*")?;
    let top = ["services", "version", "name", "include"].contains(&name);
    let both = ["networks", "volumes", "configs", "secrets"].contains(&name);
    let home = match (top, both) {
        (true, _) => "the top level",
        (_, true) => "the top level, or to a service",
        _ => "a service",
    };
    let is_key = a_service.key(name).is_some() || top || both;
    is_key.then(|| format!("`{name}` belongs to {home}: check the indentation"))
}

/// The image. A service without one is held when it could be built, else it is an error.
fn image(name: &str, service: &Field<'_>) -> Option<String> {
    if let Some(image) = service.get("image") {
        let text = image.text()?;
        if text.trim().is_empty() {
            image.refuse(Code::NoImage, format!("{} is empty", image.name()));
        } else if let Some((why, hint)) = reference::fault(&text) {
            let message = format!("{} is `{text}`: {why}", image.name());
            let problem = Problem::new(Code::BadValue, message).at(image.place().clone());
            image.scope.add(Problem { hint, ..problem });
        }
        return Some(text);
    }
    match service.get("build") {
        Some(build) => build.hold("images are not built, and no `image` is given"),
        // What it extends is missing, and that has been said.
        None if service.raw("extends").is_some() => {}
        None if service.get("provider").is_some() => {}
        // It is there under another name, and that has been said.
        None if ["image", "build"].iter().any(|key| advice::misspelt(service.item, key)) => {}
        None => {
            let message = format!("{} has no `image`", service.name());
            let mut problem = Problem::new(Code::NoImage, message).at(service.key.clone());
            problem.hint = slipped(name);
            service.scope.add(problem);
        }
    }
    None
}
