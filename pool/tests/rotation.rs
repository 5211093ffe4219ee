//! A pool's authority is replaced while its nodes are connected or away, with real records, keys and connections.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_engine::NodeName;
use keel_pool::identity::{
    AgentFile, Keyring, NodeIdentity, PrivateKey, RotationError, SealedBy, Token, TokenSpec,
    as_standby,
};
use keel_pool::membership::{Membership, MembershipError, Whereabouts};
use keel_pool::office::{Office, Premises};
use keel_pool::transport::{AgentState, Allegiance, Limits, Relayed, Switchboard, relay};
use keel_pool::{Visit, renew};
use keel_testing::fake::Fake;
use keel_testing::waiting::{in_time, until_holds};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use support::{FileStore, HERE, now};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A controller's root, and where it listens.
struct Root {
    folder: TempDir,
    address: String,
}

/// A controller that runs; it is gone at once when this is dropped.
struct Controller {
    office: Arc<Office>,
    visits: mpsc::UnboundedReceiver<Visit>,
    relayed: mpsc::Receiver<Relayed>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// An agent that runs; it is gone at once when this is dropped.
struct Running(JoinHandle<MembershipError>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn limits() -> Limits {
    Limits { beat: Duration::from_millis(50), ..Limits::default() }
}

impl Root {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        Self { folder, address: listener.local_addr().unwrap().to_string() }
    }

    fn keys(&self) -> Keyring {
        let own = self.folder.path().join("sealing-key");
        Keyring { unlock: None, own, is_shared: false }
    }

    fn authority(&self) -> FileStore {
        FileStore::of(self.folder.path(), "authority")
    }

    /// A controller that listens; `goes_on`: with whatever rotation is under way.
    async fn start(&self, goes_on: bool) -> Controller {
        let (tell, visits) = mpsc::unbounded_channel();
        let switchboard = Arc::new(Switchboard::new(limits()));
        let premises = Premises {
            authority: Arc::new(self.authority()),
            file: self.folder.path().join("authority.pem"),
            keys: self.keys(),
            store: Arc::new(FileStore::new(self.folder.path())),
            home: "home".into(),
            switchboard,
            // The test may be over.
            tell: Arc::new(move |visit| drop(tell.send(visit))),
        };
        let office = Arc::new(Office::open(premises).await.unwrap());
        let tcp = TcpListener::bind(&self.address).await.unwrap();
        let (relay, relayed) = mpsc::channel(1);
        let door = office.listen(tcp, Some(relay));
        let mut tasks = vec![tokio::spawn(async move { match door.await {} })];
        if goes_on {
            let rotating = office.keep_rotating();
            tasks.push(tokio::spawn(async move { match rotating.await {} }));
        }
        Controller { office, visits, relayed, tasks }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("node.pem")
    }

    /// What a node knows of itself.
    fn identity(&self, name: &str) -> NodeIdentity {
        match AgentFile::open(&self.file(name)).unwrap() {
            AgentFile::Node(identity) => identity,
            AgentFile::Key(_) => panic!("{name} has not joined"),
        }
    }

    async fn agent(&self, name: &str, token: Option<Token>) -> Result<Running, MembershipError> {
        let file = self.file(name);
        let allegiance =
            Allegiance::open(&file.with_file_name("allegiance"), &self.address).unwrap();
        let at = Whereabouts { file, allegiance, limits: limits(), advertise: None };
        let opened = Membership::open(at, token, name.into(), |_, _| {});
        let membership = Arc::new(in_time("it joins", opened).await?);
        let (engine, spool) =
            (Arc::new(Fake::new(name)), self.folder.path().join(name).join("spool"));
        let (state, _) = watch::channel(AgentState::Dialing);
        Ok(Running(tokio::spawn(membership.serve(engine, spool, state))))
    }
}

impl Controller {
    /// Nobody listens any more once this returns.
    async fn die(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // It was told to end.
            let _ = task.await;
        }
    }

    async fn token(&self) -> Token {
        self.office.create_token(TokenSpec::by("ann")).await.unwrap()
    }

    async fn until_connected(&self, name: &str) {
        let far = self.office.far(&name.into());
        until_holds(&format!("{name} is connected"), || async { far.away().is_none() }).await;
    }

    async fn until_waiting_for(&self, names: &[&str]) {
        let names: Vec<NodeName> = names.iter().map(|name| (*name).into()).collect();
        let progress = || self.office.rotation_progress().waiting;
        until_holds("the others have renewed", || async { progress() == names }).await;
    }

    async fn until_rotated(&mut self) {
        let ended = async { while !matches!(self.visits.recv().await.unwrap(), Visit::Rotated) {} };
        in_time("the former root is dropped", ended).await;
        assert!(self.office.authority().rotation().is_none());
    }

    fn has_lost_somebody(&mut self) -> bool {
        let mut lost = false;
        while let Ok(visit) = self.visits.try_recv() {
            lost |= matches!(visit, Visit::Left(..));
        }
        lost
    }
}

