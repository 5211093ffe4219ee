//! The drivers that this node has: one row each. Whoever makes, joins, checks or removes a network goes
//! through here, and knows of no driver in particular.

mod bridge;
mod promise;
mod unmade;

pub(crate) use promise::{Driver, Namespace, Site, makes_none};

use super::NetworkError;
use keel_engine::NetworkMode;
use keel_names::driver::{declarable, network_driver};

/// Every driver, by the names of [`keel_names::driver`].
const DRIVERS: &[&dyn Driver] = &[&bridge::BridgeDriver, &unmade::HOST, &unmade::NONE];

/// Which one a task has by its mode; `None` where it shares that of another task.
pub(crate) fn namespace(mode: &NetworkMode) -> Option<Namespace> {
    match mode {
        NetworkMode::Networks => Some(Namespace::Own),
        NetworkMode::Host => Some(unmade::HOST.namespace()),
        NetworkMode::None => Some(unmade::NONE.namespace()),
        NetworkMode::Service(_) | NetworkMode::Container(_) => None,
    }
}

/// A driver by one of its names, where this node has it.
pub(crate) fn named(name: &str) -> Option<&'static dyn Driver> {
    let name = network_driver(name)?.name;
    DRIVERS.iter().copied().find(|driver| driver.name() == name)
}

/// The driver of a network; refused by name with what this node has.
pub(crate) fn of(network: &str, driver: &str) -> Result<&'static dyn Driver, NetworkError> {
    named(driver).ok_or_else(|| NetworkError::NoDriver {
        network: network.to_owned(),
        driver: driver.to_owned(),
        has: list(declarable()),
    })
}

fn list(names: impl Iterator<Item = &'static str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::root::layout::Layout;
    use crate::root::record::Endpoint;
    use keel_engine::NetworkSpec;
    use keel_engine::fields::NetworkReader;
    use keel_names::driver::NETWORK_DRIVERS;
    use std::path::Path;

    /// The loader tells people by that list what there is, before any node is asked.
    #[test]
    fn the_node_has_what_files_may_name() {
        let here: Vec<_> = DRIVERS.iter().map(|driver| driver.name()).collect();
        let listed: Vec<_> = NETWORK_DRIVERS.iter().map(|driver| driver.name).collect();
        assert_eq!(here, listed);
    }

    #[test]
    fn a_driver_is_found_by_what_docker_calls_it() {
        let cases = [
            ("bridge", Some("bridge")),
            ("default", Some("bridge")),
            ("", Some("bridge")),
            ("host", Some("host")),
            ("null", Some("none")),
            ("macvlan", None),
            ("Bridge", None),
        ];
        for (name, expected) in cases {
            assert_eq!(named(name).map(Driver::name), expected, "{name}");
        }
    }

    #[test]
    fn a_driver_that_is_not_here_is_refused_with_what_is() {
        let layout = Layout::new(Path::new("/nonexistent/keel"));
        let site = Site { layout: &layout, others: &[] };
        let cases = [
            ("overlay", "this node has no driver `overlay` for network `lan`, only `bridge`"),
            ("host", "driver `host` makes no network `lan`: it is what `network_mode: host` has"),
            ("none", "driver `none` makes no network `lan`: it is what `network_mode: none` has"),
        ];
        for (driver, expected) in cases {
            let spec = NetworkSpec { name: "lan".into(), ..NetworkSpec::default() };
            let made = of("lan", driver).and_then(|driver| driver.create(&site, &spec));
            assert_eq!(made.unwrap_err().to_string(), expected);
        }
    }

    /// What a task without networks of its own meets: nothing is made, so all of it can be asked for again.
    #[test]
    fn what_makes_nothing_finds_nothing_and_takes_nothing_away() {
        let network = Network { name: "lan".into(), ..Network::default() };
        for (name, expected) in [("host", Namespace::Host), ("none", Namespace::Own)] {
            let (driver, endpoint) = (named(name).unwrap(), Endpoint::default());
            assert_eq!(driver.namespace(), expected, "{name}");
            for reader in [NetworkReader::Link, NetworkReader::Addresses, NetworkReader::Firewall] {
                assert_eq!(driver.check(&network, reader).unwrap(), [], "{name} {reader:?}");
            }
            assert!(driver.is_joined(&endpoint).unwrap(), "{name}");
            assert_eq!(driver.forwarded(&network), None, "{name}");
            for _ in 0..2 {
                driver.repair(&network).unwrap();
                driver.leave(&endpoint).unwrap();
                driver.remove(&network).unwrap();
            }
        }
    }

    #[test]
    fn a_mode_gives_a_task_its_namespace() {
        let cases = [
            (NetworkMode::Networks, Some(Namespace::Own)),
            (NetworkMode::Host, Some(Namespace::Host)),
            (NetworkMode::None, Some(Namespace::Own)),
            (NetworkMode::Service("vpn".into()), None),
            (NetworkMode::Container("vpn".into()), None),
        ];
        for (mode, expected) in cases {
            assert_eq!(namespace(&mode), expected, "{mode:?}");
        }
    }
}
