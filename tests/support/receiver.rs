//! A real HTTP server that writes down what it is sent: a webhook's receiver, an ntfy, a forge.

use super::{Host, until};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Child;

/// It, at a port of this host.
pub struct Receiver<'a> {
    host: &'a Host,
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl<'a> Receiver<'a> {
    /// One that does not listen yet.
    pub fn away(host: &'a Host, port: u16) -> Self {
        let folder = host.path(&format!("receiver-{port}"));
        fs::create_dir_all(&folder).expect("a folder");
        let receiver = Self { host, folder, port, server: None };
        receiver.answers("200");
        receiver
    }

    /// One that answers.
    pub fn new(host: &'a Host, port: u16) -> Self {
        let mut receiver = Self::away(host, port);
        receiver.start();
        receiver
    }

    /// From now on it listens.
    pub fn start(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/receiver.py");
        let mut server = self.host.command("python3");
        server.args([script, &self.port.to_string()]).arg(&self.folder);
        self.server = Some(server.spawn().expect("python3 is installed"));
        until("the receiver answers", || self.host.get(&self.url("/")), String::new);
    }

    /// From now on it does not listen.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("it is ours");
            server.wait().expect("it is ours");
        }
    }

    /// From now on it answers so: a status, or `hang`.
    pub fn answers(&self, answer: &str) {
        fs::write(self.folder.join("answer"), answer).expect("the file can be written");
    }

    /// A path of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it was sent to this path, oldest first; each with `path`, `headers`, `json`, `answer`.
    pub fn got(&self, path: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        let line = |line: &str| {
            // The last may be half written.
            let mut got: Value = serde_json::from_str(line).ok()?;
            got["json"] = serde_json::from_str(got["body"].as_str()?).ok()?;
            got["path"].as_str()?.starts_with(path).then_some(got)
        };
        text.lines().filter_map(line).collect()
    }

    /// Waits until it was sent so many to this path; all of them.
    #[track_caller]
    pub fn until_got(&self, path: &str, many: usize, explain: impl Fn() -> String) -> Vec<Value> {
        let there = || {
            let got = self.got(path);
            (got.len() >= many).then_some(got)
        };
        let explain = || format!("{:#?}\n{}", self.got(""), explain());
        until(&format!("{many} requests to {path}"), there, explain)
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}
