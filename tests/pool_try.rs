//! `keel pool try`: a pool on one machine, which a person can look at, hurt, and remove without a trace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_embedded::Layout;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{Host, until};

/// A machine with a pool to try.
struct Machine(Host);

impl Machine {
    fn new() -> Self {
        Self(Host::bare())
    }

    fn folder(&self) -> PathBuf {
        self.0.root().join("try")
    }

    fn create(&self, nodes: &str) -> String {
        self.0.keel(&["pool", "try", nodes]).ok().stdout
    }

    /// What a printed command comes to in a terminal that knows nothing of this test.
    fn paste(&self, line: &str) -> String {
        self.0.sh(&format!("unset KEEL_ROOT KEEL_CONFIG; {line}"))
    }

    /// The printed command that has these words.
    #[track_caller]
    fn printed(&self, guide: &str, words: &str) -> String {
        let mut lines = guide.lines().filter_map(|line| line.strip_prefix("  "));
        lines
            .find(|line| line.contains(words))
            .unwrap_or_else(|| panic!("{words}: {guide}"))
            .to_owned()
    }

    fn asked(&self, words: &[&str]) -> Value {
        let root = self.folder().join("node1");
        let root = root.to_string_lossy();
        let words = [&["--root", &root], words, &["--format", "json"]].concat();
        serde_json::from_str(&self.0.keel(&words).stdout).unwrap_or_default()
    }

    /// Waits until a node answers, or until it does not.
    #[track_caller]
    fn until_ready(&self, node: &str, ready: bool) {
        let is = || {
            let rows = self.asked(&["node", "ls"]);
            let row = rows.as_array()?.iter().find(|row| row["name"] == node)?.clone();
            ((row["state"] == "ready") == ready).then_some(())
        };
        until(&format!("{node} answers: {ready}"), is, || self.asked(&["node", "ls"]).to_string());
    }

