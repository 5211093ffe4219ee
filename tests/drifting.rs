//! What was touched by hand is found, told with where it is written, and healed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use support::{Host, signal, until};

const STACK: &str = "services:
  web:
    image: nginx:1
    mem_limit: 64m
    ports: ['8091:80']
  other:
    image: busybox:1
    init: true
    command: sleep 1000000
";

fn findings(host: &Host) -> Vec<Value> {
    let called = host.keel(&["drift", "--format", "json"]);
    let left = called.json()["findings"].as_array().cloned().unwrap_or_default();
    let open: Vec<_> = left.into_iter().filter(|finding| finding["fixed"] != true).collect();
    assert_eq!(
        called.code,
        if open.is_empty() { 0 } else { 2 },
        "{}{}",
        called.stdout,
        called.stderr
    );
    open
}

fn up(host: &Host, policy: &str) {
    host.write("drifty/compose.yaml", &format!("{policy}{STACK}"));
    host.keel(&["up", "-d", "drifty/compose.yaml"]).ok();
    host.until_well("drifty-web-1");
}

#[test]
fn an_untouched_stack_has_none_and_a_touched_limit_is_told_at_its_line() {
    let host = Host::new();
    up(&host, "");
    assert_eq!(findings(&host), [] as [Value; 0]);
    host.sh(&format!("echo 33554432 > {}", host.limit_file("drifty-web-1")));
    let found = findings(&host);
    assert_eq!(found.len(), 1, "{found:#?}");
    let finding = &found[0];
    assert_eq!((&finding["stack"], &finding["service"]), (&"drifty".into(), &"web".into()));
    assert_eq!(finding["field"], "mem_limit");
    assert_eq!(finding["at"]["line"], 4, "{finding:#}");
    assert_eq!(finding["desired"], finding["applied"]);
    assert!(finding["observed"].to_string().contains("33554432"), "{finding:#}");
    let text = host.keel(&["drift"]);
    assert_eq!(text.code, 2);
    for part in ["mem_limit", "64MiB", "32MiB", "compose.yaml:4:"] {
        assert!(text.stdout.contains(part), "{part} is not in {}", text.stdout);
    }
    host.keel(&["down", "drifty"]).ok();
    host.finish();
}

/// Of version 2 there is no such file; there the key goes unheeded.
#[test]
fn a_touched_swappiness_is_told_and_healed() {
    let host = Host::new();
    host.write(
        "calm/compose.yaml",
        "services:\n  app:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n    mem_swappiness: 10\n",
    );
    host.keel(&["up", "-d", "calm/compose.yaml"]).ok();
    host.until_well("calm-app-1");
    let limit = std::path::PathBuf::from(host.limit_file("calm-app-1"));
    let file = limit.with_file_name("memory.swappiness");
    if !file.exists() {
        assert_eq!(findings(&host), [] as [Value; 0]);
        host.keel(&["down", "calm"]).ok();
        return host.finish();
    }
    let held = || std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(held(), "10");
    std::fs::write(&file, "90").unwrap();
    let text = host.keel(&["drift"]);
    assert_eq!(text.code, 2);
    for part in ["calm-app-1: mem_swappiness", "applied    10", "observed   90", "compose.yaml:6:"]
    {
        assert!(text.stdout.contains(part), "{part} is not in {}", text.stdout);
    }
    // Changed in place, and back to what the host has.
    let before = host.container("calm-app-1").unwrap();
    host.sh("sed -i 's/: 10/: 20/' calm/compose.yaml");
    host.keel(&["up", "-d", "calm/compose.yaml"]).ok();
    until("it is as written", || (held() == "20").then_some(()), || host.overview());
    host.write(
        "calm/compose.yaml",
        "services:\n  app:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n",
    );
    host.keel(&["up", "-d", "calm/compose.yaml"]).ok();
    until("it is as above", || (held() != "20").then_some(()), || host.overview());
    assert_eq!(host.container("calm-app-1").unwrap()["pid"], before["pid"], "in place");
    host.keel(&["down", "calm"]).ok();
    host.finish();
}

