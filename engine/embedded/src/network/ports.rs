//! Which port of the host a task's port is published under, and whether it is to be had.

use crate::root::layout::Layout;
use keel_engine::{Port, PortError, PortHolder, Protocol, PublishedPort};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A published port and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who shares it: tasks of one service (`STACK/SERVICE`) may publish the same port together.
    pub owner: String,
    /// The port.
    pub port: PublishedPort,
}

fn taken(port: &PublishedPort, holder: PortHolder) -> PortError {
    let (published, protocol) = (port.published, port.protocol);
    PortError::Taken { published, protocol, host_ip: port.host_ip, holder }
}

/// `tcp` or `udp`.
pub(crate) fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// The address of a published port; `None` is every address.
pub(crate) fn host_address(port: &PublishedPort) -> Option<IpAddr> {
    Some(port.host_ip).filter(|address| !address.is_unspecified())
}

/// Finds out under which port a task's `wanted` is published. `claims` are those of the root's
/// other tasks, `preferred` the ports of the task before it in the slot (for one that the node
/// chooses). Looks at the host: binds a socket and lets go. `keel net` holds the port from when
/// it is in the task's `work`.
pub fn publish(
    layout: &Layout,
    owner: &str,
    wanted: &[Port],
    claims: &[Claim],
    preferred: &[PublishedPort],
) -> Result<Vec<PublishedPort>, PortError> {
    let held = held(layout);
    let mut published: Vec<PublishedPort> = Vec::new();
    for port in wanted {
        let host_ip = port.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        if host_ip.is_ipv6() && !host_ip.is_unspecified() {
            return Err(PortError::Ipv6 { target: port.target, host_ip });
        }
        let fixed = |number| PublishedPort {
            host_ip,
            published: number,
            target: port.target,
            protocol: port.protocol,
        };
        let free = |port: &PublishedPort| available(owner, port, claims, &published, &held);
        let answer = match port.published {
            Some(number) => free(&fixed(number)).map(|()| fixed(number))?,
            None => {
                let old = preferred.iter().find(|old| **old == fixed(old.published));
                match old.filter(|old| free(old).is_ok()) {
                    Some(old) => old.clone(),
                    None => choose(&fixed(0), &|port| {
                        let claimed = claims.iter().map(|claim| &claim.port).chain(&published);
                        !claimed.into_iter().any(|other| collide(other, port))
                    })?,
                }
            }
        };
        published.push(answer);
    }
    Ok(published)
}

fn available(
    owner: &str,
    port: &PublishedPort,
    claims: &[Claim],
    own: &[PublishedPort],
    held: &[PublishedPort],
) -> Result<(), PortError> {
    let shared = |claim: &Claim| claim.owner == owner && claim.port == *port;
    if let Some(claim) = claims.iter().find(|claim| collide(&claim.port, port) && !shared(claim)) {
        let holder = PortHolder::Service { name: claim.owner.clone(), target: claim.port.target };
        return Err(taken(port, holder));
    }
    if own.iter().any(|other| collide(other, port)) {
        return Err(taken(port, PortHolder::Same { name: owner.to_owned() }));
    }
    if claims.iter().any(shared) || held.iter().any(|ours| collide(ours, port)) {
        return Ok(());
    }
    match bound(port) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(taken(port, holder(port).unwrap_or(PortHolder::Unknown)))
        }
        // An address that the host does not have (yet), or a low port without the right to bind
        // it: the firewall needs neither.
        _ => Ok(()),
    }
}

/// Whether the two would answer for one packet.
fn collide(one: &PublishedPort, other: &PublishedPort) -> bool {
    let (a, b) = (host_address(one), host_address(other));
    one.protocol == other.protocol
        && one.published == other.published
        && (a.is_none() || b.is_none() || a == b)
}

/// A port that the kernel gives and nobody of ours has.
fn choose(
    port: &PublishedPort,
    unclaimed: &dyn Fn(&PublishedPort) -> bool,
) -> Result<PublishedPort, PortError> {
    const TRIES: usize = 100;
    let mut probes = Vec::new(); // kept, so that the next one gets another port
    for _ in 0..TRIES {
        let Ok((socket, published)) = bound(port) else { break };
        probes.push(socket);
        let chosen = PublishedPort { published, ..port.clone() };
        if unclaimed(&chosen) {
            return Ok(chosen);
        }
    }
    Err(PortError::NoneFree { protocol: port.protocol, host_ip: port.host_ip })
}

/// A socket bound to the port, so that no other program gets it. Not listening: who connects
/// past the firewall is refused, as on a free port. The number, where 0 was asked for.
pub(crate) fn bound(port: &PublishedPort) -> io::Result<(OwnedFd, u16)> {
    let kind = match port.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let address = host_address(port).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(address, port.published))?;
    let number = match SocketAddr::try_from(getsockname(&socket)?)? {
        SocketAddr::V4(address) => address.port(),
        SocketAddr::V6(address) => address.port(),
    };
    Ok((socket, number))
}

