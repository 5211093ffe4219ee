//! Kernel parameters that are not the container's.

use super::bench::{Bench, service};
use serde_json::json;

const SETTINGS: [(&str, &str); 24] = [
    ("kernel.core_pattern", "|/evil"),
    ("kernel/core_pattern", "|/evil"),
    ("net.x/../../kernel/core_pattern", "|/evil"),
    ("net/../kernel/core_pattern", "|/evil"),
    ("net.ipv4/../../kernel/panic", "7"),
    ("net.core/../../kernel/panic", "7"),
    ("kernel.shmX", "1"),
    ("kernel.sem/../panic", "7"),
    ("kernel.msgmax/../panic", "7"),
    ("kernel.shm_rmid_forced/../../kernel/panic", "7"),
    ("fs.mqueue/../../kernel/panic", "7"),
    ("fs.mqueue./../kernel/panic", "7"),
    ("fs.mqueue.msg_max/../../../kernel/panic", "7"),
    ("NET.ipv4.ip_forward", "1"),
    ("net.core..somaxconn", "17"),
    ("net.core.somaxconn.", "17"),
    (".net.core.somaxconn", "17"),
    ("net.core.somaxconn", "17\nkernel.panic=7"),
    ("net.core.somaxconn", "17+kernel.panic=7"),
    ("net.core.rmem_max", "7777"),
    ("net.netfilter.nf_conntrack_max", "7777"),
    ("net.ipv4.tcp_mem", "1 2 3"),
    ("net.core.bpf_jit_enable", "0"),
    ("kernel.yama.ptrace_scope", "0"),
];

/// What of the host a container might have changed: everything below these folders, but for what only
/// counts (terminals that other tests have open, flows).
fn values(bench: &Bench) -> String {
    bench.sh("cd /proc/sys; find kernel fs/mqueue net vm -type f ! -path 'kernel/random/*' \
         ! -path 'kernel/ns_last_pid' ! -path kernel/pty/nr ! -name nf_conntrack_count \
         ! -path '*stat*' ! -path '*/neigh/*' | sort | \
         while read -r f; do printf '%s: %s\\n' \"$f\" \"$(head -c 300 \"$f\" 2>/dev/null)\"; done")
}

#[test]
fn no_setting_reaches_the_host() {
    let bench = Bench::new();
    let before = values(&bench);
    for (name, value) in SETTINGS {
        let flag = format!("--sysctl={name}={value}");
        let called = bench.run(&["--network", "none", &flag], &["prober", "fds"]);
        // Refused, or the container's own.
        let refused = called.code != 0 && called.stderr.contains("sysctl");
        assert!(refused || called.stdout.contains("done fds"), "{name}={value}: {called:?}");
        let words = name.contains("panic") || name.contains("core_pattern") || value.contains('\n');
        assert!(refused || !words, "{name}={value} was taken");
    }
    let mut services = json!({});
    for (number, (name, value)) in SETTINGS.into_iter().enumerate() {
        services[format!("s{number}")] = service(json!({
            "command": ["true"], "network_mode": "none", "sysctls": { name: value },
        }));
    }
    bench.up("settings", &json!({ "services": services }));
    for (name, mode) in [("net.core.somaxconn=17", "host"), ("kernel.panic=7", "none")] {
        let called = bench.run(&["--network", mode, "--sysctl", name], &["prober", "fds"]);
        assert!(called.code != 0 && called.stderr.contains("sysctl"), "{called:?}");
    }
    let after = values(&bench);
    let changed: Vec<_> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(changed.is_empty(), "{changed:#?}");
    bench.finish(&["settings"]);
}
