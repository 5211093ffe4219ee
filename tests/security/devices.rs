//! Devices of the host: made, opened, kept in images and volumes, behind standard input.

use super::bench::{Bench, result, service};
use super::doors;
use serde_json::json;
use std::fs;
use std::process::Command;

/// A disk, memory, the kernel's log, FUSE, KVM, loop control, tun, input, the first terminal.
const NODES: [&str; 30] = [
    "b", "254", "0", "b", "7", "0", "c", "1", "1", "c", "1", "4", "c", "1", "11", "c", "10", "229",
    "c", "10", "232", "c", "10", "237", "c", "10", "200", "c", "13", "63",
];

#[track_caller]
fn refused(door: &str, said: &str) {
    assert!(said.lines().filter(|line| line.starts_with("read")).count() >= 10, "{door}: {said}");
    for line in said.lines().filter(|line| line.starts_with("read") || line.starts_with("write")) {
        assert!(line.ends_with("EPERM") || line.ends_with("EACCES"), "{door}: {line}");
    }
}

#[test]
fn no_device_of_the_host_opens_at_any_door() {
    let bench = Bench::new();
    let command = [&["prober", "mknod-open", "/tmp"], &NODES[..]].concat();
    for (door, said) in doors::every(&bench, json!({}), &[], &command) {
        refused(door, &said);
    }
    // A limit that is changed in place, and another controller, leave the list as it is.
    let stack = |limit: &str| {
        let keys = json!({ "command": ["sleep", "1000000"], "init": true, "mem_limit": limit,
                           "volumes": ["nodes:/nodes"] });
        json!({ "services": { "box": service(keys) }, "volumes": { "nodes": null } })
    };
    bench.up("kept", &stack("64m")).ok();
    let pid = bench.container("kept-box-1").unwrap()["pid"].clone();
    bench.up("kept", &stack("96m")).ok();
    assert_eq!(bench.container("kept-box-1").unwrap()["pid"], pid, "it is changed in place");
    let command = [&["prober", "mknod-open", "/nodes"], &NODES[..]].concat();
    refused("changed", &bench.exec(&[], "kept-box-1", &command).ok().stdout);
    // The nodes that it left in the volume are another container's.
    let volume = ["-v", "kept_nodes:/nodes"];
    let read =
        ["sh", "-c", "for n in /nodes/node-*; do head -c 1 $n && echo read $n; done; echo tried"];
    let said = bench.run(&volume, &read);
    assert_eq!(said.stdout, "tried\n", "{said:?}");
    let user = ["-v", "kept_nodes:/nodes", "-u", "5:5", "--security-opt", "seccomp=unconfined"];
    assert_eq!(bench.run(&user, &read).stdout, "tried\n");
    bench.finish(&["kept"]);
}

#[test]
fn nodes_in_an_image_are_no_way_to_the_device() {
    let bench = Bench::new();
    let layer = bench.path("layer");
    fs::create_dir_all(&layer).unwrap();
    for (name, numbers) in
        [("disk", ["b", "254", "0"]), ("mem", ["c", "1", "1"]), ("kmsg", ["c", "1", "11"])]
    {
        let made = Command::new("mknod").arg(layer.join(name)).args(numbers).status();
        assert!(made.unwrap().success());
    }
    let image = bench.image(&json!({}), Some(&layer));
    let open = ["prober", "open", "/disk", "r", "/mem", "r", "/kmsg", "r", "/kmsg", "w"];
    let called = bench.keel(&[&["run", "--rm", &image], &open[..]].concat());
    // Either the image is refused, or the nodes are of no use.
    assert!(called.code != 0 || called.stdout.contains("done open"), "{called:?}");
    assert!(!called.stdout.contains(" ok "), "{called:?}");
    bench.finish(&[]);
}

#[test]
fn a_device_for_reading_is_for_reading() {
    let bench = Bench::new();
    let flags = ["--device", "/dev/kmsg:/dev/log:r", "--cap-add", "SYSLOG"];
    let said =
        bench.said(&flags, &["prober", "open", "/dev/log", "r", "/dev/log", "w", "/dev/log", "rw"]);
    assert!(result(&said, "open /dev/log r").starts_with("ok"), "{said}");
    assert_eq!(result(&said, "open /dev/log w"), "EPERM", "{said}");
    assert_eq!(result(&said, "open /dev/log rw"), "EPERM", "{said}");
    bench.finish(&[]);
}

/// What a container has as input where nobody gives it any: modes and owners of a device are those
/// of everybody who has it.
#[test]
fn no_device_of_the_host_is_behind_stdio() {
    let bench = Bench::new();
    let host = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        let stat = fs::metadata(name).unwrap();
        format!(
            "{}:{} {}",
            rustix::fs::major(stat.dev()),
            rustix::fs::minor(stat.dev()),
            stat.ino()
        )
    };
    let null = format!("device 1:3 inode {} ", host("/dev/null"));
    for (door, said) in doors::every(&bench, json!({}), &[], &["prober", "chmod-stdio"]) {
        assert!(!said.contains(&null), "{door}: {said}");
    }
    bench.finish(&[]);
}

/// CAP_DAC_READ_SEARCH is for the host's files, as the documents say; without it nobody opens a file
/// by its number.
#[test]
fn files_are_not_opened_by_their_number() {
    let bench = Bench::new();
    let places = ["prober", "open-by-handle", "/etc/hosts", "/etc/resolv.conf", "/", "/volume"];
    for flags in [&[][..], &["--security-opt", "seccomp=unconfined"]] {
        let flags = [flags, &["-v", "/volume"]].concat();
        let said = bench.said(&flags, &places);
        for place in &places[2..] {
            assert_eq!(result(&said, &format!("open_by_handle_at {place}")), "EPERM", "{said}");
        }
    }
    bench.finish(&[]);
}
