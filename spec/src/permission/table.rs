//! What every key of a Compose file needs: a word of `allow`, a judgement of its value, or nothing.
//!
//! Keys that are held now are in it as if they were run: they must not come alive unguarded.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Permission::{self, *};
use super::judgements::{self, Ground, Wants};
use crate::item::Entry;

/// What a key needs.
#[derive(Clone, Copy)]
pub(super) enum Right {
    /// Nothing: it cannot get anything out of the container.
    Harmless,
    /// A permission, whatever it says, but for `false` and nothing at all.
    Needs(Permission),
    /// It depends on what it says.
    Judged(fn(&Entry, &Ground<'_>, &mut Wants)),
}

use Right::{Harmless, Judged, Needs};

/// The right of a key; below one that needs a permission, everything is spoken for.
pub(super) fn right(path: &str) -> Right {
    static RIGHTS: LazyLock<HashMap<&str, Right>> = LazyLock::new(|| {
        let harmless = HARMLESS.iter().map(|path| (*path, Harmless));
        harmless.chain(GUARDED.iter().copied()).collect()
    });
    RIGHTS.get(path).copied().unwrap_or(Harmless)
}

/// Keys that lead out of the container, or may.
const GUARDED: &[(&str, Right)] = &[
    ("networks", Judged(judgements::networks)),
    ("networks.*.driver", Judged(judgements::network_driver)),
    ("networks.*.driver_opts", Needs(HostNetwork)),
    ("networks.*.ipam.config[].subnet", Judged(judgements::subnet)),
    ("networks.*.ipam.driver", Judged(judgements::network_driver)),
    ("networks.*.ipam.options", Needs(HostNetwork)),
    ("volumes", Judged(judgements::volumes)),
    ("volumes.*.driver", Judged(judgements::volume_driver)),
    ("volumes.*.driver_opts", Needs(HostPaths)),
    ("configs.*.file", Judged(judgements::path)),
    ("secrets.*.driver", Needs(HostPaths)),
    ("secrets.*.driver_opts", Needs(HostPaths)),
    ("secrets.*.file", Judged(judgements::path)),
    ("services.*.build.additional_contexts", Judged(judgements::path)),
    ("services.*.build.cache_from", Judged(judgements::cache)),
    ("services.*.build.cache_to", Judged(judgements::cache)),
    ("services.*.build.context", Judged(judgements::path)),
    ("services.*.build.dockerfile", Judged(judgements::path)),
    ("services.*.build.entitlements", Needs(Privileged)),
    ("services.*.build.network", Judged(judgements::build_network)),
    ("services.*.build.privileged", Needs(Privileged)),
    ("services.*.build.ssh", Needs(HostPaths)),
    ("services.*.cap_add", Judged(judgements::capabilities)),
    ("services.*.cgroup", Judged(judgements::namespace)),
    ("services.*.cgroup_parent", Needs(Privileged)),
    ("services.*.configs", Judged(judgements::configs)),
    ("services.*.credential_spec", Needs(HostPaths)),
    ("services.*.deploy.resources.reservations.devices", Needs(Devices)),
    ("services.*.deploy.resources.reservations.generic_resources", Needs(Devices)),
    ("services.*.develop.watch[].exec.privileged", Needs(Privileged)),
    ("services.*.develop.watch[].path", Judged(judgements::path)),
    ("services.*.device_cgroup_rules", Needs(Devices)),
    ("services.*.devices", Needs(Devices)),
    ("services.*.external_links", Needs(HostNetwork)),
    ("services.*.gpus", Needs(Devices)),
    ("services.*.ipc", Judged(judgements::namespace)),
    ("services.*.network_mode", Judged(judgements::network_mode)),
    ("services.*.networks.*.driver_opts", Needs(HostNetwork)),
    ("services.*.oom_kill_disable", Needs(Privileged)),
    ("services.*.oom_score_adj", Judged(judgements::oom_score)),
    ("services.*.pid", Judged(judgements::namespace)),
    ("services.*.post_start[].privileged", Needs(Privileged)),
    ("services.*.pre_start[].privileged", Needs(Privileged)),
    ("services.*.pre_stop[].privileged", Needs(Privileged)),
    ("services.*.privileged", Needs(Privileged)),
    ("services.*.provider", Needs(Privileged)),
    ("services.*.runtime", Needs(Privileged)),
    ("services.*.secrets", Judged(judgements::secrets)),
    ("services.*.security_opt", Judged(judgements::options)),
    ("services.*.tmpfs", Judged(judgements::tmpfs)),
    ("services.*.use_api_socket", Needs(Privileged)),
    ("services.*.userns_mode", Needs(Privileged)),
    ("services.*.uts", Judged(judgements::namespace)),
    ("services.*.volumes", Judged(judgements::mounts)),
    ("services.*.volumes_from", Judged(judgements::others_mounts)),
];

/// Keys that do not. Files that `env_file`, `label_file`, `extends`, `include` and `COMPOSE_FILE` name
/// are judged when they are read.
#[rustfmt::skip]
const HARMLESS: &[&str] = &[
    "version", "name", "include", "include[].env_file", "include[].path",
    "include[].project_directory", "services", "networks.*.attachable", "networks.*.enable_ipv4",
    "networks.*.enable_ipv6", "networks.*.external", "networks.*.external.name",
    "networks.*.internal", "networks.*.ipam", "networks.*.ipam.config",
    "networks.*.ipam.config[].aux_addresses", "networks.*.ipam.config[].gateway",
    "networks.*.ipam.config[].ip_range", "networks.*.labels", "networks.*.name",
    "volumes.*.external", "volumes.*.external.name", "volumes.*.labels", "volumes.*.name",
    "configs", "configs.*.content", "configs.*.environment", "configs.*.external",
    "configs.*.external.name", "configs.*.labels", "configs.*.name", "configs.*.template_driver",
    "secrets", "secrets.*.environment", "secrets.*.external", "secrets.*.external.name",
    "secrets.*.labels", "secrets.*.name", "secrets.*.template_driver", "models",
    "models.*.context_size", "models.*.model", "models.*.name", "models.*.runtime_flags",
    "services.*.annotations", "services.*.attach", "services.*.blkio_config",
    "services.*.blkio_config.device_read_bps", "services.*.blkio_config.device_read_bps[].path",
    "services.*.blkio_config.device_read_bps[].rate", "services.*.blkio_config.device_read_iops",
    "services.*.blkio_config.device_read_iops[].path",
    "services.*.blkio_config.device_read_iops[].rate", "services.*.blkio_config.device_write_bps",
    "services.*.blkio_config.device_write_bps[].path",
    "services.*.blkio_config.device_write_bps[].rate", "services.*.blkio_config.device_write_iops",
    "services.*.blkio_config.device_write_iops[].path",
    "services.*.blkio_config.device_write_iops[].rate", "services.*.blkio_config.weight",
    "services.*.blkio_config.weight_device", "services.*.blkio_config.weight_device[].path",
    "services.*.blkio_config.weight_device[].weight", "services.*.build", "services.*.build.args",
    "services.*.build.dockerfile_inline", "services.*.build.extra_hosts",
    "services.*.build.isolation", "services.*.build.labels", "services.*.build.no_cache",
    "services.*.build.no_cache_filter", "services.*.build.platforms", "services.*.build.provenance",
    "services.*.build.pull", "services.*.build.sbom", "services.*.build.secrets",
    "services.*.build.secrets[].gid", "services.*.build.secrets[].mode",
    "services.*.build.secrets[].source", "services.*.build.secrets[].target",
    "services.*.build.secrets[].uid", "services.*.build.shm_size", "services.*.build.tags",
    "services.*.build.target", "services.*.build.ulimits", "services.*.build.ulimits.*.hard",
    "services.*.build.ulimits.*.soft", "services.*.cap_drop", "services.*.command",
    "services.*.configs[].target", "services.*.configs[].gid", "services.*.configs[].mode",
    "services.*.configs[].source", "services.*.configs[].uid", "services.*.container_name",
    "services.*.cpu_count", "services.*.cpu_percent", "services.*.cpu_period",
    "services.*.cpu_quota", "services.*.cpu_rt_period", "services.*.cpu_rt_runtime",
    "services.*.cpu_shares", "services.*.cpus", "services.*.cpuset", "services.*.depends_on",
    "services.*.depends_on.*.condition", "services.*.depends_on.*.required",
    "services.*.depends_on.*.restart", "services.*.deploy", "services.*.deploy.endpoint_mode",
    "services.*.deploy.labels", "services.*.deploy.mode", "services.*.deploy.placement",
    "services.*.deploy.placement.constraints", "services.*.deploy.placement.max_replicas_per_node",
    "services.*.deploy.placement.preferences", "services.*.deploy.placement.preferences[].spread",
    "services.*.deploy.replicas", "services.*.deploy.resources",
    "services.*.deploy.resources.limits", "services.*.deploy.resources.limits.cpus",
    "services.*.deploy.resources.limits.memory", "services.*.deploy.resources.limits.pids",
    "services.*.deploy.resources.reservations", "services.*.deploy.resources.reservations.cpus",
    "services.*.deploy.resources.reservations.memory", "services.*.deploy.restart_policy",
    "services.*.deploy.restart_policy.condition", "services.*.deploy.restart_policy.delay",
    "services.*.deploy.restart_policy.max_attempts", "services.*.deploy.restart_policy.window",
    "services.*.deploy.rollback_config", "services.*.deploy.rollback_config.delay",
    "services.*.deploy.rollback_config.failure_action",
    "services.*.deploy.rollback_config.max_failure_ratio",
    "services.*.deploy.rollback_config.monitor", "services.*.deploy.rollback_config.order",
    "services.*.deploy.rollback_config.parallelism", "services.*.deploy.update_config",
    "services.*.deploy.update_config.delay", "services.*.deploy.update_config.failure_action",
    "services.*.deploy.update_config.max_failure_ratio", "services.*.deploy.update_config.monitor",
    "services.*.deploy.update_config.order", "services.*.deploy.update_config.parallelism",
    "services.*.develop", "services.*.develop.watch", "services.*.develop.watch[].action",
    "services.*.develop.watch[].exec", "services.*.develop.watch[].exec.command",
    "services.*.develop.watch[].exec.environment", "services.*.develop.watch[].exec.user",
    "services.*.develop.watch[].exec.working_dir", "services.*.develop.watch[].ignore",
    "services.*.develop.watch[].include", "services.*.develop.watch[].initial_sync",
    "services.*.develop.watch[].target", "services.*.dns", "services.*.dns_opt",
    "services.*.dns_search", "services.*.domainname", "services.*.entrypoint",
    "services.*.env_file", "services.*.env_file[].format", "services.*.env_file[].path",
    "services.*.env_file[].required", "services.*.environment", "services.*.expose",
    "services.*.extends", "services.*.extends.file", "services.*.extends.service",
    "services.*.extra_hosts", "services.*.group_add", "services.*.healthcheck",
    "services.*.healthcheck.disable", "services.*.healthcheck.interval",
    "services.*.healthcheck.retries", "services.*.healthcheck.start_interval",
    "services.*.healthcheck.start_period", "services.*.healthcheck.test",
    "services.*.healthcheck.timeout", "services.*.hostname", "services.*.image", "services.*.init",
    "services.*.isolation", "services.*.label_file", "services.*.labels", "services.*.links",
    "services.*.logging", "services.*.logging.driver", "services.*.logging.options",
    "services.*.mac_address", "services.*.mem_limit", "services.*.mem_reservation",
    "services.*.mem_swappiness", "services.*.memswap_limit", "services.*.models",
    "services.*.models.*.endpoint_var", "services.*.models.*.model_var", "services.*.networks",
    "services.*.networks.*.aliases", "services.*.networks.*.gw_priority",
    "services.*.networks.*.interface_name", "services.*.networks.*.ipv4_address",
    "services.*.networks.*.ipv6_address", "services.*.networks.*.link_local_ips",
    "services.*.networks.*.mac_address", "services.*.networks.*.priority", "services.*.pids_limit",
    "services.*.platform", "services.*.ports", "services.*.ports[].app_protocol",
    "services.*.ports[].host_ip", "services.*.ports[].mode", "services.*.ports[].name",
    "services.*.ports[].protocol", "services.*.ports[].published", "services.*.ports[].target",
    "services.*.post_start", "services.*.post_start[].command",
    "services.*.post_start[].environment", "services.*.post_start[].user",
    "services.*.post_start[].working_dir", "services.*.pre_start", "services.*.pre_start[].command",
    "services.*.pre_start[].environment", "services.*.pre_start[].image",
    "services.*.pre_start[].per_replica", "services.*.pre_start[].user",
    "services.*.pre_start[].working_dir", "services.*.pre_stop", "services.*.pre_stop[].command",
    "services.*.pre_stop[].environment", "services.*.pre_stop[].user",
    "services.*.pre_stop[].working_dir", "services.*.profiles", "services.*.pull_policy",
    "services.*.pull_refresh_after", "services.*.read_only", "services.*.restart",
    "services.*.scale", "services.*.secrets[].target", "services.*.secrets[].gid",
    "services.*.secrets[].mode", "services.*.secrets[].source", "services.*.secrets[].uid",
    "services.*.shm_size", "services.*.stdin_open", "services.*.stop_grace_period",
    "services.*.stop_signal", "services.*.storage_opt", "services.*.sysctls", "services.*.tty",
    "services.*.ulimits", "services.*.ulimits.*.hard", "services.*.ulimits.*.soft",
    "services.*.user", "services.*.volumes[].bind", "services.*.volumes[].bind.create_host_path",
    "services.*.volumes[].bind.propagation", "services.*.volumes[].bind.recursive",
    "services.*.volumes[].bind.selinux", "services.*.volumes[].consistency",
    "services.*.volumes[].image", "services.*.volumes[].image.subpath",
    "services.*.volumes[].read_only", "services.*.volumes[].source", "services.*.volumes[].target",
    "services.*.volumes[].tmpfs", "services.*.volumes[].tmpfs.mode",
    "services.*.volumes[].tmpfs.size", "services.*.volumes[].type", "services.*.volumes[].volume",
    "services.*.volumes[].volume.labels", "services.*.volumes[].volume.nocopy",
    "services.*.volumes[].volume.subpath", "services.*.working_dir", "x-keel", "x-keel.allow",
    "x-keel.drift", "x-keel.health-timeout", "x-keel.image-wait", "x-keel.prune",
    "x-keel.prune-volumes", "x-keel.rollback", "x-keel.settle", "x-keel.deploy", "x-keel.run",
    "x-keel.window", "services.*.x-keel", "services.*.x-keel.allow", "services.*.x-keel.drift",
    "x-keel.exclusive", "services.*.x-keel.exclusive",
    "x-keel.exclusive", "services.*.x-keel.exclusive",
    "services.*.x-keel.health-timeout", "services.*.x-keel.image-wait", "services.*.x-keel.run",
    "services.*.x-keel.settle", "services.*.x-keel.deploy", "services.*.x-keel.prune",
    "services.*.x-keel.prune-volumes", "services.*.x-keel.rollback", "services.*.x-keel.window",
    "services.*.volumes[].x-keel", "services.*.volumes[].x-keel.shared",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::keys;

    /// Whether a key above it needs a permission, which speaks for it.
    fn is_spoken_for(path: &str) -> bool {
        let above = |(key, right): &(&str, Right)| {
            let rest = path.strip_prefix(key).unwrap_or_default();
            matches!(right, Needs(_)) && rest.starts_with(['.', '['])
        };
        GUARDED.iter().any(above)
    }

    #[test]
    fn every_key_is_guarded_or_known_to_be_harmless_and_no_other_is() {
        let known: Vec<String> = keys().map(|key| key.path()).collect();
        for path in &known {
            let (harmless, guarded) = (
                HARMLESS.contains(&path.as_str()),
                GUARDED.iter().any(|(guarded, _)| guarded == path),
            );
            assert!(
                harmless != guarded || (is_spoken_for(path) && !harmless),
                "`{path}`: say in permission/table.rs what it needs, or that it is harmless"
            );
        }
        for path in HARMLESS.iter().chain(GUARDED.iter().map(|(path, _)| path)) {
            assert!(known.iter().any(|known| known == path), "`{path}` is not a key");
        }
    }
}
