//! Jobs before a deploy: in which order things happen, how often, and what becomes of a failure.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;
use support::git::{Repo, serve};
use support::{Host, until};

/// What the containers of a stack wrote down, a line each.
fn noted(book: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(book).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// An app that needs what its job did; both write into one book on the host.
fn shop(host: &Host, version: &str, job: &str) -> String {
    let book = host.path("book").display().to_string();
    format!(
        "name: shop
x-keel: {{ settle: 500ms }}
services:
  db:
    image: busybox:1
    init: true
    command: [sh, -c, 'sleep 0.5; touch /ready; exec sleep 1000000']
    healthcheck: {{ test: test -e /ready, interval: 100ms }}
  migrate:
    image: busybox:1
    init: true
    command: [sh, -c, 'echo migrate {version} begins >>/book; {job}; echo migrate {version} ends >>/book']
    volumes: [{{ type: bind, source: {book}, target: /book, x-keel: {{ shared: true }} }}]
    depends_on: {{ db: {{ condition: service_healthy }} }}
    x-keel: {{ run: before-deploy }}
  app:
    image: busybox:1
    init: true
    command: [sh, -c, 'echo app {version} >>/book; exec sleep 1000000']
    volumes: [{{ type: bind, source: {book}, target: /book, x-keel: {{ shared: true }} }}]
"
    )
}

#[test]
fn a_job_runs_once_before_each_deploy_and_its_failure_touches_nothing() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let book = host.write("book", "");
    let push = |version: &str, job: &str, subject: &str| {
        repo.write("shop/compose.yaml", &shop(&host, version, job));
        repo.push(subject)
    };
    let first = push("1", "sleep 0.3", "first");
    let serving = serve(&host, &repo);
    host.until_ended("shop", &first, "succeeded");
    assert_eq!(noted(&book), ["migrate 1 begins", "migrate 1 ends", "app 1"]);
    let job = host.container("shop-migrate-1").unwrap();
    assert_eq!((&job["state"], &job["exit_code"]), (&"exited".into(), &0.into()), "{job}");

    // The same meaning is no other deploy, whoever brings it.
    repo.write("shop/compose.yaml", &format!("# a word\n{}", shop(&host, "1", "sleep 0.3")));
    let comment = repo.push("a comment");
    host.keel(&["sync", "shop"]).ok();
    let row = host.status("shop").unwrap();
    assert!(comment.starts_with(row["revision"].as_str().unwrap()), "{row}");
    assert_eq!(noted(&book).len(), 3, "{:?}", noted(&book));

    // Killed in the middle: the next controller waits for the same run.
    let second = push("2", "sleep 2", "second");
    let begun = |line: &str| {
        let line = line.to_owned();
        let book = book.clone();
        move || noted(&book).contains(&line).then_some(())
    };
    until("the job runs", begun("migrate 2 begins"), || host.overview());
    serving.kill();
    let serving = serve(&host, &repo);
    host.until_ended("shop", &second, "succeeded");
    assert_eq!(noted(&book)[3..], ["migrate 2 begins", "migrate 2 ends", "app 2"]);

    // One that fails.
    let app = host.container("shop-app-1").unwrap();
    let third = push("3", "echo no such table; exit 3", "third");
    let failed = host.until_ended("shop", &third, "failed");
    assert!(failed["reason"].as_str().unwrap().contains("migrate.1 exited (3)"), "{failed}");
    let number = failed["number"].to_string();
    let logged = || {
        let shown = host.keel(&["history", "show", &number]).stdout;
        shown.contains("no such table").then_some(())
    };
    until("its output is kept", logged, || host.keel(&["history", "show", &number]).stdout);
    let after = host.container("shop-app-1").unwrap();
    assert_eq!((&app["id"], &app["pid"]), (&after["id"], &after["pid"]), "nothing was touched");
    let row = host.status("shop").unwrap();
    assert_eq!(row["operation"]["state"], "failed", "{row}");
    assert_eq!(host.keel(&["status", "--exit-code", "shop"]).code, 1);
    let synced = host.keel(&["sync", "shop"]);
    assert_eq!(synced.code, 1, "{synced:?}");
    assert!(synced.stderr.contains("migrate.1 exited (3)"), "{}", synced.stderr);
    assert_eq!(noted(&book)[6..], ["migrate 3 begins"], "it is not tried again");
    let retried = host.keel(&["sync", "shop", "--retry"]);
    assert_eq!(retried.code, 1, "{retried:?}");
    assert_eq!(noted(&book)[6..], ["migrate 3 begins", "migrate 3 begins"]);

    // A push while a job runs, and another one: none is ended, no two at a time.
    push("4", "sleep 2", "fourth");
    until("the job runs", begun("migrate 4 begins"), || host.overview());
    push("5", "sleep 1", "fifth");
    let sixth = push("6", "true", "sixth");
    host.until_ended("shop", &sixth, "succeeded");
    let lines = noted(&book);
    let open = lines[8..].iter().fold((0_i32, 0), |(open, most), line| {
        let open = open + i32::from(line.ends_with("begins")) - i32::from(line.ends_with("ends"));
        (open, most.max(open))
    });
    assert_eq!(open, (0, 1), "{lines:?}");
    assert!(lines.contains(&"migrate 4 ends".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"app 4".to_owned()), "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["migrate 6 ends", "app 6"], "{lines:?}");

    // Back by hand: no job.
    let before = noted(&book).len();
    host.keel(&["rollback", "shop", &second]).ok();
    assert_eq!(noted(&book)[before..], ["app 2"]);
    drop(serving);
    host.keel(&["down", "-v", "shop"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn a_job_that_is_killed_has_failed_and_one_that_nobody_saw_end_runs_again() {
    let host = Host::new();
    let repo = Repo::new(&host);
    let book = host.write("book", "");
    let push = |version: &str| {
        repo.write("shop/compose.yaml", &shop(&host, version, "sleep 3"));
        repo.push("a change")
    };
    let first = push("1");
    let serving = serve(&host, &repo);
    host.until_ended("shop", &first, "succeeded");
    let begun = |version: &str| {
        let line = format!("migrate {version} begins");
        until("the job runs", || noted(&book).contains(&line).then_some(()), || host.overview());
        host.container("shop-migrate-1").unwrap()
    };
    let second = push("2");
    begun("2");
    host.keel(&["kill", "shop/migrate"]).ok();
    let failed = host.until_ended("shop", &second, "failed");
    assert!(failed["reason"].as_str().unwrap().contains("was stopped by a person"), "{failed}");
    assert!(!noted(&book).contains(&"app 2".to_owned()), "{:?}", noted(&book));
    // Power goes: the controller, the shim, the process.
    let third = push("3");
    let job = begun("3");
    let pid = job["pid"].as_u64().unwrap();
    let parent = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let parent: u32 =
        parent.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    serving.kill();
    support::signal(parent, "KILL");
    support::signal(u32::try_from(pid).unwrap(), "KILL");
    let serving = serve(&host, &repo);
    host.until_ended("shop", &third, "succeeded");
    let lines = noted(&book);
    let runs = lines.iter().filter(|line| *line == "migrate 3 begins").count();
    assert_eq!(runs, 2, "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["migrate 3 ends", "app 3"], "{lines:?}");
    drop(serving);
    host.keel(&["down", "-v", "shop"]).ok();
    drop(repo);
    host.finish();
}
