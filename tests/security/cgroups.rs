//! Cgroups: what a container sees of its own it cannot change, others' it does not see.

use super::bench::Bench;
use super::doors;
use serde_json::json;
use std::fs;

#[test]
fn nothing_below_the_cgroup_mount_can_be_written_to() {
    let bench = Bench::new();
    let command = ["prober", "write-walk", "/sys/fs/cgroup"];
    for (door, said) in doors::every(&bench, json!({}), &[], &command) {
        let tried: u32 = super::bench::result(&said, "tried").parse().unwrap();
        assert!(tried > 5, "{door} sees no cgroup: {said}");
        assert!(!said.contains("writable"), "{door}: {said}");
    }
    bench.finish(&[]);
}

/// CVE-2022-0492: a hierarchy of one's own has the host's release agent.
const MOUNTS: &str = "mkdir -p /tmp/c; for t in memory rdma cpuset pids name=systemd; do \
    mount -t cgroup -o $t none /tmp/c && echo mounted $t; \
    for f in /tmp/c /sys/fs/cgroup/* /sys/fs/cgroup; do f=$f/release_agent; test -e $f || continue; \
    (echo /evil >$f) 2>/dev/null && echo wrote $f; done; umount /tmp/c 2>/dev/null; done; \
    mount -t cgroup2 none /tmp/c && echo mounted v2; echo tried";

#[test]
fn no_hierarchy_is_mounted_and_no_release_agent_is_set() {
    let bench = Bench::new();
    let in_user = format!("unshare -Ur -m sh -c '{}'", MOUNTS.replace('\'', "'\\''"));
    let open = ["--security-opt", "seccomp=unconfined"];
    let systempaths =
        ["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"];
    for flags in [&[][..], &open, &systempaths] {
        let said = bench.run(flags, &["sh", "-c", MOUNTS]).ok();
        assert!(said.stdout.ends_with("tried\n"), "{said:?}");
        assert!(!said.stdout.contains("mounted") && !said.stdout.contains("wrote"), "{said:?}");
        let said = bench.run(flags, &["sh", "-c", &format!("{in_user}; echo over")]).ok();
        assert!(said.stdout.ends_with("over\n"), "{said:?}");
        assert!(!said.stdout.contains("wrote"), "{said:?}");
    }
    bench.finish(&[]);
}

/// Its own cgroup is the root that it sees, at each door.
#[test]
fn others_cgroups_are_not_in_sight() {
    let bench = Bench::new();
    bench.idle("other", &["-m", "64m"]);
    bench.idle("box", &["-m", "64m", "--health-cmd", "true"]);
    let look = "cat /proc/self/cgroup /proc/1/cgroup; find /sys/fs/cgroup -mindepth 2 -type d; \
                ls /sys/fs/cgroup/.. >/dev/null; echo looked";
    for flags in [&[][..], &["-t"]] {
        let said = bench.exec(flags, "box", &["sh", "-c", look]).ok().stdout;
        assert!(said.contains("looked"), "{said}");
        assert!(!said.contains("keel-") && !said.contains("/.."), "{said}");
    }
    // The host's own view: limits are what was asked for, whatever was tried.
    let memory = fs::read_to_string(bench.limit_file("box")).unwrap();
    assert_eq!(memory.trim(), (64 << 20).to_string());
    let raise = "for f in $(find /sys/fs/cgroup -name 'memory*max' -o -name 'memory.limit_in_bytes' \
                 -o -name pids.max -o -name cgroup.procs); do (echo max >$f) 2>/dev/null && echo wrote; \
                 (echo 0 >$f) 2>/dev/null && echo wrote; done; echo tried";
    let said = bench.exec(&[], "box", &["sh", "-c", raise]).ok().stdout;
    assert_eq!(said, "tried\n");
    assert_eq!(fs::read_to_string(bench.limit_file("box")).unwrap(), memory);
    bench.finish(&[]);
}
