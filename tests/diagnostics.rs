//! Diagnostics: off unless asked for, with a span for each refresh and pass, and without secrets.

mod support;

use support::git::{Repo, serve};
use support::{Host, until};

const STACK: &str = "services:\n  web:\n    image: busybox:1\n    init: true\n    \
                     command: sleep 1000000\n    environment: {TOKEN: open-sesame}\n    \
                     configs: [greeting]\nconfigs:\n  greeting:\n    content: whispered\n";

/// What serve prints until the stack runs.
fn printed(level: Option<&str>) -> String {
    let mut host = Host::new();
    host.environment.extend(level.map(|level| ("KEEL_LOG".to_owned(), level.to_owned())));
    let repo = Repo::new(&host);
    repo.write("blog/compose.yaml", STACK);
    let commit = repo.push("first");
    let serve = serve(&host, &repo);
    host.until_ended("blog", &commit, "succeeded");
    if level.is_some() {
        let over = || serve.said().contains("close").then_some(());
        until("a span is over", over, || serve.said());
    }
    let (_, printed) = serve.interrupt();
    drop(repo);
    host.environment.clear();
    host.keel(&["down", "blog"]).ok();
    host.finish();
    printed
}

#[test]
fn each_refresh_and_pass_is_a_span_and_no_secret_is_in_them() {
    let printed = printed(Some("debug"));
    for part in ["refresh{id=", "source=\"default\"", "pass{id=", "stack=\"blog\"", "node=\""] {
        assert!(printed.contains(part), "no {part} in {printed}");
    }
    for secret in ["open-sesame", "whispered"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn nothing_is_said_unless_asked_for() {
    let printed = printed(None);
    assert!(!printed.contains("pass{") && !printed.contains("DEBUG"), "{printed}");
}

#[test]
fn a_level_that_is_none_is_refused() {
    let mut host = Host::bare();
    host.environment.push(("KEEL_LOG".to_owned(), "loud".to_owned()));
    let called = host.keel(&["ps"]);
    assert_eq!(called.code, 64, "{}", called.stderr);
    let (what, hint) = ("KEEL_LOG is `loud`", "debug");
    assert!(called.stderr.contains(what) && called.stderr.contains(hint), "{}", called.stderr);
}
