//! A root on a disk that is full to the last byte: what ends things, or makes room, works.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use support::disk::Disk;
use support::{Host, until};

const STACK: &str = "
name: full
services:
  a: { image: 'busybox:1', stop_grace_period: 1s, command: [sleep, '1000000'], restart: always }
  b: { image: 'busybox:1', stop_grace_period: 1s, command: [sleep, '1000000'], restart: always, volumes: ['d:/d'] }
  c: { image: 'busybox:1', stop_grace_period: 1s, command: [sleep, '1000000'] }
volumes: { d: {} }
";

fn state(host: &Host, name: &str) -> Option<String> {
    Some(host.container(name)?["state"].as_str()?.to_owned())
}

fn until_state(host: &Host, name: &str, state_wanted: &str) {
    let there = || (state(host, name).as_deref() == Some(state_wanted)).then_some(());
    until(&format!("{name} is {state_wanted}"), there, || host.overview());
}

#[test]
fn what_ends_things_or_makes_room_works_without_any() {
    let host = Host::new();
    let disk = Disk::mount(&host, "300M");
    host.write("full/compose.yaml", STACK);
    let serve = host.serve(&["full"]);
    for name in ["full-a-1", "full-b-1", "full-c-1"] {
        host.until_well(name);
    }
    let fill = disk.fill(&host);
    let more = host.root().join("more");
    assert!(fs::write(&more, vec![1; 1 << 20]).is_err(), "it is full");
    fs::remove_file(more).unwrap();
    disk.fill(&host);

    let before = host.container("full-b-1").unwrap();
    let pid = |row: &Value| row["pid"].as_u64().unwrap();
    support::signal(u32::try_from(pid(&before)).unwrap(), "KILL");
    let again = || {
        let row = host.container("full-b-1")?;
        (row["state"] == "running" && row["pid"] != before["pid"]).then_some(row)
    };
    until("it restarts, and its new process is known", again, || host.overview());
    host.keel(&["exec", "full-b-1", "true"]).ok();

    host.keel(&["stop", "full-a-1"]).ok();
    until_state(&host, "full-a-1", "exited");
    host.keel(&["kill", "full-c-1"]).ok();
    until_state(&host, "full-c-1", "exited");
    host.keel(&["rm", "-f", "full-c-1"]).ok();
    assert_eq!(state(&host, "full-c-1"), None);
    host.keel(&["image", "prune", "-f"]).ok();
    host.keel(&["suspend", "full"]).ok();
    assert_eq!(state(&host, "full-b-1").as_deref(), Some("running"), "that ends nothing");
    host.keel(&["down", "full"]).ok();
    assert_eq!(host.ps(), [] as [Value; 0]);
    host.keel(&["rmi", "busybox:1"]).ok();
    host.keel(&["down", "--volumes", "full"]).ok();

    fs::remove_file(fill).unwrap();
    drop(serve);
    let left = host.leftovers();
    assert!(left.iter().all(|line| line.starts_with("mount: ")), "{left:?}");
    drop(disk);
    host.finish();
}

#[test]
fn on_a_disk_that_the_kernel_made_read_only_the_dead_are_dead_and_the_rest_can_be_ended() {
    let host = Host::new();
    let _disk = Disk::mount(&host, "300M");
    let run = |name: &str, more: &[&str]| {
        let words = ["run", "-d", "--name", name];
        let command = ["busybox:1", "sleep", "1000000"];
        host.keel(&[&words[..], more, &command[..]].concat()).ok();
        let runs = || (host.keel(&["exec", name, "true"]).code == 0).then_some(());
        until(&format!("{name} has begun"), runs, || host.overview());
    };
    run("again", &["--restart", "always"]);
    for name in ["dead", "stopped", "killed", "removed"] {
        run(name, &[]);
    }
    let pid =
        |name: &str| u32::try_from(host.container(name).unwrap()["pid"].as_u64().unwrap()).unwrap();
    let before = pid("again");
    // As after an error of the disk.
    host.sh(&format!("mount -o remount,abort {}", host.root().display()));
    assert!(fs::write(host.root().join("more"), "").is_err(), "it is read-only");
    support::signal(pid("dead"), "KILL");
    support::signal(before, "KILL");
    until_state(&host, "dead", "exited");
    let again = || {
        let row = host.container("again")?;
        (row["state"] == "running" && row["pid"].as_u64()? != u64::from(before)).then_some(())
    };
    until("it restarts, and its new process is known", again, || host.overview());
    host.keel(&["exec", "again", "true"]).ok();
    host.keel(&["stop", "-t", "1", "stopped"]).ok();
    until_state(&host, "stopped", "exited");
    host.keel(&["kill", "killed"]).ok();
    until_state(&host, "killed", "exited");
    let removed = host.keel(&["rm", "-f", "removed"]);
    assert_eq!(removed.code, 1, "{removed:?}");
    assert!(removed.stderr.contains("Read-only file system"), "{removed:?}");
    until_state(&host, "removed", "exited");
    host.keel(&["kill", "again"]).ok();
    until_state(&host, "again", "exited");
}

#[test]
fn a_state_that_the_disk_did_not_take_is_stored_as_soon_as_it_does() {
    let host = Host::new();
    let disk = Disk::mount(&host, "300M");
    host.keel(&[
        "run",
        "-d",
        "--name",
        "one",
        "--restart",
        "always",
        "busybox:1",
        "sleep",
        "1000000",
    ])
    .ok();
    let row = host.container("one").unwrap();
    let before = u32::try_from(row["pid"].as_u64().unwrap()).unwrap();
    let folder = host.sh(&format!("echo {}/tasks/*", host.root().display()));
    let folder = folder.trim();
    // Nothing can be made in it.
    host.sh(&format!("chattr +i {folder}"));
    support::signal(before, "KILL");
    let again = || {
        let row = host.container("one")?;
        (row["state"] == "running" && row["pid"].as_u64()? != u64::from(before)).then_some(())
    };
    until("it restarts, and its new process is known", again, || host.overview());
    let stored = || fs::read_to_string(format!("{folder}/state")).unwrap();
    assert!(stored().contains(&format!("\"pid\":{before},")), "{}", stored());
    host.sh(&format!("chattr -i {folder}"));
    let there = || (!stored().contains(&format!("\"pid\":{before},"))).then_some(());
    until("the disk has it", there, stored);
    host.keel(&["rm", "-f", "one"]).ok();
    drop(disk);
    host.finish();
}

/// Overlayfs cannot keep its upper layer everywhere: that is said when keel begins, with the remedy, and
/// nothing is made there.
#[test]
fn a_root_that_cannot_hold_containers_is_refused_at_the_start() {
    let host = Host::new();
    let root = host.root().display().to_string();
    host.write(
        "stack/compose.yaml",
        "services: { app: { image: 'busybox:1', command: sleep 1000000 } }\n",
    );
    host.sh(&format!(
        "mkdir -p {root} l u w; mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w {root}"
    ));
    for words in
        [&["run", "--rm", "busybox:1", "true"][..], &["up", "-d", "./stack"], &["serve", "stack"]]
    {
        let called = host.keel(words);
        assert_ne!(called.code, 0, "{called:?}");
        let told =
            format!("the root {root} is on overlay, where overlayfs cannot keep containers' files");
        assert!(
            called.stderr.contains(&told) && called.stderr.contains("--root DIR"),
            "{called:?}"
        );
    }
    assert_eq!(host.sh(&format!("ls -A {root} | grep -c ground || true")).trim(), "0");
    host.sh(&format!("umount {root}"));
    host.keel(&["run", "--rm", "busybox:1", "true"]).ok();
    host.finish();
}
