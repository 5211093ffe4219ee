//! The files that are bound over a container's own: hosts, resolv.conf, hostname. Pure.

use crate::network::{Namespace, namespace};
use crate::root::record::Endpoint;
use keel_engine::{TaskId, TaskSpec};
use std::fmt::Write;
use std::net::IpAddr;

/// Contents for `tasks/ID/etc/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etc {
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// `/etc/hostname`.
    pub hostname: String,
}

/// The host's own files, read by the caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFiles<'a> {
    /// `/etc/hosts`.
    pub hosts: &'a str,
    /// `/etc/resolv.conf`.
    pub resolv_conf: &'a str,
    /// The host's name.
    pub hostname: &'a str,
}

const LOCAL: &str = "127.0.0.1\tlocalhost\n\
                     ::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::0\tip6-localnet\n\
                     ff00::0\tip6-mcastprefix\n\
                     ff02::1\tip6-allnodes\n\
                     ff02::2\tip6-allrouters\n";

/// What a task finds in /etc. `endpoints` of the task whose namespace it is. `gateway` is what
/// `host-gateway` means: the first network's.
#[must_use]
pub fn etc(
    id: &TaskId,
    spec: &TaskSpec,
    endpoints: &[Endpoint],
    gateway: Option<IpAddr>,
    host: HostFiles<'_>,
) -> Etc {
    let hosts_network = namespace(&spec.network_mode) == Some(Namespace::Host);
    let name = match (&spec.hostname, hosts_network) {
        (None, true) => host.hostname.trim().to_owned(),
        _ => hostname(id, spec),
    };
    let mut hosts = if hosts_network { host.hosts.to_owned() } else { LOCAL.to_owned() };
    if !hosts.is_empty() && !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    for (alias, address) in &spec.extra_hosts {
        let address = match (address.as_str(), gateway) {
            ("host-gateway", Some(gateway)) => gateway.to_string(),
            ("host-gateway", None) => "127.0.0.1".to_owned(), // the host's own network
            (address, _) => address.trim_matches(['[', ']']).to_owned(),
        };
        writeln!(hosts, "{address}\t{alias}").expect("a string takes all");
    }
    for address in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
        writeln!(hosts, "{}\t{}", address.addr(), with_short(&name)).expect("a string takes all");
    }
    let resolv_conf = match hosts_network || endpoints.is_empty() {
        true => own_servers(spec, host.resolv_conf),
        false => inner(host.resolv_conf),
    };
    Etc { hosts, resolv_conf, hostname: format!("{name}\n") }
}

/// With our resolver: the host's search domains, and names without a dot asked for as they are.
fn inner(host: &str) -> String {
    let search = host
        .lines()
        .map(str::trim)
        .rfind(|line| matches!(line.split_ascii_whitespace().next(), Some("search" | "domain")));
    let search = search.map(|line| line.replacen("domain", "search", 1) + "\n");
    format!("nameserver 127.0.0.11\n{}options ndots:0\n", search.unwrap_or_default())
}

/// The host's file, with the task's own name servers where it has some.
fn own_servers(spec: &TaskSpec, host: &str) -> String {
    if spec.dns.is_empty() {
        return host.to_owned();
    }
    let rest = host.lines().filter(|line| !line.trim_start().starts_with("nameserver"));
    let servers = spec.dns.iter().map(|server| format!("nameserver {server}"));
    servers.chain(rest.map(str::to_owned)).map(|line| line + "\n").collect()
}

/// A whole name with its first word behind it, by which programs find themselves, too.
fn with_short(name: &str) -> String {
    match name.split_once('.') {
        Some((short, _)) if !short.is_empty() => format!("{name} {short}"),
        _ => name.to_owned(),
    }
}

/// The container's host name.
#[must_use]
pub fn hostname(id: &TaskId, spec: &TaskSpec) -> String {
    spec.hostname.clone().unwrap_or_else(|| id.short().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::NetworkMode;

    const HOST: HostFiles<'_> = HostFiles {
        hosts: "127.0.0.1 localhost\n10.0.0.9 nas",
        resolv_conf: "nameserver 127.0.0.53\nsearch lan example.org\noptions edns0\n",
        hostname: "box\n",
    };

    fn endpoint() -> Endpoint {
        Endpoint { addresses: vec!["172.20.0.5/16".parse().unwrap()], ..Endpoint::default() }
    }

    #[test]
    fn a_task_in_networks_asks_our_resolver() {
        let spec = TaskSpec {
            extra_hosts: vec![
                ("host.docker.internal".into(), "host-gateway".into()),
                ("nas".into(), "10.0.0.9".into()),
            ],
            ..TaskSpec::default()
        };
        let endpoint = endpoint();
        let id = TaskId::from_seed("x");
        let gateway = Some(IpAddr::from([172, 20, 0, 1]));
        let files = etc(&id, &spec, &[endpoint], gateway, HOST);
        let own = format!(
            "172.20.0.1\thost.docker.internal\n10.0.0.9\tnas\n172.20.0.5\t{}\n",
            id.short()
        );
        assert_eq!(files.hosts, format!("{LOCAL}{own}"));
        assert_eq!(
            files.resolv_conf,
            "nameserver 127.0.0.11\nsearch lan example.org\noptions ndots:0\n"
        );
        assert_eq!(files.hostname, format!("{}\n", id.short()));
    }

    #[test]
    fn a_whole_name_has_its_short_one_beside_it() {
        let names =
            [("db.example.org", "db.example.org db"), ("db", "db"), (".x", ".x"), ("a.", "a. a")];
        for (hostname, expected) in names {
            let spec = TaskSpec { hostname: Some(hostname.into()), ..TaskSpec::default() };
            let endpoint = endpoint();
            let files = etc(&TaskId::from_seed("x"), &spec, &[endpoint], None, HOST);
            assert_eq!(files.hosts, format!("{LOCAL}172.20.0.5\t{expected}\n"));
            assert_eq!(files.hostname, format!("{hostname}\n"));
        }
    }

    #[test]
    fn a_task_in_the_hosts_network_has_the_hosts_files() {
        let id = TaskId::from_seed("x");
        let mut spec = TaskSpec { network_mode: NetworkMode::Host, ..TaskSpec::default() };
        let files = etc(&id, &spec, &[], None, HOST);
        assert_eq!(files.hosts, "127.0.0.1 localhost\n10.0.0.9 nas\n");
        assert_eq!(files.resolv_conf, HOST.resolv_conf);
        assert_eq!(files.hostname, "box\n");
        spec.hostname = Some("own".into());
        spec.dns = vec!["9.9.9.9".into()];
        let files = etc(&id, &spec, &[], None, HOST);
        assert_eq!(files.hostname, "own\n");
        let expected = "nameserver 9.9.9.9\nsearch lan example.org\noptions edns0\n";
        assert_eq!(files.resolv_conf, expected);
    }
}
