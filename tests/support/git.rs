//! A real Git server: bare repositories behind `git http-backend`, and a work tree to push from.

use super::{Host, Serve, until};
use std::fs;
use std::path::PathBuf;
use std::process::Child;

/// A bare repository on this host, its work tree, and an HTTP server for it.
pub struct Repo<'a> {
    host: &'a Host,
    /// The bare repository.
    pub bare: PathBuf,
    /// The work tree.
    pub tree: PathBuf,
    server: Option<Child>,
}

impl<'a> Repo<'a> {
    /// An empty repository with branch `main`, served at [`Repo::url`].
    pub fn new(host: &'a Host) -> Self {
        let (bare, tree) = (host.path("git/stacks.git"), host.path("tree"));
        host.sh(&format!(
            "git init -q --bare -b main {bare} && git -C {bare} config http.receivepack true && \
             git clone -q {bare} {tree} 2>/dev/null && git -C {tree} checkout -q -b main && \
             git -C {tree} config user.name Ann && git -C {tree} config user.email ann@example.org",
            bare = bare.display(),
            tree = tree.display(),
        ));
        let mut repo = Self { host, bare, tree, server: None };
        repo.start();
        repo
    }

    /// Where it is served.
    pub fn url(&self) -> String {
        "http://127.0.0.1:8418/stacks.git".to_owned()
    }

    /// Starts the HTTP server.
    pub fn start(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/git_http.py");
        let child = self
            .host
            .command("python3")
            .args([script, "8418"])
            .arg(self.host.path("git"))
            .spawn()
            .expect("python3 is installed");
        self.server = Some(child);
        let url = format!("{}/info/refs?service=git-upload-pack", self.url());
        until("the git server answers", || self.host.get(&url), String::new);
    }

    /// Ends the HTTP server.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("it is ours");
            server.wait().expect("it is ours");
        }
    }

    /// Writes a file of the work tree.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.tree.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(path, text).expect("the file can be written");
    }

    /// Commits all and pushes; the new commit's id.
    pub fn push(&self, message: &str) -> String {
        self.git(&format!(
            "add -A && git commit -q --allow-empty -m '{message}' && git push -q origin HEAD:main"
        ))
    }

    /// The same by force, over the last commit.
    pub fn force_push(&self, message: &str) -> String {
        self.git(&format!(
            "add -A && git commit -q --amend -m '{message}' && git push -q -f origin HEAD:main"
        ))
    }

    fn git(&self, arguments: &str) -> String {
        let tree = self.tree.display();
        self.host
            .sh(&format!("cd {tree} && git {arguments} && git rev-parse HEAD"))
            .trim()
            .to_owned()
    }
}

impl Drop for Repo<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `keel serve` of all folders of a repository.
pub fn serve(host: &Host, repo: &Repo<'_>) -> Serve {
    host.serve(&["--git", &repo.url(), "--branch", "main", "--path", "*", "--poll", "1s"])
}
