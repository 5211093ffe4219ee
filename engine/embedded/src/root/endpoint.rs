//! A task's place in one network, and how it is stored.

use ipnet::IpNet;
use keel_names::address::stored_address;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A task's place in one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredEndpoint", into = "StoredEndpoint")]
pub struct Endpoint {
    /// The network's full name.
    pub network: String,
    /// The network's driver.
    pub driver: String,
    /// The link of the host that stands for the network, where there is one: its bridge.
    pub link: Option<String>,
    /// The interface inside: `eth0`, `eth1`, ….
    pub interface: String,
    /// Its addresses, each with the length of its subnet's prefix.
    pub addresses: Vec<IpNet>,
    /// The default routes, on the first endpoint that has some.
    pub gateways: Vec<IpAddr>,
    /// The interface's hardware address.
    pub mac: String,
    /// Names for the task in that network: service, aliases, container name, short id.
    pub names: Vec<String>,
}

impl Endpoint {
    /// The address that stands for it where there is room for one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses.first().map(IpNet::addr)
    }

    /// The same as a text; empty without one.
    #[must_use]
    pub fn address_text(&self) -> String {
        self.address().map(|address| address.to_string()).unwrap_or_default()
    }

    /// Whether packets for elsewhere go out by it.
    #[must_use]
    pub fn leads_out(&self) -> bool {
        !self.gateways.is_empty()
    }
}

/// The stored form. The IPv4 address and gateway stand where they stood when there was nothing else: shims
/// and a `keel net` of an older version go on reading what a newer engine writes.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredEndpoint {
    network: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    bridge: String,
    interface: String,
    #[serde(deserialize_with = "stored_address", skip_serializing_if = "Option::is_none")]
    ipv4: Option<IpAddr>,
    prefix: u8,
    #[serde(deserialize_with = "stored_address")]
    gateway: Option<IpAddr>,
    mac: String,
    names: Vec<String>,
    /// Older versions knew but one.
    #[serde(skip_serializing_if = "is_bridge")]
    driver: String,
    /// Those that are not IPv4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<IpNet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gateways: Vec<IpAddr>,
}

const BRIDGE: &str = "bridge";

fn is_bridge(driver: &String) -> bool {
    driver == BRIDGE
}

impl From<StoredEndpoint> for Endpoint {
    fn from(stored: StoredEndpoint) -> Self {
        let first = stored.ipv4.and_then(|address| IpNet::new(address, stored.prefix).ok());
        Self {
            network: stored.network,
            driver: if stored.driver.is_empty() { BRIDGE.to_owned() } else { stored.driver },
            link: (!stored.bridge.is_empty()).then_some(stored.bridge),
            interface: stored.interface,
            addresses: first.into_iter().chain(stored.addresses).collect(),
            gateways: stored.gateway.into_iter().chain(stored.gateways).collect(),
            mac: stored.mac,
            names: stored.names,
        }
    }
}

impl From<Endpoint> for StoredEndpoint {
    fn from(endpoint: Endpoint) -> Self {
        let first = endpoint.addresses.iter().position(|address| address.addr().is_ipv4());
        let gateway = endpoint.gateways.iter().position(IpAddr::is_ipv4);
        let (mut addresses, mut gateways) = (endpoint.addresses, endpoint.gateways);
        let first = first.map(|index| addresses.remove(index));
        Self {
            network: endpoint.network,
            driver: endpoint.driver,
            bridge: endpoint.link.unwrap_or_default(),
            interface: endpoint.interface,
            ipv4: first.map(|first| first.addr()),
            prefix: first.map_or(0, |first| first.prefix_len()),
            gateway: gateway.map(|index| gateways.remove(index)),
            mac: endpoint.mac,
            names: endpoint.names,
            addresses,
            gateways,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv4_address_is_stored_as_it_ever_was() {
        let old = [
            r#"{"network":"blog","bridge":"kl3f9c2a-12ab34","interface":"eth0","ipv4":"172.20.0.2","prefix":20,"gateway":"172.20.0.1","mac":"02:42:ac:14:00:02","names":["web","abc"]}"#,
            r#"{"network":"vault","bridge":"kl3f9c2a-56ab34","interface":"eth1","ipv4":"172.20.16.2","prefix":20,"gateway":null,"mac":"02:42:ac:14:10:02","names":[]}"#,
        ];
        for text in old {
            let endpoint: Endpoint = serde_json::from_str(text).unwrap();
            assert_eq!((endpoint.addresses.len(), &*endpoint.driver), (1, "bridge"), "{text}");
            assert_eq!(serde_json::to_string(&endpoint).unwrap(), text);
        }
    }

    #[test]
    fn addresses_of_both_families_come_back() {
        let endpoint = Endpoint {
            driver: "other".into(),
            addresses: vec!["172.20.0.2/20".parse().unwrap(), "fd00::2/64".parse().unwrap()],
            gateways: vec!["172.20.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            ..Endpoint::default()
        };
        let text = serde_json::to_string(&endpoint).unwrap();
        assert_eq!(serde_json::from_str::<Endpoint>(&text).unwrap(), endpoint);
    }
}
