//! Reads a task's attachments to networks back, field by field.

use super::inside;
use crate::network;
use crate::root::record::{Endpoint, Process};
use keel_engine::fields::{ATTACHMENT_FIELDS, AttachmentField, AttachmentReader, Field};
use keel_engine::{FieldPath, TaskSpec, Value};
use std::net::IpAddr;

/// A field that differs, what was applied, and what is.
pub(super) type Differing = (FieldPath, Value, Value);

/// The fields that differ. What was applied is what the task was given, also where it asked for nothing.
pub(super) fn differing(
    process: &Process,
    endpoints: &[Endpoint],
    spec: &TaskSpec,
) -> Vec<Differing> {
    endpoints.iter().flat_map(|endpoint| of_one(&Joined { process, endpoint, spec })).collect()
}

fn of_one(joined: &Joined<'_>) -> Vec<Differing> {
    let network = &joined.endpoint.network;
    let rows = ATTACHMENT_FIELDS.iter().filter_map(|row| {
        let (applied, observed) = joined.read(row.readback.reader()?)?;
        let key = match row.field {
            AttachmentField::Network => network.clone(),
            AttachmentField::Aliases
            | AttachmentField::Ipv4Address
            | AttachmentField::Ipv6Address => format!("{network}.{}", row.name),
        };
        let path = FieldPath::Key(Field::Networks, key);
        (applied != observed).then_some((path, applied, observed))
    });
    rows.collect()
}

/// A task's way into one network.
struct Joined<'a> {
    process: &'a Process,
    endpoint: &'a Endpoint,
    spec: &'a TaskSpec,
}

impl Joined<'_> {
    /// What was applied and what is; `None` where that cannot be known, or another field tells it.
    fn read(&self, reader: AttachmentReader) -> Option<(Value, Value)> {
        match reader {
            AttachmentReader::Link => self.link(),
            AttachmentReader::Ipv4Address => self.address(IpAddr::is_ipv4),
            AttachmentReader::Ipv6Address => self.address(IpAddr::is_ipv6),
        }
    }

    /// An address that went takes its routes along: that is told of the address.
    fn link(&self) -> Option<(Value, Value)> {
        let name = &self.endpoint.interface;
        let applied = Value::Text(name.clone());
        if !inside::has_link(self.process, self.endpoint) {
            return Some((applied, Value::Text(format!("no {name}"))));
        }
        let has_all =
            self.endpoint.addresses.iter().all(|own| inside::has_address(self.process, own.addr()));
        let is_cut = has_all && !is_joined(self.process, self.endpoint, self.spec);
        let observed =
            if is_cut { Value::Text(format!("{name}, cut off")) } else { applied.clone() };
        Some((applied, observed))
    }

    /// Without the link there are none: that is told of the network.
    fn address(&self, family: fn(&IpAddr) -> bool) -> Option<(Value, Value)> {
        let mut own = self.endpoint.addresses.iter().map(ipnet::IpNet::addr);
        let own = own.find(family)?;
        if !inside::has_link(self.process, self.endpoint) {
            return None;
        }
        let applied = Value::Text(own.to_string());
        let has = inside::has_address(self.process, own);
        Some((applied.clone(), if has { applied } else { Value::Unset }))
    }
}

/// Whether both sides of a task's way into a network are whole. What cannot be read is taken so;
/// a task that may change its own network (a VPN's client, say) has its own routes.
pub(crate) fn is_joined(process: &Process, endpoint: &Endpoint, spec: &TaskSpec) -> bool {
    let own =
        spec.privileged || ["NET_ADMIN", "ALL"].iter().any(|name| spec.cap_add.contains(*name));
    inside::has_link(process, endpoint)
        && endpoint.addresses.iter().all(|own| inside::has_address(process, own.addr()))
        && (own || inside::has_routes(process, endpoint))
        && network::is_plugged(endpoint).unwrap_or(true)
}
