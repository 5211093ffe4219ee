//! A node's whole way: a token, joining, serving, renewing, and its removal, with real records, keys and
//! connections.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_engine::{Depth, Engine};
use keel_pool::identity::{
    ControllerKey, IdentityFailure, JoinAttempt, JoinFailure, JoinStep, KeelVersion, Keyring,
    NodeIdentity, NodeVerifier, PoolRecord, PresentAuthority, PrivateKey, StandbyError, Token,
    TokenSpec, as_standby, controller_name, to_join,
};
use keel_pool::transport::{
    Agent, AgentState, Allegiance, Away, Far, Limits, Listener, Relayed, Switchboard, relay,
};
use keel_pool::{Reception, Visit, ask_to_join, identity_failure, renew};
use keel_testing::fake::Fake;
use keel_testing::waiting::{in_time, until_holds};
use rustls::ClientConfig;
use std::sync::Arc;
use support::{DAY, FileStore, HERE, authority, now, registrar};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

struct Pool {
    folder: TempDir,
    registrar: Arc<keel_pool::identity::Registrar>,
    switchboard: Arc<Switchboard>,
    address: String,
    visits: mpsc::UnboundedReceiver<Visit>,
    relayed: mpsc::Receiver<Relayed>,
}

impl Pool {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = PresentAuthority::new(authority(folder.path()));
        let registrar = Arc::new(registrar(folder.path()).await.unwrap());
        let verifier = Arc::new(NodeVerifier::new(authority.clone(), registrar.roster()));
        let own = Arc::new(ControllerKey::new(authority, now()).unwrap());
        let config = Arc::new(verifier.server_config(own).unwrap());
        let (tell, visits) = mpsc::unbounded_channel();
        // The test may be over.
        let told = move |visit| drop(tell.send(visit));
        let gate = Arc::new(Reception::new(registrar.clone(), verifier, told));
        let tcp = TcpListener::bind((HERE, 0)).await.unwrap();
        let address = tcp.local_addr().unwrap().to_string();
        let switchboard = Arc::new(Switchboard::new(Limits::default()));
        let tls = Arc::new(move || config.clone());
        let (relay, relayed) = mpsc::channel(1);
        let switchboard_of_it = switchboard.clone();
        let listener =
            Listener { tcp, tls, gate, switchboard: switchboard_of_it, relayed: Some(relay) };
        tokio::spawn(listener.run());
        Self { folder, registrar, switchboard, address, visits, relayed }
    }

    fn keys(&self) -> Keyring {
        Keyring { unlock: None, own: self.folder.path().join("sealing-key"), is_shared: true }
    }

    /// What a controller shows that has the authority of this pool on record.
    async fn standby(&self, at: u64) -> ClientConfig {
        let record = FileStore::of(self.folder.path(), "record-of-authority");
        if record.get().await.unwrap().is_none() {
            let nobody = as_standby(&record, &self.keys(), at).await;
            assert!(matches!(nobody, Err(StandbyError::NoAuthority)));
            record.put(authority(self.folder.path()).encode(), 0).await.unwrap();
        }
        as_standby(&record, &self.keys(), at).await.unwrap()
    }

    /// Somebody who wants to hand on what it was asked is refused.
    async fn refuses(&mut self, config: &ClientConfig) -> String {
        // In TLS 1.3, a refusal may come after a handshake that looked well.
        let _ = relay(&self.address, config, &Limits::default()).await;
        match self.visit("it is turned away").await {
            Visit::TurnedAway(_, why) => why.to_string(),
            other => panic!("{other:?}"),
        }
    }

    async fn token(&self) -> Token {
        self.registrar.create_token(TokenSpec::by("ann"), now()).await.unwrap()
    }

    async fn ask(&self, token: Token, key: PrivateKey) -> JoinStep {
        let attempt = JoinAttempt::new(token, key, "web".into(), KeelVersion::own());
        in_time("an answer", ask_to_join(&self.address, attempt, &Limits::default()))
            .await
            .unwrap()
            .0
    }

    async fn join(&self) -> NodeIdentity {
        match self.ask(self.token().await, key()).await {
            JoinStep::Joined(identity) => *identity,
            other => panic!("{other:?}"),
        }
    }

    fn serve(&self, identity: &NodeIdentity) -> watch::Receiver<AgentState> {
        let config = Arc::new(identity.client_config().unwrap());
        let file = self.folder.path().join("allegiance");
        let agent = Agent {
            allegiance: Allegiance::open(&file, &self.address).unwrap(),
            server_name: controller_name(),
            tls: Arc::new(move || config.clone()),
            engine: Arc::new(Fake::new("web")),
            spool: self.folder.path().join("spool"),
            limits: Limits::default(),
            advertise: Some([192, 0, 2, 7].into()),
        };
        let (said, state) = watch::channel(AgentState::Dialing);
        tokio::spawn(agent.run(said));
        state
    }

    async fn far(&self) -> Arc<Far> {
        let far = self.switchboard.far(&"web".into());
        until_holds("the node connects", || async { far.away().is_none() }).await;
        far
    }

    async fn visit(&mut self, what: &str) -> Visit {
        in_time(what, self.visits.recv()).await.unwrap()
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}