#[test]
fn serve_heals_what_was_touched() {
    let host = Host::new();
    up(&host, "");
    let serve = host.serve(&["drifty"]);
    let file = host.limit_file("drifty-web-1");
    let before = host.container("drifty-web-1").unwrap();
    host.sh(&format!("echo 33554432 > {file}"));
    host.keel(&["drift"]);
    let healed = || (std::fs::read_to_string(&file).ok()?.trim() == "67108864").then_some(());
    until("the limit is back", healed, || format!("{}\n{}", serve.said(), host.overview()));
    assert_eq!(host.container("drifty-web-1").unwrap()["pid"], before["pid"], "in place");

    let pid = host.container("drifty-other-1").unwrap()["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), "KILL");
    let again = || {
        let row = host.container("drifty-other-1")?;
        (row["state"] == "running" && row["pid"].as_u64()? != pid).then_some(())
    };
    until("what was killed runs again", again, || format!("{}\n{}", serve.said(), host.overview()));
    let told = host.keel(&["drift", "--format", "json"]).json();
    let fixed = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|f| f["service"] == "other" && f["fixed"] == true);
    assert!(fixed, "it is told for a day: {told:#}");

    assert!(host.get("http://127.0.0.1:8091/").is_some());
    host.sh("for t in $(nft list tables | grep keel_ | cut -d' ' -f2,3 | tr ' ' :); do nft delete table ${t%:*} ${t#*:}; done");
    host.keel(&["drift"]);
    host.until_get("http://127.0.0.1:8091/");
    drop(serve);
    host.keel(&["down", "drifty"]).ok();
    host.finish();
}

#[test]
fn whatever_is_touched_is_found_and_healed_in_place() {
    let host = Host::new();
    let stack = format!(
        "{}    sysctls: {{ net.core.somaxconn: 555 }}\n    ulimits: {{ nofile: 1000 }}\n",
        STACK.split("  other:").next().unwrap()
    );
    host.write("drifty/compose.yaml", &stack);
    let serve = host.serve(&["drifty"]);
    let before = host.until_well("drifty-web-1");
    host.until_get("http://127.0.0.1:8091/");
    let pid = before["pid"].as_u64().unwrap();
    let own = "t=$(nft list tables | grep -o 'ip keel_.*'); b=$(ip -o link show type bridge | grep -o 'kl[0-9a-f]*-[0-9a-f]*'); \
               v=$(ip -o link show type veth | grep -o 'kv[0-9a-f]*-[0-9a-f]*')";
    let inside = format!("nsenter -t {pid} -n");
    // What somebody does, what the finding names, and the line of what was desired.
    let cases = [
        ("nft flush chain $t publish", "chain publish", None),
        ("nft flush chain $t postrouting", "chain postrouting", None),
        ("nft delete element $t ports '{ tcp . 8091 }'", "published port 8091/tcp", Some(5)),
        ("ip link set $b down", "bridge kl", None),
        ("ip link del $b", "bridge kl", None),
        ("ip link set $v nomaster", "networks", None),
        ("ip link del $v", "networks", None),
        (&format!("{inside} ip addr flush dev eth0"), "networks", None),
        (&format!("{inside} sysctl -qw net.core.somaxconn=99"), "sysctls", Some(6)),
        (&format!("prlimit --pid {pid} --nofile=77:1000"), "ulimits", Some(7)),
    ];
    for (harm, named, line) in cases {
        // Whoever looks also hints its healing, so the first look is the one that tells.
        host.sh(&format!("{own}; {harm}"));
        let found = findings(&host);
        let finding =
            found.iter().find(|finding| finding["field"].as_str().unwrap().contains(named));
        let finding = finding.unwrap_or_else(|| panic!("{harm}: {found:#?}"));
        assert_eq!(finding["at"]["line"].as_u64(), line, "{finding:#}");
        let whole = || findings(&host).is_empty().then_some(());
        until(&format!("healed: {harm}"), whole, || format!("{:#?}", findings(&host)));
        host.until_get("http://127.0.0.1:8091/");
        assert_eq!(host.container("drifty-web-1").unwrap()["pid"], before["pid"], "{harm}");
    }
    drop(serve);
    host.keel(&["down", "drifty"]).ok();
    host.finish();
}

#[test]
fn under_policy_report_it_is_only_told() {
    let host = Host::new();
    up(&host, "x-keel: { drift: report }\n");
    let serve = host.serve(&["drifty"]);
    let pid = host.container("drifty-other-1").unwrap()["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), "KILL");
    let told = || findings(&host).into_iter().find(|finding| finding["service"] == "other");
    let finding = until("it is told", told, || host.overview());
    assert_eq!(finding["policy"], "report");
    host.keel(&["sync"]).ok();
    assert_ne!(host.container("drifty-other-1").unwrap()["state"], "running", "{}", serve.said());
    drop(serve);
    host.keel(&["down", "drifty"]).ok();
    host.finish();
}
