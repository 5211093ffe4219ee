//! Containers plant links in their data, and a later commit or edit names them: by no key of a
//! Compose file does the controller read what is outside, and nothing of it is quoted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use support::git::Repo;
use support::{Host, Serve, until};

/// What no container, record or message may ever show.
const CANARY: &str = "S3cretCanary";

/// Writes into its own folder at `/d`, and stays.
const PLANTER: &str = "services:
  planter:
    image: busybox:1
    init: true
    command: sleep 1000000
    volumes: ['.:/d']
";

/// What is planted in `data`, by the name that it has there, with what is said of it.
const PLANTED: [(&str, &str); 8] = [
    ("absolute", "it is a link that leaves"),
    ("relative", "it is a link that leaves"),
    ("again", "it is a link that leaves"),
    ("middle/canary", "data/middle`, which it goes through, is a link that leaves"),
    ("environ", "it is a link that leaves"),
    ("zero", "it is a link that leaves"),
    ("pipe", "it is not a regular file"),
    ("node", "it is not a regular file"),
];

fn service(name: &str, keys: &str) -> String {
    format!("  {name}:\n    image: busybox:1\n    command: sleep 1000000\n    {keys}\n")
}

/// Every key whose file is read to know what a stack is, each with each of these paths.
fn reading(paths: &[String]) -> String {
    let (mut services, mut includes) = (String::new(), String::new());
    for (at, path) in paths.iter().enumerate() {
        services += &service(&format!("env{at}"), &format!("env_file: {path}"));
        services += &service(&format!("label{at}"), &format!("label_file: {path}"));
        services +=
            &service(&format!("base{at}"), &format!("extends: {{ service: x, file: {path} }}"));
        includes += &format!("  - {path}\n");
    }
    format!("include:\n{includes}services:\n{services}")
}

/// Every key whose file a container gets, each with each of these paths.
fn handing(paths: &[String]) -> String {
    let (mut services, mut configs, mut secrets) = (String::new(), String::new(), String::new());
    for (at, path) in paths.iter().enumerate() {
        services +=
            &service(&format!("both{at}"), &format!("configs: [c{at}]\n    secrets: [s{at}]"));
        configs += &format!("  c{at}:\n    file: {path}\n");
        secrets += &format!("  s{at}:\n    file: {path}\n");
    }
    format!("services:\n{services}configs:\n{configs}secrets:\n{secrets}")
}

/// Where a file names something that was planted.
fn places(text: &str, word: &str) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains(word));
    lines.map(|(at, _)| format!("compose.yaml:{}:", at + 1)).collect()
}

fn planted_paths() -> Vec<String> {
    PLANTED.iter().map(|(name, _)| format!("./data/{name}")).collect()
}

/// From inside of the container, as its own root.
fn plant(host: &Host, outside: &Path, up: &str) {
    let outside = outside.display();
    let script = format!(
        "mkdir -p /d/data && cd /d/data && ln -s {outside}/canary absolute && \
         ln -s {up}/canary relative && ln -s absolute again && ln -s {outside} middle && \
         ln -s /proc/self/environ environ && ln -s /dev/zero zero && mkfifo pipe && mknod node c 1 5"
    );
    host.keel(&["exec", "app-planter-1", "sh", "-c", &script]).ok();
}

#[track_caller]
fn all_are_refused(said: &str, text: &str) {
    for place in places(text, "./data/") {
        assert!(said.contains(&place), "nothing is said of {place} in\n{said}");
    }
    for (name, words) in PLANTED {
        assert!(said.contains(&format!("data/{name}")) && said.contains(words), "{name}: {said}");
    }
    assert!(!said.contains(CANARY), "{said}");
}

/// Nothing that people or records are told has it.
#[track_caller]
fn nothing_shows_it(host: &Host) {
    for words in [
        &["status", "--format", "json"][..],
        &["source", "ls"],
        &["history", "app"],
        &["history", "app", "--format", "json"],
        &["inspect", "app-planter-1"],
        &["ps", "-a", "--format", "json"],
        &["drift"],
    ] {
        let called = host.keel(words);
        assert!(!format!("{called:?}").contains(CANARY), "{words:?}: {called:?}");
    }
    let root = host.root();
    let kept = ["records", "secrets", "tasks"].map(|name| root.join(name).display().to_string());
    let found = host.sh(&format!("grep -rl {CANARY} {} 2>/dev/null || true", kept.join(" ")));
    assert_eq!(found, "", "the root's own records have it");
}

