//! A task's 127.0.0.11: sockets inside its network namespace, and their service.
//!
//! The sockets listen on a high port, so that a container can serve DNS itself; a rule inside
//! the namespace leads 127.0.0.11:53 there. The port is always the same one where it is free:
//! a next `keel net` takes over without anybody noticing.

use super::answer::{Outcome, answer, failure};
use super::forward::{Upstream, read_framed, write_framed};
use super::zone::Zone;
use crate::network::namespace::inside;
use crate::network::nft::batch::Batch;
use crate::network::nft::expr::{Expr, Meta, Reg};
use crate::network::nft::{Base, Family, Hook, Rule};
use crate::root::limits::{NAMES_IDLE, NAMES_IN_FLIGHT};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 40_353;
const TABLE: &str = "keel_names";
/// `accept` fails at once, and for as long as there is no file descriptor for it.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// What a task's questions are answered by; replaced as a whole when something changes.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub zone: Arc<Zone>,
    /// Its networks, in order.
    pub networks: Vec<String>,
    /// Its own name servers.
    pub dns: Vec<IpAddr>,
    /// It has a way out. Else nobody is asked for it either.
    pub forwards: bool,
}

/// The sockets, not served yet.
pub(super) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Opens the sockets in a namespace and leads 127.0.0.11:53 there.
pub(super) fn open(netns: &File) -> io::Result<Sockets> {
    inside(netns.as_fd(), || {
        let sockets = bind(PORT).or_else(|_| bind(0))?;
        redirect(sockets.udp.local_addr()?.port())?;
        Ok(sockets)
    })
}

fn bind(port: u16) -> io::Result<Sockets> {
    let tcp = TcpListener::bind((ADDRESS, port))?;
    let udp = UdpSocket::bind((ADDRESS, tcp.local_addr()?.port()))?;
    tcp.set_nonblocking(true)?;
    udp.set_nonblocking(true)?;
    Ok(Sockets { udp, tcp })
}

fn redirect(port: u16) -> io::Result<()> {
    let base = Base { kind: "nat", hook: Hook::Output, priority: -100 };
    let rule = |name: &str, protocol: u8| {
        let exprs = vec![
            Expr::NetworkHeader(16, 4, Reg::A),
            Expr::Equal(Reg::A, ADDRESS.octets().to_vec()),
            Expr::Meta(Meta::Protocol, Reg::A),
            Expr::Equal(Reg::A, vec![protocol]),
            Expr::TransportHeader(2, 2, Reg::A),
            Expr::Equal(Reg::A, 53_u16.to_be_bytes().to_vec()),
            Expr::Address(ADDRESS, Reg::A),
            Expr::Port(port, Reg::B),
            Expr::Dnat(Reg::A, Reg::B),
        ];
        Rule::new(format!("names by {name}"), exprs)
    };
    let mut batch = Batch::new(Family::Ip, TABLE);
    batch.table().chain("output", Some(base)).flush_chain("output");
    batch.append("output", &[rule("udp", 17), rule("tcp", 6)]);
    batch.commit()
}

/// Answers until it is dropped; then every socket of the namespace is closed.
pub(super) async fn serve(
    sockets: Sockets,
    view: watch::Receiver<View>,
    upstream: Upstream,
) -> io::Result<()> {
    let udp = Arc::new(tokio::net::UdpSocket::from_std(sockets.udp)?);
    let tcp = tokio::net::TcpListener::from_std(sockets.tcp)?;
    let service = Arc::new(Service {
        view,
        upstream,
        turn: AtomicUsize::new(0),
        places: Semaphore::new(NAMES_IN_FLIGHT),
    });
    let mut work = JoinSet::new();
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            Some(_) = work.join_next() => {}
            received = udp.recv_from(&mut buffer) => {
                // An error here is about an earlier answer that nobody took.
                let Ok((length, client)) = received else { continue };
                let (service, udp) = (Arc::clone(&service), Arc::clone(&udp));
                let question = buffer[..length].to_vec();
                if work.len() >= NAMES_IN_FLIGHT * 2 {
                    continue; // the client asks again
                }
                work.spawn(async move {
                    if let Some(answer) = service.answer(&question, true).await {
                        let _ = udp.send_to(&answer, client).await;
                    }
                });
            }
            accepted = tcp.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(OUT_OF_FILES).await;
                    continue;
                };
                if work.len() < NAMES_IN_FLIGHT * 2 {
                    let service = Arc::clone(&service);
                    work.spawn(async move { service.converse(stream).await });
                }
            }
        }
    }
}

struct Service {
    view: watch::Receiver<View>,
    upstream: Upstream,
    turn: AtomicUsize,
    places: Semaphore,
}

impl Service {
    async fn answer(&self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        let view = self.view.borrow().clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match answer(&view.zone, &view.networks, question, turn, udp) {
            Outcome::Answer(bytes) => return Some(bytes),
            Outcome::Ignore => return None,
            Outcome::Forward if !view.forwards => return failure(question),
            Outcome::Forward => {}
        }
        let Ok(_place) = self.places.try_acquire() else {
            return failure(question);
        };
        let answer = self.upstream.ask(&view.dns, question, udp).await;
        answer.or_else(|| failure(question))
    }

    /// One TCP connection: questions one after the other.
    async fn converse(&self, mut stream: tokio::net::TcpStream) {
        while let Ok(Ok(question)) =
            tokio::time::timeout(NAMES_IDLE, read_framed(&mut stream)).await
        {
            let Some(answer) = self.answer(&question, false).await else { return };
            // Whoever asks and does not listen keeps a place as long as whoever says nothing.
            let told = tokio::time::timeout(NAMES_IDLE, write_framed(&mut stream, &answer)).await;
            if !matches!(told, Ok(Ok(()))) {
                return;
            }
        }
    }
}
