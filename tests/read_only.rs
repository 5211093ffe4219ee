//! A root on a disk that takes nothing any more: what ends a stack's containers works, is not forgotten by
//! whoever dies meanwhile, and is on the disk as soon as that takes it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use support::disk::Disk;
use support::{Host, Serve, until};

const STACK: &str = "
name: ends
services:
  a: { image: 'busybox:1', stop_grace_period: 1s, command: [sleep, '1000000'], restart: always }
  b: { image: 'busybox:1', stop_grace_period: 1s, command: [sleep, '1000000'], restart: always }
  c: { image: 'busybox:1', stop_grace_period: 1s, command: [sleep, '1000000'], restart: always }
";
const ALL: [&str; 3] = ["ends-a-1", "ends-b-1", "ends-c-1"];

/// A root on a disk of its own, with the sockets in memory, which is where they usually are.
fn disk(host: &Host) -> Disk {
    let disk = Disk::mount(host, "300M");
    with_stack(host);
    disk
}

fn with_stack(host: &Host) {
    let run = host.root().join("run");
    fs::create_dir(&run).unwrap();
    host.sh(&format!("mount -t tmpfs none {}", run.display()));
    host.write("ends/compose.yaml", STACK);
}

fn end(host: Host, disk: Disk, serve: Option<Serve>) {
    // Networks go after the last container, by whoever serves.
    let gone = || (!host.sh("nft list tables").contains("keel")).then_some(());
    until("networks are gone", gone, || host.overview());
    drop(serve);
    host.sh(&format!("umount {}", host.root().join("run").display()));
    drop(disk);
    host.finish();
}

/// `kill -9` of the shim of a container that runs.
fn kill_shim(host: &Host, name: &str) {
    let pid = host.container(name).unwrap()["pid"].as_u64().unwrap();
    let shim = host.sh(&format!("ps -o ppid= -p {pid}"));
    support::signal(shim.trim().parse().unwrap(), "KILL");
}

fn state(host: &Host, name: &str) -> Option<String> {
    Some(host.container(name)?["state"].as_str()?.to_owned())
}

#[track_caller]
fn until_state(host: &Host, name: &str, wanted: &str) {
    let there = || (state(host, name).as_deref() == Some(wanted)).then_some(());
    until(&format!("{name} is {wanted}"), there, || host.overview());
}

#[track_caller]
fn until_on_disk(host: &Host) {
    let folder = host.late();
    let there = || (!folder.exists()).then_some(());
    until("all is on the disk", there, || host.sh(&format!("find {}", folder.display())));
}

fn starts(host: &Host, name: &str) -> Value {
    host.container(name).unwrap()["started"].clone()
}

#[test]
fn a_served_stack_is_ended_on_a_disk_that_takes_nothing_and_stays_so() {
    let host = Host::new();
    let disk = disk(&host);
    let serve = host.serve(&["ends"]);
    ALL.iter().for_each(|name| drop(host.until_well(name)));
    disk.read_only(&host);

    host.keel(&["stop", "ends-a-1"]).ok();
    until_state(&host, "ends-a-1", "exited");
    host.keel(&["kill", "ends-b-1"]).ok();
    until_state(&host, "ends-b-1", "exited");
    let begin = host.keel(&["start", "ends-a-1"]);
    assert!(begin.code != 0 && begin.stderr.contains("Read-only file system"), "{begin:?}");
    serve.kill();
    let serve = host.serve(&["ends"]);
    host.until_well("ends-c-1");
    let status = host.status("ends").unwrap();
    let notes = status["notes"].to_string();
    assert!(notes.contains("forgotten if the machine restarts"), "{status}");
    // Two passes of the new controller have seen it so.
    host.keel(&["sync", "ends"]);
    host.keel(&["sync", "ends"]);
    assert_eq!(state(&host, "ends-a-1").as_deref(), Some("exited"));
    assert_eq!(state(&host, "ends-b-1").as_deref(), Some("exited"));
    host.keel(&["suspend", "ends"]).ok();
    assert!(!host.status("ends").unwrap()["suspended"].is_null(), "{}", host.overview());
    serve.kill();

    disk.writable(&host);
    let serve = host.serve(&["ends"]);
    until_on_disk(&host);
    assert!(!host.status("ends").unwrap()["suspended"].is_null(), "{}", host.overview());
    host.keel(&["resume", "ends"]).ok();
    host.keel(&["sync", "ends"]);
    assert_eq!(state(&host, "ends-a-1").as_deref(), Some("exited"));
    assert_eq!(state(&host, "ends-b-1").as_deref(), Some("exited"));
    host.keel(&["start", "ends-a-1"]).ok();
    host.until_well("ends-a-1");
    host.keel(&["down", "ends"]).ok();
    end(host, disk, Some(serve));
}

