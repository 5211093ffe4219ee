//! `keel attach` to containers of another node.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use support::pool::Pool;
use support::{Host, signal, until};

/// Answers take a moment: by then, the end of the input has been seen.
const STACK: &str = r#"
services:
  console:
    image: busybox:1
    stdin_open: true
    restart: "no"
    command:
      - sh
      - -c
      - 'trap "echo caught; exit 9" TERM; while read line; do sleep 1; echo "got $$line"; [ "$$line" != end ] || exit 7; done; echo eof'
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
  shell:
    image: busybox:1
    stdin_open: true
    tty: true
    command: sh
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
  twice:
    image: keel.local/hello
    deploy: { replicas: 2 }
"#;

/// `keel attach` in the background.
struct Attached {
    child: Child,
    log: std::path::PathBuf,
}

impl Attached {
    fn start(host: &Host, words: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let log = host.path(&format!("attached-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let mut call = host.command(env!("CARGO_BIN_EXE_keel"));
        call.arg("attach").args(words).stdin(Stdio::piped()).stderr(Stdio::inherit());
        Self { child: call.stdout(File::create(&log).unwrap()).spawn().unwrap(), log }
    }

    /// Types a line; the input ends behind it.
    fn type_last(&mut self, line: &str) {
        self.child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    }

    #[track_caller]
    fn until_said(&self, text: &str) {
        let said = || fs::read_to_string(&self.log).unwrap();
        until(&format!("it says {text}"), || said().contains(text).then_some(()), said);
    }

    fn code(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

/// A person at a terminal.
fn typing(host: &Host, steps: &[&str], command: &[&str]) -> (i32, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/typing.py");
    let mut call: Command = host.command("python3");
    call.arg(script).args(steps).args(["--", env!("CARGO_BIN_EXE_keel")]).args(command);
    let output = call.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn input_output_signals_and_the_terminal_of_a_container_on_another_node_are_a_persons() {
    let pool = Pool::of(Host::new(), Host::new(), STACK);
    let serve = pool.serve();
    let agent = pool.join();
    let console = pool.until_running("web-console-1");
    assert_eq!(console["node"], "shed", "{}", agent.said());

    // The end of the input is neither the end of the output nor that of the container's input.
    let mut first = Attached::start(&pool.controller, &["web/console"]);
    first.type_last("hello\n");
    first.until_said("got hello");
    let mut listener = Attached::start(&pool.controller, &["--no-stdin", "web/console"]);
    listener.type_last("unheard\n");
    let mut second = Attached::start(&pool.controller, &["web-console-1"]);
    second.type_last("again\n");
    for attached in [&first, &listener, &second] {
        attached.until_said("got again");
    }
    assert!(!fs::read_to_string(&first.log).unwrap().contains("unheard"));
    assert_eq!(pool.until_running("web-console-1")["pid"], console["pid"]);
    drop(first.child.kill());
    first.child.wait().unwrap();

    let own = Attached::start(&pool.controller, &["--sig-proxy=false", "web/console"]);
    signal(own.child.id(), "TERM");
    let mut own = own;
    assert_eq!(own.child.wait().unwrap().code(), None, "it is itself that ends");
    signal(second.child.id(), "TERM");
    second.until_said("caught");
    assert_eq!((second.code(), listener.code()), (9, 9), "the container's exit code");
    let over = pool.controller.keel(&["attach", "web/console"]);
    assert!(over.code == 1 && over.stderr.contains("is not running"), "{over:?}");
    let many = pool.controller.keel(&["attach", "web/twice"]);
    assert!(many.code == 1 && many.stderr.contains("web-twice-2"), "{many:?}");

    // A terminal, and the keys that leave it.
    let shell = pool.until_running("web-shell-1");
    let steps = ["", "echo a$((1+1))b\n", "a2b", "\\x10\\x11"];
    let (code, said) = typing(&pool.controller, &steps, &["attach", "web-shell-1"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("a2b"), "{said}");
    let steps = ["", "echo a$((1+2))b\n", "a3b", "\\x01d"];
    let words = ["attach", "--detach-keys", "ctrl-a,d", "web-shell-1"];
    let (code, said) = typing(&pool.controller, &steps, &words);
    assert_eq!(code, 0, "{said}");
    assert_eq!(pool.until_running("web-shell-1")["pid"], shell["pid"]);

    // A further process there has an input of its own, which ends before its output does.
    let mut call = pool.controller.command(env!("CARGO_BIN_EXE_keel"));
    call.args(["exec", "-i", "web-shell-1", "sh", "-c", "cat; sleep 1; echo over"]);
    let mut child = call.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"mine\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"mine\nover\n");
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}
