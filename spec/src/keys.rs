//! Every key of the Compose specification, once, with its standing here.
//!
//! A path is made of keys; `*` is a name that the user chose, `[]` an item of a list. A key
//! whose row has no rows below it takes what its type allows; one that has rows takes only those
//! (and `x-`). A new key is a row here and its decoding in `service/`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use Standing::{Held, Honoured, Inside, Limited, Notice, Refused};

/// What happens to a key here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It means what it means in Compose.
    Honoured,
    /// It is accepted and does less than in Compose: a warning says what.
    Limited(&'static str),
    /// It is legal and not run yet: its service is held.
    Held(&'static str),
    /// It is accepted and does nothing; that is said once.
    Notice(&'static str),
    /// It is known and refused: a policy that is ignored would be a lie.
    Refused(&'static str),
    /// As the key above it.
    Inside,
}

/// A key's path and standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The path, such as `services.*.deploy.replicas`.
    pub path: &'static str,
    /// What happens to it.
    pub standing: Standing,
}

const fn row(path: &'static str, standing: Standing) -> Row {
    Row { path, standing }
}

/// All keys.
pub const KEYS: &[Row] = &[
    row("version", Notice("Compose files have no versions any more")),
    row("name", Honoured),
    row("include", Honoured),
    row("include[].env_file", Honoured),
    row("include[].path", Honoured),
    row("include[].project_directory", Honoured),
    row("services", Honoured),
    row("services.*.annotations", Held("OCI annotations are not written")),
    row("services.*.attach", Notice("it matters only to an attached `up`")),
    row("services.*.blkio_config", Held("block I/O limits are not set")),
    row("services.*.blkio_config.device_read_bps", Inside),
    row("services.*.blkio_config.device_read_bps[].path", Inside),
    row("services.*.blkio_config.device_read_bps[].rate", Inside),
    row("services.*.blkio_config.device_read_iops", Inside),
    row("services.*.blkio_config.device_read_iops[].path", Inside),
    row("services.*.blkio_config.device_read_iops[].rate", Inside),
    row("services.*.blkio_config.device_write_bps", Inside),
    row("services.*.blkio_config.device_write_bps[].path", Inside),
    row("services.*.blkio_config.device_write_bps[].rate", Inside),
    row("services.*.blkio_config.device_write_iops", Inside),
    row("services.*.blkio_config.device_write_iops[].path", Inside),
    row("services.*.blkio_config.device_write_iops[].rate", Inside),
    row("services.*.blkio_config.weight", Inside),
    row("services.*.blkio_config.weight_device", Inside),
    row("services.*.blkio_config.weight_device[].path", Inside),
    row("services.*.blkio_config.weight_device[].weight", Inside),
    row("services.*.build", Limited("nothing is built here, so the image must exist already")),
    row("services.*.build.additional_contexts", Inside),
    row("services.*.build.args", Inside),
    row("services.*.build.cache_from", Inside),
    row("services.*.build.cache_to", Inside),
    row("services.*.build.context", Inside),
    row("services.*.build.dockerfile", Inside),
    row("services.*.build.dockerfile_inline", Inside),
    row("services.*.build.entitlements", Inside),
    row("services.*.build.extra_hosts", Inside),
    row("services.*.build.isolation", Inside),
    row("services.*.build.labels", Inside),
    row("services.*.build.network", Inside),
    row("services.*.build.no_cache", Inside),
    row("services.*.build.no_cache_filter", Inside),
    row("services.*.build.platforms", Inside),
    row("services.*.build.privileged", Inside),
    row("services.*.build.provenance", Inside),
    row("services.*.build.pull", Inside),
    row("services.*.build.sbom", Inside),
    row("services.*.build.secrets", Inside),
    row("services.*.build.secrets[].gid", Inside),
    row("services.*.build.secrets[].mode", Inside),
    row("services.*.build.secrets[].source", Inside),
    row("services.*.build.secrets[].target", Inside),
    row("services.*.build.secrets[].uid", Inside),
    row("services.*.build.shm_size", Inside),
    row("services.*.build.ssh", Inside),
    row("services.*.build.tags", Inside),
    row("services.*.build.target", Inside),
    row("services.*.build.ulimits", Inside),
    row("services.*.build.ulimits.*.hard", Inside),
    row("services.*.build.ulimits.*.soft", Inside),
    row("services.*.cap_add", Honoured),
    row("services.*.cap_drop", Honoured),
    row("services.*.cgroup", Held("the container's cgroup cannot be chosen")),
    row("services.*.cgroup_parent", Held("the container's cgroup cannot be chosen")),
    row("services.*.command", Honoured),
    row("services.*.configs", Honoured),
    row("services.*.configs[].gid", Honoured),
    row("services.*.configs[].mode", Honoured),
    row("services.*.configs[].source", Honoured),
    row("services.*.configs[].target", Honoured),
    row("services.*.configs[].uid", Honoured),
    row("services.*.container_name", Honoured),
    row("services.*.cpu_count", Held("this CPU limit is not set")),
    row("services.*.cpu_percent", Held("this CPU limit is not set")),
    row("services.*.cpu_period", Held("this CPU limit is not set")),
    row("services.*.cpu_quota", Held("this CPU limit is not set")),
    row("services.*.cpu_rt_period", Held("this CPU limit is not set")),
    row("services.*.cpu_rt_runtime", Held("this CPU limit is not set")),
    row("services.*.cpu_shares", Held("this CPU limit is not set")),
    row("services.*.cpus", Honoured),
    row("services.*.cpuset", Held("this CPU limit is not set")),
    row("services.*.credential_spec", Held("credential specs are for Windows")),
    row("services.*.credential_spec.config", Inside),
    row("services.*.credential_spec.file", Inside),
    row("services.*.credential_spec.registry", Inside),
    row("services.*.depends_on", Honoured),
    row("services.*.depends_on.*.condition", Honoured),
    row("services.*.depends_on.*.required", Honoured),
    row("services.*.depends_on.*.restart", Honoured),
    row("services.*.deploy", Honoured),
    row("services.*.deploy.endpoint_mode", Held("virtual addresses are not handed out")),
    row("services.*.deploy.labels", Notice("nothing here reads it")),
    row("services.*.deploy.mode", Honoured),
    row("services.*.deploy.placement", Held("placement is not obeyed")),
    row("services.*.deploy.placement.constraints", Inside),
    row("services.*.deploy.placement.max_replicas_per_node", Inside),
    row("services.*.deploy.placement.preferences", Inside),
    row("services.*.deploy.placement.preferences[].spread", Inside),
    row("services.*.deploy.replicas", Honoured),
    row("services.*.deploy.resources", Honoured),
    row("services.*.deploy.resources.limits", Honoured),
    row("services.*.deploy.resources.limits.cpus", Honoured),
    row("services.*.deploy.resources.limits.memory", Honoured),
    row("services.*.deploy.resources.limits.pids", Honoured),
    row("services.*.deploy.resources.reservations", Honoured),
    row("services.*.deploy.resources.reservations.cpus", Limited("a single host reserves nothing")),
    row("services.*.deploy.resources.reservations.devices", Held("GPUs are not handed out")),
    row("services.*.deploy.resources.reservations.devices[].capabilities", Inside),
    row("services.*.deploy.resources.reservations.devices[].count", Inside),
    row("services.*.deploy.resources.reservations.devices[].device_ids", Inside),
    row("services.*.deploy.resources.reservations.devices[].driver", Inside),
    row("services.*.deploy.resources.reservations.devices[].options", Inside),
    row(
        "services.*.deploy.resources.reservations.generic_resources",
        Held("GPUs are not handed out"),
    ),
    row(
        "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec",
        Inside,
    ),
    row(
        "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec.kind",
        Inside,
    ),
    row(
        "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec.value",
        Inside,
    ),
    row(
        "services.*.deploy.resources.reservations.memory",
        Limited("a single host reserves nothing"),
    ),
    row("services.*.deploy.restart_policy", Honoured),
    row("services.*.deploy.restart_policy.condition", Honoured),
    row("services.*.deploy.restart_policy.delay", Limited("restarts follow the usual back-off")),
    row("services.*.deploy.restart_policy.max_attempts", Honoured),
    row("services.*.deploy.restart_policy.window", Limited("restarts follow the usual back-off")),
    row("services.*.deploy.rollback_config", Limited("rollbacks follow Evenkeel's own policy")),
    row("services.*.deploy.rollback_config.delay", Inside),
    row("services.*.deploy.rollback_config.failure_action", Inside),
    row("services.*.deploy.rollback_config.max_failure_ratio", Inside),
    row("services.*.deploy.rollback_config.monitor", Inside),
    row("services.*.deploy.rollback_config.order", Inside),
    row("services.*.deploy.rollback_config.parallelism", Inside),
    row("services.*.deploy.update_config", Honoured),
    row(
        "services.*.deploy.update_config.delay",
        Limited("replicas are replaced one at a time, and rolled back by Evenkeel's own policy"),
    ),
    row(
        "services.*.deploy.update_config.failure_action",
        Limited("replicas are replaced one at a time, and rolled back by Evenkeel's own policy"),
    ),
    row(
        "services.*.deploy.update_config.max_failure_ratio",
        Limited("replicas are replaced one at a time, and rolled back by Evenkeel's own policy"),
    ),
    row(
        "services.*.deploy.update_config.monitor",
        Limited("replicas are replaced one at a time, and rolled back by Evenkeel's own policy"),
    ),
    row("services.*.deploy.update_config.order", Honoured),
    row(
        "services.*.deploy.update_config.parallelism",
        Limited("replicas are replaced one at a time, and rolled back by Evenkeel's own policy"),
    ),
    row("services.*.develop", Held("`develop` is not run")),
    row("services.*.develop.watch", Inside),
    row("services.*.develop.watch[].action", Inside),
    row("services.*.develop.watch[].exec", Inside),
    row("services.*.develop.watch[].exec.command", Inside),
    row("services.*.develop.watch[].exec.environment", Inside),
    row("services.*.develop.watch[].exec.privileged", Inside),
    row("services.*.develop.watch[].exec.user", Inside),
    row("services.*.develop.watch[].exec.working_dir", Inside),
    row("services.*.develop.watch[].ignore", Inside),
    row("services.*.develop.watch[].include", Inside),
    row("services.*.develop.watch[].initial_sync", Inside),
    row("services.*.develop.watch[].path", Inside),
    row("services.*.develop.watch[].target", Inside),
    row("services.*.device_cgroup_rules", Held("device rules are not set")),
    row("services.*.devices", Honoured),
    row("services.*.devices[].permissions", Honoured),
    row("services.*.devices[].source", Honoured),
    row("services.*.devices[].target", Honoured),
    row("services.*.dns", Honoured),
    row("services.*.dns_opt", Held("this resolver setting is not written")),
    row("services.*.dns_search", Held("this resolver setting is not written")),
    row("services.*.domainname", Held("this resolver setting is not written")),
    row("services.*.entrypoint", Honoured),
    row("services.*.env_file", Honoured),
    row("services.*.env_file[].format", Honoured),
    row("services.*.env_file[].path", Honoured),
    row("services.*.env_file[].required", Honoured),
    row("services.*.environment", Honoured),
    row("services.*.expose", Honoured),
    row("services.*.extends", Honoured),
    row("services.*.extends.file", Honoured),
    row("services.*.extends.service", Honoured),
    row("services.*.external_links", Held("links are not made")),
    row("services.*.extra_hosts", Honoured),
    row("services.*.gpus", Held("GPUs are not handed out")),
    row("services.*.gpus[].capabilities", Inside),
    row("services.*.gpus[].count", Inside),
    row("services.*.gpus[].device_ids", Inside),
    row("services.*.gpus[].driver", Inside),
    row("services.*.gpus[].options", Inside),
    row("services.*.group_add", Honoured),
    row("services.*.healthcheck", Honoured),
    row("services.*.healthcheck.disable", Honoured),
    row("services.*.healthcheck.interval", Honoured),
    row("services.*.healthcheck.retries", Honoured),
    row("services.*.healthcheck.start_interval", Honoured),
    row("services.*.healthcheck.start_period", Honoured),
    row("services.*.healthcheck.test", Honoured),
    row("services.*.healthcheck.timeout", Honoured),
    row("services.*.hostname", Honoured),
    row("services.*.image", Honoured),
    row("services.*.init", Honoured),
    row("services.*.ipc", Held("this namespace cannot be chosen")),
    row("services.*.isolation", Held("credential specs are for Windows")),
    row("services.*.label_file", Honoured),
    row("services.*.labels", Honoured),
    row("services.*.links", Held("links are not made")),
    row("services.*.logging", Notice("Evenkeel keeps logs in its own way")),
    row("services.*.logging.driver", Inside),
    row("services.*.logging.options", Inside),
    row("services.*.mac_address", Held("hardware addresses cannot be chosen")),
    row("services.*.mem_limit", Honoured),
    row("services.*.mem_reservation", Held("this memory limit is not set")),
    row("services.*.mem_swappiness", Held("this memory limit is not set")),
    row("services.*.memswap_limit", Held("this memory limit is not set")),
    row("services.*.models", Held("models are not run")),
    row("services.*.models.*.endpoint_var", Inside),
    row("services.*.models.*.model_var", Inside),
    row("services.*.network_mode", Honoured),
    row("services.*.networks", Honoured),
    row("services.*.networks.*.aliases", Honoured),
    row("services.*.networks.*.driver_opts", Held("this network setting is not made")),
    row("services.*.networks.*.gw_priority", Held("this network setting is not made")),
    row("services.*.networks.*.interface_name", Held("this network setting is not made")),
    row("services.*.networks.*.ipv4_address", Honoured),
    row("services.*.networks.*.ipv6_address", Held("IPv6 networks are not made")),
    row("services.*.networks.*.link_local_ips", Held("this network setting is not made")),
    row("services.*.networks.*.mac_address", Held("hardware addresses cannot be chosen")),
    row("services.*.networks.*.priority", Held("this network setting is not made")),
    row("services.*.oom_kill_disable", Held("this memory limit is not set")),
    row("services.*.oom_score_adj", Held("this memory limit is not set")),
    row("services.*.pid", Held("this namespace cannot be chosen")),
    row("services.*.pids_limit", Honoured),
    row("services.*.platform", Held("only the host's own platform is run")),
    row("services.*.ports", Honoured),
    row("services.*.ports[].app_protocol", Honoured),
    row("services.*.ports[].host_ip", Honoured),
    row("services.*.ports[].mode", Honoured),
    row("services.*.ports[].name", Honoured),
    row("services.*.ports[].protocol", Honoured),
    row("services.*.ports[].published", Honoured),
    row("services.*.ports[].target", Honoured),
    row("services.*.post_start", Held("hooks are not run")),
    row("services.*.post_start[].command", Inside),
    row("services.*.post_start[].environment", Inside),
    row("services.*.post_start[].privileged", Inside),
    row("services.*.post_start[].user", Inside),
    row("services.*.post_start[].working_dir", Inside),
    row("services.*.pre_start", Held("hooks are not run")),
    row("services.*.pre_start[].command", Inside),
    row("services.*.pre_start[].environment", Inside),
    row("services.*.pre_start[].image", Inside),
    row("services.*.pre_start[].per_replica", Inside),
    row("services.*.pre_start[].privileged", Inside),
    row("services.*.pre_start[].user", Inside),
    row("services.*.pre_start[].working_dir", Inside),
    row("services.*.pre_stop", Held("hooks are not run")),
    row("services.*.pre_stop[].command", Inside),
    row("services.*.pre_stop[].environment", Inside),
    row("services.*.pre_stop[].privileged", Inside),
    row("services.*.pre_stop[].user", Inside),
    row("services.*.pre_stop[].working_dir", Inside),
    row("services.*.privileged", Honoured),
    row("services.*.profiles", Honoured),
    row("services.*.provider", Held("providers are not run")),
    row("services.*.provider.options", Inside),
    row("services.*.provider.type", Inside),
    row("services.*.pull_policy", Honoured),
    row("services.*.pull_refresh_after", Held("pulling again after a time is not done")),
    row("services.*.read_only", Honoured),
    row("services.*.restart", Honoured),
    row("services.*.runtime", Held("there is one runtime, Evenkeel's own")),
    row("services.*.scale", Honoured),
    row("services.*.secrets", Honoured),
    row("services.*.secrets[].gid", Honoured),
    row("services.*.secrets[].mode", Honoured),
    row("services.*.secrets[].source", Honoured),
    row("services.*.secrets[].target", Honoured),
    row("services.*.secrets[].uid", Honoured),
    row("services.*.security_opt", Honoured),
    row("services.*.shm_size", Honoured),
    row("services.*.stdin_open", Honoured),
    row("services.*.stop_grace_period", Honoured),
    row("services.*.stop_signal", Honoured),
    row("services.*.storage_opt", Held("storage options are not set")),
    row("services.*.sysctls", Honoured),
    row("services.*.tmpfs", Honoured),
    row("services.*.tty", Honoured),
    row("services.*.ulimits", Honoured),
    row("services.*.ulimits.*.hard", Honoured),
    row("services.*.ulimits.*.soft", Honoured),
    row("services.*.use_api_socket", Held("there is no engine socket to mount")),
    row("services.*.user", Honoured),
    row("services.*.userns_mode", Held("this namespace cannot be chosen")),
    row("services.*.uts", Held("this namespace cannot be chosen")),
    row("services.*.volumes", Honoured),
    row("services.*.volumes[].bind", Honoured),
    row("services.*.volumes[].bind.create_host_path", Honoured),
    row("services.*.volumes[].bind.propagation", Honoured),
    row("services.*.volumes[].bind.recursive", Held("this mount option is not set")),
    row("services.*.volumes[].bind.selinux", Notice("it is left to the host")),
    row("services.*.volumes[].consistency", Honoured),
    row("services.*.volumes[].image", Held("this mount option is not set")),
    row("services.*.volumes[].image.subpath", Inside),
    row("services.*.volumes[].read_only", Honoured),
    row("services.*.volumes[].source", Honoured),
    row("services.*.volumes[].target", Honoured),
    row("services.*.volumes[].tmpfs", Honoured),
    row("services.*.volumes[].tmpfs.mode", Honoured),
    row("services.*.volumes[].tmpfs.size", Honoured),
    row("services.*.volumes[].type", Honoured),
    row("services.*.volumes[].volume", Honoured),
    row("services.*.volumes[].volume.labels", Held("this mount option is not set")),
    row("services.*.volumes[].volume.nocopy", Honoured),
    row("services.*.volumes[].volume.subpath", Held("this mount option is not set")),
    row("services.*.volumes_from", Held("mounts of another service are not taken over")),
    row("services.*.working_dir", Honoured),
    row("networks", Honoured),
    row("networks.*.attachable", Honoured),
    row("networks.*.driver", Honoured),
    row("networks.*.driver_opts", Held("this network setting is not made")),
    row("networks.*.enable_ipv4", Held("this network setting is not made")),
    row("networks.*.enable_ipv6", Held("IPv6 networks are not made")),
    row("networks.*.external", Honoured),
    row("networks.*.external.name", Honoured),
    row("networks.*.internal", Honoured),
    row("networks.*.ipam", Honoured),
    row("networks.*.ipam.config", Honoured),
    row("networks.*.ipam.config[].aux_addresses", Held("this network setting is not made")),
    row("networks.*.ipam.config[].gateway", Honoured),
    row("networks.*.ipam.config[].ip_range", Held("this network setting is not made")),
    row("networks.*.ipam.config[].subnet", Honoured),
    row("networks.*.ipam.driver", Honoured),
    row("networks.*.ipam.options", Held("this network setting is not made")),
    row("networks.*.labels", Honoured),
    row("networks.*.name", Honoured),
    row("volumes", Honoured),
    row("volumes.*.driver", Honoured),
    row("volumes.*.driver_opts", Held("volume drivers and their options are not run")),
    row("volumes.*.external", Honoured),
    row("volumes.*.external.name", Honoured),
    row("volumes.*.labels", Honoured),
    row("volumes.*.name", Honoured),
    row("configs", Honoured),
    row("configs.*.content", Honoured),
    row("configs.*.environment", Honoured),
    row("configs.*.external", Honoured),
    row("configs.*.external.name", Honoured),
    row("configs.*.file", Honoured),
    row("configs.*.labels", Notice("nothing here reads it")),
    row("configs.*.name", Honoured),
    row("configs.*.template_driver", Held("templates are not filled in")),
    row("secrets", Honoured),
    row("secrets.*.driver", Held("secret drivers are not run")),
    row("secrets.*.driver_opts", Held("secret drivers are not run")),
    row("secrets.*.environment", Honoured),
    row("secrets.*.external", Honoured),
    row("secrets.*.external.name", Honoured),
    row("secrets.*.file", Honoured),
    row("secrets.*.labels", Notice("nothing here reads it")),
    row("secrets.*.name", Honoured),
    row("secrets.*.template_driver", Held("templates are not filled in")),
    row("models", Held("models are not run")),
    row("models.*.context_size", Inside),
    row("models.*.model", Inside),
    row("models.*.name", Inside),
    row("models.*.runtime_flags", Inside),
    // Evenkeel's own.
    row("x-keel", Honoured),
    row("x-keel.drift", Honoured),
    row("x-keel.settle", Honoured),
    row("x-keel.health-timeout", Honoured),
    row("x-keel.run", Refused("is not obeyed by this version")),
    row("x-keel.deploy", Refused("is not obeyed by this version")),
    row("x-keel.prune", Refused("is not obeyed by this version")),
    row("x-keel.prune-volumes", Refused("is not obeyed by this version")),
    row("x-keel.rollback", Refused("is not obeyed by this version")),
    row("x-keel.image-wait", Refused("is not obeyed by this version")),
    row("x-keel.window", Refused("is not obeyed by this version")),
    row("x-keel.allow", Refused("is not obeyed by this version")),
    row("services.*.x-keel", Honoured),
    row("services.*.x-keel.drift", Honoured),
    row("services.*.x-keel.settle", Honoured),
    row("services.*.x-keel.health-timeout", Honoured),
    row("services.*.x-keel.run", Refused("is not obeyed by this version")),
    row("services.*.x-keel.deploy", Refused("is not obeyed by this version")),
    row("services.*.x-keel.prune", Refused("is not obeyed by this version")),
    row("services.*.x-keel.prune-volumes", Refused("is not obeyed by this version")),
    row("services.*.x-keel.rollback", Refused("is not obeyed by this version")),
    row("services.*.x-keel.image-wait", Refused("is not obeyed by this version")),
    row("services.*.x-keel.window", Refused("is not obeyed by this version")),
    row("services.*.x-keel.allow", Refused("is not obeyed by this version")),
    row("services.*.volumes[].x-keel", Honoured),
    row("services.*.volumes[].x-keel.shared", Honoured),
];

/// The table as a tree: what may stand below a key.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) standing: Option<Standing>,
    below: BTreeMap<&'static str, Place>,
}

impl Place {
    /// The whole file.
    pub(crate) fn root() -> &'static Self {
        static ROOT: LazyLock<Place> = LazyLock::new(Place::grow);
        &ROOT
    }

    fn grow() -> Self {
        let mut root = Self::default();
        for row in KEYS {
            let mut place = &mut root;
            for step in row.path.split('.').flat_map(steps) {
                place = place.below.entry(step).or_default();
            }
            place.standing = Some(row.standing);
        }
        root
    }

    /// Whether it takes only the keys that it has rows for.
    pub(crate) fn is_closed(&self) -> bool {
        self.below.keys().any(|key| *key != "*" && *key != "[]")
    }

    /// What a key is here: by name, or as a name that the user chose.
    pub(crate) fn key(&self, key: &str) -> Option<&Self> {
        self.below.get(key).or_else(|| self.below.get("*"))
    }

    /// What the items of a list are here.
    pub(crate) fn item(&self) -> Option<&Self> {
        self.below.get("[]")
    }

    /// The known key that is most like `key`, if any is like it at all.
    pub(crate) fn nearest(&self, key: &str) -> Option<&'static str> {
        let known = self.below.iter().filter(|(key, place)| {
            !matches!(**key, "*" | "[]") && !matches!(place.standing, Some(Refused(_)))
        });
        crate::nearest::of(key, known.map(|(key, _)| *key))
    }
}

/// `ports[]` is two steps.
fn steps(part: &'static str) -> impl Iterator<Item = &'static str> {
    let (key, list) = match part.strip_suffix("[]") {
        Some(key) => (key, Some("[]")),
        None => (part, None),
    };
    [Some(key), list].into_iter().flatten()
}
