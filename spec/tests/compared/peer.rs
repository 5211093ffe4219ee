//! Debian's docker-compose 1.29 as a library, asked about many projects in one process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The program that its library is asked with, and the version that this is about.
const PROGRAM: &str = "docker-compose";
const VERSION: &[u8] = b"1.29";

/// The running process.
pub struct Peer {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it, if it is installed.
    pub fn start() -> Option<Self> {
        let version = Command::new(PROGRAM).arg("version").arg("--short").output().ok()?;
        if !version.stdout.starts_with(VERSION) {
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compared/config.py");
        // Debian's own interpreter: its library is not in another one's path.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs, as its program did");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it has an output"));
        Some(Self { child, questions, answers })
    }

    /// What it makes of the files in a folder, or what it says of them. Without files it looks
    /// for them by itself.
    pub fn config(
        &mut self,
        dir: &Path,
        files: &[&str],
        environment: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let question = json!({ "dir": dir, "files": files, "environment": environment });
        let questions = self.questions.as_mut().expect("it is open until the end");
        writeln!(questions, "{question}").expect("it reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("it answers in JSON");
        match (&answer["config"], &answer["error"]) {
            (Value::String(config), _) => Ok(config.clone()),
            (_, Value::String(error)) => Err(error.replace(&dir.display().to_string(), ".")),
            _ => panic!("an answer that nobody expects: {answer}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with its questions.
        self.questions = None;
        let _ = self.child.wait();
    }
}
