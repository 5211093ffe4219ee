//! What is legal and hurts. Warnings change nothing about the stack.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::problem::{Problem, Problems};
use crate::service::{NetworkMode, Port, Protocol, Published, Service};
use crate::stack::Stack;

/// Warns of what will hurt when the stack runs.
pub(crate) fn warn(stack: &Stack, problems: &Problems) {
    ports_of_two(stack, problems);
}

/// A service that publishes a port, and at which address.
type Owner<'a> = (&'a Service, Option<IpAddr>);

/// Two services cannot publish one port of the host.
fn ports_of_two(stack: &Stack, problems: &Problems) {
    let mut taken: HashMap<(u16, Protocol), Vec<Owner<'_>>> = HashMap::new();
    for service in stack.services.values().filter(|service| publishes(service)) {
        for (i, port) in service.ports.iter().enumerate() {
            let Port { published: Published::Port(host), host_ip, protocol, .. } = port else {
                continue;
            };
            let owners = taken.entry((*host, *protocol)).or_default();
            let other = owners
                .iter()
                .find(|(other, ip)| other.name != service.name && overlap(*ip, *host_ip));
            if let Some((other, _)) = other {
                let (one, two) = (&other.name, &service.name);
                let message =
                    format!("services `{one}` and `{two}` both publish port {host}/{protocol}");
                let mut problem = Problem::warning("port-conflict", message);
                problem.span = service.origins.get(&format!("ports[{i}]")).cloned();
                problems.add(problem.hint("publish one of them on another port"));
            }
            if owners.len() < 8 {
                owners.push((service, *host_ip));
            }
        }
    }
}

fn publishes(service: &Service) -> bool {
    let own = matches!(service.networking.mode, NetworkMode::Networks(_) | NetworkMode::Service(_));
    service.enabled && own
}

fn overlap(one: Option<IpAddr>, two: Option<IpAddr>) -> bool {
    let any = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
    any(one) || any(two) || one == two
}
