//! Questions about the rest of the world: to the host's name servers, or to the task's own.
//!
//! From the host's namespace, so that a name server that listens on the host's loopback
//! (systemd-resolved) answers too. UDP questions go by UDP and TCP ones by TCP: a client that is
//! told of a truncated answer comes back by TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one server may take.
const PATIENCE: Duration = Duration::from_secs(3);
const LARGEST: usize = 65_535;

/// Where questions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upstream {
    /// The host's resolv.conf: read at each question, since it changes as a machine moves.
    pub resolv_conf: PathBuf,
    /// The servers' port.
    pub port: u16,
}

impl Upstream {
    fn servers(&self, own: &[IpAddr]) -> Vec<SocketAddr> {
        let list = if own.is_empty() {
            name_servers(&std::fs::read_to_string(&self.resolv_conf).unwrap_or_default())
        } else {
            own.to_vec()
        };
        list.into_iter().map(|server| SocketAddr::new(server, self.port)).collect()
    }

    /// The first answer that a server gives; `None` if none does. One that cannot or will not tell
    /// leaves it to the next, as with the C library.
    pub async fn ask(&self, own: &[IpAddr], question: &[u8], udp: bool) -> Option<Vec<u8>> {
        let mut evasive = None;
        for server in self.servers(own) {
            let answer = async {
                if udp { ask_udp(server, question).await } else { ask_tcp(server, question).await }
            };
            match timeout(PATIENCE, answer).await {
                Ok(Ok(answer)) if is_evasive(&answer) => evasive = evasive.or(Some(answer)),
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        evasive
    }
}

/// SERVFAIL, NOTIMP or REFUSED (RFC 1035, 4.1.1).
fn is_evasive(answer: &[u8]) -> bool {
    answer.get(3).is_some_and(|flags| matches!(flags & 0x0f, 2 | 4 | 5))
}

/// The name servers of a resolv.conf, three at most, as the C library takes them.
pub(super) fn name_servers(text: &str) -> Vec<IpAddr> {
    let words = text.lines().map(str::split_ascii_whitespace);
    let servers = words.filter_map(|mut words| match words.next() {
        Some("nameserver") => words.next()?.parse().ok(),
        _ => None,
    });
    servers.take(3).collect()
}

/// A socket for each question: its port is random, and the kernel takes answers from this
/// server only.
async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut answer).await?;
        if length >= 12 && answer[..2] == question[..2] {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_framed(&mut stream, question).await?;
    read_framed(&mut stream).await
}

/// Writes a message with its length before it, as DNS does over TCP.
pub(super) async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).await
}

/// Reads a message with its length before it.
pub(super) async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_c_library_does() {
        let text = "# nameserver 1.1.1.1\nsearch lan\nnameserver 127.0.0.53\nnameserver\tfd00::1 \n\
                    nameserver nonsense\noptions edns0\n";
        let expected: Vec<IpAddr> = vec!["127.0.0.53".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(name_servers(text), expected);
    }
    /// Answers one question with this code.
    async fn server(address: &str, code: u8) -> tokio::task::JoinHandle<()> {
        let socket = UdpSocket::bind((address, PORT)).await.unwrap();
        tokio::spawn(async move {
            let mut question = [0; 512];
            let (length, from) = socket.recv_from(&mut question).await.unwrap();
            question[3] = code;
            socket.send_to(&question[..length], from).await.unwrap();
        })
    }

    /// Of this test alone.
    const PORT: u16 = 15_353;

    #[tokio::test]
    async fn who_will_not_tell_leaves_it_to_the_next() {
        let upstream = Upstream { resolv_conf: PathBuf::new(), port: PORT };
        let own = ["127.71.0.1", "127.71.0.2", "127.71.0.3"].map(|one| one.parse().unwrap());
        let _refuses = server("127.71.0.1", 5).await;
        let _fails = server("127.71.0.2", 2).await;
        let _knows = server("127.71.0.3", 0).await;
        let answer = upstream.ask(&own, &[7; 20], true).await.unwrap();
        assert_eq!(answer[3], 0);
        // Whoever answered once is gone: what is left is a refusal.
        let _refuses = server("127.71.0.1", 5).await;
        let answer = upstream.ask(&own[..1], &[7; 20], true).await.unwrap();
        assert_eq!(answer[3], 5, "better than silence");
    }
}
