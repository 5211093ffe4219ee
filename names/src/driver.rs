//! Drivers of networks, by the names that Compose files, people and records have for them. What an engine
//! does for each stands in its own table, which has the same names.

/// What a driver is called, and what a file may do with it.
#[derive(Debug, PartialEq, Eq)]
pub struct NetworkDriver {
    /// Its name, as listings show it.
    pub name: &'static str,
    /// What docker calls it besides.
    also: &'static [&'static str],
    /// Files declare networks of it; else it is a word of `network_mode`.
    pub is_declared: bool,
    /// What is in its networks reaches the host's own only by way of the host's firewall.
    pub is_apart: bool,
}

/// Every driver.
pub const NETWORK_DRIVERS: &[NetworkDriver] = &[
    NetworkDriver { name: "bridge", also: &["", "default"], is_declared: true, is_apart: true },
    NetworkDriver { name: "host", also: &[], is_declared: false, is_apart: false },
    NetworkDriver { name: "none", also: &["null"], is_declared: false, is_apart: true },
];

/// A driver by one of its names.
#[must_use]
pub fn network_driver(name: &str) -> Option<&'static NetworkDriver> {
    let is_meant = |driver: &&NetworkDriver| driver.name == name || driver.also.contains(&name);
    NETWORK_DRIVERS.iter().find(is_meant)
}

/// Those that a network can be declared with.
pub fn declarable() -> impl Iterator<Item = &'static str> {
    NETWORK_DRIVERS.iter().filter(|driver| driver.is_declared).map(|driver| driver.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_drivers_share_a_name() {
        let names =
            || NETWORK_DRIVERS.iter().flat_map(|driver| driver.also.iter().chain([&driver.name]));
        assert_eq!(names().collect::<BTreeSet<_>>().len(), names().count());
    }
}
