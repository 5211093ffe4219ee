//! The listener, as forges and others reach it: over real connections.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use keel_webhooks::{Forge, Hook, Limits, Told, serve};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const BODY: &str = "{\"ref\":\"refs/heads/main\"}";
const MAC: &str = "c96eb37c936d9597b9c86eb4139f02407541a4548441c5feaba5ae8bef583fec";

struct World {
    at: SocketAddr,
    told: mpsc::UnboundedReceiver<Told>,
    task: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    /// `home` listens to GitHub, `lab` to GitLab, `broken` has no secret to read.
    async fn new(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let hook = |name: &str, forge: &str| Hook {
            name: name.to_owned(),
            forge: Forge::of(forge).unwrap(),
            secret: match name {
                "broken" => Arc::new(|| Err(std::io::ErrorKind::NotFound.into())),
                _ => Arc::new(|| Ok(b"keel-test-secret".to_vec())),
            },
        };
        let hooks = vec![hook("home", "github"), hook("lab", "gitlab"), hook("broken", "github")];
        let (sender, told) = mpsc::unbounded_channel();
        let tell = move |what| drop(sender.send(what));
        let task = tokio::spawn(serve(listener, hooks, limits, tell));
        Self { at, told, task }
    }

    /// Everything that comes back until the other side hangs up.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        // It may hang up in the middle of what it does not want.
        let _ = stream.write_all(bytes).await;
        read(&mut stream).await
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        self.send(request("POST", path, headers, body).as_bytes()).await
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let end = Duration::from_secs(20);
    let _ = tokio::time::timeout(end, stream.read_to_end(&mut answer)).await.expect("it hangs up");
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn signed(more: &str) -> String {
    format!("x-hub-signature-256: sha256={MAC}\r\nx-github-event: push\r\n{more}")
}

#[tokio::test]
async fn what_is_proven_is_taken_and_the_rest_learns_nothing() {
    let mut world = World::new(Limits::default()).await;
    let lab = "x-gitlab-token: keel-test-secret\r\nx-gitlab-event: Push Hook\r\n";
    let cases = [
        ("/hooks/home", signed(""), "202"),
        ("/hooks/home", signed("").replace("push", "ping"), "202"),
        ("/hooks/lab", lab.to_owned(), "202"),
        ("/hooks/home", signed("").replace("c96", "c97"), "401"),
        ("/hooks/home", String::new(), "401"),
        ("/hooks/home", lab.to_owned(), "401"),
        ("/hooks/lab", signed(""), "401"),
        ("/hooks/broken", signed(""), "401"),
        ("/hooks/unknown", signed(""), "401"),
        ("/hooks/", signed(""), "401"),
        ("/hooks/home/", signed(""), "401"),
        ("/hooks/../hooks/home", signed(""), "401"),
        ("/", signed(""), "404"),
        ("/v1/info", String::new(), "404"),
    ];
    for (path, headers, expected) in cases {
        assert_eq!(status(&world.post(path, &headers, BODY).await), expected, "{path} {headers}");
    }
    let mut refused = 0;
    let mut heard = Vec::new();
    while let Ok(told) = world.told.try_recv() {
        match told {
            Told::Refused { .. } => refused += 1,
            other => heard.push(other),
        }
    }
    let name = |name: &str| name.to_owned();
    let expected = [
        Told::Refresh { name: name("home") },
        Told::Ignored { name: name("home") },
        Told::Refresh { name: name("lab") },
    ];
    assert_eq!((heard.as_slice(), refused), (&expected[..], 9));

    let got = world.send(request("GET", "/hooks/home", &signed(""), "").as_bytes()).await;
    assert_eq!(status(&got), "405");
    let date = |answer: String| {
        answer.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n")
    };
    let unknown = date(world.post("/hooks/unknown", &signed(""), BODY).await);
    let known = date(world.post("/hooks/home", &signed("").replace("c9", "c8"), BODY).await);
    assert_eq!(unknown, known, "names cannot be found out");
}

#[tokio::test]
async fn a_delivery_that_came_before_is_answered_and_does_nothing() {
    let mut world = World::new(Limits::default()).await;
    for (id, refreshed) in [("a", true), ("a", false), ("b", true), ("a", false)] {
        let headers = signed(&format!("x-github-delivery: {id}\r\n"));
        assert_eq!(status(&world.post("/hooks/home", &headers, BODY).await), "202");
        let told = world.told.try_recv().unwrap();
        assert_eq!(matches!(told, Told::Refresh { .. }), refreshed, "{id}: {told:?}");
    }
    // One that was refused was not there.
    let headers = signed("x-github-delivery: c\r\n");
    assert_eq!(status(&world.post("/hooks/home", &headers, "forged").await), "401");
    assert!(matches!(world.told.try_recv().unwrap(), Told::Refused { .. }));
    assert_eq!(status(&world.post("/hooks/home", &headers, BODY).await), "202");
    assert!(matches!(world.told.try_recv().unwrap(), Told::Refresh { .. }));
}

#[tokio::test]
async fn what_is_too_long_or_no_http_is_cut() {
    let mut world = World::new(Limits { body: 4096, ..Limits::default() }).await;
    let long = "x".repeat(5000);
    assert_eq!(status(&world.post("/hooks/home", &signed(""), &long).await), "413");
    let announced = "POST /hooks/home HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n";
    assert_eq!(status(&world.send(announced.as_bytes()).await), "413");
    let chunk = format!("1388\r\n{long}\r\n0\r\n\r\n");
    let chunked = format!(
        "POST /hooks/home HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
    );
    assert_eq!(status(&world.send(chunked.as_bytes()).await), "413");
    let headers = format!("x-long: {}\r\n", "y".repeat(1_000_000));
    assert_eq!(status(&world.post("/hooks/home", &headers, BODY).await), "431");
    for nonsense in ["\x16\x03\x01\x02\x00", "nonsense\r\n\r\n", "POST /hooks/home\r\n\r\n"] {
        let answer = world.send(nonsense.as_bytes()).await;
        assert!(matches!(status(&answer), "400" | "none"), "{answer}");
    }
    let lying = "POST /hooks/home HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\
                 transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(matches!(status(&world.send(lying.as_bytes()).await), "400" | "401" | "none"));
    while let Ok(told) = world.told.try_recv() {
        assert!(matches!(told, Told::Refused { .. }), "{told:?}");
    }
}

#[tokio::test]
async fn whoever_is_slow_is_cut_and_keeps_nobody_out() {
    let limits = Limits {
        headers: Duration::from_millis(300),
        whole: Duration::from_millis(900),
        connections: 8,
        ..Limits::default()
    };
    let mut world = World::new(limits).await;
    let began = Instant::now();
    let mut slow = TcpStream::connect(world.at).await.unwrap();
    slow.write_all(b"POST /hooks/home HTTP/1.1\r\nhost: ").await.unwrap();
    let mut slow_body = TcpStream::connect(world.at).await.unwrap();
    let half = request("POST", "/hooks/home", &signed(""), BODY);
    slow_body.write_all(&half.as_bytes()[..half.len() - 3]).await.unwrap();
    assert!(matches!(status(&read(&mut slow).await), "408" | "none"));
    assert_eq!(status(&read(&mut slow_body).await), "none");
    let took = began.elapsed();
    assert!(took >= limits.headers && took < Duration::from_secs(10), "{took:?}");

    // Many more than may be open at once, each of which says nothing.
    let mut idle = Vec::new();
    for _ in 0..limits.connections * 4 {
        idle.push(TcpStream::connect(world.at).await.unwrap());
    }
    assert_eq!(status(&world.post("/hooks/home", &signed(""), BODY).await), "202");
    assert!(matches!(world.told.recv().await.unwrap(), Told::Refresh { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forgeries_hides_no_delivery() {
    let world = World::new(Limits::default()).await;
    let at = world.at;
    let flood = tokio::spawn(async move {
        let forged = request("POST", "/hooks/home", &signed("").replace("c9", "c8"), BODY);
        for _ in 0..2000 {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(forged.as_bytes()).await.unwrap();
            assert_eq!(status(&read(&mut stream).await), "401");
        }
    });
    for _ in 0..200 {
        assert_eq!(status(&world.post("/hooks/home", &signed(""), BODY).await), "202");
    }
    flood.await.unwrap();
}
