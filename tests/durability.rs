//! What counts as stored outlives a loss of power, the folders that it lies in included: asked of the
//! kernel's own account of what was called.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use support::Host;

const STACK: &str = "
name: held
services:
  web: { image: 'busybox:1', init: true, command: [sleep, '1000000'], volumes: ['d:/d'], secrets: [s] }
volumes: { d: {} }
secrets: { s: { file: ./hidden } }
";

/// What a line of `strace -y` says: a folder was made, a descriptor was synced, a name was given.
#[derive(Debug, PartialEq)]
enum Call {
    Made(PathBuf),
    Synced(PathBuf),
    Named(PathBuf),
}

fn call(line: &str) -> Option<Call> {
    // `PID mkdir("/root/tasks/x", 0755) = 0`, or with `AT_FDCWD</cwd>, ` in front of the path.
    let text = line.split_once(' ')?.1.trim_start();
    let (name, rest) = text.split_once('(')?;
    // How far the result is to the right differs.
    if !rest.trim_end().ends_with("= 0") {
        return None;
    }
    let quoted = |text: &str| Some(PathBuf::from(text.split('"').nth(1)?));
    match name {
        "mkdir" | "mkdirat" => Some(Call::Made(quoted(rest)?)),
        "fsync" | "fdatasync" => {
            Some(Call::Synced(PathBuf::from(rest.split_once('<')?.1.split_once('>')?.0)))
        }
        "rename" | "renameat" | "renameat2" => {
            Some(Call::Named(PathBuf::from(rest.rsplit('"').nth(1)?)))
        }
        _ => None,
    }
}

/// Calls that another thread's came between are told in two lines, the second when they end.
fn whole_lines(text: &str) -> Vec<String> {
    let (mut begun, mut whole) = (HashMap::new(), Vec::new());
    for line in text.lines() {
        let Some((process, told)) = line.split_once(' ') else { continue };
        if let Some(head) = told.strip_suffix("<unfinished ...>") {
            begun.insert(process, head.to_owned());
        } else if let Some((_, tail)) = told.split_once(" resumed>") {
            let head = begun.remove(process).unwrap_or_default();
            whole.push(format!("{process} {head}{tail}"));
        } else {
            whole.push(line.to_owned());
        }
    }
    whole
}

#[test]
fn a_folder_is_on_the_disk_before_what_is_stored_in_it_counts() {
    let host = Host::new();
    host.write("held/compose.yaml", STACK);
    host.write("held/hidden", "hidden");
    let trace = host.path("trace");
    let keel = env!("CARGO_BIN_EXE_keel");
    let calls = "trace=mkdir,mkdirat,fsync,fdatasync,rename,renameat,renameat2";
    let mut traced = host
        .command("strace")
        .args(["-f", "-y", "-s", "4096", "-e", calls, "-o"])
        .arg(&trace)
        .args([keel, "up", "-d"])
        .arg(host.path("held"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    host.until_well("held-web-1");
    host.keel(&["down", "-v", "held"]).ok();
    // It follows the shims, too, so it ends with the last of them.
    traced.wait().unwrap();
    let text = fs::read_to_string(&trace).unwrap();
    let calls: Vec<Call> = whole_lines(&text).iter().filter_map(|line| call(line)).collect();
    let root = host.root();
    let mut looked_at = Vec::new();
    for (at, made) in calls.iter().enumerate() {
        let Call::Made(folder) = made else { continue };
        let Ok(below) = folder.strip_prefix(&root) else { continue };
        let records = ["tasks", "volumes", "networks", "secrets", "records"];
        // What is deeper in a task's folder is made anew before each run.
        let deep = below.starts_with("tasks") && below.components().count() > 2;
        if deep || !records.iter().any(|name| below.starts_with(name)) {
            continue;
        }
        // The first file that gets its final name in it.
        let is_in = |path: &Path| path.parent() == Some(folder) && is_record(path);
        let after = &calls[at..];
        let named = after.iter().position(|call| matches!(call, Call::Named(path) if is_in(path)));
        let Some(named) = named else { continue };
        let parent = folder.parent().unwrap();
        let synced = |call: &Call| matches!(call, Call::Synced(path) if path == parent);
        assert!(
            after[..named].iter().any(synced),
            "{} is not in {} on the disk when something is stored in it",
            folder.display(),
            parent.display()
        );
        looked_at.push(below.components().next().unwrap().as_os_str().to_owned());
    }
    // The others may be made by whoever looks at the root meanwhile, which is not traced.
    for folder in ["records", "tasks", "volumes"] {
        assert!(looked_at.iter().any(|name| name == folder), "{folder}: {looked_at:?}");
    }
    host.finish();
}

/// Not what is noted only, and made anew after a loss of power.
fn is_record(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    !matches!(name.as_str(), "work" | "state" | "config.json")
}