#[tokio::test]
async fn a_node_joins_serves_and_is_gone_when_it_is_removed() {
    let mut pool = Pool::open().await;
    let identity = pool.join().await;
    let mut state = pool.serve(&identity);
    let far = pool.far().await;
    far.observe(Depth::State).await.unwrap();
    assert!(matches!(pool.visit("it joins").await, Visit::Joined(..)));
    assert!(matches!(pool.visit("it arrives").await, Visit::Arrived(..)));
    let recorded = || pool.registrar.roster().registry().nodes().next().unwrap().address();
    until_holds("its address is on record", || async { recorded() == "192.0.2.7" }).await;
    pool.registrar.remove(&"web".into(), true, true).await.unwrap();
    until_holds("it is gone", || async { far.away().is_some() }).await;
    let (_, why) = far.away().unwrap();
    assert!(
        matches!(&why, Away::Disconnected(why) if why == "it was removed from the pool"),
        "{why}"
    );
    assert!(matches!(pool.visit("it left").await, Visit::Left(..)));
    let knows = |state: &AgentState| match state {
        AgentState::Waiting { why, .. } => identity_failure(why) == Some(IdentityFailure::Removed),
        _ => false,
    };
    in_time("the agent knows that it was removed", state.wait_for(knows)).await.unwrap();
    assert!(far.away().is_some());
}

#[tokio::test]
async fn a_node_renews_and_serves_with_its_next_key() {
    let pool = Pool::open().await;
    let identity = pool.join().await;
    let next = key();
    let renewed = renew(&pool.address, &identity, next, &Limits::default()).await.unwrap().0;
    assert_eq!(renewed.node(), identity.node());
    assert_ne!(renewed.subject().key, identity.subject().key);
    pool.serve(&renewed);
    pool.far().await.observe(Depth::State).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_over_may_renew_and_nothing_else() {
    let mut pool = Pool::open().await;
    let long_ago = now() - 30 * DAY;
    let (token, key_then) =
        (pool.registrar.create_token(TokenSpec::by("ann"), long_ago).await, key());
    let attempt = JoinAttempt::new(token.unwrap(), key_then, "web".into(), KeelVersion::own());
    let request = attempt.request(long_ago).unwrap();
    let answer = pool.registrar.join(&request, HERE, long_ago).await.answer;
    let JoinStep::Joined(expired) = attempt.answered(answer) else { panic!("it joined") };
    pool.serve(&expired);
    let turned = pool.visit("it is not let in").await;
    let Visit::TurnedAway(_, why) = turned else { panic!("{turned:?}") };
    assert!(why.to_string().ends_with("has expired: it may only renew"), "{why}");
    let renewed = renew(&pool.address, &expired, key(), &Limits::default()).await.unwrap().0;
    pool.serve(&renewed);
    pool.far().await.observe(Depth::State).await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_pool_is_not_sent_and_a_second_use_is_an_alert() {
    let mut pool = Pool::open().await;
    let other = Pool::open().await;
    let step = pool.ask(other.token().await, key()).await;
    let JoinStep::Stop(JoinFailure::Server(IdentityFailure::Pin(_))) = step else {
        panic!("{step:?}")
    };
    assert!(matches!(pool.visit("it is turned away").await, Visit::TurnedAway(..)));
    let token = pool.token().await;
    let JoinStep::Joined(_) = pool.ask(token.clone(), key()).await else { panic!("it joins") };
    assert!(matches!(pool.visit("it joins").await, Visit::Joined(..)));
    let step = pool.ask(token, key()).await;
    assert!(matches!(step, JoinStep::Stop(JoinFailure::Refused(_))), "{step:?}");
    assert!(matches!(pool.visit("somebody is told").await, Visit::Misuse(_)));
}

#[tokio::test]
async fn a_controller_that_is_away_is_asked_again() {
    let pool = Pool::open().await;
    let attempt = JoinAttempt::new(pool.token().await, key(), "web".into(), KeelVersion::own());
    let nobody = TcpListener::bind((HERE, 0)).await.unwrap().local_addr().unwrap().to_string();
    let step = ask_to_join(&nobody, attempt, &Limits::default()).await.unwrap();
    assert!(matches!(step, (JoinStep::Retry { .. }, Some(_))), "{step:?}");
}

#[tokio::test]
async fn a_standby_hands_on_what_it_is_asked_and_nobody_else_does() {
    let mut pool = Pool::open().await;
    let config = pool.standby(now()).await;
    let mut line = relay(&pool.address, &config, &Limits::default()).await.unwrap();
    line.write_all(b"what is asked").await.unwrap();
    line.shutdown().await.unwrap();
    let mut relayed = in_time("it is let in", pool.relayed.recv()).await.unwrap();
    let mut heard = String::new();
    relayed.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "what is asked");
    // What its own side has ended does not end the other.
    relayed.write_all(b"an answer").await.unwrap();
    relayed.shutdown().await.unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "an answer");

    let node = pool.join().await;
    assert!(matches!(pool.visit("it joins").await, Visit::Joined(..)));
    let stranger = to_join(authority(pool.folder.path()).pin()).unwrap();
    for config in [&node.client_config().unwrap(), &stranger] {
        assert_eq!(pool.refuses(config).await, "the client is no controller of this pool");
    }
    let (other, over) = (Pool::open().await, now() - 30 * DAY);
    let foreign = relay(&pool.address, &other.standby(now()).await, &Limits::default()).await;
    assert!(foreign.is_err(), "it does not trust this pool, either");
    pool.visit("it is turned away").await;
    assert_eq!(pool.refuses(&pool.standby(over).await.clone()).await, "the TLS handshake failed");
    assert!(pool.relayed.try_recv().is_err());
}
