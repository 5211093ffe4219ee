//! File systems of a stranger's own (FUSE): a container with `/dev/fuse` and `SYS_ADMIN`, or a bind
//! below which one is mounted, takes questions and never answers, or answers differently each time.

use super::bench::{Bench, Beside, result, service};
use super::exhaustion::others_live;
use super::support::until;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a container needs to mount one.
const RIGHTS: [&str; 4] = ["--device", "/dev/fuse", "--cap-add", "SYS_ADMIN"];

/// Lets a container mount one over a folder of its own.
#[track_caller]
fn mounts(bench: &Bench, name: &str, kind: &str, folder: &str) {
    let said = bench.exec(&["-u", "0"], name, &["prober", "fuse", kind, folder]).ok().stdout;
    assert!(result(&said, "fuse-mount").starts_with("ok"), "{said}");
}

/// Children of a root's shims that wait in the kernel, where no signal reaches.
fn stuck(bench: &Bench) -> usize {
    let shims = format!("keel shim {}", bench.root().display());
    let all = bench.sh("ps -eo stat,args");
    all.lines().filter(|row| row.starts_with('D') && row.contains(&shims)).count()
}

/// Whoever enters has to look into a folder that nobody answers for.
#[test]
fn who_never_answers_holds_nobody_up() {
    let bench = Bench::new();
    let serve = bench.idle_serve();
    let check = json!({ "test": ["CMD", "true"], "interval": "200ms", "timeout": "300ms" });
    let keys = json!({
        "devices": ["/dev/fuse"], "cap_add": ["SYS_ADMIN"], "user": "root", "init": true,
        "command": ["sh", "-c", "exec sleep 1000000"], "healthcheck": check, "restart": "always",
    });
    bench.up("silent", &json!({ "services": { "box": service(keys) } })).ok();
    bench.until_well("silent-box-1");
    mounts(&bench, "silent-box-1", "hang", "/etc");
    let waits = [
        Beside::calling(&bench, &["exec", "silent-box-1", "true"]),
        Beside::calling(&bench, &["exec", "-t", "silent-box-1", "true"]),
        Beside::calling(&bench, &["exec", "-u", "0", "-w", "/etc/sub", "silent-box-1", "true"]),
    ];
    let sent = || (stuck(&bench) > 0).then_some(());
    until("a check has asked, and waits", sent, || bench.overview());
    let ill = || (bench.container("silent-box-1")?["health"] == "unhealthy").then_some(());
    until("its check fails", ill, || bench.overview());
    others_live(&bench, "a file system that never answers");
    assert_eq!(stuck(&bench), 1, "one check after the other waits there");
    let began = Instant::now();
    bench.keel(&["restart", "silent-box-1"]).ok();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    waits.into_iter().for_each(|wait| drop(wait.end()));
    bench.until_well("silent-box-1");
    mounts(&bench, "silent-box-1", "hang", "/etc");
    let began = Instant::now();
    bench.keel(&["down", "-v", "silent"]).ok();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(serve);
    bench.finish(&[]);
}

/// A process that has asked itself, and is the last that could answer: no signal ends it.
#[test]
fn who_asks_itself_is_ended_all_the_same() {
    let bench = Bench::new();
    let serve = bench.idle_serve();
    for end in [&["stop", "box"][..], &["kill", "box"], &["rm", "-f", "box"]] {
        bench.idle("box", &RIGHTS);
        mounts(&bench, "box", "stuck", "/mnt");
        let began = Instant::now();
        bench.keel(end).ok();
        assert!(began.elapsed() < Duration::from_secs(20), "{end:?}: {:?}", began.elapsed());
        bench.keel(&["rm", "-f", "box"]);
        others_live(&bench, "a process that no signal ends");
    }
    drop(serve);
    bench.finish(&[]);
}

/// Files that never end, and are others each time that somebody looks.
#[test]
fn who_answers_without_end_names_nobody() {
    let bench = Bench::new();
    bench.idle("box", &RIGHTS);
    mounts(&bench, "box", "endless", "/etc");
    let began = Instant::now();
    for user in ["nobody", "0:nobody", "5"] {
        let called = bench.exec(&["-u", user], "box", &["prober", "caps"]);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        match user {
            "5" => assert!(called.ok().stdout.contains("Uid:\t5\t5\t5\t5")),
            _ => assert!(called.stderr.contains("no matching entries"), "{called:?}"),
        }
    }
    bench.keel(&["rm", "-f", "box"]).ok();
    bench.finish(&[]);
}

/// One that is mounted on the host, as by a person (`sshfs`, say) or out of a container that shares
/// its mounts.
struct OnHost {
    server: u32,
    folder: PathBuf,
}

impl OnHost {
    fn new(bench: &Bench, kind: &str, folder: &str) -> Self {
        let (source, prober) =
            (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/security/prober.c"), bench.path("prober"));
        bench.sh(&format!("gcc -static -w -O1 -o {} {source}", prober.display()));
        let folder = bench.path(folder);
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        let said = bench.sh(&format!("{} fuse {kind} {}", prober.display(), folder.display()));
        let server = result(&said, "fuse-server").split(' ').nth(1).unwrap().parse().unwrap();
        Self { server, folder }
    }
}

impl Drop for OnHost {
    fn drop(&mut self) {
        super::support::signal(self.server, "KILL");
        Command::new("umount").arg("-l").arg(&self.folder).status().ok();
    }
}

/// A folder of the host's whose server is gone, before a container starts or while it runs: whoever
/// asks waits, and nobody else; and it is ended all the same.
#[test]
fn a_folder_of_the_hosts_that_never_answers_holds_nobody_else_up() {
    let bench = Bench::new();
    let bind = format!("{}:/d", bench.path("far/data").display());
    let check =
        json!({ "test": ["CMD", "ls", "/d/none"], "interval": "200ms", "timeout": "300ms" });
    let stack = json!({ "services": { "box": service(json!({
        "volumes": [bind], "command": ["sleep", "1000000"], "init": true, "healthcheck": check,
    })) } });
    for serves in [true, false] {
        let serve = serves.then(|| bench.idle_serve());
        bench.up("hung", &stack).ok();
        let silent = OnHost::new(&bench, "hang", "far/data");
        let restart = Beside::calling(&bench, &["restart", "hung-box-1"]);
        let seen = || {
            let looks =
                bench.sh("ps -eo args").contains(&format!("look {}", silent.folder.display()));
            looks.then_some(())
        };
        until("its folder is looked at", seen, || bench.overview());
        others_live(&bench, "a folder that never answers");
        bench.keel(&["stop", "hung-box-1"]).ok();
        restart.end();
        let start = Beside::calling(&bench, &["start", "hung-box-1"]);
        if !serves {
            others_live(&bench, "a folder that never answers, at a start");
        }
        let began = Instant::now();
        bench.keel(&["down", "-v", "hung"]).ok();
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
        drop(silent);
        start.end();
        drop(serve);
    }
    bench.finish(&[]);
}
