//! From the tasks: which names lead where, and which tasks are behind a published port. Pure.

use super::tasks::{Availability, Task, best};
use crate::network::port_table::{Backend, Backends, Key, PortTable};
use crate::network::ports::host_address;
use crate::root::record::Endpoint;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The names of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    forward: BTreeMap<String, Vec<IpAddr>>,
    reverse: BTreeMap<IpAddr, String>,
}

/// The names of all networks of a root. A name is seen from the networks that one is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Zone(BTreeMap<String, Arc<Names>>);

impl Names {
    /// By the tasks that are in the network.
    fn of<'a>(network: &str, tasks: impl Iterator<Item = &'a Task>) -> Self {
        let mut found: BTreeMap<String, Vec<(Availability, IpAddr)>> = BTreeMap::new();
        let mut names = Self::default();
        for task in tasks.filter(|task| task.attached()) {
            let own = task.endpoints.iter().filter(|endpoint| endpoint.network == network);
            let places = own.flat_map(|endpoint| {
                endpoint.addresses.iter().map(move |address| (endpoint, address.addr()))
            });
            for (endpoint, address) in places {
                for name in &endpoint.names {
                    let found = found.entry(name.to_ascii_lowercase()).or_default();
                    found.push((task.standing, address));
                }
                if let Some(name) = own_name(endpoint) {
                    names.reverse.insert(address, format!("{name}.{network}"));
                }
            }
        }
        let forward = found.into_iter();
        names.forward =
            forward.map(|(name, found)| (name, best(found, Availability::Waiting))).collect();
        names
    }
}

impl Zone {
    /// These tasks are in a network now; the names of other networks stay as they are.
    pub fn set<'a>(&mut self, network: &str, tasks: impl Iterator<Item = &'a Task>) {
        let names = Names::of(network, tasks);
        match names == Names::default() {
            true => drop(self.0.remove(network)),
            false => drop(self.0.insert(network.to_owned(), Arc::new(names))),
        }
    }

    /// The names of these networks alone.
    pub fn within<'a>(&self, networks: impl Iterator<Item = &'a str>) -> Self {
        let known = networks.filter_map(|network| self.0.get_key_value(network));
        Self(known.map(|(network, names)| (network.clone(), Arc::clone(names))).collect())
    }

    /// Where a name leads for somebody in these networks: the first network that knows it. Also
    /// as `NAME.NETWORK`. In lower case, without a last dot.
    pub fn addresses(&self, networks: &[String], name: &str) -> Option<&[IpAddr]> {
        networks.iter().find_map(|network| {
            let forward = &self.0.get(network)?.forward;
            let short = || forward.get(name.strip_suffix(network.as_str())?.strip_suffix('.')?);
            forward.get(name).or_else(short).map(Vec::as_slice)
        })
    }

    /// The name of an address in one of these networks.
    pub fn name(&self, networks: &[String], address: IpAddr) -> Option<&str> {
        let names = networks.iter().filter_map(|network| self.0.get(network));
        names.into_iter().find_map(|names| names.reverse.get(&address)).map(String::as_str)
    }
}

/// The container's name: by the order that `network::endpoints` keeps, the one before the short
/// id.
fn own_name(endpoint: &Endpoint) -> Option<&String> {
    let names = &endpoint.names;
    names.len().checked_sub(2).map_or(names.first(), |index| names.get(index))
}

/// The port tables by the tasks as they are now.
pub(super) fn port_table<'a>(tasks: impl Iterator<Item = &'a Task>) -> PortTable {
    let mut found: BTreeMap<Key, Vec<(Availability, Backend)>> = BTreeMap::new();
    for task in tasks.filter(|task| task.attached()) {
        let Some(address) = reachable(task) else { continue };
        for port in &task.ports {
            let key = Key {
                host_ip: host_address(port),
                published: port.published,
                protocol: port.protocol,
            };
            found.entry(key).or_default().push((task.standing, (address, port.target)));
        }
    }
    let table = found.into_iter().map(|(key, found)| {
        let backends = best(found, Availability::Running).into_iter().collect();
        (key, backends)
    });
    table.filter(|(_, backends): &(Key, Backends)| !backends.is_empty()).collect()
}

