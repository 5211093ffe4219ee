//! What programs find in a container, and what a network and a volume keep: as under Docker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use support::Host;

#[test]
fn programs_find_their_limits_names_and_mounts() {
    let host = Host::new();
    let look = "cat /etc/mtab >/dev/null && readlink /etc/mtab; tail -n 1 /etc/hosts | cut -f 2; \
                c=/sys/fs/cgroup; cat $c/memory/memory.limit_in_bytes $c/memory.max 2>/dev/null; \
                cat $c/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d ' ' -f 1 $c/cpu.max; \
                cat $c/pids/pids.max $c/pids.max 2>/dev/null; \
                mkdir $c/x $c/memory/x 2>/dev/null || echo shut";
    let limits = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "77"];
    let words = ["--rm", "--hostname", "db.example.org", "busybox:1", "sh", "-c", look];
    let said = host.keel(&[&["run"], &limits[..], &words[..]].concat()).ok().stdout;
    let expected = "/proc/mounts\ndb.example.org db\n67108864\n50000\n77\nshut\n";
    assert_eq!(said, expected);
    if Path::new("/sys/fs/cgroup/cpuset").exists() {
        // A JVM that misses one of them believes in none.
        let look = "for c in memory cpu cpuacct cpuset pids; do \
                    grep -c ^0 /sys/fs/cgroup/$c/tasks >/dev/null; ls /sys/fs/cgroup/$c/tasks; done; \
                    cat /sys/fs/cgroup/cpuset/cpuset.cpus; \
                    find /sys/fs/cgroup -mindepth 2 -type d";
        let said = host.keel(&["run", "--rm", "busybox:1", "sh", "-c", look]).ok().stdout;
        let cpus = std::fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.cpus").unwrap();
        let names = ["memory", "cpu", "cpuacct", "cpuset", "pids"];
        let files = names.map(|name| format!("/sys/fs/cgroup/{name}/tasks\n")).concat();
        assert_eq!(said, files + &cpus);
    }
    host.finish();
}

const FIXED: &str = "
name: fix
services:
  early: { image: 'busybox:1', init: true, command: [sleep, '1000000'] }
  late: { image: 'busybox:1', init: true, command: [sleep, '1000000'], depends_on: [early], networks: { default: { ipv4_address: 10.77.0.2 } } }
networks: { default: { ipam: { config: [{ subnet: 10.77.0.0/24 }] } } }
";

fn address(host: &Host, container: &str) -> Option<String> {
    let said = host.keel(&["inspect", container]).ok().json();
    let networks = said["NetworkSettings"]["Networks"].as_object()?.clone();
    Some(networks.values().next()?["IPAddress"].as_str()?.to_owned())
}

#[test]
fn nobody_gets_by_chance_what_another_one_asks_for() {
    let host = Host::new();
    let stack = host.write("fix/compose.yaml", FIXED);
    host.keel(&["up", "-d", stack.parent().unwrap().to_str().unwrap()]).ok();
    assert_eq!(address(&host, "fix-early-1").as_deref(), Some("10.77.0.3"));
    assert_eq!(address(&host, "fix-late-1").as_deref(), Some("10.77.0.2"));

    // Another stack comes later, and asks for what was given already.
    let later = "
name: more
services:
  app: { image: 'busybox:1', init: true, command: [sleep, '1000000'], networks: { theirs: { ipv4_address: 10.77.0.3 } } }
networks: { theirs: { external: true, name: fix_default } }
";
    let more = host.write("more/compose.yaml", later);
    let more = more.parent().unwrap().to_str().unwrap().to_owned();
    let said = host.keel(&["up", "-d", &more]);
    let hint = "is taken by fix-early-1; choose another `ipv4_address`; if fix-early-1 has the \
                address by chance, `keel stop fix-early-1` and `keel start fix-early-1` give it another one";
    assert!(said.stderr.contains(hint), "{said:?}");
    host.keel(&["stop", "-t", "0", "fix-early-1"]).ok();
    host.keel(&["start", "fix-early-1"]).ok();
    host.keel(&["up", "-d", &more]).ok();
    assert_eq!(address(&host, "more-app-1").as_deref(), Some("10.77.0.3"));
    assert_ne!(address(&host, "fix-early-1").as_deref(), Some("10.77.0.3"));
    host.keel(&["down", "more"]).ok();
    host.keel(&["down", "fix"]).ok();
    host.finish();
}

#[test]
fn what_differs_and_is_no_stacks_is_told() {
    let host = Host::new();
    host.keel(&["network", "create", "mine"]).ok();
    host.keel(&[
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "mine",
        "busybox:1",
        "sleep",
        "1000000",
    ])
    .ok();
    assert_eq!(host.keel(&["drift"]).code, 0);
    let row = host.keel(&["network", "inspect", "mine"]).ok().json();
    let bridge = row["Keel"]["Bridge"].as_str().unwrap();
    host.sh(&format!("ip link set {bridge} down"));
    let drift = host.keel(&["drift"]);
    assert_eq!(drift.code, 2, "{drift:?}");
    assert!(drift.stdout.contains("mine: bridge"), "{drift:?}");
    host.keel(&["rm", "-f", "one"]).ok();
    host.keel(&["network", "rm", "mine"]).ok();
    host.finish();
}
