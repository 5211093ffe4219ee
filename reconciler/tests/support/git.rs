//! A real repository that is pushed to, and a real `git http-backend` behind a small web server.

use super::write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A working copy with a bare repository beside it.
pub struct Repo<F = tempfile::TempDir> {
    folder: F,
    name: &'static str,
}

impl Repo {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), name: "home" }.made()
    }

    /// Another one, which a server of the first one serves, too.
    pub fn beside(&self, name: &'static str) -> Repo<&Path> {
        Repo { folder: self.root(), name }.made()
    }
}

impl<F: AsRef<Path>> Repo<F> {
    fn made(self) -> Self {
        let (bare, work) = (self.bare(), self.work());
        git(self.root(), &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        git(self.root(), &["clone", "-q", bare.to_str().unwrap(), work.to_str().unwrap()]);
        git(&self.work(), &["checkout", "-q", "-b", "main"]);
        self
    }

    pub fn root(&self) -> &Path {
        self.folder.as_ref()
    }

    pub fn bare(&self) -> PathBuf {
        self.root().join(format!("{}.git", self.name))
    }

    fn work(&self) -> PathBuf {
        self.root().join(if self.name == "home" { "work" } else { self.name })
    }

    pub fn write(&self, name: &str, text: &str) {
        write(&self.work().join(name), text);
    }

    pub fn link(&self, target: &str, name: &str) {
        std::os::unix::fs::symlink(target, self.work().join(name)).unwrap();
    }

    /// A submodule that the next [`Repo::push`] holds.
    pub fn submodule(&self, name: &str) {
        let (work, inner) = (self.work(), self.work().join(name));
        git(&work, &["init", "-q", name]);
        git(&inner, &["commit", "-q", "--allow-empty", "-m", "inner"]);
        git(&work, &["add", name]);
    }

    /// A submodule at this commit of a repository, whatever its address means.
    pub fn link_to(&self, name: &str, commit: &str, url: &str) {
        let work = self.work();
        std::fs::create_dir_all(work.join(name)).unwrap();
        let entry = format!("160000,{commit},{name}");
        git(&work, &["update-index", "--add", "--cacheinfo", &entry]);
        for (key, value) in [("path", name), ("url", url)] {
            let key = format!("submodule.{name}.{key}");
            git(&work, &["config", "-f", ".gitmodules", &key, value]);
        }
    }

    pub fn remove(&self, name: &str) {
        git(&self.work(), &["rm", "-q", "-r", name]);
    }

    /// Commits everything, pushes, and gives the commit.
    pub fn push(&self) -> String {
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "--allow-empty", "-m", "change"]);
        git(&self.work(), &["push", "-q", "origin", "main"]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    /// Tags the last commit, and pushes that.
    pub fn tag(&self, words: &[&str]) {
        git(&self.work(), &[&["tag"], words].concat());
        git(&self.work(), &["push", "-q", "origin", "--tags"]);
    }

    /// Replaces the last commit, and pushes by force.
    pub fn push_by_force(&self) -> String {
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "--amend", "-m", "another"]);
        git(&self.work(), &["push", "-q", "--force", "origin", "main"]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }
}

/// What `git` prints, called in this folder.
pub fn git(folder: &Path, words: &[&str]) -> String {
    let done = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
        .args(words)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Serves the repositories in a folder; ends with the test's runtime.
pub struct Server {
    pub port: u16,
    refuses: Arc<AtomicU16>,
    silent: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// With a password, only `me` with that one may read.
    pub async fn start(root: &Path, password: Option<&'static str>) -> Self {
        Self::start_at(0, root, password).await
    }

    /// On this port.
    pub async fn start_at(port: u16, root: &Path, password: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let refuses = Arc::new(AtomicU16::new(0));
        let port = listener.local_addr().unwrap().port();
        let root = root.to_owned();
        let silent = Arc::new(AtomicU16::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let (all, told) = (refuses.clone(), silent.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let status = all.load(Ordering::SeqCst);
                if status == 1 {
                    told.fetch_add(1, Ordering::SeqCst);
                }
                tokio::spawn(answer(stream, root.clone(), password, status, log.clone()));
            }
        });
        Self { port, refuses, silent, asked, task }
    }

    /// From now on every request gets this status; with 0 it serves again, with 1 it says nothing.
    pub fn refuse(&self, status: u16) {
        self.refuses.store(status, Ordering::SeqCst);
    }

    /// What was asked for since the last time, such as `GET /home.git/info/refs`.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// How many were told nothing.
    pub fn silent(&self) -> u16 {
        self.silent.load(Ordering::SeqCst)
    }

    /// From now on nobody answers.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

async fn answer(
    stream: TcpStream,
    root: PathBuf,
    password: Option<&str>,
    status: u16,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await else { return };
    log.lock().unwrap().push(format!("{} {}", request.method, request.path));
    if status == 1 {
        // Until the other side hangs up.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        return;
    }
    if status != 0 {
        let reply =
            format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(reply.as_bytes()).await;
        return;
    }
    // `me:secret`, as basic authentication writes it.
    let expected = password.map(|_| "Basic bWU6c2VjcmV0");
    let reply = if expected.is_some() && request.header("authorization") != expected {
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
    } else {
        run(&request, &root).await
    };
    let _ = stream.write_all(&reply).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let header = |line: &String| {
        let (key, value) = line.split_once(':')?;
        Some((key.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines[1..].iter().filter_map(header).collect();
    let length = headers.iter().find(|(key, _)| key == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

async fn run(request: &Request, root: &Path) -> Vec<u8> {
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", request.header("content-type").unwrap_or(""))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&request.body).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let body = &output[end + 4..];
    let length = body.len();
    let mut reply = format!(
        "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
    .into_bytes();
    reply.extend_from_slice(body);
    reply
}
