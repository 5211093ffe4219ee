//! Git repositories as no `git` makes them: trees of raw entries, for what a hostile server sends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A bare repository whose objects are written as they are given.
pub struct RawRepo {
    /// Where it is.
    pub path: PathBuf,
}

/// An entry of a tree: its mode as it is written, its name, and the object's digits.
pub type Entry<'a> = (&'a str, &'a [u8], &'a str);

impl RawRepo {
    /// An empty one in this folder.
    pub fn new(path: PathBuf) -> Self {
        let mut init = Command::new("git");
        let made = init.args(["init", "-q", "--bare", "-b", "main"]).arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "git init {}", path.display());
        Self { path }
    }

    /// What `git` prints, given this to read.
    pub fn git(&self, words: &[&str], input: &[u8]) -> String {
        let mut child = Command::new("git")
            .arg("-C")
            .arg(&self.path)
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git is installed");
        child.stdin.take().expect("it is piped").write_all(input).expect("git reads");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git {words:?}");
        String::from_utf8(output.stdout).expect("digits").trim().to_owned()
    }

    /// An object of this kind; nothing is checked.
    pub fn object(&self, kind: &str, content: &[u8]) -> String {
        self.git(&["hash-object", "-t", kind, "--literally", "-w", "--stdin"], content)
    }

    /// A file's content.
    pub fn blob(&self, content: &str) -> String {
        self.object("blob", content.as_bytes())
    }

    /// A tree of these entries, in this order.
    pub fn tree(&self, entries: &[Entry<'_>]) -> String {
        let mut raw = Vec::new();
        for (mode, name, id) in entries {
            raw.extend_from_slice(mode.as_bytes());
            raw.push(b' ');
            raw.extend_from_slice(name);
            raw.push(0);
            raw.extend(hex::decode(id).expect("digits"));
        }
        self.object("tree", &raw)
    }

    /// `main` is a commit of this tree from now on; the commit.
    pub fn commit(&self, tree: &str) -> String {
        let raw = format!(
            "tree {tree}\nauthor Ann <ann@example.org> 0 +0000\n\
             committer Ann <ann@example.org> 0 +0000\n\nchange\n"
        );
        let commit = self.object("commit", raw.as_bytes());
        std::fs::write(self.path.join("refs/heads/main"), format!("{commit}\n")).expect("a file");
        commit
    }
}

/// Every file, folder and link below a folder, relative to it.
pub fn all_below(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(
                all_below(&entry.path()).into_iter().map(|below| format!("{name}/{below}")),
            );
        }
        found.push(name);
    }
    found
}
