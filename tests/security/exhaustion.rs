//! What one container takes from all: counters of the kernel's that are one for every root, disk by
//! doors that are not counted, conversations that are cut, a keeper that waits.

use super::bench::{Bench, Beside, service};
use super::support::until;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// Others still start, are entered, found by name, checked, heard and stopped; serve answers.
#[track_caller]
pub fn others_live(bench: &Bench, what: &str) {
    let began = Instant::now();
    let check = json!({ "test": ["CMD", "true"], "interval": "200ms" });
    let keys = json!({ "command": ["sh", "-c", "echo here; exec sleep 1000000"], "init": true,
                       "healthcheck": check });
    bench.up("other", &json!({ "services": { "box": service(keys) } })).ok();
    bench.until_well("other-box-1");
    bench.exec(&[], "other-box-1", &["true"]).ok();
    bench.exec(&["-t"], "other-box-1", &["true"]).ok();
    let found = bench.exec(&[], "other-box-1", &["nslookup", "box"]).ok();
    assert!(found.stdout.contains("Address"), "{what}: {found:?}");
    assert!(bench.logs("other-box-1").contains("here"), "{what}");
    bench.keel(&["down", "-v", "other"]).ok();
    assert!(began.elapsed() < Duration::from_secs(50), "{what}: {:?}", began.elapsed());
}

/// A container that holds as many of a kind as it gets, and says how many.
fn holds(bench: &Bench, kind: &str, number: &str, flags: &[&str]) -> String {
    let command = ["prober:1", "prober", "hold", kind, number];
    bench.keel(&[&["run", "-d", "--name", "greedy"], flags, &command].concat()).ok();
    bench.until_said("greedy", "done hold")
}

#[test]
fn counters_of_all_do_not_stop_others() {
    let bench = Bench::new();
    let serve = bench.idle_serve();
    let files = ["--ulimit", "nofile=100000:100000"];
    for (kind, number) in [
        ("inotify", "100000"),
        ("watches", "20000"),
        ("epoll", "50000"),
        ("eventfd", "50000"),
        ("pty", "5000"),
        ("pipe", "20000"),
        ("mqueue", "1000"),
        ("msgqueue", "40000"),
        ("socket", "50000"),
        ("file", "50000"),
    ] {
        let said = holds(&bench, kind, number, &files);
        assert!(!said.contains(&format!("held {kind} 0:")), "nothing was taken: {said}");
        others_live(&bench, kind);
        bench.keel(&["rm", "-f", "greedy"]).ok();
    }
    drop(serve);
    bench.finish(&[]);
}

/// Six containers with all the conversations that they may have, about half as many again as one
/// process may have open by default.
#[test]
fn conversations_about_names_leave_names_to_others() {
    let bench = Bench::new();
    // The limit that a login or a unit has, whatever this test was started with.
    bench.sh(&format!("prlimit --pid {} --nofile=1024:", std::process::id()));
    let talks = service(json!({ "command": ["prober", "hold-names", "300"], "init": true }));
    let services: serde_json::Map<String, Value> =
        (0..6).map(|number| (format!("greedy{number}"), talks.clone())).collect();
    bench.up("talk", &json!({ "services": services })).ok();
    for number in 0..6 {
        bench.until_said(&format!("talk-greedy{number}-1"), "done hold");
    }
    others_live(&bench, "conversations about names");
    let net = fs::read_to_string(bench.root().join("run/net.log")).unwrap_or_default();
    assert!(!net.contains("Too many open files"), "{net}");
    bench.keel(&["down", "-v", "talk"]).ok();
    bench.finish(&[]);
}

/// Processes, with a limit and by a fork bomb, which is killed in the end.
#[test]
fn processes_without_number_are_killed_and_others_start() {
    let bench = Bench::new();
    let said = holds(&bench, "process", "5000", &["--pids-limit", "200"]);
    assert!(said.contains("EAGAIN"), "{said}");
    others_live(&bench, "processes");
    bench.keel(&["rm", "-f", "greedy"]).ok();
    let bomb = "b() { b | b & }; b; exec sleep 1000000";
    bench
        .keel(&["run", "-d", "--name", "bomb", "--pids-limit", "300", "prober:1", "sh", "-c", bomb])
        .ok();
    others_live(&bench, "a fork bomb");
    let began = Instant::now();
    bench.keel(&["kill", "bomb"]).ok();
    bench.keel(&["rm", "-f", "bomb"]).ok();
    assert!(began.elapsed() < Duration::from_secs(30));
    bench.finish(&[]);
}

/// Flows through the host, each of which it remembers.
#[test]
fn flows_without_number_leave_names_and_starts() {
    let bench = Bench::new();
    bench.idle("greedy", &[]);
    let flood = bench.beside("greedy", &["prober", "flows", "198.51.100.77", "200000"]);
    others_live(&bench, "flows");
    assert!(flood.end().contains("done flows"));
    bench.finish(&[]);
}

