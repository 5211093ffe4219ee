//! Other containers, and the host's own processes, by number and by name.

use super::bench::{Bench, result};
use super::doors;
use super::support::{DEADLINE, signal, until};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

#[test]
fn nothing_is_shared_by_name_or_number() {
    let bench = Bench::new();
    bench.keel(&["run", "-d", "--name", "maker", "prober:1", "prober", "ipc-make", "shared"]).ok();
    bench.until_said("maker", "done ipc-make");
    let own = bench.exec(&[], "maker", &["prober", "ipc-look", "shared"]).ok().stdout;
    for kind in ["abstract", "shm-sysv", "msg-sysv", "mqueue", "shm-posix"] {
        assert!(result(&own, kind).starts_with("ok"), "it is there to be found: {own}");
    }
    let looks: [&[&str]; 3] =
        [&[], &["--security-opt", "seccomp=unconfined"], &["--network", "host"]];
    for flags in looks {
        let said = bench.said(flags, &["prober", "ipc-look", "shared"]);
        for kind in ["abstract", "shm-sysv", "msg-sysv", "mqueue", "shm-posix"] {
            assert!(!result(&said, kind).starts_with("ok"), "{flags:?}: {said}");
        }
    }
    // One network does not make one of the rest.
    let said = bench.said(&["--network", "container:maker"], &["prober", "ipc-look", "shared"]);
    for kind in ["shm-sysv", "msg-sysv", "mqueue", "shm-posix"] {
        assert!(!result(&said, kind).starts_with("ok"), "{said}");
    }
    bench.finish(&[]);
}

#[test]
fn no_process_of_others_is_reached() {
    let bench = Bench::new();
    bench.idle("other", &[]);
    for (door, said) in doors::every(&bench, json!({}), &[], &["prober", "kill-all"]) {
        let reached: u32 = result(&said, "reached-all").parse().unwrap();
        // The shell or the init that it was started by, where there is one.
        assert!(reached <= 3, "{door}: {said}");
    }
    let said = bench.said(&["--network", "container:other"], &["prober", "kill-all"]);
    assert_eq!(result(&said, "reached-all"), "0", "{said}");
    let seen = bench.run(&[], &["sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).ok().stdout;
    assert!(seen.trim().parse::<u32>().unwrap() <= 3, "{seen}");
    bench.finish(&[]);
}

/// Keyrings are no namespace: without one of its own a container has its starter's session.
#[test]
fn each_container_has_a_session_keyring_of_its_own() {
    let bench = Bench::new();
    let keys = json!({ "security_opt": ["seccomp=unconfined"] });
    let flags = ["--security-opt", "seccomp=unconfined"];
    let host = fs::read_to_string("/proc/keys").unwrap_or_default();
    let mut sessions = vec![];
    for (door, said) in doors::every(&bench, keys, &flags, &["prober", "keyring", "none"]) {
        let answer = result(&said, "session-id ").to_owned();
        let serial: i64 = answer.trim_start_matches("ok ").parse().unwrap_or(-1);
        assert!(!host.contains(&format!("{serial:08x} ")), "{door}: the host's session, {said}");
        sessions.push((door, serial));
    }
    let runs: Vec<_> = sessions.iter().filter(|(door, _)| door.starts_with("run")).collect();
    assert_ne!(runs[0].1, runs[1].1, "two containers have one session: {sessions:?}");
    bench.finish(&[]);
}

/// A process of the host that has this number now.
fn take_over(pid: u64) -> Child {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        // What comes next gets the number after this one, unless somebody else was faster.
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let mut taken = Command::new("sleep").arg("1000000").spawn().unwrap();
        if u64::from(taken.id()) == pid {
            return taken;
        }
        taken.kill().unwrap();
        taken.wait().unwrap();
    }
    panic!("nobody got number {pid}");
}

fn kill_9(pid: u64) {
    signal(u32::try_from(pid).unwrap(), "KILL");
    let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
    until(&format!("{pid} is gone"), gone, String::new);
}

/// The parent of a container's first process: its shim.
fn shim_of(pid: u64) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// Shim and program died together, unseen, and processes of somebody else have their numbers.
#[test]
fn a_number_that_somebody_else_has_by_now_is_let_alone() {
    let bench = Bench::new();
    let actions: [&[&str]; 6] = [
        &["exec", "box", "touch", "/was-here"],
        &["kill", "box"],
        &["kill", "-s", "HUP", "box"],
        &["stop", "-t", "1", "box"],
        &["restart", "-t", "1", "box"],
        &["rm", "-f", "box"],
    ];
    for action in actions {
        bench.idle("box", &[]);
        let pid = bench.container("box").unwrap()["pid"].as_u64().unwrap();
        let shim = shim_of(pid);
        kill_9(shim);
        kill_9(pid);
        let mut others = [take_over(pid), take_over(shim)];
        let called = bench.keel(action);
        for other in &mut others {
            let ended = other.try_wait().unwrap();
            assert_eq!(ended, None, "{action:?} reached a process of somebody else: {called:?}");
            let root = fs::read_link(format!("/proc/{}/cwd", other.id())).unwrap();
            assert!(!root.join("was-here").exists() && !Path::new("/was-here").exists());
        }
        assert!(action[0] != "exec" || called.code != 0, "{called:?}");
        let shown = bench.container("box").map(|row| row["pid"].as_u64());
        assert_ne!(shown, Some(Some(pid)), "{action:?}");
        for other in &mut others {
            other.kill().unwrap();
            other.wait().unwrap();
        }
        bench.keel(&["rm", "-f", "box"]);
    }
    bench.finish(&[]);
}
