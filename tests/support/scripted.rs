//! A real HTTP server that answers by a script: a Git server, or a receiver, that leads elsewhere.

use super::{Host, until};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Child;

/// It, at a port of this host.
pub struct Scripted {
    folder: PathBuf,
    server: Child,
}

impl Scripted {
    /// One that answers paths by these rules, and all else with 404.
    pub fn new(host: &Host, port: u16, rules: &Value) -> Self {
        let name = format!("scripted-{port}");
        host.write(&format!("{name}/rules"), &rules.to_string());
        let folder = host.path(&name);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/scripted.py");
        let mut server = host.command("python3");
        let server = server.args([script, &port.to_string()]).arg(&folder).spawn();
        let server = Self { folder, server: server.expect("python3 is installed") };
        let url = format!("http://127.0.0.1:{port}/");
        until(
            "the server answers",
            || {
                host.command("curl")
                    .args(["-s", &url])
                    .output()
                    .ok()?
                    .status
                    .success()
                    .then_some(())
            },
            String::new,
        );
        std::fs::write(server.folder.join("requests"), "").expect("the file can be written");
        server
    }

    /// What it was asked, oldest first; each with `method`, `path`, `headers`, `body`.
    pub fn asked(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("requests")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.kill().expect("it is ours");
        self.server.wait().expect("it is ours");
    }
}

/// A rule that leads elsewhere.
pub fn leads(status: u16, location: &str) -> Value {
    json!({ "status": status, "location": location })
}

/// A rule that says where the branches of a repository are, as Git does.
pub fn advertises(references: &[(&str, &str)]) -> Value {
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let mut body = line("# service=git-upload-pack\n".to_owned()) + "0000";
    for (number, (name, commit)) in references.iter().enumerate() {
        let able = if number == 0 { "\0side-band-64k ofs-delta agent=git/2" } else { "" };
        body += &line(format!("{commit} {name}{able}\n"));
    }
    let kind = "application/x-git-upload-pack-advertisement";
    json!({ "status": 200, "type": kind, "body": body + "0000" })
}