/// CVE-2020-8557: files that the engine gives every container are written to without end.
#[test]
fn the_engines_own_files_are_bounded_or_counted() {
    let bench = Bench::new();
    bench.idle("greedy", &[]);
    let write = "for f in /etc/hosts /etc/hostname /etc/resolv.conf; do \
                 dd if=/dev/zero of=$f bs=1M count=64 2>/dev/null && echo wrote $f; done; echo tried";
    let said = bench.exec(&[], "greedy", &["sh", "-c", write]).ok().stdout;
    assert!(said.ends_with("tried\n"), "{said}");
    if said.contains("wrote") {
        let usage = bench.keel(&["system", "df"]).ok().stdout;
        assert!(
            usage.contains("MB") || usage.contains("MiB") || usage.contains("GB"),
            "not counted: {usage}"
        );
    }
    others_live(&bench, "files of the engine's");
    bench.finish(&[]);
}

/// Logs, as one line and as many, and a check's output.
#[test]
fn words_without_end_are_bounded() {
    let bench = Bench::new();
    let shout =
        json!({ "test": ["CMD", "sh", "-c", "yes | head -c 50000000"], "interval": "300ms" });
    let loud = |command: &str| json!({ "command": ["sh", "-c", command], "init": true, "healthcheck": shout });
    let stack = json!({ "services": {
        "line": service(loud("head -c 60000000 /dev/zero | tr '\\0' x; echo; echo over; exec sleep 1000000")),
        "lines": service(loud("yes | head -c 12000000; echo over; exec sleep 1000000")),
    } });
    bench.up("loud", &stack).ok();
    for name in ["loud-line-1", "loud-lines-1"] {
        let over = || {
            let called = bench.keel(&["logs", "--tail", "1", name]);
            called.stdout.ends_with("over\n").then_some(())
        };
        until(&format!("{name} has said all"), over, || bench.overview());
        let health = bench.keel(&["inspect", name]).ok().stdout;
        assert!(health.len() < 200_000, "{} bytes", health.len());
    }
    let size =
        bench.sh(&format!("du -ck {}/tasks/*/log* | tail -n 1 | cut -f1", bench.root().display()));
    assert!(size.trim().parse::<u64>().unwrap() < 2 * 40_000, "{size} KiB of logs");
    others_live(&bench, "words");
    bench.finish(&["loud"]);
}

/// Descriptors and threads of a process, by its number.
fn held(pid: u64) -> (usize, usize) {
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
    (count("fd"), count("task"))
}

/// CVE-2022-23471, CVE-2025-64329: conversations begun and cut, with programs that go on for a while.
#[test]
fn conversations_that_are_cut_leave_nothing() {
    let bench = Bench::new();
    let serve = bench.idle_serve();
    bench.idle("box", &[]);
    bench.exec(&[], "box", &["true"]).ok();
    let (before, _) = held(serve.pid().into());
    let rounds = if std::env::var_os("KEEL_RACES").is_some() { 1000 } else { 20 };
    let ways: [&[&str]; 3] = [
        &["exec", "box", "sleep", "3"],
        &["exec", "-t", "box", "sleep", "3"],
        &["logs", "-f", "box"],
    ];
    for round in 0..rounds {
        let cut = Beside::calling(&bench, ways[round % ways.len()]);
        if round % 2 == 0 {
            bench.exec(&[], "box", &["true"]).ok();
        }
        cut.kill();
    }
    let back = || (held(serve.pid().into()).0 <= before + 8).then_some(());
    until("descriptors of serve are back", back, || {
        bench.sh(&format!("ls -l /proc/{}/fd", serve.pid()))
    });
    drop(serve);
    bench.finish(&[]);
}

/// A keeper that waits for its prisoner: what is inside is stopped, frozen, or does not read.
#[test]
fn who_is_frozen_holds_nobody_up() {
    let bench = Bench::new();
    let serve = bench.idle_serve();
    let stubborn = "trap '' TERM; while :; do kill -STOP -1 2>/dev/null; sleep 1; done";
    let keys = json!({
        "command": ["sh", "-c", stubborn], "restart": "always",
        "healthcheck": { "test": ["CMD", "sh", "-c", "kill -STOP $$$$"], "interval": "300ms", "timeout": "1s" },
    });
    let stack: Value = json!({ "services": { "box": service(keys) } });
    bench.up("frozen", &stack).ok();
    let began = Instant::now();
    let waits = bench.beside("frozen-box-1", &["sleep", "1000000"]);
    others_live(&bench, "somebody stopped");
    bench.keel(&["down", "-v", "frozen"]).ok();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    waits.kill();
    drop(serve);
    bench.finish(&[]);
}
