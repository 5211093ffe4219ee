//! Stands before a registry and misbehaves, or asks who is there, as a test wants.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What to do with a request.
pub enum Act {
    /// Hand it on, and cut the answer after so many bytes.
    Forward { cut: Option<u64> },
    /// Hand it on without the range that it asks for.
    ForwardWhole,
    /// Answer it here: the status line's end, headers, and the body.
    Answer(&'static str, String, String),
}

/// A listener that hands requests on to a registry.
pub struct Front {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Before the registry at `address`; `judge` sees each request's head.
    pub fn start(registry: String, mut judge: impl FnMut(&str) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                let Some((head, client)) = read_head(client.unwrap()) else { return };
                seen.lock().unwrap().push(head.clone());
                // A client that has gone is none of the test's business.
                let _ = answer(client, &head, &registry, judge(&head));
            }
        });
        Self { address, heads, thread: Some(thread) }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // A connection without a request ends the listener.
        drop(TcpStream::connect(&self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The request up to its empty line; `None` where none came.
fn read_head(client: TcpStream) -> Option<(String, TcpStream)> {
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some((head, reader.into_inner()))
}

fn answer(mut client: TcpStream, head: &str, registry: &str, act: Act) -> std::io::Result<()> {
    match act {
        Act::Answer(status, headers, body) => write!(
            client,
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ),
        Act::Forward { cut } => forward(client, head, registry, cut.unwrap_or(u64::MAX)),
        Act::ForwardWhole => {
            let lines = head.split_inclusive("\r\n").filter(|line| !line.starts_with("range:"));
            forward(client, &lines.collect::<String>(), registry, u64::MAX)
        }
    }
}

fn forward(mut client: TcpStream, head: &str, registry: &str, most: u64) -> std::io::Result<()> {
    let mut server = TcpStream::connect(registry)?;
    server.write_all(head.replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes())?;
    std::io::copy(&mut server.take(most), &mut client).map(drop)
}
