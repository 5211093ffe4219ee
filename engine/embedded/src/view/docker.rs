//! Containers of Docker on this host, asked over its socket. What it says is known until it tells that one of
//! them started, ended or got another name.
//!
//! # Invariants
//! - Whatever goes wrong, there are none: whoever has no Docker loses nothing by it.
//! - While nothing is told, each look asks.

use keel_engine::{ForeignContainer, labels};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Docker may hang: what it does not say at once counts as not said.
const PATIENCE: Duration = Duration::from_millis(500);
/// Far more than a host's containers fill.
const LIMIT: u64 = 16 << 20;

/// HTTP 1.0, so that the answer ends with the connection and comes in one piece.
const QUESTION: &[u8] = b"GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(default)]
    source: String,
    #[serde(rename = "RW", default)]
    writable: bool,
}

/// Whether containers come and go. Others (a health check is one each time) are none of ours.
const FILTERS: &str = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B\
    %22start%22%2C%22die%22%2C%22destroy%22%2C%22rename%22%5D%7D";

/// What Docker has on this host.
pub(crate) struct Docker {
    socket: PathBuf,
    known: Mutex<Containers>,
}

#[derive(Default)]
struct Containers {
    containers: Vec<ForeignContainer>,
    /// Nothing was told since these were asked for.
    current: bool,
    /// Somebody listens, or is about to.
    listens: bool,
    /// What happens is told.
    followed: bool,
}

impl Docker {
    /// Nothing is asked yet.
    pub(crate) fn at(socket: &Path) -> Arc<Self> {
        Arc::new(Self { socket: socket.to_owned(), known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Containers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that run and belong to a Compose project or write to this host.
    pub(crate) async fn containers(self: &Arc<Self>) -> Vec<ForeignContainer> {
        {
            let mut known = self.known();
            if known.followed && known.current {
                return known.containers.clone();
            }
            // Before it is asked: what comes after that is told.
            known.current = known.followed;
        }
        let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, ask(&self.socket)).await else {
            self.known().current = false;
            return Vec::new();
        };
        let containers = read(&answer);
        self.known().containers.clone_from(&containers);
        self.follow();
        containers
    }

    /// Listens from now on, once.
    fn follow(self: &Arc<Self>) {
        if std::mem::replace(&mut self.known().listens, true) {
            return;
        }
        let docker = Arc::downgrade(self);
        let socket = self.socket.clone();
        tokio::spawn(async move {
            let _ = listen(&socket, &docker).await;
            if let Some(docker) = docker.upgrade() {
                let mut known = docker.known();
                (known.listens, known.followed, known.current) = (false, false, false);
            }
        });
    }
}

/// Until Docker ends, or nobody wants to know any more.
async fn listen(socket: &Path, docker: &Weak<Docker>) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    // Also what happens between its answer and its listening, which come in this order.
    let since = crate::clock::now() / 1000;
    let question =
        format!("GET /events?since={since}&filters={FILTERS} HTTP/1.0\r\nHost: docker\r\n\r\n");
    stream.write_all(question.as_bytes()).await?;
    let mut told = [0; 4096];
    while stream.read(&mut told).await? > 0 {
        let Some(docker) = docker.upgrade() else { return Ok(()) };
        let mut known = docker.known();
        (known.followed, known.current) = (true, false);
    }
    Ok(())
}

async fn ask(socket: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(QUESTION).await?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn read(answer: &[u8]) -> Vec<ForeignContainer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(body) = end.and_then(|end| answer.get(end + 4..)) else { return Vec::new() };
    let containers: Vec<Container> = serde_json::from_slice(body).unwrap_or_default();
    let mut all: Vec<_> = containers.into_iter().map(foreign).collect();
    all.retain(|container| !container.project.is_empty() || !container.writes.is_empty());
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn foreign(container: Container) -> ForeignContainer {
    let given = container.labels.unwrap_or_default();
    let label = |key: &str| given.get(key).cloned().unwrap_or_default();
    let name = container.names.first().map(|name| name.trim_start_matches('/').to_owned());
    let writes = container.mounts.into_iter().filter(|m| m.writable && !m.source.is_empty());
    ForeignContainer {
        name: name.unwrap_or_default(),
        project: label(labels::PROJECT),
        service: label(labels::SERVICE),
        writes: writes.map(|mount| mount.source).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::net::UnixListener;
    use tokio::sync::Notify;

    const ANSWER: &str = concat!(
        "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n",
        r#"[{"Names":["/shop-web-1"],"Labels":{"com.docker.compose.project":"shop","#,
        r#""com.docker.compose.service":"web"},"Mounts":[{"Type":"bind","Source":"/srv","RW":true},"#,
        r#"{"Type":"bind","Source":"/etc","RW":false}]},{"Names":["/other"],"Labels":null}]"#,
    );

    /// One that says what it has, and what happens when it is told to; counts who asks.
    async fn serve(listener: UnixListener, asked: Arc<AtomicU32>, happens: Arc<Notify>) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 4];
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut question).await.unwrap();
                line.extend_from_slice(&question[..read]);
            }
            if line == QUESTION {
                asked.fetch_add(1, Ordering::SeqCst);
                stream.write_all(ANSWER.as_bytes()).await.unwrap();
            } else {
                assert!(line.starts_with(b"GET /events?since="), "{line:?}");
                let happens = Arc::clone(&happens);
                tokio::spawn(async move {
                    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
                    happens.notified().await;
                    stream.write_all(b"{}\n").await.unwrap();
                    happens.notified().await;
                });
            }
        }
    }

    #[tokio::test]
    async fn docker_is_asked_once_until_something_happens_and_its_absence_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let docker = Docker::at(&path);
        assert_eq!(docker.containers().await, []);
        let (asked, happens) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(serve(listener, Arc::clone(&asked), Arc::clone(&happens)));
        let expected = ForeignContainer {
            name: "shop-web-1".into(),
            project: "shop".into(),
            service: "web".into(),
            writes: vec!["/srv".into()],
        };
        let current = async |wanted: bool| {
            let deadline = std::time::Instant::now() + Duration::from_secs(30);
            while docker.known().current != wanted {
                assert_eq!(docker.containers().await, std::slice::from_ref(&expected));
                assert!(std::time::Instant::now() < deadline);
                tokio::task::yield_now().await;
            }
        };
        current(true).await;
        let before = asked.load(Ordering::SeqCst);
        for _ in 0..10 {
            assert_eq!(docker.containers().await, std::slice::from_ref(&expected));
        }
        assert_eq!(asked.load(Ordering::SeqCst), before, "nothing happened");
        happens.notify_one();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while asked.load(Ordering::SeqCst) == before {
            docker.containers().await;
            assert!(std::time::Instant::now() < deadline, "what happened is never asked for");
            tokio::task::yield_now().await;
        }
        server.abort();
    }
}
