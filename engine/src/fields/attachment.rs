//! Every field of a task's attachment to a network, once: diff, read-back and report walk this list.

use super::resource::{ResourceChange, ResourceRow, resource_diff};
use super::{Field, Readback, list, text};
use crate::{Attachment, Difference, TaskSpec, Value};
use std::net::IpAddr;

/// How a field of an attachment is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentReader {
    /// The task's link in the network, its other end, and the routes over it.
    Link,
    /// The IPv4 address in the task's network namespace.
    Ipv4Address,
    /// The IPv6 address there.
    Ipv6Address,
}

/// A field of [`Attachment`]; each address family is a key of its own in Compose.
#[allow(missing_docs, reason = "each is documented at its field in Attachment")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttachmentField {
    Network,
    Aliases,
    Ipv4Address,
    Ipv6Address,
}

/// One field of [`Attachment`].
pub type AttachmentRow = ResourceRow<Attachment, AttachmentField, AttachmentReader>;

const fn row(
    name: &'static str,
    field: AttachmentField,
    change: ResourceChange,
    readback: Readback<AttachmentReader>,
    get: fn(&Attachment) -> Value,
) -> AttachmentRow {
    ResourceRow { name, field, change, readback, get }
}

use AttachmentField as A;
use ResourceChange::{Anew, Never};

/// The fields of [`Attachment`]. A task's links are made before its process starts, so that each change needs a new
/// task. Names are read from the task's own record, which nobody else writes.
#[rustfmt::skip]
pub const ATTACHMENT_FIELDS: &[AttachmentRow] = &[
    row("network", A::Network, Never, Readback::Kernel(AttachmentReader::Link), |a| value(a, A::Network)),
    row("aliases", A::Aliases, Anew, Readback::Never, |a| value(a, A::Aliases)),
    row("ipv4_address", A::Ipv4Address, Anew, Readback::Kernel(AttachmentReader::Ipv4Address), |a| value(a, A::Ipv4Address)),
    row("ipv6_address", A::Ipv6Address, Anew, Readback::Kernel(AttachmentReader::Ipv6Address), |a| value(a, A::Ipv6Address)),
];

/// Names every field of an attachment, so that a new one does not compile before it has its row.
fn value(attachment: &Attachment, field: AttachmentField) -> Value {
    let Attachment { network, aliases, addresses } = attachment;
    match field {
        A::Network => text(network),
        A::Aliases => list(aliases),
        A::Ipv4Address => address(addresses, IpAddr::is_ipv4),
        A::Ipv6Address => address(addresses, IpAddr::is_ipv6),
    }
}

fn address(addresses: &[IpAddr], family: fn(&IpAddr) -> bool) -> Value {
    let found = addresses.iter().find(|address| family(address));
    found.map_or(Value::Unset, |address| Value::Text(address.to_string()))
}

/// What separates the attachments of two tasks: the networks and their order, and each field of an attachment to a
/// network that both are in, by a name such as `networks.shop_default.aliases`.
pub(crate) fn attachment_diff(from: &TaskSpec, to: &TaskSpec) -> Vec<Difference> {
    let names = |task: &TaskSpec| list(task.networks.iter().map(|attachment| &attachment.network));
    let networks = Difference {
        field: Field::Networks,
        name: super::row_of(Field::Networks).name.to_owned(),
        from: names(from),
        to: names(to),
        cost: super::row_of(Field::Networks).cost(),
    };
    let joined = Some(networks).filter(|networks| networks.from != networks.to);
    let fields = from.networks.iter().flat_map(|was| {
        let is = to.networks.iter().find(|is| is.network == was.network);
        is.map(|is| fields_between(was, is)).unwrap_or_default()
    });
    joined.into_iter().chain(fields).collect()
}

fn fields_between(was: &Attachment, is: &Attachment) -> Vec<Difference> {
    let networks = super::row_of(Field::Networks).name;
    let named = |found: Difference<AttachmentField>| Difference {
        field: Field::Networks,
        name: format!("{networks}.{}.{}", was.network, found.name),
        from: found.from,
        to: found.to,
        cost: found.cost,
    };
    resource_diff(ATTACHMENT_FIELDS, was, is).into_iter().map(named).collect()
}

