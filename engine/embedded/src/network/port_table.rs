//! The port tables: which tasks are behind a published port, as elements of two maps and a chain
//! for each port. Their one writer is `keel net`.

use super::firewall::{HOST_PORTS, PORTS};
use super::nft::batch::{Batch, Element};
use super::nft::expr::{Expr, Reg, RuleVerdict};
use super::nft::{Family, Rule, Set, read};
use crate::root::layout::Layout;
use keel_engine::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// `None` is every address of the host.
    pub host_ip: Option<IpAddr>,
    pub published: u16,
    pub protocol: Protocol,
}

/// Address and port of a task.
pub(crate) type Backend = (IpAddr, u16);

/// Where a published port's connections go.
pub(crate) type Backends = BTreeSet<Backend>;

/// All published ports of a root; none without a backend.
pub(crate) type PortTable = BTreeMap<Key, Backends>;

const CHAIN_PREFIX: &str = "port-";

impl Key {
    fn map(self) -> &'static Set {
        if self.host_ip.is_some() { &HOST_PORTS } else { &PORTS }
    }

    /// Whether the table, which is of IPv4, has room for it. Nothing is published on an IPv6 address
    /// ([`super::ports::publish`] refuses it); one of an older record is a difference.
    fn is_carried(&self) -> bool {
        self.host_ip.is_none_or(|ip| ip.is_ipv4())
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = match self.host_ip {
            Some(IpAddr::V4(ip)) => ip.octets().to_vec(),
            Some(IpAddr::V6(ip)) => ip.octets().to_vec(),
            None => Vec::new(),
        };
        let protocol = match self.protocol {
            Protocol::Tcp => libc::IPPROTO_TCP,
            Protocol::Udp => libc::IPPROTO_UDP,
        };
        let protocol = u8::try_from(protocol).expect("protocol numbers have one byte");
        bytes.extend([protocol, 0, 0, 0]);
        bytes.extend(self.published.to_be_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    fn chain(self) -> String {
        let host = self.host_ip.map(|ip| format!("{ip}-")).unwrap_or_default();
        format!("{CHAIN_PREFIX}{host}{}-{}", self.published, super::ports::word(self.protocol))
    }

    fn element(self) -> [Element; 1] {
        [(self.bytes(), Some(RuleVerdict::Goto(self.chain())))]
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            None => {}
        }
        write!(f, "{}/{}", self.published, super::ports::word(self.protocol))
    }
}

/// One rule a backend: the first takes one of N connections, the next one of the N-1 left, ….
fn rules(backends: &Backends) -> Vec<Rule> {
    let backends: Vec<_> = backends.iter().filter_map(v4).collect();
    let count = u32::try_from(backends.len()).expect("a port has fewer tasks");
    let rule = |(number, (address, port)): (u32, (Ipv4Addr, u16))| {
        let left = count - number;
        let mut exprs = Vec::new();
        if left > 1 {
            exprs.push(Expr::Random(left, Reg::A));
            exprs.push(Expr::Equal(Reg::A, vec![0; 4]));
        }
        exprs.push(Expr::Address(address, Reg::A));
        exprs.push(Expr::Port(port, Reg::B));
        exprs.push(Expr::Dnat(Reg::A, Reg::B));
        Rule::new(backend_text((address.into(), port)), exprs)
    };
    (0..).zip(backends).map(rule).collect()
}

/// As far as an IPv4 packet can be led there.
fn v4(backend: &Backend) -> Option<(Ipv4Addr, u16)> {
    match backend.0 {
        IpAddr::V4(address) => Some((address, backend.1)),
        IpAddr::V6(_) => None,
    }
}

fn backend_text(backend: Backend) -> String {
    SocketAddr::from(backend).to_string()
}

/// Writes what changed between two tables.
pub(crate) fn update(layout: &Layout, from: &PortTable, to: &PortTable) -> io::Result<()> {
    let mut batch = Batch::new(Family::Ip, layout.table());
    for key in from.keys().filter(|key| key.is_carried() && !to.contains_key(key)) {
        batch.delete_elements(key.map().name, &key.element()).delete_chain(&key.chain());
    }
    let changed = to.iter().filter(|(key, backends)| from.get(key) != Some(backends));
    for (key, backends) in changed.filter(|(key, _)| key.is_carried()) {
        let chain = key.chain();
        if from.contains_key(key) {
            batch.flush_chain(&chain);
        } else {
            batch.chain(&chain, None);
        }
        batch.append(&chain, &rules(backends));
        if !from.contains_key(key) {
            batch.elements(key.map().name, &key.element());
        }
    }
    batch.commit()
}

/// Writes the whole table, whatever is there. Atomic: no connection sees it half.
pub(crate) fn rewrite(layout: &Layout, to: &PortTable) -> io::Result<()> {
    let table = layout.table();
    let mut batch = Batch::new(Family::Ip, &table);
    batch.flush_set(PORTS.name).flush_set(HOST_PORTS.name);
    for chain in read::chains()? {
        let ours = chain.family == Family::Ip && chain.table == table;
        if ours && chain.name.starts_with(CHAIN_PREFIX) {
            batch.delete_chain(&chain.name);
        }
    }
    for (key, backends) in to.iter().filter(|(key, _)| key.is_carried()) {
        let chain = key.chain();
        batch.chain(&chain, None);
        batch.append(&chain, &rules(backends));
        batch.elements(key.map().name, &key.element());
    }
    batch.commit()
}

/// A published port that is not as it shall be.
pub(crate) struct PortDifference {
    pub key: Key,
    pub expected: String,
    pub observed: String,
}

/// Compares the kernel's tables with what they shall be.
pub(crate) fn differences(layout: &Layout, wanted: &PortTable) -> io::Result<Vec<PortDifference>> {
    let table = layout.table();
    let mut seen = read::elements(Family::Ip, &table, PORTS.name)?;
    seen.extend(read::elements(Family::Ip, &table, HOST_PORTS.name)?);
    let there = read::rules(Family::Ip, &table)?;
    let observed = |key: &Key, backends: &Backends| {
        let Some(chain) = seen.get(&key.bytes()) else {
            return "missing".to_owned();
        };
        let of_chain = there.iter().filter(|rule| Some(&rule.chain) == chain.as_ref());
        let wanted = rules(backends).into_iter().map(Some).chain(std::iter::repeat(None));
        let shown = |(seen, wanted): (&read::RuleSeen, Option<Rule>)| match wanted {
            Some(rule) if rule.comment == seen.comment && !rule.is(seen) => {
                format!("{} (changed)", seen.comment)
            }
            _ => seen.comment.clone(),
        };
        let backends: Vec<_> = of_chain.zip(wanted).map(shown).collect();
        if backends.is_empty() { "leads nowhere".into() } else { backends.join(" ") }
    };
    let compare = |(key, backends): (&Key, &Backends)| {
        let expected: Vec<_> = backends.iter().copied().map(backend_text).collect();
        let (expected, observed) = (expected.join(" "), observed(key, backends));
        (expected != observed).then_some(PortDifference { key: *key, expected, observed })
    };
    Ok(wanted.iter().filter_map(compare).collect())
}
