//! As much of HTTP/1.1 as a demo needs: one request and one answer for each connection.
//!
//! # Invariants
//! - Nobody can make it read or wait without end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// Request line and headers; and what an answer may be.
const LIMIT: u64 = 64 << 10;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, ….
    pub method: String,
    /// Without the query.
    pub path: String,
    /// A browser asks.
    pub html: bool,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200, ….
    pub status: u16,
    /// `text/plain`, ….
    pub kind: &'static str,
    /// The body.
    pub body: String,
}

impl Reply {
    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain", body: body.into() }
    }
}

/// Whoever knows the answers.
pub trait Answer: Send + Sync {
    /// To one request.
    fn answer(&self, request: &Request) -> Reply;
}

/// Answers everybody, each in a thread of their own.
pub fn serve<A: Answer + 'static>(listener: &TcpListener, answer: &Arc<A>) {
    for stream in listener.incoming() {
        // A connection that was given up before it was taken.
        let Ok(stream) = stream else { continue };
        let answer = Arc::clone(answer);
        std::thread::spawn(move || {
            if let Err(error) = converse(&stream, answer.as_ref()) {
                eprintln!("a request failed: {error}");
            }
        });
    }
}

fn converse(mut stream: &TcpStream, answer: &impl Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(request) = read_request(&mut BufReader::new(stream.take(LIMIT)))? else {
        // A probe that connects and goes away is no error.
        return Ok(());
    };
    let reply = answer.answer(&request);
    let body = if request.method == "HEAD" { "" } else { &reply.body };
    write!(
        stream,
        "HTTP/1.1 {} {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        reply.status,
        reason(reply.status),
        reply.kind,
        reply.body.len(),
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        502 => "Bad Gateway",
        _ => "Error",
    }
}

fn read_request(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let path = target.split('?').next().unwrap_or_default();
    let mut request = Request { method: method.into(), path: path.into(), html: false };
    loop {
        let mut header = String::new();
        if from.read_line(&mut header)? == 0 || header.trim_end().is_empty() {
            return Ok(Some(request));
        }
        let header = header.to_ascii_lowercase();
        request.html |= header.starts_with("accept:") && header.contains("text/html");
    }
}

/// Asks somebody else: status and body.
pub fn get(
    address: SocketAddr,
    host: &str,
    path: &str,
    patience: Duration,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.take(LIMIT).read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("that is not HTTP"))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    struct Echo;

    impl Answer for Echo {
        fn answer(&self, request: &Request) -> Reply {
            Reply::text(200, format!("{} {}", request.method, request.path))
        }
    }

    #[test]
    fn a_request_gets_its_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&listener, &Arc::new(Echo)));
        let asked = get(address, "localhost", "/a?b=c", PATIENCE).unwrap();
        assert_eq!(asked, (200, "GET /a".to_owned()));
    }

    #[test]
    fn requests_are_read_as_far_as_they_matter() {
        let read = |text: &str| read_request(&mut text.as_bytes()).unwrap();
        assert_eq!(read(""), None);
        assert_eq!(read("nonsense\r\n"), None);
        let html = read("GET / HTTP/1.1\r\nAccept: text/html,*/*\r\n\r\n").unwrap();
        assert!(html.html);
        let plain = read("HEAD /x HTTP/1.0\r\nAccept: */*\r\n").unwrap();
        assert_eq!((plain.method.as_str(), plain.path.as_str(), plain.html), ("HEAD", "/x", false));
    }
}
