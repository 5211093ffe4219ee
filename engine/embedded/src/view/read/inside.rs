//! What a task's process has and sees, read from outside.

use crate::root::record::{Endpoint, Process};
use ipnet::{IpNet, Ipv4Net};
use nix::sched::{CloneFlags, setns};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Values of kernel parameters in the namespaces of a process; a missing one is left out.
pub(super) fn sysctls(
    process: &Process,
    wanted: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    if wanted.is_empty() {
        return Some(BTreeMap::new());
    }
    let value = |key: &String| {
        let text = kernel_text(&path(key)).ok()?;
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        Some((key.clone(), words.join(" ")))
    };
    in_namespaces(process, || Ok(wanted.keys().filter_map(value).collect())).ok()
}

/// Does something in the network, IPC and UTS namespaces of a process.
pub(crate) fn in_namespaces<T: Send>(
    process: &Process,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let namespace = |name: &str| File::open(format!("/proc/{}/ns/{name}", process.pid));
    let spaces = [
        (namespace("net")?, CloneFlags::CLONE_NEWNET),
        (namespace("ipc")?, CloneFlags::CLONE_NEWIPC),
        (namespace("uts")?, CloneFlags::CLONE_NEWUTS),
    ];
    let entered = || {
        for (space, kind) in &spaces {
            setns(space, *kind)?;
        }
        work()
    };
    // A thread of its own, which ends with the namespaces that it entered.
    std::thread::scope(|scope| {
        let thread = scope.spawn(entered);
        thread.join().map_err(|_| io::Error::other("the thread in the namespaces panicked"))?
    })
}

/// More than almost any of these files has.
const USUAL: usize = 64 << 10;

/// The whole of a file of the kernel's. It has no size to go by, and whoever reads it piece by piece makes the
/// kernel put the text together again and again.
fn kernel_text(path: &Path) -> io::Result<String> {
    let mut text = Vec::with_capacity(USUAL);
    File::open(path)?.read_to_end(&mut text)?;
    String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn of_process(process: &Process, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{file}", process.pid))
}

/// Where the kernel has a parameter.
pub(crate) fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key.replace('.', "/"))
}

/// The resource limits of a process by lower-case name, as `SOFT:HARD`.
pub(super) fn limits(process: &Process) -> Option<BTreeMap<String, String>> {
    let text = kernel_text(&of_process(process, "limits")).ok()?;
    Some(parse_limits(&text))
}

/// The names that /proc has for them.
const LIMITS: &[(&str, &str)] = &[
    ("Max cpu time", "cpu"),
    ("Max file size", "fsize"),
    ("Max data size", "data"),
    ("Max stack size", "stack"),
    ("Max core file size", "core"),
    ("Max resident set", "rss"),
    ("Max processes", "nproc"),
    ("Max open files", "nofile"),
    ("Max locked memory", "memlock"),
    ("Max address space", "as"),
    ("Max file locks", "locks"),
    ("Max pending signals", "sigpending"),
    ("Max msgqueue size", "msgqueue"),
    ("Max nice priority", "nice"),
    ("Max realtime priority", "rtprio"),
    ("Max realtime timeout", "rttime"),
];

fn parse_limits(text: &str) -> BTreeMap<String, String> {
    let limit = |line: &str| {
        let (title, name) = LIMITS.iter().find(|(title, _)| line.starts_with(title))?;
        let mut words = line[title.len()..].split_ascii_whitespace();
        Some(((*name).to_owned(), format!("{}:{}", words.next()?, words.next()?)))
    };
    text.lines().filter_map(limit).collect()
}

/// A limit as /proc shows it.
pub(super) fn shown(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".into() } else { limit.to_string() }
}

/// Whether a process has this interface.
pub(super) fn has_link(process: &Process, endpoint: &Endpoint) -> bool {
    let Some(links) = net_file(process, "dev") else { return true };
    let link = format!("{}:", endpoint.interface);
    links.lines().any(|line| line.trim_start().starts_with(&link))
}

/// Whether a process has this address on any interface.
pub(super) fn has_address(process: &Process, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            net_file(process, "fib_trie").is_none_or(|table| is_local(&table, address))
        }
        IpAddr::V6(address) => {
            net_file(process, "if_inet6").is_none_or(|table| is_listed(&table, address))
        }
    }
}

fn net_file(process: &Process, file: &str) -> Option<String> {
    kernel_text(&of_process(process, &format!("net/{file}"))).ok()
}

/// `ADDRESS INDEX PREFIX SCOPE FLAGS LINK`, the address as 32 digits.
fn is_listed(table: &str, address: Ipv6Addr) -> bool {
    let digits = format!("{:032x}", address.to_bits());
    table.lines().any(|line| line.split_ascii_whitespace().next() == Some(&digits))
}

/// The table of routes that is read here is that of IPv4.
fn v4(endpoint: &Endpoint) -> impl Iterator<Item = Ipv4Net> {
    endpoint.addresses.iter().filter_map(|address| match address {
        IpNet::V4(address) => Some(*address),
        IpNet::V6(_) => None,
    })
}

