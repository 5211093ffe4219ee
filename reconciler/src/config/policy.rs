//! `policy`, `listen`, `pool` and `registries` of `keel.yaml`.

use super::named::Role;
use super::reader::Reader;
use super::{Listen, PoolConfig, RegistryConfig};
use keel_plan::desired::{DriftPolicy, Policy};
use keel_spec::Item;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Nodes beat every two seconds: less would take one that is late for one that is lost.
const LEAST: Duration = Duration::from_secs(10);

impl Reader {
    pub(super) fn policy(&mut self, item: &Item) -> Policy {
        let mut policy = Policy::default();
        self.keys(item, "policy", "policy", |this, key, value| match key {
            "drift" => match this.word(value, "policy.drift").as_deref() {
                Some("report") => policy.drift = DriftPolicy::Report,
                _ => policy.drift = DriftPolicy::Heal,
            },
            "settle" => policy.settle = this.millis(value).unwrap_or(policy.settle),
            "health-timeout" => policy.health_timeout = this.millis(value),
            "prune-volumes" => {
                policy.prune_volumes = this.flag(value).unwrap_or(policy.prune_volumes);
            }
            "rollback" => policy.rollback = this.flag(value).unwrap_or(policy.rollback),
            "image-wait" => policy.image_wait = this.millis(value).unwrap_or(policy.image_wait),
            "prune" => policy.prune = this.flag(value).unwrap_or(policy.prune),
            _ => {}
        });
        policy
    }

    pub(super) fn listen(&mut self, item: &Item) -> Listen {
        let mut listen = Listen::default();
        self.keys(item, "listen", "listen", |this, key, value| match key {
            "webhooks" => listen.webhooks = this.address(value),
            "agents" => listen.agents = this.address(value),
            _ => {}
        });
        listen
    }

    pub(super) fn pool(&mut self, item: &Item) -> PoolConfig {
        let mut pool = PoolConfig::default();
        self.keys(item, "pool", "pool", |this, key, value| match key {
            "down-after" => pool.down_after = this.down_after(value).unwrap_or(pool.down_after),
            "unlock-key-file" => pool.unlock_key_file = this.file(value, Role::Secret),
            _ => {}
        });
        pool
    }

    fn down_after(&mut self, item: &Item) -> Option<Duration> {
        let time = Duration::from_millis(self.millis(item)?);
        if time < LEAST {
            self.wrong(item, "the minimum is 10s: nodes report every 2s".to_owned());
        }
        (time >= LEAST).then_some(time)
    }

    fn address(&mut self, item: &Item) -> Option<SocketAddr> {
        let text = self.text(item)?;
        let address = text.parse().ok();
        if address.is_none() {
            self.wrong(
                item,
                format!(
                    "`{text}` is not an address with a port, such as `0.0.0.0:9000` or `[::]:9000`"
                ),
            );
        }
        address
    }

    pub(super) fn registries(&mut self, item: &Item) -> BTreeMap<String, RegistryConfig> {
        let mut registries = BTreeMap::new();
        self.named(item, "registries", |this, entry| {
            let mut registry = RegistryConfig::default();
            this.keys(&entry.value, "registries.*", "a registry", |this, key, value| match key {
                "mirrors" => registry.mirrors = this.mirrors(value),
                "auth-hosts" => registry.auth_hosts = this.hosts(value),
                "insecure" => registry.insecure = this.flag(value).unwrap_or(false),
                _ => {}
            });
            registries.insert(entry.key.clone(), registry);
        });
        registries
    }

    fn hosts(&mut self, item: &Item) -> Vec<String> {
        let hosts = self.list(item);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        let strange = |host: &&String| host.is_empty() || !host.bytes().all(plain);
        for host in hosts.iter().filter(strange) {
            self.wrong(item, format!("`{host}` is not HOST or HOST:PORT"));
        }
        hosts
    }

    fn mirrors(&mut self, item: &Item) -> Vec<String> {
        let mirrors = self.list(item);
        let strange =
            |mirror: &&String| !mirror.starts_with("http://") && !mirror.starts_with("https://");
        for mirror in mirrors.iter().filter(strange) {
            self.wrong(
                item,
                format!("the mirror `{mirror}` begins with neither http:// nor https://"),
            );
        }
        mirrors
    }
}
