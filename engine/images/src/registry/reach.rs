//! Where requests may go: by the address that a name stands for, when the connection is made.
//!
//! # Invariants
//! - Link-local and metadata addresses get no request, whoever asks for it.
//! - What a public registry leads to (a redirect, a token service) is public, too. A check of the
//!   name would not do: what it stands for is known only when it is resolved.
//! - A proxy's own name is the operator's, and may stand for anything.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How far an address can be reached from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Public,
    /// This machine, or a network that is somebody's own.
    Private,
    /// Link-local ones, groups, and those at which clouds tell a machine its secrets.
    Never,
}

/// Metadata services that are not at a link-local address: Alibaba's, Azure's, Oracle's, AWS's and
/// Google's.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// What kind of address it is, in whatever form it is written.
pub(super) fn reach(address: IpAddr) -> Reach {
    if METADATA.contains(&address.to_canonical()) {
        return Reach::Never;
    }
    match address.to_canonical() {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => reach(inner.into()),
            None => reach_v6(address),
        },
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let shared = |[a, b, ..]: [u8; 4]| a == 100 && (64..128).contains(&b);
    let [first, second, third, _] = address.octets();
    match address {
        _ if address.is_link_local() || address.is_multicast() => Reach::Never,
        _ if address.is_broadcast() => Reach::Never,
        _ if address.is_loopback() || address.is_private() || first == 0 => Reach::Private,
        _ if shared(address.octets()) || first >= 240 => Reach::Private,
        _ if (first, second, third) == (192, 0, 0) => Reach::Private,
        _ if first == 198 && (18..20).contains(&second) => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    match address.segments()[0] {
        _ if address.is_loopback() || address.is_unspecified() => Reach::Private,
        0xfe80..=0xfebf | 0xff00..=0xffff => Reach::Never,
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Reach::Private,
        _ => Reach::Public,
    }
}

/// The IPv4 address that an IPv6 address leads to: by NAT64, by 6to4, or in the oldest form.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let joined = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0x64, 0xff9b) => Some(joined(high, low)),
        (0x2002, _) => Some(joined(b, c)),
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0) && high != 0 => Some(joined(high, low)),
        _ => None,
    }
}

/// What can be said of a URL's host before it is resolved.
pub(super) fn literal(url: &Url) -> Option<Reach> {
    let host = url.host_str()?;
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let local = bare == "localhost" || bare.ends_with(".localhost");
    let address = || bare.parse().ok().map(reach);
    if local { Some(Reach::Private) } else { address() }
}

/// Why a connection was not made, for who reads errors' causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name stands for an address that gets no request")]
pub(super) struct Forbidden(pub(super) Reach);

impl Forbidden {
    /// The one in an error's causes.
    pub(super) fn within(error: &reqwest::Error) -> Option<Self> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(forbidden) = error.downcast_ref() {
                return Some(*forbidden);
            }
            cause = error.source();
        }
        None
    }
}

/// Names that requests on their way ask for, and what was learnt of them.
#[derive(Debug, Default)]
pub(super) struct Names {
    asked: Mutex<BTreeMap<String, usize>>,
    private: Mutex<BTreeSet<String>>,
}

impl Names {
    /// Whether the name was resolved here (and not by a proxy), to private addresses only.
    pub(super) fn is_private(&self, name: &str) -> bool {
        self.private.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// While the result lives, this name is a request's own, and none of a proxy.
    pub(super) fn asking(self: &Arc<Self>, name: &str) -> Asking {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked.entry(name.to_owned()).or_default() += 1;
        Asking { names: Arc::clone(self), name: name.to_owned() }
    }

    fn is_asked(&self, name: &str) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    fn learn(&self, name: &str, addresses: &[SocketAddr]) {
        let mut private = self.private.lock().unwrap_or_else(PoisonError::into_inner);
        match addresses.iter().all(|address| reach(address.ip()) == Reach::Private) {
            true => private.insert(name.to_owned()),
            false => private.remove(name),
        };
    }
}

/// See [`Names::asking`].
pub(super) struct Asking {
    names: Arc<Names>,
    name: String,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut asked = self.names.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = asked.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                asked.remove(&self.name);
            }
        }
    }
}

/// The system's resolver, whose answers are checked.
pub(super) struct Resolver {
    pub(super) names: Arc<Names>,
    /// Whether requests' own names must be public.
    pub(super) public_only: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, public_only) = (Arc::clone(&self.names), self.public_only);
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let asked = names.is_asked(name.as_str());
            if asked {
                names.learn(name.as_str(), &found);
            }
            let allowed = allowed(found, public_only && asked)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be connected to; an error where there is none.