/// Whether a process has the routes that come with an endpoint: to its network, which go when the
/// link is down, and by its gateway.
pub(super) fn has_routes(process: &Process, endpoint: &Endpoint) -> bool {
    match kernel_text(&of_process(process, "net/route")) {
        Ok(table) => is_routed(&table, endpoint),
        Err(_) => true,
    }
}

/// The table's addresses are numbers in the machine's own order: `IFACE DESTINATION GATEWAY FLAGS
/// REFCNT USE METRIC MASK …`.
fn is_routed(table: &str, endpoint: &Endpoint) -> bool {
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::from_be);
    let rows: Vec<_> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let [link, to, gateway, _, _, _, _, mask, ..] = words[..] else { return None };
            Some((link, number(to)?, number(gateway)?, number(mask)?))
        })
        .collect();
    let link = endpoint.interface.as_str();
    let near = |own: Ipv4Net| (link, own.network().to_bits(), 0, own.netmask().to_bits());
    let far = endpoint.gateways.iter().filter_map(|gateway| match gateway {
        IpAddr::V4(gateway) => Some((link, 0, gateway.to_bits(), 0)),
        IpAddr::V6(_) => None,
    });
    v4(endpoint).map(near).chain(far).all(|route| rows.contains(&route))
}

/// Where a process has folders mounted that are gone from the host.
pub(super) fn gone_mounts(process: &Process) -> Option<BTreeSet<String>> {
    let text = kernel_text(&of_process(process, "mountinfo")).ok()?;
    Some(parse_gone(&text))
}

/// `ID PARENT DEVICE ROOT POINT …`: the kernel marks a root that was deleted.
fn parse_gone(mountinfo: &str) -> BTreeSet<String> {
    let gone = |line: &str| {
        let mut words = line.split(' ').skip(3);
        let (root, point) = (words.next()?, words.next()?);
        root.ends_with("//deleted").then(|| plain(point))
    };
    mountinfo.lines().filter_map(gone).collect()
}

/// Without the kernel's escapes for blanks and backslashes.
fn plain(point: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(point.to_owned(), |text, (escape, is)| text.replace(escape, is))
}

/// Whether the routing table of a namespace has this address as one of its own.
fn is_local(table: &str, address: Ipv4Addr) -> bool {
    let leaf = format!("|-- {address}");
    let mut lines = table.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        if line.trim() == leaf && next.contains("/32 host LOCAL") {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let own = Process::find(std::process::id()).unwrap();
        let limits = limits(&own).unwrap();
        assert_eq!(limits.len(), LIMITS.len(), "{limits:?}");
        let text =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files  1024  unlimited  files\n";
        assert_eq!(parse_limits(text)["nofile"], "1024:unlimited");
    }

    #[test]
    fn an_ipv6_address_is_listed_by_its_digits() {
        let table = "fd000000000000000000000000000006 02 40 00 80     eth0\n";
        assert!(is_listed(table, "fd00::6".parse().unwrap()));
        assert!(!is_listed(table, "fd00::7".parse().unwrap()));
    }

    #[test]
    fn an_address_is_local_where_the_table_says_so() {
        let table = "Local:\n  +-- 172.20.0.0/16 2 0 2\n     |-- 172.20.0.2\n        \
                     /32 host LOCAL\n     |-- 172.20.255.255\n        /32 link BROADCAST\n";
        let is_local = |address: &str| is_local(table, address.parse().unwrap());
        assert!(is_local("172.20.0.2"));
        assert!(!is_local("172.20.255.255"));
        assert!(!is_local("172.20.0.22"));
    }

    #[test]
    fn routes_are_told_by_link_network_and_gateway() {
        let endpoint = Endpoint {
            interface: "eth0".into(),
            addresses: vec!["172.20.0.2/16".parse().unwrap()],
            gateways: vec!["172.20.0.1".parse().unwrap()],
            ..Endpoint::default()
        };
        let hex = |a: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(a));
        let row = |link: &str, to, gateway, mask| {
            format!(
                "{link}\t{}\t{}\t0003\t0\t0\t0\t{}\t0\t0\t0\n",
                hex(to),
                hex(gateway),
                hex(mask)
            )
        };
        let near = |link| row(link, [172, 20, 0, 0], [0; 4], [255, 255, 0, 0]);
        let far = |link, last| row(link, [0; 4], [172, 20, 0, last], [0; 4]);
        let cases = [
            (near("eth0") + &far("eth0", 1), true),
            (near("eth0"), false),
            (near("eth0") + &far("eth0", 9), false),
            (near("eth1") + &far("eth1", 1), false),
            (far("eth0", 1), false),
        ];
        for (rows, expected) in cases {
            let table = format!("Iface\tDestination\n{rows}");
            assert_eq!(is_routed(&table, &endpoint), expected, "{rows}");
        }
        let inner = Endpoint { gateways: vec![], ..endpoint };
        assert!(is_routed(&format!("Iface\n{}", near("eth0")), &inner), "internal has no way out");
    }

    #[test]
    fn what_was_deleted_under_a_mount_is_marked() {
        let text = "40 30 8:1 /volumes/a/data//deleted /my\\040data rw - ext4 /dev/sda rw\n\
                    41 30 8:1 /volumes/b/data /other rw - ext4 /dev/sda rw\n";
        assert_eq!(parse_gone(text), ["my data".replace("my", "/my")].into());
    }
}
