//! Records in a real etcd of three members: what every store promises, who leads, and what is left when members die.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/promises.rs"]
mod promises;

use keel_reconciler::store::{
    EtcdConfig, EtcdStore, Keep, Leadership, PoolLeader, Store, StoreError,
};
use keel_testing::waiting::{in_time, until_holds};
use promises::Pair;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::runtime::Builder;

/// Members on loopback.
struct Etcd {
    members: Vec<Option<Child>>,
    commands: Vec<Vec<String>>,
    urls: Vec<String>,
    _folder: tempfile::TempDir,
}

/// Ports that nobody has now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|one| one.local_addr().unwrap().port()).collect()
}

impl Etcd {
    fn start(count: usize) -> Self {
        let (folder, ports) = (tempfile::tempdir().unwrap(), free_ports(2 * count));
        let url = |port: &u16| format!("http://127.0.0.1:{port}");
        let (clients, peers) = ports.split_at(count);
        let all: Vec<_> =
            peers.iter().enumerate().map(|(at, port)| format!("m{at}={}", url(port))).collect();
        let commands = (0..count).map(|at| {
            let data = folder.path().join(format!("m{at}"));
            arguments(at, &data, &url(&clients[at]), &url(&peers[at]), &all.join(","))
        });
        let commands: Vec<_> = commands.collect();
        let urls = clients.iter().map(url).collect();
        let mut etcd =
            Self { members: (0..count).map(|_| None).collect(), commands, urls, _folder: folder };
        (0..count).for_each(|at| etcd.begin(at));
        etcd
    }

    fn begin(&mut self, at: usize) {
        let mut call = Command::new("etcd");
        call.args(&self.commands[at]).stdout(Stdio::null()).stderr(Stdio::null());
        self.members[at] = Some(call.spawn().expect("etcd-server is installed"));
    }

    fn kill(&mut self, at: usize) {
        if let Some(mut member) = self.members[at].take() {
            member.kill().unwrap();
            member.wait().unwrap();
        }
    }

    fn store(&self, prefix: &str) -> EtcdStore {
        let config =
            EtcdConfig { endpoints: self.urls.clone(), tls: None, prefix: prefix.to_owned() };
        EtcdStore::open(&config).unwrap()
    }

    async fn until_answers(&self) {
        let store = self.store("any");
        until_holds("etcd answers", || async { store.get("a").await.is_ok() }).await;
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|at| self.kill(at));
    }
}

fn arguments(at: usize, data: &Path, client: &str, peer: &str, all: &str) -> Vec<String> {
    let name = format!("m{at}");
    [
        ("--name", name.as_str()),
        ("--data-dir", data.to_str().unwrap()),
        ("--listen-client-urls", client),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
        ("--initial-cluster", all),
        ("--heartbeat-interval", "50"),
        ("--election-timeout", "500"),
        ("--unsafe-no-fsync", ""),
    ]
    .iter()
    .flat_map(|(flag, value)| match value.is_empty() {
        true => vec![(*flag).to_owned()],
        false => vec![(*flag).to_owned(), (*value).to_owned()],
    })
    .collect()
}

fn me(host: &str) -> PoolLeader {
    PoolLeader { host: host.to_owned(), who: "keel serve".to_owned(), address: "h:1".to_owned() }
}

async fn lead(store: &EtcdStore, host: &str) -> Leadership {
    in_time("it leads", store.lead(&me(host), |_| {})).await
}

#[tokio::test]
async fn etcd_keeps_what_every_store_promises() {
    let etcd = Etcd::start(1);
    etcd.until_answers().await;
    let store = etcd.store("keel/pool");
    let other: Arc<dyn Store> = Arc::new(store.clone());
    let leadership = lead(&store, "a").await;
    Pair { one: Arc::new(store.clone()), other }.promises().await;
    // Pools in one etcd do not meet.
    assert_eq!(etcd.store("keel/other").keys("").await.unwrap(), [] as [&str; 0]);
    assert_eq!(etcd.store("keel").keys("").await.unwrap(), [] as [&str; 0]);
    leadership.resign().await;
}

#[tokio::test]
async fn one_leads_and_whoever_lost_the_lead_writes_nothing_any_more() {
    let mut etcd = Etcd::start(3);
    etcd.until_answers().await;
    let (one, other) = (etcd.store("keel"), etcd.store("keel"));
    let unled = one.put("a", b"0".to_vec(), 0, Keep::OnDisk).await;
    assert!(matches!(unled, Err(StoreError::NotLeading)), "{unled:?}");
    // It will be stopped without a word, as a machine is.
    let machine = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = one.clone();
    let _believes = machine.spawn(async move { lead(&first, "a").await }).await.unwrap();
    let at = one.put("a", b"1".to_vec(), 0, Keep::OnDisk).await.unwrap();
    let refused = other.try_to_lead(&me("b")).await.unwrap().err();
    assert_eq!(refused, Some(me("a")));
    let denied = other.put("a", b"2".to_vec(), at, Keep::OnDisk).await;
    assert!(matches!(denied, Err(StoreError::NotLeading)), "{denied:?}");

    // A member that dies, whoever leads among them, stops nobody.
    etcd.kill(0);
    until_holds("a write goes through without a member", || async {
        let at = one.revision("b").await.unwrap_or(0);
        one.put("b", b"1".to_vec(), at, Keep::OnDisk).await.is_ok()
    })
    .await;

    machine.shutdown_background();
    let next = lead(&other, "b").await;
    assert_eq!(other.leader().await.unwrap(), Some(me("b")));
    let late = one.put("a", b"late".to_vec(), at, Keep::OnDisk).await;
    assert!(matches!(late, Err(StoreError::NotLeading)), "{late:?}");
    let deleted = one.delete("a").await;
    assert!(matches!(deleted, Err(StoreError::NotLeading)), "{deleted:?}");
    assert_eq!(other.get("a").await.unwrap().unwrap().value, b"1");
    other.put("a", b"3".to_vec(), at, Keep::OnDisk).await.unwrap();

    // Without most of its members etcd decides nothing, and neither does whoever led.
    etcd.kill(1);
    in_time("the lead is lost", next.lost()).await;
    let away = other.put("a", b"4".to_vec(), at, Keep::OnDisk).await;
    assert!(matches!(away, Err(StoreError::NotLeading)), "{away:?}");
    let away = other.get("a").await.unwrap_err().to_string();
    assert!(away.contains("etcd does not answer at http://127.0.0.1:"), "{away}");
    etcd.begin(0);
    etcd.begin(1);
    etcd.until_answers().await;
    let again = lead(&other, "b").await;
    assert_eq!(other.get("a").await.unwrap().unwrap().value, b"3");
    again.resign().await;
}