fn allowed(found: Vec<SocketAddr>, public_only: bool) -> Result<Vec<SocketAddr>, Forbidden> {
    let refused = |reach| reach == Reach::Never || public_only && reach == Reach::Private;
    let first = found.first().map(|address| reach(address.ip()));
    let allowed: Vec<_> =
        found.into_iter().filter(|address| !refused(reach(address.ip()))).collect();
    match first {
        Some(reach) if allowed.is_empty() => Err(Forbidden(reach)),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_known_in_every_form() {
        let cases = [
            ("http://93.184.216.34/", Some(Reach::Public)),
            ("http://203.0.113.9/", Some(Reach::Public)),
            ("http://[2606:4700::1111]/", Some(Reach::Public)),
            ("http://registry.example/", None),
            ("http://localhost/", Some(Reach::Private)),
            ("http://LOCALHOST./", Some(Reach::Private)),
            ("http://x.localhost/", Some(Reach::Private)),
            ("http://127.0.0.1/", Some(Reach::Private)),
            ("http://2130706433/", Some(Reach::Private)),
            ("http://0x7f.1/", Some(Reach::Private)),
            ("http://0177.0.0.1/", Some(Reach::Private)),
            ("http://127.1/", Some(Reach::Private)),
            ("http://0/", Some(Reach::Private)),
            ("http://10.1.2.3/", Some(Reach::Private)),
            ("http://172.31.0.1/", Some(Reach::Private)),
            ("http://172.32.0.1/", Some(Reach::Public)),
            ("http://192.168.1.1/", Some(Reach::Private)),
            ("http://100.64.0.1/", Some(Reach::Private)),
            ("http://198.18.0.1/", Some(Reach::Private)),
            ("http://[::1]/", Some(Reach::Private)),
            ("http://[::]/", Some(Reach::Private)),
            ("http://[fd12::1]/", Some(Reach::Private)),
            ("http://[::ffff:10.0.0.1]/", Some(Reach::Private)),
            ("http://[::ffff:a9fe:a9fe]/", Some(Reach::Never)),
            ("http://[64:ff9b::a9fe:a9fe]/", Some(Reach::Never)),
            ("http://[64:ff9b::7f00:1]/", Some(Reach::Private)),
            ("http://[2002:a9fe:a9fe::1]/", Some(Reach::Never)),
            ("http://[::a9fe:a9fe]/", Some(Reach::Never)),
            ("http://169.254.169.254/", Some(Reach::Never)),
            ("http://2852039166/", Some(Reach::Never)),
            ("http://0xa9fea9fe/", Some(Reach::Never)),
            ("http://169.254.0.1/", Some(Reach::Never)),
            ("http://[fe80::1]/", Some(Reach::Never)),
            ("http://[fd00:ec2::254]/", Some(Reach::Never)),
            ("http://100.100.100.200/", Some(Reach::Never)),
            ("http://168.63.129.16/", Some(Reach::Never)),
            ("http://224.0.0.1/", Some(Reach::Never)),
            ("http://255.255.255.255/", Some(Reach::Never)),
        ];
        for (url, expected) in cases {
            assert_eq!(literal(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn of_what_a_name_stands_for_only_the_allowed_is_used() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|text| (text.parse::<IpAddr>().unwrap(), 0).into()).collect()
        };
        let (public, private, never) = ("203.0.113.9", "10.0.0.1", "169.254.169.254");
        let cases = [
            (&[public, private, never][..], true, Ok(addresses(&[public]))),
            (&[public, private, never], false, Ok(addresses(&[public, private]))),
            (&[private], true, Err(Forbidden(Reach::Private))),
            (&[private], false, Ok(addresses(&[private]))),
            (&[never], false, Err(Forbidden(Reach::Never))),
            (&[], true, Ok(Vec::new())),
        ];
        for (found, public_only, expected) in cases {
            assert_eq!(allowed(addresses(found), public_only), expected, "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_proxys_name_may_stand_for_anything() {
        let names = Arc::new(Names::default());
        let resolver = Resolver { names: Arc::clone(&names), public_only: true };
        let asked = async || {
            let found = resolver.resolve("localhost".parse().unwrap()).await;
            found.map(Iterator::count).map_err(|error| error.downcast_ref::<Forbidden>().copied())
        };
        assert!(asked().await.unwrap() > 0, "nobody asks for it: it is a proxy's");
        let asking = names.asking("localhost");
        assert_eq!(asked().await, Err(Some(Forbidden(Reach::Private))));
        assert!(names.is_private("localhost"));
        drop(asking);
        assert!(asked().await.is_ok());
    }
}