#[tokio::test]
async fn nodes_renew_one_that_was_away_does_when_it_returns_and_then_the_former_root_counts_no_more()
 {
    let root = Root::new().await;
    let mut controller = root.start(true).await;
    let mut agents = vec![];
    for name in ["one", "two", "away"] {
        agents.push(root.agent(name, Some(controller.token().await)).await.unwrap());
        controller.until_connected(name).await;
    }
    let (before, stale) = (controller.office.authority().pin(), controller.token().await);
    drop(agents.pop());
    let away = controller.office.far(&"away".into());
    until_holds("it is away", || async { away.away().is_some() }).await;
    controller.has_lost_somebody();

    controller.office.rotate().await.unwrap();
    let after = controller.office.authority().pin();
    assert_ne!(before, after);
    controller.until_waiting_for(&["away"]).await;
    assert!(!controller.has_lost_somebody(), "no connection is disturbed");
    assert_eq!(root.identity("one").issuer(), Some(after));
    assert_eq!(root.identity("away").issuer(), Some(before));
    let again = controller.office.rotate().await.unwrap_err();
    assert!(matches!(again, RotationError::UnderWay) && again.to_string().contains("keel ca show"));

    // What tokens named is gone, and says so; new ones are as good as ever.
    let refused = root.agent("late", Some(stale)).await.err().unwrap().to_string();
    assert!(refused.contains("replaced since the token was made"), "{refused}");
    agents.push(root.agent("new", Some(controller.token().await)).await.unwrap());
    controller.until_connected("new").await;

    // The controller dies, and the next one goes on.
    controller.die().await;
    let mut controller = root.start(true).await;
    controller.until_connected("one").await;
    assert_eq!(controller.office.authority().pin(), after);
    assert!(controller.office.authority().rotation().is_some());
    controller.until_waiting_for(&["away"]).await;

    let former = root.identity("away");
    agents.push(root.agent("away", None).await.unwrap());
    controller.until_rotated().await;
    assert_eq!(root.identity("away").issuer(), Some(after));
    let key = PrivateKey::generate().unwrap();
    let refused = renew(&root.address, &former, key, &limits()).await;
    assert!(refused.is_err(), "what the former authority certified is worthless");

    // It is one like any other: it can be replaced in turn, and nodes renew once more.
    controller.office.rotate().await.unwrap();
    controller.until_rotated().await;
    assert_ne!(root.identity("one").issuer(), Some(after));
}

#[tokio::test]
async fn a_node_that_is_removed_is_waited_for_no_more() {
    let root = Root::new().await;
    let mut controller = root.start(true).await;
    let agent = root.agent("away", Some(controller.token().await)).await.unwrap();
    controller.until_connected("away").await;
    drop(agent);
    let away = controller.office.far(&"away".into());
    until_holds("it is away", || async { away.away().is_some() }).await;
    controller.office.rotate().await.unwrap();
    controller.until_waiting_for(&["away"]).await;
    assert!(controller.office.authority().rotation().is_some());
    controller.office.remove(&"away".into(), false).await.unwrap();
    controller.until_rotated().await;
}

#[tokio::test]
async fn a_rotation_that_nobody_goes_on_with_is_as_it_was_after_a_restart() {
    let root = Root::new().await;
    let controller = root.start(false).await;
    let agent = root.agent("one", Some(controller.token().await)).await.unwrap();
    controller.until_connected("one").await;
    controller.office.rotate().await.unwrap();
    let after = controller.office.authority().pin();
    controller.die().await;
    let mut controller = root.start(true).await;
    assert_eq!(controller.office.authority().pin(), after);
    assert_eq!(controller.office.sealed_by(), SealedBy::OwnFile);
    controller.until_rotated().await;
    assert_eq!(root.identity("one").issuer(), Some(after));
    drop(agent);
}

#[tokio::test]
async fn a_key_that_the_former_authority_certified_is_certified_anew() {
    let root = Root::new().await;
    let controller = root.start(false).await;
    drop(root.agent("one", Some(controller.token().await)).await.unwrap());
    let identity = root.identity("one");
    let next = NodeIdentity::next_key(&root.file("one")).unwrap();
    let lost = renew(&root.address, &identity, next, &limits()).await.unwrap().0;
    controller.office.rotate().await.unwrap();
    let same = NodeIdentity::next_key(&root.file("one")).unwrap();
    let renewed = renew(&root.address, &identity, same, &limits()).await.unwrap().0;
    assert_eq!(renewed.subject().key, lost.subject().key);
    assert_eq!(renewed.issuer(), Some(controller.office.authority().pin()));
}

#[tokio::test]
async fn a_standby_of_the_former_authority_hands_on_nothing() {
    let root = Root::new().await;
    let mut controller = root.start(false).await;
    drop(root.agent("one", Some(controller.token().await)).await.unwrap());
    let standby = async || as_standby(&root.authority(), &root.keys(), now()).await.unwrap();
    let former = standby().await;
    drop(relay(&root.address, &former, &limits()).await.unwrap());
    in_time("it is let in", controller.relayed.recv()).await.unwrap();
    controller.office.rotate().await.unwrap();
    assert!(controller.office.authority().rotation().is_some(), "there is a node to wait for");
    controller.has_lost_somebody();
    // In TLS 1.3, a refusal may come after a handshake that looked well.
    let _ = relay(&root.address, &former, &limits()).await;
    let turned = async {
        while !matches!(controller.visits.recv().await.unwrap(), Visit::TurnedAway(..)) {}
    };
    in_time("it is turned away", turned).await;
    let line = relay(&root.address, &standby().await, &limits()).await.unwrap();
    in_time("the next is let in", controller.relayed.recv()).await.unwrap();
    drop(line);
}
