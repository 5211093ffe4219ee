//! A registry that says whatever a test wants, and writes down who it was asked by.

use super::{Called, Host, until};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Child;

/// It, at addresses of this host.
pub struct Hostile<'a> {
    host: &'a Host,
    folder: PathBuf,
    server: Child,
}

impl<'a> Hostile<'a> {
    /// Listens at each `ADDRESS:PORT`, and does as the plan says: see `hostile.py`.
    pub fn new(host: &'a Host, listeners: &[&str], plan: &str) -> Self {
        let folder = host.path("hostile");
        fs::create_dir_all(&folder).expect("a folder");
        let plan = host.write("hostile/plan.py", plan);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/hostile.py");
        let mut server = host.command("python3");
        server.arg(script).arg(plan).arg(&folder).args(listeners);
        let server = server.spawn().expect("python3 is installed");
        let ready = folder.join("ready");
        until("the registry listens", || ready.exists().then_some(()), String::new);
        Self { host, folder, server }
    }

    /// What was asked so far: `at`, `path` and `login` of each request.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The requests at one address.
    pub fn at(&self, listener: &str) -> Vec<Value> {
        self.requests().into_iter().filter(|request| request["at"] == listener).collect()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        fs::write(self.folder.join("requests"), "").expect("the file can be written");
    }

    /// Pulls what must be refused; what is said of it.
    #[track_caller]
    pub fn refused(&self, name: &str) -> String {
        let pull = self.host.keel(&["pull", name]);
        assert_eq!(pull.code, 1, "{name}: {pull:?}");
        assert!(!pull.stderr.contains("panicked"), "{name}: {pull:?}");
        pull.stderr
    }

    /// Pulls what must come.
    #[track_caller]
    pub fn pulled(&self, name: &str) -> Called {
        self.host.keel(&["pull", name]).ok()
    }
}

impl Drop for Hostile<'_> {
    fn drop(&mut self) {
        self.server.kill().expect("it is ours");
        self.server.wait().expect("it is ours");
    }
}