    /// Names of running containers on a node.
    fn running(&self, node: &str) -> BTreeSet<String> {
        let rows = self.asked(&["ps"]);
        let rows = rows.as_array().cloned().unwrap_or_default();
        let runs = |row: &&Value| row["state"] == "running" && row["node"] == node;
        rows.iter().filter(runs).map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The first process of a container.
    fn pid(&self, name: &str) -> Value {
        let rows = self.asked(&["ps"]);
        let row = rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
        row["pid"].clone()
    }

    /// Waits until this URL answers, as `curl` on the host sees it.
    #[track_caller]
    fn until_get(&self, url: &str) -> String {
        until(&format!("{url} answers"), || self.0.get(url), || self.asked(&["ps"]).to_string())
    }

    /// The layouts of the roots that it has had, and that of its daemons.
    fn layouts(&self) -> Vec<Layout> {
        let nodes = (1..=5).map(|number| self.folder().join(format!("node{number}")));
        nodes.chain([self.folder()]).map(|root| Layout::new(&root)).collect()
    }

    fn cgroups(&self) -> Vec<String> {
        let names: Vec<_> = self.layouts().iter().map(Layout::cgroup).collect();
        let found = Command::new("find").args(["/sys/fs/cgroup", "-type", "d"]).output().unwrap();
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        let ours = |line: &&str| names.iter().any(|name| line.contains(&format!("/{name}")));
        found.lines().filter(ours).map(str::to_owned).collect()
    }

    /// Processes that name its folder, and those in its cgroups.
    fn processes(&self) -> BTreeSet<u32> {
        let mut pids = BTreeSet::new();
        for cgroup in self.cgroups() {
            let text = fs::read_to_string(format!("{cgroup}/cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        let folder = self.folder().display().to_string();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.contains(&folder) {
                pids.insert(pid);
            }
        }
        pids
    }

    /// `kill -9` of all of it.
    fn kill_everything(&self) {
        let kill = || {
            for pid in self.processes() {
                // It may be gone by now.
                let _ = Command::new("kill")
                    .args(["-9", &pid.to_string()])
                    .stderr(Stdio::null())
                    .status();
            }
            self.processes().is_empty().then_some(())
        };
        until("everything is dead", kill, || format!("{:?}", self.processes()));
    }

    /// What is left of it anywhere on the machine.
    fn leftovers(&self) -> Vec<String> {
        let mut left = self.0.leftovers();
        left.extend(self.cgroups());
        left.extend(self.processes().iter().map(|pid| format!("process {pid}")));
        for layout in self.layouts() {
            let late = format!("/run/keel-late/{}", layout.key());
            let memory = [PathBuf::from(late), layout.secrets_in_memory()];
            left.extend(
                memory.iter().filter(|path| path.exists()).map(|path| path.display().to_string()),
            );
        }
        left.extend(self.0.root().exists().then(|| self.0.root().display().to_string()));
        left
    }

    #[track_caller]
    fn is_gone(&self) {
        let gone = || self.leftovers().is_empty().then_some(());
        until("nothing is left", gone, || self.leftovers().join("\n"));
    }

    #[track_caller]
    fn remove(&self) {
        self.0.keel(&["pool", "try", "--remove"]).ok();
        self.is_gone();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !self.leftovers().is_empty() {
            self.0.keel(&["pool", "try", "--remove"]);
        }
    }
}

/// The lines of README about it.
fn readme() -> String {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = text.split("### Try a pool on your laptop\n").nth(1).unwrap();
    section.split("\n### ").next().unwrap().to_owned()
}

/// Without what differs from machine to machine: addresses, and how wide they are.
fn blurred(text: &str) -> String {
    let digits = text.replace(|c: char| c.is_ascii_digit(), "");
    digits.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_printed_command_and_address_works() {
    let machine = Machine::new();
    let guide = machine.create("3");
    let paste = |words: &str| machine.paste(&machine.printed(&guide, words));
    let urls: Vec<_> =
        guide.split_whitespace().filter(|word| word.starts_with("http://")).collect();
    assert_eq!(urls.len(), 3, "{guide}");
    for (number, url) in urls.iter().enumerate() {
        let answer = machine.until_get(url);
        assert!(answer.contains(&format!("demo-front-node{}", number + 1)), "{url}: {answer}");
    }
    let shown = readme();
    let table = shown.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(blurred(&guide).starts_with(&blurred(table)), "README shows another table: {guide}");
    for line in shown.lines().filter_map(|line| line.strip_prefix("keel pool try --")) {
        let words = line.split('#').next().unwrap().trim();
        assert!(guide.contains(&format!("--{words}")), "README has `{words}`: {guide}");
    }
    let nodes = paste("node ls");
    for address in
        urls.iter().map(|url| url.trim_start_matches("http://").split(':').next().unwrap())
    {
        assert!(nodes.contains(address), "{nodes}");
    }
    assert_eq!(nodes.matches("Ready").count(), 3, "{nodes}");
    assert!(paste("status").contains("demo"), "the stack is shown");
    assert!(paste("try/node1 ps").contains("demo-worker-3"), "its containers are listed");
    let log = machine.printed(&guide, "tail -f").replace("tail -f", "tail -n +1");
    assert!(machine.paste(&log).contains("node node3 joined"), "the controller's lines are there");

    let before: Vec<_> =
        ["demo-front-node3", "demo-front-node1"].map(|name| machine.pid(name)).into();
    paste("--unplug node3");
    machine.until_ready("node3", false);
    assert!(machine.0.get(urls[2]).is_none(), "its cable is out");
    paste("--plug node3");
    machine.until_ready("node3", true);
    machine.until_get(urls[2]);
    // It answers a little before it is asked again what runs on it.
    let seen = || (!machine.pid("demo-front-node3").is_null()).then_some(());
    until("what runs on node3 is known again", seen, || paste("status"));
    let after: Vec<_> =
        ["demo-front-node3", "demo-front-node1"].map(|name| machine.pid(name)).into();
    assert_eq!(before, after, "a cable restarts nothing");

    paste("--kill node3");
    machine.until_ready("node3", false);
    assert!(machine.0.get(urls[2]).is_none(), "nothing runs there");
    paste("--start node3");
    machine.until_ready("node3", true);
    machine.until_get(urls[2]);

    paste("node drain node3");
    let empty = || machine.running("node3").is_empty().then_some(());
    until("node3 is empty", empty, || machine.asked(&["ps"]).to_string());
    paste("node activate node3");
    machine.until_get(urls[2]);
    paste("sed -i");
    let workers = || {
        let all = ["node1", "node2", "node3"].map(|node| machine.running(node));
        let workers = all.iter().flatten().filter(|name| name.starts_with("demo-worker-")).count();
        (workers == 5).then_some(())
    };
    until("there are five workers", workers, || machine.asked(&["ps"]).to_string());

    let again = machine.0.keel(&["pool", "try"]).ok();
    assert!(again.stderr.contains("exists already"), "{again:?}");
    assert!(again.stderr.contains("pool try --remove"), "{again:?}");
    paste("--remove");
    machine.is_gone();
}

#[test]
fn after_the_death_of_everything_it_is_made_again_or_removed() {
    let machine = Machine::new();
    let guide = machine.create("2");
    let sessions = machine.processes().into_iter().filter_map(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let is_daemon = line.split('\0').any(|word| word == "serve" || word == "agent");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let session = stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.to_owned();
        is_daemon.then_some((pid.to_string(), session))
    });
    let sessions: Vec<_> = sessions.collect();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert!(
        sessions.iter().all(|(pid, session)| pid == session),
        "no terminal ends them: {sessions:?}"
    );
    machine.kill_everything();
    let again = machine.0.keel(&["pool", "try"]).ok();
    assert!(!again.stderr.contains("exists already"), "{again:?}");
    assert_eq!(again.stdout, guide, "it is the same pool");

    // As after a reboot: no process, no namespace, no link.
    machine.kill_everything();
    machine.0.sh(&format!("umount {}/ns/*", machine.folder().display()));
    let no_link = || (!machine.0.sh("ip -br link").contains("kt")).then_some(());
    until("the host's link is gone", no_link, || machine.0.sh("ip -br link"));
    assert_eq!(machine.create("2"), guide, "it is the same pool");
    for url in guide.split_whitespace().filter(|word| word.starts_with("http://")) {
        machine.until_get(url);
    }
    machine.kill_everything();
    machine.remove();
}

/// Moments of its making: what is there of it by then.
const MOMENTS: [&str; 8] = [
    "pool.json",
    "ns/switch",
    "ns/node2",
    "node1.log",
    "node1/run/keel.sock",
    "node2.log",
    "node2/pool/node.pem",
    "stacks/demo/compose.yaml",
];

#[test]
fn killed_at_any_moment_of_its_making_it_is_removed_or_completed() {
    for (number, moment) in MOMENTS.iter().enumerate() {
        let machine = Machine::new();
        let mut making = machine.0.command(env!("CARGO_BIN_EXE_keel"));
        making.args(["pool", "try", "2"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut making = making.spawn().unwrap();
        let there = machine.folder().join(moment);
        until(moment, || there.exists().then_some(()), || format!("{:?}", machine.leftovers()));
        making.kill().unwrap();
        making.wait().unwrap();
        if number % 2 == 1 {
            machine.create("2");
            assert_eq!(machine.asked(&["node", "ls"]).as_array().unwrap().len(), 2, "{moment}");
        }
        machine.remove();
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let machine = Machine::new();
    for wrong in ["0", "99", "-1", "many"] {
        let called = machine.0.keel(&["pool", "try", wrong]);
        assert_eq!(called.code, 64, "{wrong}: {called:?}");
    }
    let called = machine.0.keel(&["pool", "try", "3", "--remove"]);
    assert_eq!(called.code, 64, "{called:?}");
    let called = machine.0.keel(&["pool", "try", "--kill", "node1"]);
    assert!(called.code == 1 && called.stderr.contains("there is no pool"), "{called:?}");
    let called = machine.0.keel(&["pool", "try", "--remove"]).ok();
    assert!(called.stderr.contains("there is no pool"), "{called:?}");

    // Somebody else's folder of that name is left alone.
    machine.0.write("root/try/thesis.txt", "mine");
    let called = machine.0.keel(&["pool", "try", "--remove"]);
    assert!(called.code == 1 && called.stderr.contains("thesis.txt"), "{called:?}");
    assert!(machine.folder().join("thesis.txt").exists());
    fs::remove_dir_all(machine.0.root()).unwrap();

    machine.create("1");
    let called = machine.0.keel(&["pool", "try", "2"]);
    assert!(called.code == 1 && called.stderr.contains("a pool of 1 node exists"), "{called:?}");
    let called = machine.0.keel(&["pool", "try", "--unplug", "node7"]);
    assert!(called.code == 1 && called.stderr.contains("its nodes are node1"), "{called:?}");
    machine.remove();
}
