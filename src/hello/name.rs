//! What this task is called: the name that the container's own name server has for its address.

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);
const PATIENCE: Duration = Duration::from_millis(500);

/// `hello-web-1`; the host's name where there is no such name server.
pub fn task() -> io::Result<String> {
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    let named = address_of(&host).and_then(|address| name_of(address).ok().flatten());
    Ok(named.unwrap_or(host))
}

/// The address that `/etc/hosts` gives to this host.
fn address_of(host: &str) -> Option<IpAddr> {
    let mut addresses = (host, 0).to_socket_addrs().ok()?.map(|address| address.ip());
    addresses.find(|address| !address.is_loopback())
}

fn name_of(address: IpAddr) -> io::Result<Option<String>> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from(address), RecordType::PTR));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(&question.to_vec().map_err(io::Error::other)?, SERVER)?;
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer)?;
    let answer = Message::from_vec(&buffer[..length]).map_err(io::Error::other)?;
    Ok(answer.answers.iter().find_map(|record| match &record.data {
        RData::PTR(name) => first_label(&name.0),
        _ => None,
    }))
}

/// `hello-web-1` of `hello-web-1.hello_default.`.
fn first_label(name: &Name) -> Option<String> {
    Some(String::from_utf8_lossy(name.iter().next()?).into_owned())
}