/// Where `keel net` says which ports it holds: one that it is about to let go is not taken.
pub(crate) fn held_path(layout: &Layout) -> PathBuf {
    layout.run().join("net.ports")
}

fn held(layout: &Layout) -> Vec<PublishedPort> {
    crate::root::record::load(&held_path(layout)).ok().flatten().unwrap_or_default()
}

/// The program that listens at the port: its name and pid, by way of its socket's inode.
fn holder(port: &PublishedPort) -> Option<PortHolder> {
    let inode = listening_inode(port)?;
    let target = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| has_file(*pid, &target)).find_map(program)
}

fn has_file(pid: u32, target: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files
        .flatten()
        .any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == target))
}

fn program(pid: u32) -> Option<PortHolder> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(PortHolder::Program { name: name.trim().to_owned(), pid })
}

/// Field 10 of the line of the table whose local port (hexadecimal, in field 2) is this one and
/// that has no remote end. The thread's table, as its namespace may not be the process's.
fn listening_inode(port: &PublishedPort) -> Option<u64> {
    let local = format!(":{:04X}", port.published);
    let protocol = word(port.protocol);
    ["", "6"].iter().find_map(|version| {
        let table =
            fs::read_to_string(format!("/proc/thread-self/net/{protocol}{version}")).ok()?;
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let here = fields.get(1)?.ends_with(&local) && fields.get(2)?.ends_with(":0000");
            here.then(|| fields.get(9)?.parse().ok())?
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::path::Path;

    fn layout() -> Layout {
        Layout::new(Path::new("/nonexistent/keel"))
    }

    fn port(host_ip: Option<&str>, published: Option<u16>) -> Port {
        let host_ip = host_ip.map(|ip| ip.parse().unwrap());
        Port { host_ip, published, target: 80, protocol: Protocol::Tcp }
    }

    fn claim(owner: &str, host_ip: &str, published: u16) -> Claim {
        let (target, protocol) = (80, Protocol::Tcp);
        let host_ip = host_ip.parse().unwrap();
        Claim { owner: owner.into(), port: PublishedPort { host_ip, published, target, protocol } }
    }

    #[test]
    fn tasks_of_one_service_share_a_port_and_others_do_not() {
        let free = {
            let probe = TcpListener::bind("127.0.0.1:0").unwrap();
            probe.local_addr().unwrap().port()
        };
        let taken = format!("port {free}/tcp on 0.0.0.0 is taken by blog/web (port 80)");
        let refused = "port 80 asks for ::1, and ports are not published on IPv6 addresses";
        let cases = [
            ("blog/web", None, vec![claim("blog/web", "0.0.0.0", free)], "ok"),
            ("shop/web", None, vec![claim("blog/web", "0.0.0.0", free)], taken.as_str()),
            ("shop/web", None, vec![claim("blog/web", "127.0.0.1", free)], taken.as_str()),
            ("shop/web", Some("127.0.0.2"), vec![claim("blog/web", "127.0.0.1", free)], "ok"),
            ("shop/web", Some("::1"), vec![], refused),
        ];
        for (owner, host_ip, claims, expected) in cases {
            let got = publish(&layout(), owner, &[port(host_ip, Some(free))], &claims, &[]);
            let got = got.map_or_else(|error| error.to_string(), |_| "ok".into());
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_program_that_holds_the_port_is_named() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = tcp.local_addr().unwrap().port();
        let error = publish(&layout(), "blog/web", &[port(None, Some(number))], &[], &[]);
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with(&format!("(pid {})", std::process::id())), "{error}");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let number = udp.local_addr().unwrap().port();
        let wanted = Port { protocol: Protocol::Udp, ..port(None, Some(number)) };
        let error = publish(&layout(), "blog/web", &[wanted], &[], &[]).unwrap_err().to_string();
        assert!(error.contains("/udp on 0.0.0.0 is taken by"), "{error}");
    }

    #[test]
    fn a_port_that_the_node_chooses_stays_with_the_slot() {
        let wanted = [port(None, None), port(None, None)];
        let first = publish(&layout(), "blog/web", &wanted, &[], &[]).unwrap();
        assert_ne!(first[0].published, first[1].published);
        assert!(first.iter().all(|port| port.published >= 1024));
        let again = publish(&layout(), "blog/web", &wanted[..1], &[], &first[..1]).unwrap();
        assert_eq!(again, first[..1]);
        let port = first[0].clone();
        let claims = [Claim { owner: "shop/web".into(), port }];
        let other = publish(&layout(), "blog/web", &wanted[..1], &claims, &first[..1]).unwrap();
        assert_ne!(other, first[..1]);
    }
}
