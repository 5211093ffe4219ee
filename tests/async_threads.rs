//! The threads that serve wait for no disk: whatever reads or writes files does so elsewhere.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use support::git::{Repo, serve};
use support::{Host, until};

const STACK: &str = "services:\n  web:\n    image: busybox:1\n    init: true\n    \
                     command: sleep 1000000\n    volumes: [kept:/kept, ./conf:/conf:ro]\n    \
                     networks: [inner]\nnetworks:\n  inner:\nvolumes:\n  kept:\n";

/// Calls that wait for a disk, and the one by which a thread shows that it serves.
const CALLS: &str = "openat,open,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,fsync,\
                     fdatasync,stat,lstat,newfstatat,statx,access,faccessat,faccessat2,readlink,\
                     readlinkat,getdents64,chmod,fchmodat,epoll_wait,epoll_pwait,epoll_pwait2";

/// The threads of a process, as strace names them. Those of its children are traced, too, and wait as it does.
fn threads(pid: u32) -> BTreeSet<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    tasks.map(|task| task.file_name().to_string_lossy().into_owned()).collect()
}

/// Each call that a serving thread, one of these that waits for events, made on a file, and how often.
fn on_serving_threads(trace: &str, threads: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut waiting: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    let mut calls: Vec<(&str, &str)> = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        if !threads.contains(thread) {
            continue;
        }
        if let Some((_, on)) = call.split_once("wait(").filter(|_| call.contains("epoll_")) {
            let on = on.split(',').next().and_then(|number| number.parse().ok());
            waiting.entry(on.unwrap_or(u32::MAX)).or_default().insert(thread);
        } else {
            calls.push((thread, call.trim_start()));
        }
    }
    // Git waits for its servers on threads, and with descriptors, of its own: those came later.
    let (_, serving) = waiting.pop_first().expect("somebody serves");
    let mut found = BTreeMap::new();
    for (thread, call) in calls {
        // What the kernel makes up, or keeps in memory, is on no disk; what is open already has been waited for.
        let known = ["\"/proc/", "\"/sys/", "\"/dev/", "\"/run/", ", \"\", "];
        let other = known.iter().any(|part| call.contains(part));
        // Signals, and the second half of a call that others interrupted.
        let is_call = !call.starts_with(['<', '-', '+']);
        if serving.contains(thread) && is_call && !other {
            *found.entry(call.to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn the_threads_that_serve_wait_for_no_disk() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("blog/compose.yaml", STACK);
    repo.write("blog/conf/app.conf", "one");
    let first = repo.push("first");
    let serve = serve(&host, &repo);
    host.until_ended("blog", &first, "succeeded");

    let trace = host.path("trace");
    let pid = serve.pid().to_string();
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-s", "200", "-e", &format!("trace={CALLS}"), "-p", &pid, "-o"])
        .arg(&trace)
        .spawn()
        .expect("strace runs");
    let read = || fs::read_to_string(&trace).unwrap_or_default();
    until("it is traced", || read().contains("epoll_").then_some(()), read);

    repo.write("blog/conf/app.conf", "two");
    repo.write("shop/compose.yaml", STACK);
    let second = repo.push("second");
    host.until_ended("blog", &second, "succeeded");
    host.until_ended("shop", &second, "succeeded");
    for arguments in [
        &["status"][..],
        &["ps"],
        &["drift"],
        &["logs", "blog-web-1"],
        &["exec", "blog-web-1", "true"],
        &["restart", "blog/web"],
        &["system", "df"],
        &["images"],
        &["history"],
        &["volume", "ls"],
        &["network", "ls"],
        &["sync"],
        &["kill", "--signal", "WINCH", "blog-web-1"],
        &["pull", "busybox:2"],
        &["run", "--rm", "busybox:1", "true"],
        &["source", "create", "--bare", "own"],
        &["suspend", "shop"],
        &["resume", "shop"],
    ] {
        host.keel(arguments).ok();
    }
    repo.write("blog/conf/app.conf", "three");
    let third = repo.push("third");
    host.until_ended("blog", &third, "succeeded");

    // Who serves does so from the start to the end.
    let threads = threads(serve.pid());
    support::signal(strace.id(), "INT");
    strace.wait().expect("strace ends");
    let found = on_serving_threads(&read(), &threads);
    if let Some(copy) = std::env::var_os("KEEL_STACKS") {
        fs::copy(&trace, copy).expect("a copy of the trace");
    }
    assert!(found.is_empty(), "{found:#?}");
    drop(repo);
    serve.interrupt();
    for stack in ["blog", "shop"] {
        host.keel(&["down", "--volumes", stack]).ok();
    }
    host.finish();
}
