//! Which networks a service joins, and under which names.

use super::Lowering;
use super::origins::renamed;
use crate::desired::{DesiredNetwork, Origins};
use ipnet::IpNet;
use keel_engine::{Attachment, NetworkMode, NetworkSpec, PoolSpec};
use keel_spec::{Service, service};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The network that every service without `networks` joins.
const DEFAULT: &str = "default";

pub(super) fn mode(mode: &service::NetworkMode) -> NetworkMode {
    match mode {
        service::NetworkMode::Networks(_) | service::NetworkMode::Bridge => NetworkMode::Networks,
        service::NetworkMode::Host => NetworkMode::Host,
        service::NetworkMode::None => NetworkMode::None,
        service::NetworkMode::Service(name) => NetworkMode::Service(name.clone()),
        service::NetworkMode::Container(name) => NetworkMode::Container(name.clone()),
    }
}

impl Lowering<'_> {
    /// Keys of the networks that a service is on.
    pub(super) fn used_networks(&self, service: &Service) -> BTreeSet<String> {
        match &service.networking.mode {
            service::NetworkMode::Networks(on) if on.is_empty() => [DEFAULT.to_owned()].into(),
            service::NetworkMode::Networks(on) => on.keys().cloned().collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Highest priority first, then by key: the first gives the default route.
    pub(super) fn attach(&self, service: &Service, origins: &mut Origins) -> Vec<Attachment> {
        let plain = service::Attachment::default();
        let service::NetworkMode::Networks(on) = &service.networking.mode else {
            return Vec::new();
        };
        let mut keys: Vec<(String, &service::Attachment)> = self
            .used_networks(service)
            .into_iter()
            .map(|key| {
                let attachment = on.get(&key).unwrap_or(&plain);
                (key, attachment)
            })
            .collect();
        keys.sort_by_key(|(_, attachment)| -attachment.priority);
        for (key, _) in &keys {
            renamed(
                origins,
                &format!("networks.{key}"),
                &format!("networks.{}", self.network_name(key)),
            );
        }
        keys.into_iter()
            .map(|(key, attachment)| self.attachment(service, &key, attachment))
            .collect()
    }

    fn attachment(&self, service: &Service, key: &str, on: &service::Attachment) -> Attachment {
        let own = [&service.name].into_iter().chain(&service.container_name);
        let aliases: BTreeSet<String> = own.chain(&on.aliases).cloned().collect();
        Attachment {
            network: self.network_name(key),
            aliases: aliases.into_iter().collect(),
            addresses: addresses(on),
        }
    }

    /// Those that an enabled service is on, by full name.
    pub(super) fn networks(&self, services: &[&Service]) -> BTreeMap<String, DesiredNetwork> {
        let used: BTreeSet<String> = services.iter().flat_map(|s| self.used_networks(s)).collect();
        used.iter().map(|key| (self.network_name(key), self.network(key))).collect()
    }

    fn network(&self, key: &str) -> DesiredNetwork {
        let network = self.stack.networks.get(key).cloned().unwrap_or_default();
        let mut labels = network.labels.clone();
        labels.extend(self.own_labels());
        labels.insert(keel_engine::labels::NETWORK.into(), key.to_owned());
        let spec = NetworkSpec {
            name: self.network_name(key),
            driver: network.driver.clone().unwrap_or_else(|| "bridge".into()),
            internal: network.internal,
            pools: pools(&network),
            auto_remove: false,
            labels,
        };
        let span = self.stack.origins.nearest(&format!("networks.{key}"));
        let origin = span.map(|span| super::origins::origin(span, key, self.stack));
        DesiredNetwork { spec, external: network.external, origin }
    }

    fn network_name(&self, key: &str) -> String {
        let network = self.stack.networks.get(key);
        let name = network.and_then(|network| network.name.as_ref());
        self.full_name(key, name, network.is_some_and(|network| network.external))
    }
}

/// At most one of each family.
fn addresses(on: &service::Attachment) -> Vec<IpAddr> {
    let v4 = on.ipv4_address.map(IpAddr::V4);
    v4.into_iter().chain(on.ipv6_address.map(IpAddr::V6)).collect()
}

/// The first of each family: no driver gives a network two of one.
fn pools(network: &keel_spec::Network) -> Vec<PoolSpec> {
    let of_family = |is_meant: fn(&IpNet) -> bool| {
        let pool = network.pools.iter().find(|pool| pool.subnet.as_ref().is_some_and(is_meant));
        pool.map(|pool| PoolSpec { subnet: pool.subnet, gateway: pool.gateway })
    };
    let v4 = of_family(|subnet| subnet.addr().is_ipv4());
    v4.into_iter().chain(of_family(|subnet| subnet.addr().is_ipv6())).collect()
}
