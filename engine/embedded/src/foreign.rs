//! Containers of Docker on this host, asked over its socket.
//!
//! # Invariants
//! - Whatever goes wrong, there are none: whoever has no Docker loses nothing by it.

use keel_engine::{ForeignContainer, labels};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
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

/// Those that run and belong to a Compose project or write to this host.
pub(crate) async fn containers(socket: &Path) -> Vec<ForeignContainer> {
    match tokio::time::timeout(PATIENCE, ask(socket)).await {
        Ok(Ok(answer)) => read(&answer),
        _ => Vec::new(),
    }
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
    use tokio::net::UnixListener;

    const ANSWER: &str = concat!(
        "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n",
        r#"[{"Names":["/shop-web-1"],"Labels":{"com.docker.compose.project":"shop","#,
        r#""com.docker.compose.service":"web"},"Mounts":[{"Type":"bind","Source":"/srv","RW":true},"#,
        r#"{"Type":"bind","Source":"/etc","RW":false}]},{"Names":["/other"],"Labels":null}]"#,
    );

    #[tokio::test]
    async fn docker_is_asked_and_its_absence_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        assert_eq!(containers(&path).await, []);
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = vec![0; QUESTION.len()];
            stream.read_exact(&mut question).await.unwrap();
            stream.write_all(ANSWER.as_bytes()).await.unwrap();
            question
        });
        let found = containers(&path).await;
        assert_eq!(server.await.unwrap(), QUESTION);
        let expected = ForeignContainer {
            name: "shop-web-1".into(),
            project: "shop".into(),
            service: "web".into(),
            writes: vec!["/srv".into()],
        };
        assert_eq!(found, [expected]);
    }
}
