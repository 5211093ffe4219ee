//! Says who answers, and how many visits were counted.

use super::http::{self, Answer, Reply, Request};
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Who it is, and whom it asks.
pub struct Web {
    name: String,
    counter: Option<String>,
}

impl Web {
    /// `counter` is where visits are counted: `http://counter/`.
    pub fn new(counter: Option<String>) -> io::Result<Self> {
        Ok(Self { name: super::name::task()?, counter })
    }

    fn visits(&self) -> Option<io::Result<String>> {
        let url = self.counter.as_deref()?;
        Some(ask(url).map_err(|error| io::Error::other(format!("{url}: {error}"))))
    }

    fn page(&self, request: &Request) -> Reply {
        let mut text = format!("Hello from {}", self.name);
        let status = match self.visits() {
            None => 200,
            Some(Ok(visits)) => {
                text.push_str(&format!(", visit {visits}"));
                200
            }
            Some(Err(error)) => {
                text.push_str(&format!(", but nobody counts: {error}"));
                502
            }
        };
        if request.html {
            let body = format!(
                "<!doctype html><meta charset=utf-8><title>hello</title>\
                 <body style='font:2rem system-ui;margin:20vh auto;text-align:center'>{}",
                escape(&text)
            );
            return Reply { status, kind: "text/html", body };
        }
        Reply::text(status, text + "\n")
    }
}

impl Answer for Web {
    fn answer(&self, request: &Request) -> Reply {
        match request.path.as_str() {
            // Whether it is well does not depend on others.
            "/health" => Reply::text(200, "ok\n"),
            "/" => self.page(request),
            _ => Reply::text(404, "there is only /\n"),
        }
    }
}

fn ask(url: &str) -> io::Result<String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("not http://"))?;
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) => (host, format!("/{path}")),
        None => (rest, "/".to_owned()),
    };
    let named = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let address = named.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("it has no address"))?;
    match http::get(address, host, &path, PATIENCE)? {
        (200, body) => Ok(body.trim().to_owned()),
        (status, _) => Err(io::Error::other(format!("it answers {status}"))),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::counter::Counter;
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Arc;

    fn asked(html: bool) -> Request {
        Request { method: "GET".into(), path: "/".into(), html }
    }

    #[test]
    fn a_visit_is_counted_by_the_other_service() {
        let folder = tempfile::tempdir().unwrap();
        let counter = Arc::new(Counter::open(folder.path()).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || http::serve(&listener, &counter));
        let web = Web { name: "hello-web-1".into(), counter: Some(url) };
        assert_eq!(
            web.answer(&asked(false)),
            Reply::text(200, "Hello from hello-web-1, visit 1\n")
        );
        assert!(web.answer(&asked(true)).body.ends_with("Hello from hello-web-1, visit 2"));
    }

    #[test]
    fn without_a_counter_it_says_who_it_is() {
        let web = Web { name: "hello-web-1".into(), counter: None };
        assert_eq!(web.answer(&asked(false)).body, "Hello from hello-web-1\n");
    }

    #[test]
    fn a_counter_that_is_away_is_said() {
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let web = Web { name: "hello-web-1".into(), counter: Some(url.clone()) };
        let reply = web.answer(&asked(false));
        assert_eq!(reply.status, 502);
        assert!(reply.body.starts_with("Hello from hello-web-1, but nobody counts: http://"));
        assert_eq!(web.answer(&Request { path: "/health".into(), ..asked(false) }).status, 200);
    }
}
