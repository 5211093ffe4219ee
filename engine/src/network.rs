//! What a network is asked to be, and the addresses that it has.

use ipnet::IpNet;
use keel_names::address::{stored_address, stored_subnet};
use keel_names::driver::network_driver;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network of a stack, or one that a person made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "StoredSpec", into = "StoredSpec")]
pub struct NetworkSpec {
    /// The full name: `STACK_KEY`, or as given.
    pub name: String,
    /// The name of its driver, as written: `bridge`.
    pub driver: String,
    /// No way out.
    pub internal: bool,
    /// The addresses asked for, of either family; none: the node chooses free ones.
    pub pools: Vec<PoolSpec>,
    /// It goes with the last task that is in it.
    pub auto_remove: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl NetworkSpec {
    /// The driver's own name, as listings show it: docker calls a bridge `default`, too.
    #[must_use]
    pub fn driver_name(&self) -> &str {
        network_driver(&self.driver).map_or(&self.driver, |driver| driver.name)
    }
}

/// A range of addresses that a network is asked to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolSpec {
    /// `None`: the node chooses a free one.
    #[serde(deserialize_with = "stored_subnet", skip_serializing_if = "Option::is_none")]
    pub subnet: Option<IpNet>,
    /// `None`: the subnet's first address.
    #[serde(deserialize_with = "stored_address", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

impl PoolSpec {
    fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// As `ipam.config` has it: `10.5.0.0/16 (gateway 10.5.0.1)`.
impl std::fmt::Display for PoolSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.subnet {
            Some(subnet) => write!(f, "{subnet}")?,
            None => f.write_str("any")?,
        }
        self.gateway.map_or(Ok(()), |gateway| write!(f, " (gateway {gateway})"))
    }
}

/// A range of addresses that a network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressPool {
    /// The subnet.
    pub subnet: IpNet,
    /// Where packets for elsewhere go, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// How a specification is stored: its first pool as when there was but one. So its hash, and what
/// older versions read, stays what it was.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredSpec {
    name: String,
    driver: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    #[serde(flatten)]
    first: PoolSpec,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auto_remove: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pools: Vec<PoolSpec>,
}

impl From<StoredSpec> for NetworkSpec {
    fn from(stored: StoredSpec) -> Self {
        let StoredSpec { name, driver, internal, first, auto_remove, labels, pools } = stored;
        let first = (!first.is_empty()).then_some(first);
        let pools = first.into_iter().chain(pools).collect();
        Self { name, driver, internal, pools, auto_remove, labels }
    }
}

impl From<NetworkSpec> for StoredSpec {
    fn from(spec: NetworkSpec) -> Self {
        let NetworkSpec { name, driver, internal, pools, auto_remove, labels } = spec;
        let mut pools = pools.into_iter();
        let first = pools.next().unwrap_or_default();
        Self { name, driver, internal, first, auto_remove, labels, pools: pools.collect() }
    }
}

/// For `#[serde(flatten, with = …)]`: how the addresses that a network has are stored.
pub mod stored_pools {
    use super::{AddressPool, StoredPools};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// The first pool as when there was but one.
    pub fn serialize<S: Serializer>(pools: &[AddressPool], to: S) -> Result<S::Ok, S::Error> {
        StoredPools::from(pools).serialize(to)
    }

    /// Of this and of older versions.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AddressPool>, D::Error> {
        Ok(StoredPools::deserialize(from)?.into())
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredPools {
    #[serde(deserialize_with = "stored_subnet", skip_serializing_if = "Option::is_none")]
    subnet: Option<IpNet>,
    #[serde(deserialize_with = "stored_address", skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pools: Vec<AddressPool>,
}

impl From<StoredPools> for Vec<AddressPool> {
    fn from(stored: StoredPools) -> Self {
        let first = stored.subnet.map(|subnet| AddressPool { subnet, gateway: stored.gateway });
        first.into_iter().chain(stored.pools).collect()
    }
}

impl From<&[AddressPool]> for StoredPools {
    fn from(pools: &[AddressPool]) -> Self {
        let first = pools.first();
        Self {
            subnet: first.map(|pool| pool.subnet),
            gateway: first.and_then(|pool| pool.gateway),
            pools: pools.iter().skip(1).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, gateway: &str) -> PoolSpec {
        PoolSpec { subnet: subnet.parse().ok(), gateway: gateway.parse().ok() }
    }

    /// Records of older versions, the API and stack hashes have these very bytes.
    #[test]
    fn one_pool_is_stored_as_it_ever_was() {
        let old = [
            (r#"{"name":"n","driver":"bridge"}"#, vec![]),
            (
                r#"{"name":"n","driver":"bridge","internal":true,"subnet":"172.30.0.0/24","labels":{"a":"b"}}"#,
                vec![pool("172.30.0.0/24", "")],
            ),
            (
                r#"{"name":"n","driver":"bridge","subnet":"10.5.1.3/16","gateway":"10.5.0.1","auto_remove":true}"#,
                vec![pool("10.5.1.3/16", "10.5.0.1")],
            ),
        ];
        for (text, pools) in old {
            let spec: NetworkSpec = serde_json::from_str(text).unwrap();
            assert_eq!(spec.pools, pools, "{text}");
            assert_eq!(serde_json::to_string(&spec).unwrap(), text);
        }
    }

    #[test]
    fn what_people_and_older_versions_may_have_written_is_read() {
        let read = |text: &str| serde_json::from_str::<NetworkSpec>(text);
        let nothing = r#"{"name":"n","driver":"bridge","subnet":null,"gateway":null,"labels":{}}"#;
        assert_eq!(read(nothing).unwrap().pools, []);
        let padded = read(r#"{"name":"n","subnet":"10.9.0.0/016"}"#).unwrap();
        assert_eq!(padded.pools, [pool("10.9.0.0/16", "")]);
        let error = read(r#"{"name":"n","subnet":"10.9"}"#).unwrap_err().to_string();
        assert!(error.starts_with("`10.9` is not a subnet such as `10.5.0.0/16`"), "{error}");
    }

    #[test]
    fn pools_of_both_families_come_back_in_order() {
        let pools = vec![pool("10.5.0.0/16", ""), pool("fd00::/64", "fd00::1")];
        let spec = NetworkSpec { name: "n".into(), pools, ..NetworkSpec::default() };
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<NetworkSpec>(&text).unwrap(), spec);
        let second = r#""pools":[{"subnet":"fd00::/64","gateway":"fd00::1"}]"#;
        assert!(text.contains(second), "{text}");
    }
}
