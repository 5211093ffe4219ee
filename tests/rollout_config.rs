//! `deploy.update_config`: how many replicas are replaced at a time, how many may fail, and what then.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use support::git::{Repo, serve};
use support::{Host, until};

/// Six replicas that are healthy once a file of their version is there, two of them replaced at a time.
fn gated(version: &str) -> String {
    format!(
        "name: six
x-keel: {{ settle: 100ms }}
services:
  web:
    image: busybox:1
    init: true
    command: [sleep, '{version}']
    healthcheck: {{ test: test -e /gate/{version}, interval: 100ms, retries: 1000000 }}
    volumes: ['/srv/gate:/gate:ro']
    deploy:
      replicas: 6
      update_config: {{ parallelism: 2 }}
"
    )
}

/// Six replicas of which so many of this version die at once.
fn failing(version: &str, dies: u32, update: &str) -> String {
    let dying = format!(
        "for i in $$(seq {dies}); do mkdir /count/{version}-$$i 2>/dev/null && exit 7; done"
    );
    format!(
        "name: six
x-keel: {{ settle: 100ms }}
services:
  web:
    image: busybox:1
    init: true
    command: [sh, -c, '{dying}; exec sleep {version}']
    volumes: ['/srv/count:/count']
    deploy:
      replicas: 6
      update_config: {update}
"
    )
}

/// The containers that run a version, by their slots.
fn running(host: &Host, version: &str) -> Vec<String> {
    let has = |row: &Value| {
        row["state"] == "running" && row["command"].as_str().unwrap().contains(version)
    };
    let mut slots: Vec<_> =
        host.ps().iter().filter(|row| has(row)).map(|row| row["slot"].to_string()).collect();
    slots.sort();
    slots
}

#[test]
fn two_of_six_are_replaced_at_a_time() {
    let host = Host::new();
    let gate = host.path("gate");
    fs::create_dir_all(&gate).unwrap();
    let text = |version: &str| gated(version).replace("/srv/gate", gate.to_str().unwrap());
    let repo = Repo::new(&host);
    fs::write(gate.join("1000001"), "").unwrap();
    repo.write("six/compose.yaml", &text("1000001"));
    let first = repo.push("first");
    let serving = serve(&host, &repo);
    host.until_ended("six", &first, "succeeded");

    repo.write("six/compose.yaml", &text("1000002"));
    let second = repo.push("second");
    // Nothing of it is healthy yet: two wait for that, and the other four for those two.
    let full = || {
        let plan = host.keel(&["plan", "six"]).stdout;
        let waits = plan.matches("rollout full (2 at a time)").count();
        (running(&host, "1000002").len() == 2 && waits == 4).then_some(plan)
    };
    let plan = until("two have begun", full, || host.overview());
    assert_eq!(running(&host, "1000002"), ["\"1\"", "\"2\""], "{plan}");
    assert_eq!(running(&host, "1000001").len(), 4, "the others serve: {plan}");
    fs::write(gate.join("1000002"), "").unwrap();
    host.until_ended("six", &second, "succeeded");
    assert_eq!((running(&host, "1000002").len(), running(&host, "1000001").len()), (6, 0));
    host.keel(&["down", "-v", "six"]).ok();
    drop(serving);
    drop(repo);
    host.finish();
}

#[test]
fn as_many_may_fail_as_the_file_says_and_then_it_says_what_happens() {
    let host = Host::new();
    let count = host.path("count");
    fs::create_dir_all(&count).unwrap();
    let put = |version: &str, dies, update: &str| {
        let text = failing(version, dies, update);
        host.write("six/compose.yaml", &text.replace("/srv/count", count.to_str().unwrap()));
        let up = host.keel(&["up", "-d", "./six"]);
        let status = host.status("six").unwrap();
        (up.code, status["notes"].to_string(), status)
    };
    assert_eq!(put("1000001", 0, "{ parallelism: 3 }").0, 0);

    // Two of six may, and do.
    let (_, notes, status) =
        put("1000002", 2, "{ parallelism: 1, max_failure_ratio: 0.34, failure_action: pause }");
    assert_eq!(running(&host, "1000002").len(), 4, "{status:#}");
    assert!(!notes.contains("revision"), "no revision failed: {notes}");
    assert_eq!(running(&host, "1000001").len(), 0);

    // Three do: the others stay as they were.
    let pause = "{ parallelism: 1, max_failure_ratio: 0.34, failure_action: pause }";
    let (code, notes, status) = put("1000003", 3, pause);
    assert_eq!(code, 1, "{status:#}");
    assert!(notes.contains("it stays, by `failure_action: pause`"), "{notes}");
    assert!(running(&host, "1000003").is_empty() && !running(&host, "1000002").is_empty());

    let (code, notes, status) = put("1000004", 1, "{ failure_action: continue }");
    assert_eq!(code, 1, "{status:#}");
    assert!(notes.contains("its rollout goes on, by `failure_action: continue`"), "{notes}");
    let went_on = || {
        host.keel(&["apply", "./six"]);
        (running(&host, "1000004").len() == 5).then_some(())
    };
    until("all others have it", went_on, || host.overview());

    assert_eq!(put("1000005", 0, "{ parallelism: 0 }").0, 0);
    let (code, _, status) = put("1000006", 1, "{ parallelism: 2, failure_action: rollback }");
    assert_eq!(code, 1, "{status:#}");
    let is_back = || {
        host.keel(&["apply", "./six"]);
        let back = (running(&host, "1000005").len(), running(&host, "1000006").len());
        (back == (6, 0)).then_some(())
    };
    until("what was good is back", is_back, || host.overview());
    host.keel(&["down", "-v", "six"]).ok();
    host.finish();
}

#[test]
fn values_that_mean_nothing_are_refused_where_they_are() {
    let host = Host::new();
    for (update, at, why) in [
        ("{ parallelism: -1 }", "7:37", "must be 0 (all at once) or a positive whole number"),
        ("{ max_failure_ratio: 2 }", "7:43", "must be a number from 0 to 1, and is `2`"),
        ("{ order: sideways }", "7:31", "must be one of `start-first`, `stop-first`"),
        ("{ failure_action: maybe }", "7:40", "must be one of `continue`, `pause`, `rollback`"),
        ("{ monitor: soon }", "7:33", "must be a duration such as `1m30s`, and is `soon`"),
    ] {
        let text = format!(
            "name: six\nservices:\n  web:\n    image: busybox:1\n    deploy:\n      replicas: 6\n      update_config: {update}\n"
        );
        host.write("six/compose.yaml", &text);
        let said = host.keel(&["check", "./six"]);
        assert_ne!(said.code, 0, "{update}");
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(
            all.contains(why) && all.contains(&format!("compose.yaml:{at}")),
            "{update}: {all}"
        );
    }
    host.finish();
}
