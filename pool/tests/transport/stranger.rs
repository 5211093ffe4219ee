//! Peers that are none of ours: they speak TLS and HTTP/2, and whatever a test wants beyond that.

use crate::lab::{Lab, Running, server_name};
use bytes::Bytes;
use keel_engine::wire::{self, Answer};
use keel_pool::transport::Hello;
use rustls::{ClientConfig, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// A message as it travels.
pub fn message(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

pub fn hello(version: u32) -> Vec<u8> {
    let mut hello = Hello::own();
    if version != hello.transport.newest {
        hello.keel = format!("{version}.0.0");
    }
    hello.transport = keel_pool::transport::Versions { oldest: version, newest: version };
    message(&serde_json::to_vec(&hello).unwrap())
}

fn h2_only(mut config: ClientConfig) -> TlsConnector {
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config).into()
}

/// A line to the controller, as a node of this name.
pub async fn dial(lab: &Lab, node: &str) -> client::TlsStream<TcpStream> {
    let tcp = TcpStream::connect(lab.address).await.unwrap();
    h2_only(lab.admit(node)).connect(server_name(), tcp).await.unwrap()
}

/// What an odd agent answers to a path.
pub type Says = fn(&str) -> (http::Response<()>, Vec<u8>);

pub fn ok() -> http::Response<()> {
    http::Response::new(())
}

/// An answer as any agent gives it, where the test wants nothing else.
pub fn usual(path: &str) -> (http::Response<()>, Vec<u8>) {
    match path {
        "/hello" => (ok(), hello(1)),
        _ => (ok(), message(&wire::seal(&Answer::Done).unwrap())),
    }
}

/// An agent that answers what it wants. Events and beats it never has.
pub async fn odd_agent(lab: &Lab, node: &str, says: Says) -> Running {
    let line = dial(lab, node).await;
    Running::start(async move {
        let Ok(mut connection) = h2::server::handshake(line).await else { return };
        let mut open = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let path = request.uri().path().to_owned();
            if ["/events", "/beat"].contains(&path.as_str()) {
                open.push((respond.send_response(ok(), false).unwrap(), request));
                continue;
            }
            let (response, body) = says(&path);
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from(body), true).unwrap();
            open.push((stream, request));
        }
    })
}

/// A controller that is none: what dials in is handed to the test.
pub struct OddController {
    pub address: SocketAddr,
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl OddController {
    pub async fn listen(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        Self { address, tcp, tls: Arc::new(config).into() }
    }

    pub async fn accept(&self) -> server::TlsStream<TcpStream> {
        let (tcp, _) = self.tcp.accept().await.unwrap();
        self.tls.accept(tcp).await.unwrap()
    }
}
