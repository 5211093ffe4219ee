//! Ports of the host that two want, and ports of databases that everybody reaches.

use std::net::IpAddr;

use crate::code::Code;
use crate::problem::Problem;
use crate::service::{NetworkMode, Port, Protocol, Published, Service};
use crate::stack::Stack;

/// Ports that databases listen on, and nothing else does by custom.
const DATABASES: &[(u16, &str)] = &[
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5984, "CouchDB"),
    (6379, "Redis"),
    (7687, "Neo4j"),
    (8086, "InfluxDB"),
    (9042, "Cassandra"),
    (9200, "Elasticsearch"),
    (11211, "Memcached"),
    (26257, "CockroachDB"),
    (27017, "MongoDB"),
];

/// Databases that every host of the network can reach.
pub(super) fn open_databases(service: &Service) -> Vec<Problem> {
    if !publishes(service) {
        return Vec::new();
    }
    let open = service.ports.iter().enumerate().filter(|(_, port)| is_any(port.host_ip));
    let problem = |(i, port): (usize, &Port)| {
        let (_, database) = DATABASES.iter().find(|(target, _)| *target == port.target)?;
        let message = format!(
            "service `{}` publishes port {} of {database} on every address of the host",
            service.name, port.target
        );
        let hint = "write `127.0.0.1:` before it, or leave it out: other services need no port";
        Some(super::at::at(service, &format!("ports[{i}]"), Code::OpenDatabase, message, hint))
    };
    open.filter_map(problem).collect()
}

/// A port of the host that a service wants.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) service: &'a Service,
    /// Which of its ports.
    pub(crate) index: usize,
    pub(crate) host_ip: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
}

impl Claim<'_> {
    /// Whether both cannot be had.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        (self.port, self.protocol) == (other.port, other.protocol)
            && (is_any(self.host_ip) || is_any(other.host_ip) || self.host_ip == other.host_ip)
    }
}

/// What the stack's services want of the host.
pub(crate) fn claims(stack: &Stack) -> impl Iterator<Item = Claim<'_>> {
    stack.services.values().filter(|service| publishes(service)).flat_map(|service| {
        service.ports.iter().enumerate().filter_map(move |(index, port)| {
            let Port { published: Published::Port(host), host_ip, protocol, .. } = *port else {
                return None;
            };
            Some(Claim { service, index, host_ip, port: host, protocol })
        })
    })
}

/// Two services cannot publish one port of the host.
pub(super) fn of_two_services(stack: &Stack) -> Vec<Problem> {
    /// Further owners of one port are found against the first few.
    const MOST: usize = 8;
    let mut claims: Vec<Claim<'_>> = claims(stack).collect();
    // Stable: of one port, the first service stays the first.
    claims.sort_by_key(|claim| (claim.port, claim.protocol));
    let same =
        |one: &Claim<'_>, two: &Claim<'_>| (one.port, one.protocol) == (two.port, two.protocol);
    let mut found = Vec::new();
    for owners in claims.chunk_by(same) {
        for (index, claim) in owners.iter().enumerate().skip(1) {
            let other = owners[..index.min(MOST)]
                .iter()
                .find(|other| other.service.name != claim.service.name && other.meets(claim));
            found.extend(other.map(|other| conflict(other, claim)));
        }
    }
    found
}

fn conflict(other: &Claim<'_>, claim: &Claim<'_>) -> Problem {
    let (one, two) = (&other.service.name, &claim.service.name);
    let (port, protocol) = (claim.port, claim.protocol);
    let message = format!("services `{one}` and `{two}` both publish port {port}/{protocol}");
    let path = format!("ports[{}]", claim.index);
    super::at::at(
        claim.service,
        &path,
        Code::PortConflict,
        message,
        "publish one of them on another port",
    )
}

fn publishes(service: &Service) -> bool {
    let own = matches!(service.networking.mode, NetworkMode::Networks(_) | NetworkMode::Service(_));
    service.enabled && own
}

fn is_any(ip: Option<IpAddr>) -> bool {
    ip.is_none_or(|ip| ip.is_unspecified())
}
