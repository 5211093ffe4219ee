//! README's first command: a folder becomes a running stack, and follows its edits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use support::{Host, until};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stacks/hello/compose.yaml");

/// A host that serves a copy of the example.
fn hello(host: &Host) -> support::Serve {
    host.write("hello/compose.yaml", &fs::read_to_string(EXAMPLE).unwrap());
    let serve = host.serve(&["hello"]);
    for name in ["hello-web-1", "hello-web-2", "hello-counter-1"] {
        host.until_well(name);
    }
    serve
}

fn edit(host: &Host, change: impl Fn(String) -> String) {
    let path = host.path("hello/compose.yaml");
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
}

/// Service → ids of its tasks.
fn ids(host: &Host, service: &str) -> Vec<Value> {
    let mut ids: Vec<_> = host
        .ps()
        .into_iter()
        .filter(|row| row["service"] == service)
        .map(|row| row["id"].clone())
        .collect();
    ids.sort_by_key(ToString::to_string);
    ids
}

#[test]
fn two_replicas_answer_behind_one_port_and_a_volume_counts() {
    let host = Host::bare();
    let serve = hello(&host);
    serve.until_said("8080");
    let mut answers = std::collections::BTreeSet::new();
    let both = || {
        let answer = host.get("http://127.0.0.1:8080/")?;
        for name in ["hello-web-1", "hello-web-2"] {
            if answer.contains(name) {
                answers.insert(name);
            }
        }
        (answers.len() == 2).then_some(answer)
    };
    let answer = until("both replicas answer", both, || host.overview());
    assert!(answer.contains(char::is_numeric), "the visits are counted: {answer}");
    let (code, said) = serve.interrupt();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("keel down hello"), "Ctrl-C says what goes on and how to end it: {said}");
    assert!(host.get("http://127.0.0.1:8080/").is_some(), "the stack goes on");
    // Nothing is published on IPv6, and that is said at once: whoever tries it first goes on.
    host.sh("curl -s -m 5 'http://[::1]:8080/'; test $? -eq 7");
    host.sh("curl -sf -m 5 --resolve 'localhost:8080:[::1],127.0.0.1' http://localhost:8080/");
    host.keel(&["down", "hello"]).ok();
    assert_eq!(host.get("http://127.0.0.1:8080/"), None);
    let volumes = host.keel(&["volume", "ls", "--format", "json"]).ok();
    assert!(volumes.stdout.contains("hello_"), "down keeps data: {}", volumes.stdout);
    host.keel(&["down", "--volumes", "hello"]).ok();
    let volumes = host.keel(&["volume", "ls", "--format", "json"]).ok();
    assert!(!volumes.stdout.contains("hello_"), "down --volumes does not: {}", volumes.stdout);
    host.finish();
}

#[test]
fn only_the_service_whose_meaning_changed_is_replaced() {
    let host = Host::bare();
    let serve = hello(&host);
    let (web, counter) = (ids(&host, "web"), ids(&host, "counter"));
    edit(&host, |text| format!("# a comment\n{text}"));
    edit(&host, |text| text.replacen("\n  counter:\n", "\n  counter:\n    user: \"0\"\n", 1));
    let replaced =
        || (ids(&host, "counter").len() == 1 && ids(&host, "counter") != counter).then_some(());
    until("counter is replaced", replaced, || format!("{}\n{}", serve.said(), host.overview()));
    host.until_well("hello-counter-1");
    assert_eq!(ids(&host, "web"), web, "web is not");
    drop(serve);
    host.keel(&["down", "-v", "hello"]).ok();
    host.finish();
}

#[test]
fn a_replacement_behind_a_port_is_seamless() {
    let host = Host::bare();
    let serve = hello(&host);
    let before = ids(&host, "web");
    edit(&host, |text| text.replacen("\n  web:\n", "\n  web:\n    user: \"0\"\n", 1));
    let mut failures = 0;
    let replaced = || {
        // A slow machine may take its time; refused or cut off nobody may be.
        let asked =
            host.command("curl").args(["-sf", "-m", "30", "http://127.0.0.1:8080/"]).output();
        failures += u32::from(!asked.unwrap().status.success());
        let now = ids(&host, "web");
        (now.len() == 2 && now.iter().all(|id| !before.contains(id))).then_some(())
    };
    until("both are replaced", replaced, || format!("{}\n{}", serve.said(), host.overview()));
    assert_eq!(failures, 0, "no request failed meanwhile");
    drop(serve);
    host.keel(&["down", "-v", "hello"]).ok();
    host.finish();
}

#[test]
fn a_broken_edit_is_refused_at_its_place_and_touches_nothing() {
    let host = Host::bare();
    let serve = hello(&host);
    let before = host.ps();
    edit(&host, |text| text.replacen("replicas", "replicaz", 1));
    serve.until_said("replicaz");
    let said = serve.said();
    assert!(said.contains("did you mean `replicas`?"), "{said}");
    let place = said.lines().any(|line| {
        line.split_once("compose.yaml:")
            .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    assert!(place, "file:line:col: {said}");
    let same = |rows: &[Value]| {
        rows.iter().map(|row| (row["id"].clone(), row["pid"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(same(&host.ps()), same(&before), "nothing was touched");
    drop(serve);
    host.keel(&["down", "-v", "hello"]).ok();
    host.finish();
}
