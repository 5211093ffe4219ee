//! Every field of a network and of a volume, once: plan, change in place, read-back and report walk these lists.

use super::{Cost, Readback, flag, list, map, text};
use crate::{Difference, NetworkSpec, Value, VolumeSpec};
use serde::{Deserialize, Serialize};

/// How a field of a network or volume is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceChange {
    /// It is assigned, whoever uses it.
    InPlace,
    /// It is taken away once nobody uses it, and made again.
    Anew,
    /// It stays as it is: what it holds is data.
    Kept,
    /// By nobody: it says which one it is, or how it came to be.
    Never,
}

impl ResourceChange {
    fn cost(self) -> Option<Cost> {
        match self {
            Self::InPlace => Some(Cost::InPlace),
            Self::Anew | Self::Kept => Some(Cost::Replace),
            Self::Never => None,
        }
    }
}

/// How a field of a network is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkReader {
    /// What its driver made for it on the host, and how that is set.
    Link,
    /// The addresses that the host has in it.
    Addresses,
    /// The firewall, which is read for all networks at once.
    Firewall,
}

/// One field of a network, volume or attachment.
pub struct ResourceRow<S, F, R = NetworkReader> {
    /// Its name as Compose writes it.
    pub name: &'static str,
    /// Its identity in code.
    pub field: F,
    /// How it is changed.
    pub change: ResourceChange,
    /// Where it can be read back.
    pub readback: Readback<R>,
    /// Its value.
    pub get: fn(&S) -> Value,
}

const fn row<S, F>(
    name: &'static str,
    field: F,
    change: ResourceChange,
    readback: Readback<NetworkReader>,
    get: fn(&S) -> Value,
) -> ResourceRow<S, F> {
    ResourceRow { name, field, change, readback, get }
}

use ResourceChange::{Anew, InPlace, Kept, Never};

/// The fields of [`NetworkSpec`]. `internal` is made anew, since a task's routes are those of its start.
#[rustfmt::skip]
pub const NETWORK_FIELDS: &[ResourceRow<NetworkSpec, NetworkField>] = &[
    row("name", NetworkField::Name, Never, Readback::Never, |n| text(&n.name)),
    row("driver", NetworkField::Driver, Anew, Readback::Kernel(NetworkReader::Link), |n| text(n.driver_name())),
    row("internal", NetworkField::Internal, Anew, Readback::Kernel(NetworkReader::Firewall), |n| flag(n.internal)),
    row("ipam", NetworkField::Ipam, Anew, Readback::Kernel(NetworkReader::Addresses), pools),
    row("auto_remove", NetworkField::AutoRemove, InPlace, Readback::Never, |n| flag(n.auto_remove)),
    row("labels", NetworkField::Labels, InPlace, Readback::Never, |n| map(&n.labels)),
];

/// The fields of [`VolumeSpec`].
#[rustfmt::skip]
pub const VOLUME_FIELDS: &[ResourceRow<VolumeSpec, VolumeField>] = &[
    row("name", VolumeField::Name, Never, Readback::Never, |v| text(&v.name)),
    row("driver", VolumeField::Driver, Kept, Readback::Never, |v| text(&v.driver)),
    row("driver_opts", VolumeField::DriverOpts, Kept, Readback::Never, |v| map(&v.driver_opts)),
    row("labels", VolumeField::Labels, Never, Readback::Never, |v| map(&v.labels)),
];

/// A field of [`NetworkSpec`].
#[allow(missing_docs, reason = "each is documented at its field in NetworkSpec")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkField {
    Name,
    Driver,
    Internal,
    Ipam,
    AutoRemove,
    Labels,
}

/// A field of [`VolumeSpec`].
#[allow(missing_docs, reason = "each is documented at its field in VolumeSpec")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeField {
    Name,
    Driver,
    DriverOpts,
    Labels,
}

