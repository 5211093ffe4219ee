//! On the real kernel, in network namespaces that each test makes for itself: a `world` with a
//! `host` (where our code runs), a client outside, and tasks.

use super::port_table::{Key, PortTable, rewrite, update};
use super::*;
use crate::network::veth::inside;
use keel_engine::{Attachment, Protocol, TaskSpec};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command};

/// A network namespace, held by a process that sleeps in it.
struct Space {
    holder: Child,
}

impl Space {
    fn new() -> Self {
        let holder = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let space = Self { holder };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        wait_for("the namespace", || {
            let link = std::fs::read_link(space.path()).ok();
            let command = std::fs::read_to_string(format!("/proc/{}/comm", space.pid()));
            link.is_some_and(|link| link != own) && command.is_ok_and(|name| name == "sleep\n")
        });
        space.run("ip link set lo up");
        space
    }

    fn pid(&self) -> u32 {
        self.holder.id()
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.pid()).into()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).args(["sh", "-c", line]);
        command
    }

    /// Runs a shell line in it: what it prints, and whether it ended well.
    fn try_run(&self, line: &str) -> (bool, String) {
        let done = self.command(line).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.success(), text + &errors)
    }

    fn run(&self, line: &str) -> String {
        let (well, text) = self.try_run(line);
        assert!(well, "{line}: {text}");
        text
    }

    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.path()).unwrap();
        inside(file.as_fd(), || Ok(work())).unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

#[test]
fn smoke() {
    let host = Space::new();
    let outside = Space::new();
    let task = Space::new();
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    host.run(&format!("ip link add up0 type veth peer name eth0 netns {} && ip addr add 10.9.0.1/24 dev up0 && ip link set up0 up", outside.pid()));
    outside.run("ip addr add 10.9.0.2/24 dev eth0 && ip link set eth0 up");
    let spec = NetworkSpec { name: "blog_default".into(), ..NetworkSpec::default() };
    let network = host.enter(|| ensure_network(&layout, &spec, None, &[])).unwrap();
    println!("{network:?}");
    println!("{}", host.run("nft list ruleset; ip addr"));
    let tspec = TaskSpec {
        container_name: "a".into(),
        networks: vec![Attachment { network: "blog_default".into(), ..Attachment::default() }],
        ..TaskSpec::default()
    };
    let eps = endpoints(
        &TaskId::from_seed("a"),
        &tspec,
        &BTreeMap::from([(network.name.clone(), network.clone())]),
        &[],
        &[],
    )
    .unwrap();
    host.enter(|| connect(&eps, &task.path())).unwrap();
    println!("{}", task.run("ip addr; ip route; ping -c1 -W1 172.20.0.1 || true"));
    let key = Key { host_ip: None, published: 8080, protocol: Protocol::Tcp };
    let table = PortTable::from([(key, [("172.20.0.2".parse().unwrap(), 80)].into())]);
    host.enter(|| update(&layout, &PortTable::new(), &table)).unwrap();
    println!("{}", host.run("nft list ruleset"));
    println!("{:?}", host.enter(|| check(&layout, &[network.clone()])));
    host.enter(|| rewrite(&layout, &table)).unwrap();
    host.enter(|| update(&layout, &table, &PortTable::new())).unwrap();
    host.enter(|| teardown(&layout)).unwrap();
    println!("{}", host.run("nft list ruleset; ip link"));
}
