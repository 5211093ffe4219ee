//! The addresses by which others can reach this host.

use super::firewall::bridge_prefix;
use super::link::{LinkAddress, Links};
use crate::root::layout::Layout;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// The host's addresses in order, without loopback, link-local addresses and those of the root's own networks.
pub(crate) fn all(layout: &Layout) -> io::Result<Vec<IpAddr>> {
    let mut links = Links::open()?;
    let (prefix, mut found) = (bridge_prefix(layout), BTreeSet::new());
    for LinkAddress { link, label, address } in links.all_addresses()? {
        // Links are asked for one by one: a host of many containers has many, and few of them without a label.
        let name = match label {
            Some(label) => Some(label),
            None if is_reachable(address) => links.name_of(link)?,
            None => None,
        };
        if is_reachable(address) && !name.is_some_and(|name| name.starts_with(&prefix)) {
            found.insert(address);
        }
    }
    Ok(found.into_iter().collect())
}

/// Whether an address that came or went is one of these, as far as its notice tells: each network that is made
/// brings some that are not.
pub(crate) fn matters(layout: &Layout, changed: &LinkAddress) -> bool {
    let prefix = bridge_prefix(layout);
    let is_ours = changed.label.as_ref().is_some_and(|name| name.starts_with(&prefix));
    is_reachable(changed.address) && !is_ours
}

fn is_reachable(address: IpAddr) -> bool {
    let of_one_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !of_one_link && !address.is_loopback() && !address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_nobody_else_reaches_are_left_out() {
        for (address, expected) in [
            ("10.0.0.1", true),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("127.0.0.53", false),
            ("::1", false),
            ("169.254.0.7", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_reachable(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_becomes_of_a_network_of_ours_is_no_news_of_the_host() {
        let layout = Layout::new(std::path::Path::new("/nonexistent/keel"));
        let own = format!("{}12ab34", bridge_prefix(&layout));
        for (label, address, expected) in [
            (Some("eth0"), "10.0.0.1", true),
            (None, "2001:db8::1", true),
            (Some(own.as_str()), "172.20.0.1", false),
            (None, "fe80::1", false),
        ] {
            let label = label.map(str::to_owned);
            let changed = LinkAddress { link: 1, label, address: address.parse().unwrap() };
            assert_eq!(matters(&layout, &changed), expected, "{address}");
        }
    }
}