/// What a task asks for at a key below `networks`: `shop_default.aliases`, or `shop_default` for the network itself.
#[must_use]
pub fn attachment_value(task: &TaskSpec, key: &str) -> Value {
    let at = |attachment: &Attachment| {
        let rest = key.strip_prefix(attachment.network.as_str())?;
        let name = if rest.is_empty() { "network" } else { rest.strip_prefix('.')? };
        let row = ATTACHMENT_FIELDS.iter().find(|row| row.name == name)?;
        Some((row.get)(attachment))
    };
    task.networks.iter().find_map(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cost_of, diff, fields::Cost};
    use std::collections::BTreeSet;

    fn full() -> Attachment {
        Attachment {
            network: "shop_default".into(),
            aliases: vec!["web".into()],
            addresses: ["10.5.0.6", "fd00::6"].map(|text| text.parse().unwrap()).into(),
        }
    }

    fn task(networks: &[Attachment]) -> TaskSpec {
        TaskSpec { networks: networks.to_vec(), ..TaskSpec::default() }
    }

    fn shown(from: &TaskSpec, to: &TaskSpec) -> Vec<String> {
        let differences = diff(from, to);
        differences.iter().map(|d| format!("{}: {} -> {}", d.name, d.from, d.to)).collect()
    }

    #[test]
    fn every_field_has_its_row() {
        let stored = serde_json::to_value(full()).unwrap();
        let stored: BTreeSet<_> = stored.as_object().unwrap().keys().cloned().collect();
        let rows: BTreeSet<_> = ATTACHMENT_FIELDS.iter().map(|row| row.name.to_owned()).collect();
        assert_eq!(rows, stored);
        for row in ATTACHMENT_FIELDS {
            assert_eq!((row.get)(&Attachment::default()), Value::Unset, "{}", row.name);
            assert_ne!((row.get)(&full()), Value::Unset, "{}", row.name);
        }
    }

    /// What changes each field, and what the difference reads like.
    fn change(field: AttachmentField, attachment: &mut Attachment) -> &'static str {
        match field {
            A::Network => {
                attachment.network = "shop_back".into();
                "networks: [shop_default] -> [shop_back]"
            }
            A::Aliases => {
                attachment.aliases.push("www".into());
                "networks.shop_default.aliases: [web] -> [web, www]"
            }
            A::Ipv4Address => {
                attachment.addresses[0] = "10.5.0.7".parse().unwrap();
                "networks.shop_default.ipv4_address: 10.5.0.6 -> 10.5.0.7"
            }
            A::Ipv6Address => {
                attachment.addresses.pop();
                "networks.shop_default.ipv6_address: fd00::6 -> unset"
            }
        }
    }

    #[test]
    fn a_change_of_each_field_is_a_difference_of_that_field_alone() {
        for row in ATTACHMENT_FIELDS {
            let mut changed = full();
            let expected = change(row.field, &mut changed);
            let (from, to) = (task(&[full()]), task(&[changed]));
            assert_eq!(shown(&from, &to), [expected], "{}", row.name);
            assert_eq!(cost_of(&diff(&from, &to)), Some(Cost::Replace), "{}", row.name);
        }
        assert_eq!(shown(&task(&[full()]), &task(&[full()])), [""; 0]);
    }

    #[test]
    fn the_order_of_networks_is_a_difference() {
        let other = Attachment { network: "back".into(), ..Attachment::default() };
        let (from, to) = (task(&[full(), other.clone()]), task(&[other, full()]));
        let expected = "networks: [shop_default, back] -> [back, shop_default]";
        assert_eq!(shown(&from, &to), [expected]);
    }

    #[test]
    fn a_value_is_found_by_its_key() {
        let task = task(&[full()]);
        for (key, expected) in [
            ("shop_default", "shop_default"),
            ("shop_default.ipv4_address", "10.5.0.6"),
            ("shop_default.aliases", "[web]"),
            ("shop_default.other", "unset"),
            ("shop", "unset"),
        ] {
            assert_eq!(attachment_value(&task, key).to_string(), expected, "{key}");
        }
    }
}