fn pools(network: &NetworkSpec) -> Value {
    list(&network.pools.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Every field that differs and is somebody's to change, in the table's order.
#[must_use]
pub fn resource_diff<S, F: Copy, R>(
    rows: &[ResourceRow<S, F, R>],
    from: &S,
    to: &S,
) -> Vec<Difference<F>> {
    let differs = |row: &ResourceRow<S, F, R>| {
        let (cost, from, to) = (row.change.cost()?, (row.get)(from), (row.get)(to));
        let (field, name) = (row.field, row.name.to_owned());
        (from != to).then_some(Difference { field, name, from, to, cost })
    };
    rows.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PoolSpec, cost_of};
    use std::collections::BTreeSet;

    fn word() -> String {
        "x".to_owned()
    }

    fn network() -> NetworkSpec {
        NetworkSpec {
            name: word(),
            driver: "bridge".into(),
            internal: true,
            pools: vec![PoolSpec { subnet: "10.5.0.0/16".parse().ok(), gateway: None }],
            auto_remove: true,
            labels: [(word(), word())].into(),
        }
    }

    fn volume() -> VolumeSpec {
        let (driver_opts, labels) = ([(word(), word())].into(), [(word(), word())].into());
        VolumeSpec { name: word(), driver: word(), driver_opts, labels }
    }

    fn keys(stored: impl Serialize) -> BTreeSet<String> {
        let stored = serde_json::to_value(stored).unwrap();
        stored.as_object().unwrap().keys().cloned().collect()
    }

    fn names<S, F>(rows: &[ResourceRow<S, F>]) -> BTreeSet<String> {
        rows.iter().map(|row| row.name.to_owned()).collect()
    }

    #[test]
    fn every_field_has_its_row() {
        let mut stored = keys(network());
        assert!(stored.remove("subnet"), "the first of `ipam`");
        stored.insert("ipam".to_owned());
        assert_eq!(names(NETWORK_FIELDS), stored);
        assert_eq!(names(VOLUME_FIELDS), keys(volume()));
        for row in NETWORK_FIELDS {
            assert_ne!((row.get)(&network()), Value::Unset, "{}", row.name);
        }
        for row in VOLUME_FIELDS {
            assert_ne!((row.get)(&volume()), Value::Unset, "{}", row.name);
        }
    }

    #[test]
    fn what_a_changed_network_costs() {
        type Case = (&'static str, fn(&mut NetworkSpec), Option<Cost>, &'static str);
        let cases: [Case; 8] = [
            ("nothing", |_| {}, None, ""),
            ("another word for a bridge", |n| n.driver = "default".into(), None, ""),
            (
                "a driver",
                |n| n.driver = "macvlan".into(),
                Some(Cost::Replace),
                "driver: bridge -> macvlan",
            ),
            ("a way out", |n| n.internal = false, Some(Cost::Replace), "internal: true -> unset"),
            (
                "a gateway",
                |n| n.pools[0].gateway = "10.5.0.9".parse().ok(),
                Some(Cost::Replace),
                "ipam: [10.5.0.0/16] -> [10.5.0.0/16 (gateway 10.5.0.9)]",
            ),
            (
                "any addresses",
                |n| n.pools.clear(),
                Some(Cost::Replace),
                "ipam: [10.5.0.0/16] -> unset",
            ),
            ("labels", |n| n.labels.clear(), Some(Cost::InPlace), "labels: {x=x} -> unset"),
            (
                "both",
                |n| (n.internal, n.labels) = (false, [].into()),
                Some(Cost::Replace),
                "internal: true -> unset, labels: {x=x} -> unset",
            ),
        ];
        for (what, change, cost, shown) in cases {
            let mut changed = network();
            change(&mut changed);
            let differences = resource_diff(NETWORK_FIELDS, &network(), &changed);
            let lines = differences.iter().map(|d| format!("{}: {} -> {}", d.name, d.from, d.to));
            assert_eq!(lines.collect::<Vec<_>>().join(", "), shown, "{what}");
            assert_eq!(cost_of(&differences), cost, "{what}");
        }
    }

    /// A node adds labels of its own to a volume, which are no change.
    #[test]
    fn labels_of_a_volume_are_nobodys_to_change() {
        let mut changed = volume();
        changed.labels.clear();
        assert_eq!(resource_diff(VOLUME_FIELDS, &volume(), &changed), []);
        changed.driver_opts.clear();
        assert_eq!(resource_diff(VOLUME_FIELDS, &volume(), &changed).len(), 1);
    }
}
