//! What strangers wrote reaches a terminal escaped: containers, images, registries, Git servers,
//! pushers. Only a container's own output comes as it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Child, Command};
use support::git::Repo;
use support::{Host, until};

const TERMINAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/terminal.py");

/// What all of these try: clipboard, title, screen, cursor, C1's forms of them, reversed text.
const OBEYED: &str = "\x1b]52;c;eA==\x07\x1b[2J\u{9b}2J\u{9d}0;x\u{9c}\u{202e}";

/// All that a person at a terminal is shown by a command.
fn on_a_terminal(host: &Host, arguments: &[&str]) -> String {
    let mut command = host.command("python3");
    command.arg(TERMINAL).arg(env!("CARGO_BIN_EXE_keel")).args(arguments);
    String::from_utf8_lossy(&command.output().expect("python3 runs").stdout).into_owned()
}

/// The text without what keel itself sends: its colours, and how it draws progress over itself.
fn without_our_own(shown: &str) -> String {
    let mut text = shown.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r\x1b[K", "");
    for code in ["0", "31", "32", "33", "34", "35", "36"] {
        text = text.replace(&format!("\x1b[{code}m"), "");
    }
    for lines in 1..=20 {
        text = text.replace(&format!("\x1b[{lines}A"), "");
    }
    text
}

fn is_obeyed(c: char) -> bool {
    (c.is_control() && !"\n\t".contains(c))
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[track_caller]
fn assert_clean(what: &str, shown: &str) {
    let text = without_our_own(shown);
    let bad: Vec<char> = text.chars().filter(|c| is_obeyed(*c)).collect();
    assert!(bad.is_empty(), "{what} shows {bad:?}: {text:?}");
}

/// That it is clean, and that the attempt was made: what was tried is there, escaped.
#[track_caller]
fn assert_escaped(what: &str, shown: &str) {
    assert_clean(what, shown);
    assert!(shown.contains(r"\u{1b}") || shown.contains(r"\u001b"), "{what} has nothing: {shown}");
}

#[test]
fn a_container_and_its_files_change_no_terminal() {
    let host = Host::new();
    let escaped = r"\e]52;c;eA==\a\e[2J\N\x9d0;x\x9c\u202e";
    host.write(
        "shop/compose.yaml",
        &format!(
            "services:\n  web:\n    image: busybox:1\n    stop_signal: KILL\n    \
             command: [sh, -c, exec sleep 1000000, \"{escaped}\"]\n    \
             labels: {{ \"a{escaped}\": \"b{escaped}\\nc\" }}\n    \
             healthcheck:\n      test: [CMD-SHELL, \"printf 'sick \\\\033]52;c;eA==\\\\007 \
             \\\\302\\\\2332J \\\\r\\\\n'; exit 1\"]\n      interval: 200ms\n      retries: 1\n"
        ),
    );
    let serve = host.serve(&[&host.path("shop").display().to_string()]);
    let sick = || {
        let row = host.container("shop-web-1")?;
        (row["health"] == "unhealthy").then_some(())
    };
    until("the check has failed", sick, || host.overview() + &serve.said());
    // The check's words and the command line are there to be shown at all.
    for arguments in [&["ps", "-a", "--no-trunc"][..], &["inspect", "shop-web-1"]] {
        assert_escaped(&arguments.join(" "), &on_a_terminal(&host, arguments));
    }
    let folder = host.path("shop").display().to_string();
    let all: [&[&str]; 16] = [
        &["status"],
        &["status", "shop"],
        &["ps", "-q"],
        &["history"],
        &["history", "show", "1"],
        &["plan", "shop"],
        &["plan", &folder],
        &["check", &folder],
        &["render", &folder],
        &["render", "--diff", &folder],
        &["drift"],
        &["volume", "ls"],
        &["network", "ls"],
        &["images"],
        &["source", "ls"],
        &["system", "df"],
    ];
    for arguments in all {
        assert_clean(&arguments.join(" "), &on_a_terminal(&host, arguments));
    }
    // JSON and YAML are escaped in their own ways, so that programs read the same values.
    let told = host.keel(&["inspect", "shop-web-1"]).json().to_string();
    assert!(told.contains('\u{202e}') && told.contains("sick"), "{told}");
    assert_clean("serve", &serve.said());
    drop(serve);
    assert_clean("down", &on_a_terminal(&host, &["down", "shop"]));
    host.finish();
}

#[test]
fn a_missing_program_is_named_without_being_obeyed() {
    let host = Host::new();
    host.keel(&["run", "-d", "--name", "there", "busybox:1", "sleep", "1000000"]).ok();
    for first in [&["run", "--rm", "busybox:1"][..], &["run", "--rm", "-t", "busybox:1"]] {
        let arguments = [first, &[OBEYED]].concat();
        assert_escaped(&format!("{first:?}"), &on_a_terminal(&host, &arguments));
    }
    let init = ["run", "--rm", "--init", "busybox:1", OBEYED];
    assert_escaped("run --init", &on_a_terminal(&host, &init));
    for first in [&["exec", "there"][..], &["exec", "-t", "there"]] {
        let arguments = [first, &[OBEYED]].concat();
        assert_escaped(&format!("{first:?}"), &on_a_terminal(&host, &arguments));
    }
    let long = "x".repeat(100_000);
    let said = host.keel(&["run", "--rm", "busybox:1", &long]);
    assert!(
        [126, 127].contains(&said.code) && said.stderr.len() < 4096,
        "{} bytes",
        said.stderr.len()
    );
    // Words that the command line does not know.
    for arguments in [&["ps", OBEYED][..], &[OBEYED], &["run", OBEYED], &["explain", OBEYED]] {
        assert_clean(&format!("{arguments:?}"), &on_a_terminal(&host, arguments));
    }
    // What a container prints is what was asked for.
    let loud = ["run", "--rm", "busybox:1", "printf", r"\033]0;x\007"];
    assert_eq!(host.keel(&loud).ok().stdout, "\x1b]0;x\x07");
    host.keel(&["rm", "-f", "there"]).ok();
    host.finish();
}

/// Ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn python(host: &Host, script: &str, arguments: &[&str]) -> Ends {
    let script = format!("{}/tests/support/{script}", env!("CARGO_MANIFEST_DIR"));
    Ends(host.command("python3").arg(script).args(arguments).spawn().expect("python3 runs"))
}

#[test]
fn a_registrys_errors_change_no_terminal() {
    let host = Host::bare();
    let _registry = python(&host, "hostile_registry.py", &["5001"]);
    host.until_get("http://127.0.0.1:5001/v2/");
    for image in ["127.0.0.1:5001/a/b:1", "127.0.0.1:5001/raw/b:1"] {
        let shown = on_a_terminal(&host, &["pull", image]);
        assert_clean(image, &shown);
        assert!(shown.contains("error: ") || shown.contains("error:\x1b"), "{shown}");
        assert!(!shown.contains("\nerror: fake") && shown.len() < 12_000, "{shown:?}");
    }
    host.write("shop/compose.yaml", "services: { web: { image: '127.0.0.1:5001/a/b:1' } }\n");
    let serve = host.serve(&[&host.path("shop").display().to_string()]);
    let told = || {
        let shown = on_a_terminal(&host, &["status"]);
        shown.contains("52;c").then_some(shown)
    };
    assert_escaped("status", &until("the pull has failed", told, || host.overview()));
    assert_clean("serve", &serve.said());
    assert_clean("history", &on_a_terminal(&host, &["history"]));
    drop(serve);
    host.keel(&["down", "shop"]).ok();
    host.finish();
}

#[test]
fn a_commit_and_its_files_change_no_terminal() {
    let host = Host::new();
    let repo = Repo::new(&host);
    // Git refuses bytes below blank in names of branches, and takes all others.
    repo.write(
        "we\x1b[2Jb/compose.yaml",
        "services:\n  web: { image: busybox:1, \"re\\e[2Jplicaz\": 3 }\n",
    );
    repo.write(
        "shop/compose.yaml",
        "services:\n  web:\n    image: busybox:1\n    command: [sh, -c, 'echo bad; exit 3']\n    \
         \"x-\\e[2J\u{202e}\": \"\u{9b}2J\u{202e}\"\n    restart: \"no\\e[2J\u{202e}\"\n",
    );
    let mut commit = Command::new("git");
    commit.current_dir(&repo.tree).args([
        "commit",
        "-q",
        "-m",
        &format!("now {OBEYED}\r\nerror: no"),
    ]);
    commit.arg("--author").arg(format!("Eve {OBEYED} <eve@example.org{OBEYED}>"));
    host.sh(&format!("git -C {} add -A", repo.tree.display()));
    assert!(commit.status().unwrap().success());
    let push = |to: &str| {
        let status = Command::new("git")
            .current_dir(&repo.tree)
            .args(["push", "-q", "origin", &format!("HEAD:{to}")])
            .status();
        assert!(status.unwrap().success());
    };
    push("refs/heads/main");
    push("refs/heads/\u{9b}2J\u{202e}");

    let nowhere = host.serve(&["--git", &repo.url(), "--branch", "nope", "--poll", "1s"]);
    let told = || nowhere.said().contains("error: ").then_some(());
    until("there is no such branch", told, || nowhere.said());
    assert_clean("serve of a missing branch", &nowhere.said());
    assert!(nowhere.said().contains(r"\u{9b}"), "{}", nowhere.said());
    drop(nowhere);

    let serve = support::git::serve(&host, &repo);
    let told = || serve.said().contains("plicaz").then_some(());
    until("serve tells of the files", told, || serve.said());
    assert_escaped("serve of a commit", &serve.said());
    for arguments in [&["status"][..], &["status", "shop"], &["source", "ls"], &["history"]] {
        assert_clean(&arguments.join(" "), &on_a_terminal(&host, arguments));
    }
    // What is right about it runs, and what became of it names its author.
    repo.write("shop/compose.yaml", &format!(
        "services:\n  web:\n    image: busybox:1\n    command: [sh, -c, 'exit 3', \"\\e[2J\"]\n    \
         restart: \"on-failure:1\"\n    x-a: \"{}\"\n", "\u{202e}"));
    host.sh(&format!("rm -r {}/we*", repo.tree.display()));
    host.sh(&format!("git -C {} add -A", repo.tree.display()));
    let mut commit = Command::new("git");
    commit.current_dir(&repo.tree).args(["commit", "-q", "-m", &format!("next {OBEYED}")]);
    commit.arg("--author").arg(format!("Eve {OBEYED} <eve@example.org>"));
    assert!(commit.status().unwrap().success());
    push("refs/heads/main");
    let failed = || {
        let row = host.status("shop")?;
        (row["operation"]["state"] == "failed" && !row["trouble"].is_null()).then_some(())
    };
    until("it has failed", failed, || host.overview() + &serve.said());
    let shown = on_a_terminal(&host, &["status", "shop"]);
    assert_clean("status shop", &shown);
    assert!(shown.contains("]52;c") && shown.contains("Eve"), "{shown}");
    let rows = host.keel(&["history", "shop", "--format", "json"]).json();
    let number = rows.as_array().unwrap().iter().rfind(|row| row["state"] == "failed");
    let number = number.unwrap()["number"].to_string();
    for arguments in [&["history", "show", &number][..], &["history", "--format", "json"]] {
        assert_clean(&arguments.join(" "), &on_a_terminal(&host, arguments));
    }
    assert_clean("serve at last", &serve.said());
    drop(serve);
    host.keel(&["down", "shop"]).ok();
    drop(repo);
    host.finish();
}