/// What is said of a commit, once it is refused.
#[track_caller]
fn until_refused(host: &Host, serve: &Serve, text: &str, commit: &str) -> String {
    let short = &commit[..12];
    let refused = || serve.said().contains(&format!("revision {short} refused")).then_some(());
    until("it is refused", refused, || format!("{text}\n{}\n{}", serve.said(), host.overview()));
    let said = serve.said();
    // Each refusal names its commit.
    said.split("error: ").filter(|part| part.contains(short)).collect()
}

#[test]
fn what_a_container_plants_is_not_read_for_a_later_commit() {
    let host = Host::new();
    let canary = host.write("canary", &format!("{CANARY}: x\n"));
    let repo = Repo::new(&host);
    repo.write("stacks/app/compose.yaml", PLANTER);
    repo.push("first");
    let serve = host.serve(&[
        "--git",
        &repo.url(),
        "--branch",
        "main",
        "--path",
        "stacks/*",
        "--poll",
        "1s",
    ]);
    let before = host.until_well("app-planter-1");
    plant(&host, canary.parent().unwrap(), "../../../../../..");
    let kept = host.root().join("data/default/stacks/app/data/relative");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), format!("{CANARY}: x\n"), "it leads there");

    let mut named = planted_paths();
    // The same place by its whole path is no other place.
    named.push(format!("{}/data/default/stacks/app/data/absolute", host.root().display()));
    for text in [reading(&named), handing(&named)] {
        repo.write("stacks/app/compose.yaml", &text);
        let commit = repo.push("names what was planted");
        let said = until_refused(&host, &serve, &text, &commit);
        all_are_refused(&said, &text);
        for place in places(&text, "/data/default/") {
            assert!(said.contains(&place), "nothing is said of {place} in\n{said}");
        }
        nothing_shows_it(&host);
    }

    // What is read without being named.
    host.keel(&["exec", "app-planter-1", "ln", "-s", "data/absolute", "/d/.env"]).ok();
    repo.write("stacks/app/compose.yaml", &PLANTER.replace("command:", "command: # again\n     "));
    let commit = repo.push("reads .env");
    let said = until_refused(&host, &serve, "", &commit);
    assert!(said.contains("app/.env`: it is a link that leaves"), "{said}");
    nothing_shows_it(&host);
    let after = host.container("app-planter-1").unwrap();
    assert_eq!(
        (after["id"].as_str(), after["state"].as_str()),
        (before["id"].as_str(), Some("running"))
    );
    drop(serve);
    host.keel(&["down", "app"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn a_link_of_the_repository_leaves_it_by_no_key() {
    let host = Host::new();
    let canary = host.write("canary", &format!("{CANARY}: x\n"));
    let repo = Repo::new(&host);
    repo.write("stacks/app/compose.yaml", PLANTER);
    repo.push("first");
    let serve = host.serve(&[
        "--git",
        &repo.url(),
        "--branch",
        "main",
        "--path",
        "stacks/*",
        "--poll",
        "1s",
    ]);
    host.until_well("app-planter-1");
    repo.write("common/shared.env", "SHARED=yes\n");
    host.sh(&format!(
        "cd {}/stacks/app && mkdir links && cd links && ln -s {} absolute && ln -s absolute again && \
         ln -s ../../../.. above && ln -s ../../../common/shared.env inside",
        repo.tree.display(),
        canary.display()
    ));
    let paths = ["absolute", "again", "above/canary"].map(|name| format!("./links/{name}"));
    for text in [reading(&paths), handing(&paths)] {
        repo.write("stacks/app/compose.yaml", &text);
        let commit = repo.push("names them");
        let said = until_refused(&host, &serve, &text, &commit);
        for place in places(&text, "./links/") {
            assert!(said.contains(&place), "nothing is said of {place} in\n{said}");
        }
        assert!(
            said.contains(" a link that leaves the repository")
                || said.contains("` leaves the repository"),
            "{said}"
        );
        nothing_shows_it(&host);
    }

    let inside = "    env_file: ./links/inside\n    volumes:";
    repo.write("stacks/app/compose.yaml", &PLANTER.replace("    volumes:", inside));
    let good = repo.push("one that stays inside");
    host.until_ended("app", &good, "succeeded");
    let shown = host.keel(&["exec", "app-planter-1", "env"]).ok().stdout;
    assert!(shown.contains("SHARED=yes"), "{shown}");
    drop(serve);
    host.keel(&["down", "app"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn a_file_that_is_not_the_stacks_own_is_not_quoted() {
    let host = Host::new();
    // Neither an env file nor YAML.
    let line = format!("root {CANARY}: [ $6${CANARY}$ \"\n");
    let outside = host.write("canary", &line);
    let repo = Repo::new(&host);
    repo.write("stacks/app/compose.yaml", PLANTER);
    repo.push("first");
    let serve = host.serve(&[
        "--git",
        &repo.url(),
        "--branch",
        "main",
        "--path",
        "stacks/*",
        "--poll",
        "1s",
    ]);
    host.until_well("app-planter-1");
    host.write("root/data/default/stacks/app/kept.env", &line);
    let text = reading(&[outside.display().to_string(), "./kept.env".to_owned()]);
    repo.write("stacks/app/compose.yaml", &text);
    let commit = repo.push("names them");
    let said = until_refused(&host, &serve, &text, &commit);
    assert!(said.contains("canary:1:") && said.contains("kept.env:1:"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
    nothing_shows_it(&host);

    // Its own lines are.
    repo.write("stacks/app/own.env", "its own mistake\n");
    let own = "    env_file: own.env\n    volumes:";
    repo.write("stacks/app/compose.yaml", &PLANTER.replace("    volumes:", own));
    let commit = repo.push("a mistake of its own");
    let said = until_refused(&host, &serve, "", &commit);
    assert!(said.contains("its own mistake"), "{said}");
    drop(serve);
    host.keel(&["down", "app"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn what_a_container_plants_is_not_read_for_a_command_either() {
    let host = Host::new();
    let canary = host.write("canary", &format!("{CANARY}: x\n"));
    host.write("shared/common.env", "SHARED=yes\n");
    host.write("app/compose.yaml", PLANTER);
    host.keel(&["up", "-d", "./app"]).ok();
    plant(&host, canary.parent().unwrap(), "../..");
    for text in [reading(&planted_paths()), handing(&planted_paths())] {
        host.write("app/compose.yaml", &text);
        for words in [&["check", "app"][..], &["plan", "./app"], &["up", "-d", "./app"]] {
            let called = host.keel(words);
            assert_eq!(called.code, 1, "{words:?}: {called:?}");
            assert!(!format!("{called:?}").contains(CANARY), "{words:?}: {called:?}");
        }
        all_are_refused(&host.keel(&["check", "app"]).stderr, &text);
    }
    host.keel(&["exec", "app-planter-1", "ln", "-s", "data/absolute", "/d/.env"]).ok();
    let said = host.keel(&["check", "app"]).stderr;
    assert!(said.contains("app/.env`: it is a link that leaves the stack's folder"), "{said}");
    host.keel(&["exec", "app-planter-1", "rm", "/d/.env"]).ok();

    // What the author writes, and nobody planted, goes on working.
    let shared =
        format!("env_file: [../shared/common.env, {}/shared/common.env]", host.path("").display());
    host.write(
        "app/compose.yaml",
        &PLANTER.replace("init: true", &format!("init: true\n    {shared}")),
    );
    host.keel(&["up", "-d", "./app"]).ok();
    let shown = host.keel(&["exec", "app-planter-1", "env"]).ok().stdout;
    assert!(shown.contains("SHARED=yes"), "{shown}");
    host.keel(&["down", "app"]).ok();
    host.finish();
}
