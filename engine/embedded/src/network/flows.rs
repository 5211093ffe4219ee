//! UDP flows that outlive what they led to.
//!
//! A TCP connection ends with its task. A UDP client that keeps its port (WireGuard, syslog) is
//! one flow for as long as it sends: the kernel would go on sending it to a task that is gone,
//! or to the host itself, if it began before a task was there. So when the tasks behind a UDP
//! port change, such flows are forgotten, and the next packet finds its way anew.

use super::link::Links;
use super::netlink::{Netlink, is_missing};
use super::nft::wire::{Attributes, parse, tracking};
use super::port_table::{Backends, Key, PortTable};
use keel_engine::Protocol;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

const GET: u16 = 1;
const DELETE: u16 = 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const UDP: u8 = 17;

/// One direction of a flow: destination and source, address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tuple {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

/// What changed behind one UDP port.
struct Moved {
    key: Key,
    gone: Backends,
}

/// Forgets the flows that lead where the table no longer does.
pub(crate) fn forget(from: &PortTable, to: &PortTable) -> io::Result<()> {
    let moved = moved(from, to);
    if moved.is_empty() {
        return Ok(());
    }
    let addresses = Links::open()?.addresses()?;
    let own: BTreeSet<IpAddr> = addresses.into_iter().map(|(_, address)| address.addr()).collect();
    let mut netlink = Netlink::open(NETLINK_NETFILTER)?;
    for (original, reply, bytes) in flows(&mut netlink)? {
        if moved.iter().any(|moved| is_stale(moved, &own, original, reply)) {
            let mut body = Attributes::default();
            body.bytes(ORIGINAL | 1 << 15, &bytes);
            let sequence = netlink.sequences(1);
            let message = tracking(DELETE, NLM_F_REQUEST | NLM_F_ACK, sequence, &body.0);
            match netlink.ask(&message) {
                Err(error) if !is_missing(&error) => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn moved(from: &PortTable, to: &PortTable) -> Vec<Moved> {
    let keys: BTreeSet<&Key> = from.keys().chain(to.keys()).collect();
    let udp = keys.into_iter().filter(|key| key.protocol == Protocol::Udp);
    let changed = udp.filter(|key| from.get(key) != to.get(key));
    let none = Backends::new();
    let moved = changed.map(|key| {
        let (before, after) = (from.get(key).unwrap_or(&none), to.get(key).unwrap_or(&none));
        Moved { key: *key, gone: before.difference(after).copied().collect() }
    });
    moved.collect()
}

/// It answers from a task that is gone, or from the host itself.
fn is_stale(moved: &Moved, own: &BTreeSet<IpAddr>, original: Tuple, reply: Tuple) -> bool {
    let (address, port) = original.destination;
    let meant = port == moved.key.published && moved.key.host_ip.is_none_or(|ip| ip == address);
    let host = own.contains(&address) && reply.source == original.destination;
    meant && (host || moved.gone.contains(&reply.source))
}

/// All UDP flows, with the bytes by which the kernel names each.
fn flows(netlink: &mut Netlink) -> io::Result<Vec<(Tuple, Tuple, Vec<u8>)>> {
    loop {
        let sequence = netlink.sequences(1);
        match netlink.ask(&tracking(GET, NLM_F_REQUEST | NLM_F_DUMP, sequence, &[])) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(answers) => {
                return Ok(answers.iter().filter_map(|answer| parse_flow(&answer.body)).collect());
            }
        }
    }
}

fn parse_flow(body: &[u8]) -> Option<(Tuple, Tuple, Vec<u8>)> {
    let attributes = parse(body.get(4..)?);
    let original = attributes.get(&ORIGINAL)?;
    Some((parse_tuple(original)?, parse_tuple(attributes.get(&REPLY)?)?, original.to_vec()))
}

fn parse_tuple(bytes: &[u8]) -> Option<Tuple> {
    let tuple = parse(bytes);
    let (ip, transport) = (parse(tuple.get(&1)?), parse(tuple.get(&2)?));
    if *transport.get(&1)? != [UDP] {
        return None;
    }
    let address = |kind| Some(<[u8; 4]>::try_from(*ip.get(&kind)?).ok()?.into());
    let port = |kind| Some(u16::from_be_bytes((*transport.get(&kind)?).try_into().ok()?));
    Some(Tuple { source: (address(1)?, port(2)?), destination: (address(2)?, port(3)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flows_that_lead_nowhere_are_stale() {
        let at = |last, port| (IpAddr::from([10, 0, 0, last]), port);
        let key = |published, protocol| Key { host_ip: None, published, protocol };
        let web = key(53, Protocol::Udp);
        let from = PortTable::from([
            (web, [at(2, 80), at(3, 80)].into()),
            (key(53, Protocol::Tcp), [at(2, 80)].into()),
        ]);
        let to = PortTable::from([(web, [at(3, 80), at(4, 80)].into())]);
        let moved = moved(&from, &to);
        assert_eq!(moved.len(), 1);
        let host = IpAddr::from([10, 9, 0, 1]);
        let own = BTreeSet::from([host]);
        let client = at(99, 5000);
        let cases = [
            ("to a task that is gone", (host, 53), at(2, 80), true),
            ("to a task that is there", (host, 53), at(3, 80), false),
            ("to the host itself", (host, 53), (host, 53), true),
            ("to another port", (host, 54), at(2, 80), false),
            ("to a name server elsewhere", (at(77, 53)), at(77, 53), false),
        ];
        for (label, destination, answers, expected) in cases {
            let original = Tuple { source: client, destination };
            let reply = Tuple { source: answers, destination: client };
            assert_eq!(is_stale(&moved[0], &own, original, reply), expected, "{label}");
        }
    }
}