/// The address that is reached from outside: in the network that has its default route, since
/// answers take that way. Networks without a way out publish nothing.
fn reachable(task: &Task) -> Option<IpAddr> {
    task.endpoints.iter().find(|endpoint| endpoint.leads_out())?.address()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::{Available, Draining, Running, Waiting};
    use keel_engine::{Protocol, PublishedPort};

    fn endpoint(network: &str, ipv4: &str, names: &[&str]) -> Endpoint {
        Endpoint {
            network: network.into(),
            addresses: vec![format!("{ipv4}/24").parse().unwrap()],
            gateways: vec!["10.0.0.1".parse().unwrap()],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Endpoint::default()
        }
    }

    fn tasks(list: &[(Availability, Endpoint)]) -> Vec<Task> {
        let task = |(standing, endpoint): &(Availability, Endpoint)| {
            let port = PublishedPort {
                host_ip: "0.0.0.0".parse().unwrap(),
                published: 8080,
                target: 80,
                protocol: Protocol::Tcp,
            };
            Task {
                standing: *standing,
                endpoints: vec![endpoint.clone()],
                ports: vec![port],
                reserves: true,
                draining: None,
                processes: Vec::new(),
                dns: Vec::new(),
            }
        };
        list.iter().map(task).collect()
    }

    fn zone(tasks: &[Task]) -> Zone {
        let mut zone = Zone::default();
        ["blog", "shop"].iter().for_each(|network| zone.set(network, tasks.iter()));
        zone
    }

    fn answer(list: &[(Availability, &str)]) -> (Vec<String>, Vec<String>) {
        let names = ["web", "blog-web-1", "abc"];
        let list: Vec<_> =
            list.iter().map(|(standing, ip)| (*standing, endpoint("blog", ip, &names))).collect();
        let tasks = tasks(&list);
        let zone = zone(&tasks);
        let networks = ["blog".to_owned()];
        let mut addresses: Vec<String> = zone
            .addresses(&networks, "web")
            .unwrap_or_default()
            .iter()
            .map(IpAddr::to_string)
            .collect();
        addresses.sort();
        let table = port_table(tasks.iter());
        let backends = table.values().flatten().map(|(ip, port)| format!("{ip}:{port}")).collect();
        (addresses, backends)
    }

    #[test]
    fn names_and_ports_lead_to_the_best_tasks_there_are() {
        type Case = (
            &'static [(Availability, &'static str)],
            &'static [&'static str],
            &'static [&'static str],
        );
        let cases: [Case; 6] = [
            (&[], &[], &[]),
            (
                &[(Available, "10.0.0.2"), (Available, "10.0.0.3"), (Running, "10.0.0.4")],
                &["10.0.0.2", "10.0.0.3"],
                &["10.0.0.2:80", "10.0.0.3:80"],
            ),
            (&[(Running, "10.0.0.2"), (Draining, "10.0.0.3")], &["10.0.0.2"], &["10.0.0.2:80"]),
            (&[(Draining, "10.0.0.3")], &["10.0.0.3"], &[]),
            (&[(Waiting, "10.0.0.3")], &["10.0.0.3"], &[]),
            (&[(Availability::Absent, "10.0.0.3")], &[], &[]),
        ];
        for (list, names, ports) in cases {
            let (got_names, got_ports) = answer(list);
            assert_eq!((got_names, got_ports), (owned(names), owned(ports)), "{list:?}");
        }
    }

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn a_name_is_seen_from_its_own_networks_only() {
        let zone = zone(&tasks(&[
            (Available, endpoint("blog", "10.0.0.2", &["Web", "blog-web-1", "abc"])),
            (Available, endpoint("shop", "10.1.0.2", &["web", "shop-web-1", "def"])),
        ]));
        let blog = [IpAddr::from([10, 0, 0, 2])];
        let shop = [IpAddr::from([10, 1, 0, 2])];
        let (b, s) = ("blog".to_owned(), "shop".to_owned());
        assert_eq!(zone.addresses(std::slice::from_ref(&b), "web"), Some(&blog[..]));
        assert_eq!(zone.addresses(&[s.clone(), b.clone()], "web"), Some(&shop[..]));
        assert_eq!(zone.addresses(&[s.clone(), b.clone()], "web.blog"), Some(&blog[..]));
        assert_eq!(zone.addresses(std::slice::from_ref(&s), "blog-web-1"), None);
        assert_eq!(zone.name(&[b], blog[0]), Some("blog-web-1.blog"));
        assert_eq!(zone.name(&[s], blog[0]), None);
    }
}
