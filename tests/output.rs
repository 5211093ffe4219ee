//! What a container says: all of it, however slowly it is read, and what was said by now.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::Read;
use std::process::Stdio;
use support::{Host, until};

/// Bytes of the logs of all tasks.
fn logged(host: &Host) -> u64 {
    let tasks = fs::read_dir(host.root().join("tasks")).into_iter().flatten().flatten();
    let files = tasks.flat_map(|task| fs::read_dir(task.path()).into_iter().flatten().flatten());
    let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("log"));
    logs.filter_map(|log| Some(log.metadata().ok()?.len())).sum()
}

#[test]
fn a_slow_reader_misses_nothing_and_gets_the_exit_code() {
    let host = Host::new();
    for rm in [&["--rm"][..], &[]] {
        let script = "head -c 20971520 /dev/zero | tr '\\0' x; exit 7";
        let mut run = host
            .command(env!("CARGO_BIN_EXE_keel"))
            .arg("run")
            .args(rm)
            .args(["busybox", "sh", "-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Nobody reads yet; the program gets ahead by what the pipes and queues between hold.
        until("it has said much", || (logged(&host) > 1 << 20).then_some(()), || host.overview());
        let mut heard = Vec::new();
        run.stdout.take().unwrap().read_to_end(&mut heard).unwrap();
        assert_eq!(heard.len(), 20 << 20, "{rm:?}");
        assert_eq!(run.wait().unwrap().code(), Some(7), "{rm:?}");
        for row in host.ps() {
            host.keel(&["rm", "-f", row["id"].as_str().unwrap()]).ok();
        }
    }
    host.finish();
}

#[test]
fn logs_end_at_what_was_there_when_they_were_asked_for() {
    let host = Host::new();
    host.keel(&["run", "-d", "--name", "flood", "busybox", "yes", "a line of some length"]).ok();
    until("it has said much", || (logged(&host) > 1 << 20).then_some(()), || host.overview());
    let all = host.keel(&["logs", "flood"]).ok();
    assert!(all.stdout.lines().all(|line| line == "a line of some length"), "whole lines alone");
    // As stored each line has its time and more.
    assert!(all.stdout.len() > 1 << 18, "{}", all.stdout.len());
    let last = host.keel(&["logs", "--tail", "5", "flood"]).ok();
    assert_eq!(last.stdout.lines().count(), 5);
    host.keel(&["rm", "-f", "flood"]).ok();
    host.finish();
}
