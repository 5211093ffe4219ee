//! Published ports.

use super::origins::sorted;
use crate::desired::Origins;
use keel_engine::{Port, Protocol};
use keel_spec::{Service, service};

pub(super) fn lower(service: &Service, origins: &mut Origins) -> Vec<Port> {
    let ports = service.ports.iter().map(port).enumerate().collect();
    let mut ports = sorted(ports, "ports", origins, Clone::clone);
    ports.dedup();
    ports
}

/// A service with a range or with SCTP is held, so what they become here never runs.
fn port(port: &service::Port) -> Port {
    Port {
        host_ip: port.host_ip,
        published: match port.published {
            service::Published::Port(port) => Some(port),
            service::Published::Any | service::Published::Range(..) => None,
        },
        target: port.target,
        protocol: match port.protocol {
            service::Protocol::Udp => Protocol::Udp,
            service::Protocol::Tcp | service::Protocol::Sctp => Protocol::Tcp,
        },
    }
}