#[test]
fn a_stack_is_taken_down_as_far_as_a_disk_that_takes_nothing_lets_it() {
    let host = Host::new();
    let disk = disk(&host);
    let serve = host.serve(&["ends"]);
    ALL.iter().for_each(|name| drop(host.until_well(name)));
    disk.read_only(&host);
    let down = host.keel(&["down", "ends"]);
    assert_eq!(down.code, 1, "{down:?}");
    assert!(down.stderr.contains("Read-only file system"), "{down:?}");
    ALL.iter().for_each(|name| assert_eq!(state(&host, name).as_deref(), Some("exited")));
    serve.kill();
    let serve = host.serve(&["ends"]);
    host.keel(&["sync", "ends"]);
    ALL.iter().for_each(|name| assert_eq!(state(&host, name).as_deref(), Some("exited")));
    disk.writable(&host);
    let gone = || host.ps().is_empty().then_some(());
    until("the rest goes by itself", gone, || host.overview() + &serve.said());
    until_on_disk(&host);
    assert!(!host.status("ends").unwrap()["suspended"].is_null(), "{}", host.overview());
    end(host, disk, Some(serve));
}

#[test]
fn a_stack_that_nobody_serves_is_ended_on_a_disk_that_takes_nothing() {
    let host = Host::new();
    let disk = Disk::in_memory(&host, "300M");
    with_stack(&host);
    host.keel(&["up", "-d", "./ends"]).ok();
    ALL.iter().for_each(|name| drop(host.until_well(name)));
    let before = starts(&host, "ends-c-1");
    disk.read_only(&host);
    host.keel(&["stop", "ends-a-1"]).ok();
    until_state(&host, "ends-a-1", "exited");
    host.keel(&["rm", "-f", "ends-b-1"]);
    until_state(&host, "ends-b-1", "exited");
    let up = host.keel(&["up", "-d", "./ends"]);
    assert!(up.code != 0 && up.stderr.contains("Read-only file system"), "{up:?}");
    assert_eq!(starts(&host, "ends-c-1"), before, "that changes nothing");
    kill_shim(&host, "ends-c-1");
    let down = host.keel(&["down", "ends"]);
    assert_eq!(down.code, 1, "{down:?}");
    ALL.iter().for_each(|name| assert_eq!(state(&host, name).as_deref(), Some("exited")));
    assert!(host.late().exists(), "it is decided, and no disk knows");
    disk.writable(&host);
    host.keel(&["down", "ends"]).ok();
    assert_eq!(host.ps(), [] as [Value; 0]);
    until_on_disk(&host);
    end(host, disk, None);
}

/// A disk that is full before there was a reserve, or once that is used up.
#[test]
fn a_stack_is_ended_on_a_full_disk_without_a_reserve() {
    for served in [true, false] {
        let host = Host::new();
        let disk = disk(&host);
        let serve = served.then(|| host.serve(&["ends"]));
        if !served {
            host.keel(&["up", "-d", "./ends"]).ok();
        }
        ALL.iter().for_each(|name| drop(host.until_well(name)));
        fs::remove_dir_all(host.root().join("reserve")).unwrap();
        let fill = disk.fill(&host);
        host.keel(&["stop", "ends-a-1"]).ok();
        until_state(&host, "ends-a-1", "exited");
        host.keel(&["kill", "-s", "TERM", "ends-b-1"]).ok();
        host.keel(&["suspend", "ends"]).ok();
        if let Some(serve) = serve {
            serve.kill();
        }
        let serve = served.then(|| host.serve(&["ends"]));
        assert!(!host.status("ends").unwrap()["suspended"].is_null(), "{}", host.overview());
        let down = host.keel(&["down", "ends"]);
        let ended = || (host.ps().iter().all(|row| row["state"] == "exited")).then_some(());
        until("all have ended", ended, || host.overview());
        fs::remove_file(fill).unwrap();
        // What it removes makes room, maybe enough for the rest.
        if !served && down.code != 0 {
            host.keel(&["down", "ends"]).ok();
        }
        let gone = || host.ps().is_empty().then_some(());
        until("the rest goes by itself", gone, || host.overview());
        until_on_disk(&host);
        end(host, disk, serve);
    }
}
