//! What one stack costs the others: an edit of one opens, reads, lists and writes nothing of any other.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command};
use support::git::Repo;
use support::{Host, Serve, until};

const COUNT: usize = 8;
/// At the start and every half minute everything is looked at, which may fall into one edit, not in each.
const EDITS: usize = 4;
const CALLS: &str = "%file,read,pread64,write,getdents64,fsync,fdatasync,flock";

fn stack(version: usize) -> String {
    format!(
        "services:\n  app:\n    image: busybox:1\n    command: sleep 1000000\n    \
         stop_signal: SIGKILL\n    environment: {{ VERSION: '{version}' }}\nx-keel: {{ settle: 500ms }}\n"
    )
}

/// The last operation of a stack as it is on the disk: asking the controller would cost it something.
fn operation(host: &Host, name: &str) -> Value {
    let path = host.root().join(format!("records/stacks/{name}/operation.json"));
    let text = fs::read_to_string(path).unwrap_or_default();
    let record = text.split_once('\n').map(|(_, record)| record);
    record.and_then(|record| serde_json::from_str(record).ok()).unwrap_or_default()
}

fn until_settled(host: &Host, name: &str, not_at: &Value) {
    let good = host.root().join(format!("records/stacks/{name}/good.json"));
    let settled = || {
        let last = operation(host, name);
        let is_done = last["state"] == "succeeded" && last["revision"] != *not_at;
        // That it was good is recorded last.
        let good = fs::read_to_string(&good).ok()?;
        (is_done && good.contains(last["revision"].as_str()?)).then_some(())
    };
    until(&format!("{name} has settled"), settled, || host.overview());
}

fn attached(serve: &Serve, trace: &std::path::Path) -> Child {
    let strace = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-s",
            "0",
            "-e",
            &format!("trace={CALLS}"),
            "-p",
            &serve.pid().to_string(),
            "-o",
        ])
        .arg(trace)
        .spawn()
        .expect("strace runs");
    until("it is traced", || fs::metadata(trace).ok(), String::new);
    strace
}

/// Calls about the files of other stacks than this one and the one that was edited before it, of which a last record
/// may still be looked at; and how often each was made.
fn about_others(trace: &str, edited: usize) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let others: Vec<_> = (0..COUNT)
        .filter(|n| *n != edited && *n + 1 != edited)
        .map(|n| format!("/other{n}"))
        .collect();
    // Each commit is checked out whole, and what Git lacks may come at any time: whether there is something is asked.
    let counts = |line: &&str| !line.contains("/checkouts/") && !line.contains("/data/");
    let named = |line: &&str| others.iter().any(|other| line.contains(other));
    for line in trace.lines().filter(counts).filter(named) {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        *found.entry(call.to_owned()).or_default() += 1;
    }
    found
}

/// Edits one stack after the other until one edit touched no other stack.
fn edits_touch_no_other(host: &Host, serve: &Serve, edit: impl Fn(usize, &str)) {
    for n in 0..COUNT {
        until_settled(host, &format!("other{n}"), &Value::Null);
    }
    let mut touched = BTreeMap::new();
    for number in 0..EDITS {
        let (name, trace) = (format!("other{number}"), host.path(&format!("trace-{number}")));
        let before = operation(host, &name)["revision"].clone();
        let mut strace = attached(serve, &trace);
        edit(number, &stack(2));
        until_settled(host, &name, &before);
        support::signal(strace.id(), "INT");
        strace.wait().expect("strace ends");
        let traced = fs::read_to_string(&trace).expect("a trace");
        assert!(traced.contains(&name), "it was traced: {traced}");
        touched = about_others(&traced, number);
        if touched.is_empty() {
            return;
        }
    }
    panic!("an edit touches other stacks: {touched:#?}");
}

fn finish(host: Host, serve: Serve) {
    serve.interrupt();
    for n in 0..COUNT {
        host.keel(&["down", &format!("other{n}")]).ok();
    }
    host.finish();
}

#[test]
fn an_edit_in_a_folder_touches_nothing_of_other_stacks() {
    let host = Host::new();
    let write = |n: usize, text: &str| {
        host.write(&format!("stacks/other{n}/compose.yaml"), text);
    };
    (0..COUNT).for_each(|n| write(n, &stack(1)));
    let serve = host.serve(&["stacks"]);
    edits_touch_no_other(&host, &serve, write);
    finish(host, serve);
}

#[test]
fn a_commit_reads_and_records_nothing_of_stacks_that_it_leaves_as_they_are() {
    let host = Host::new();
    let repo = Repo::new(&host);
    (0..COUNT).for_each(|n| repo.write(&format!("other{n}/compose.yaml"), &stack(1)));
    repo.push("first");
    let url = repo.url();
    let serve = host.serve(&["--git", &url, "--branch", "main", "--path", "*", "--poll", "1s"]);
    edits_touch_no_other(&host, &serve, |n, text| {
        repo.write(&format!("other{n}/compose.yaml"), text);
        repo.push("edit");
    });
    drop(repo);
    finish(host, serve);
}
