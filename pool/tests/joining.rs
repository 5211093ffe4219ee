//! Joining and renewing, against records on disk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use async_trait::async_trait;
use keel_engine::Availability;
use keel_pool::identity::{
    AgentFile, JoinAttempt, JoinError, JoinOutcome, JoinReply, JoinRequest, JoinStep, KeelVersion,
    NodeIdentity, PeerIdentity, PoolRecord, PoolRecordError, PrivateKey, Registrar, RegistrarError,
    Registry, RegistryError, RenewError, RenewRequest, Token, TokenSecret, TokenSpec,
};
use keel_testing::waiting::{in_time, until_holds};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use support::{
    Controller, DAY, FileStore, HERE, HOUR, dial, join_over_the_wire, now, registrar, registrar_on,
};
use tokio::sync::Semaphore;

const NOW: u64 = 1_800_000_000_000;

async fn token(registrar: &Registrar) -> Token {
    registrar.create_token(TokenSpec::by("ann"), NOW).await.unwrap()
}

fn request(token: &Token, key: &PrivateKey, name: &str) -> JoinRequest {
    JoinRequest::new(token, key, name.into(), KeelVersion::own(), NOW).unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}

async fn join(registrar: &Registrar, request: &JoinRequest) -> JoinOutcome {
    registrar.join(request, HERE, NOW).await
}

async fn joined(registrar: &Registrar, name: &str) -> (NodeIdentity, Token) {
    let (token, key) = (token(registrar).await, key());
    let reply = join(registrar, &request(&token, &key, name)).await.answer.unwrap();
    (NodeIdentity::joined(key, reply, token.pin).unwrap(), token)
}

#[tokio::test]
async fn a_machine_joins_over_the_wire_and_is_a_node_after_a_restart() {
    let controller = Controller::start().await;
    let file = controller.folder.path().join("agent/identity.pem");
    let token = controller.token(now()).await;
    let step = join_over_the_wire(&controller, token, &file, "web").await;
    let JoinStep::Joined(node) = step else { panic!("{step:?}") };
    node.store(&file).unwrap();
    let AgentFile::Node(again) = AgentFile::open(&file).unwrap() else { panic!("it is a node") };
    assert_eq!((again.subject(), again.life()), (node.subject(), node.life()));
    dial(controller.address, again.client_config().unwrap()).await.unwrap();
    let registry = controller.registrar.roster().registry();
    let record = registry.named(&"web".into()).unwrap();
    assert_eq!((&record.id, &record.addresses[..]), (node.node(), &["127.0.0.1".to_owned()][..]));
}

#[tokio::test]
async fn a_lost_reply_costs_no_token_also_when_both_start_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.pem");
    let ask = async |token: &Token, at: u64| {
        let registrar = registrar(folder.path()).await.unwrap();
        let AgentFile::Key(key) = AgentFile::open(&file).unwrap() else { panic!("not joined") };
        let attempt = JoinAttempt::new(token.clone(), key, "web".into(), KeelVersion::own());
        registrar.join(&attempt.request(at).unwrap(), HERE, at).await.answer
    };
    let token = token(&registrar(folder.path()).await.unwrap()).await;
    let first = ask(&token, NOW).await.unwrap();
    let again = ask(&token, NOW + HOUR / 2).await.unwrap();
    let same = |reply: &JoinReply| (reply.node.clone(), reply.certificate.clone());
    assert_eq!(same(&again), same(&first));
    let late = ask(&token, NOW + HOUR).await.unwrap_err();
    assert!(matches!(late, JoinError::Expired { .. }), "{late}");
    let registrar = registrar(folder.path()).await.unwrap();
    assert_eq!(registrar.roster().registry().nodes().count(), 1);
}

#[tokio::test]
async fn another_key_is_refused_by_name_and_is_one_alert() {
    let folder = tempfile::tempdir().unwrap();
    let registrar = registrar(folder.path()).await.unwrap();
    let (_, token) = joined(&registrar, "web").await;
    let thief = request(&token, &key(), "thief");
    let outcome = join(&registrar, &thief).await;
    let error = outcome.answer.unwrap_err();
    let expected = JoinError::Used { at: NOW, name: "web".into(), address: "127.0.0.1".into() };
    assert_eq!(error, expected);
    assert!(error.to_string().contains("used at 2027-01-15T08:00:00Z by `web` from 127.0.0.1"));
    let alert = outcome.alert.expect("somebody has to know").to_string();
    assert!(alert.contains(token.id.as_str()) && alert.contains("`thief`"), "{alert}");
    assert!(!alert.contains(&token.secret.reveal()), "{alert}");
    // The same thief again is no news; it stays on record.
    assert_eq!(join(&registrar, &thief).await.alert, None);
    let registry = support::registrar(folder.path()).await.unwrap().roster().registry();
    let misuses = &registry.token(&token.id).unwrap().misuses;
    assert_eq!(misuses.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["thief"]);
}

#[tokio::test]
async fn of_many_who_come_at_once_with_one_token_one_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FileStore::new(folder.path()));
    // Two registrars: nothing but the store's compare-and-swap is between them.
    let one = Arc::new(registrar_on(folder.path(), store.clone()).await.unwrap());
    let two = Arc::new(registrar_on(folder.path(), store).await.unwrap());
    let token = token(&one).await;
    let tries: Vec<_> = (0..8)
        .map(|number| {
            let registrar = if number % 2 == 0 { one.clone() } else { two.clone() };
            let request = request(&token, &key(), &format!("web-{number}"));
            tokio::spawn(async move { join(&registrar, &request).await })
        })
        .collect();
    let mut inside = vec![];
    for one in tries {
        let outcome = in_time("an answer", one).await.unwrap();
        match outcome.answer {
            Ok(reply) => inside.push(reply.name),
            Err(JoinError::Used { .. }) => assert!(outcome.alert.is_some()),
            Err(error) => panic!("{error}"),
        }
    }
    let registry = registrar(folder.path()).await.unwrap().roster().registry();
    assert_eq!(registry.nodes().map(|node| node.name.clone()).collect::<Vec<_>>(), inside);
    assert_eq!(registry.token(&token.id).unwrap().misuses.len(), 7);
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let registrar = registrar(folder.path()).await.unwrap();
    let token = token(&registrar).await;
    let guess = Token { secret: TokenSecret::new([0; 20]), ..token.clone() };
    for _ in 0..10 {
        let answer = join(&registrar, &request(&guess, &key(), "web")).await.answer;
        assert_eq!(answer.unwrap_err(), JoinError::Unknown);
    }
    let right = request(&token, &key(), "web");
    let slowed = join(&registrar, &right).await.answer.unwrap_err();
    let JoinError::SlowDown { retry_after } = slowed else { panic!("{slowed}") };
    assert!((1..=60_000).contains(&retry_after), "{retry_after}");
    let elsewhere: IpAddr = "192.0.2.1".parse().unwrap();
    registrar.join(&right, elsewhere, NOW).await.answer.unwrap();
    // The machine waits as long as it was told, and asks with the same key.
    let attempt = JoinAttempt::new(token, key(), "web".into(), KeelVersion::own());
    let JoinStep::Retry { after, .. } = attempt.answered(Err(slowed)) else { panic!("it waits") };
    assert_eq!(after.as_millis(), u128::from(retry_after));
}

/// A store in which puts wait to be let through.
struct Slow {
    store: FileStore,
    begun: Semaphore,
    may: Semaphore,
}

#[async_trait]
impl PoolRecord for Slow {
    async fn get(&self) -> Result<Option<(Vec<u8>, u64)>, PoolRecordError> {
        self.store.get().await
    }

    async fn put(&self, value: Vec<u8>, expected: u64) -> Result<(), PoolRecordError> {
        self.begun.add_permits(1);
        self.may.acquire().await.unwrap().forget();
        self.store.put(value, expected).await
    }
}

#[tokio::test]
async fn a_connection_lost_while_the_node_is_recorded_leaves_a_node_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, may) = (Semaphore::new(0), Semaphore::new(1));
    let store = Arc::new(Slow { store: FileStore::new(folder.path()), begun, may });
    let registrar = Arc::new(registrar_on(folder.path(), store.clone()).await.unwrap());
    let (token, key) = (token(&registrar).await, key());
    store.begun.acquire().await.unwrap().forget();
    let (asked, office) = (request(&token, &key, "web"), registrar.clone());
    let asking = tokio::spawn(async move { join(&office, &asked).await });
    in_time("the put", store.begun.acquire()).await.unwrap().forget();
    asking.abort();
    assert!(in_time("the end of it", asking).await.unwrap_err().is_cancelled());
    store.may.add_permits(1);
    let roster = registrar.roster();
    until_holds("the node is known", async || roster.registry().owner(&key.public()).is_some())
        .await;
    // The machine asks again, and the office is not closed.
    join(&registrar, &request(&token, &key, "web")).await.answer.unwrap();
}

fn peer(node: &NodeIdentity) -> PeerIdentity {
    PeerIdentity::Node(node.subject().clone())
}

#[tokio::test]
async fn a_renewal_whose_reply_is_lost_gives_the_same_again_and_the_old_key_stays_good() {
    let folder = tempfile::tempdir().unwrap();
    let registrar = registrar(folder.path()).await.unwrap();
    let (node, _) = joined(&registrar, "web").await;
    let file = folder.path().join("agent.pem");
    node.store(&file).unwrap();
    let at = node.life().renews_at(0);
    let ask = async || {
        let next = NodeIdentity::next_key(&file).unwrap();
        let request = node.renew_request(&next, KeelVersion::own()).unwrap();
        (next, registrar.renew(&peer(&node), &request, at).await.unwrap())
    };
    let (_, lost) = ask().await;
    let (next, reply) = ask().await;
    assert_eq!(reply.certificate, lost.certificate);
    let renewed = node.renewed(next, reply).unwrap();
    renewed.store(&file).unwrap();
    assert_ne!(renewed.subject().key, node.subject().key);
    assert_eq!(renewed.life().expires, at + 7 * DAY);
    let roster = registrar.roster();
    assert!(roster.knows(node.subject()) && roster.knows(renewed.subject()));
    // The next renewal has a key of its own.
    assert_ne!(NodeIdentity::next_key(&file).unwrap().public(), renewed.subject().key);
    let AgentFile::Node(stored) = AgentFile::open(&file).unwrap() else { panic!("a node") };
    assert_eq!(stored.subject(), renewed.subject());
}

#[tokio::test]
async fn only_a_node_on_record_renews_and_only_for_a_key_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let registrar = registrar(folder.path()).await.unwrap();
    let (web, _) = joined(&registrar, "web").await;
    let (db, _) = joined(&registrar, "db").await;
    let renew = async |peer: &PeerIdentity, request: &RenewRequest| {
        registrar.renew(peer, request, NOW).await
    };
    let next = key();
    let good = web.renew_request(&next, KeelVersion::own()).unwrap();
    assert_eq!(renew(&PeerIdentity::Stranger, &good).await, Err(RenewError::Removed));
    let malformed = async |peer: &PeerIdentity, request: &RenewRequest| {
        matches!(renew(peer, request).await, Err(RenewError::Malformed { .. }))
    };
    // Signed for another node; with another's key.
    assert!(malformed(&peer(&db), &good).await);
    let stolen = RenewRequest { key: key().public(), ..good.clone() };
    assert!(malformed(&peer(&web), &stolen).await);
    renew(&peer(&web), &good).await.unwrap();
    let of_web = db.renew_request(&next, KeelVersion::own()).unwrap();
    assert!(malformed(&peer(&db), &of_web).await);
    registrar.remove(&"web".into(), false, false).await.unwrap();
    assert_eq!(renew(&peer(&web), &good).await, Err(RenewError::Removed));
}

#[tokio::test]
async fn who_is_connected_is_not_dead_and_who_comes_back_is_dead_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let office = registrar(folder.path()).await.unwrap();
    let (node, _) = joined(&office, "web").await;
    let alive = office.change(|all| all.confirm_dead(&"web".into(), true, NOW)).await.unwrap_err();
    let told = alive.to_string();
    assert!(told.contains("is connected") && told.contains("keel node drain web"), "{told}");
    office.change(|all| all.confirm_dead(&"web".into(), false, NOW)).await.unwrap();
    office.change(|all| all.confirm_dead(&"web".into(), false, NOW + 5)).await.unwrap();
    let dead = |registry: &Registry| registry.node(node.node()).unwrap().dead;
    let registry = registrar(folder.path()).await.unwrap().roster().registry();
    assert_eq!(dead(&registry), Some(NOW), "it is on record");
    office
        .change(|all| all.see(node.node(), "192.0.2.1", KeelVersion::own(), NOW + 9))
        .await
        .unwrap();
    assert_eq!(dead(&office.roster().registry()), None);
}

#[tokio::test]
async fn people_change_nodes_by_name_and_each_refusal_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let office = registrar(folder.path()).await.unwrap();
    let (node, token) = joined(&office, "web").await;
    joined(&office, "db").await;
    let name = || "web".into();
    office
        .change(|all| {
            let own = all.terms_mut(Some(&name()));
            own.map(|terms| terms.set_availability(Availability::Drain))
        })
        .await
        .unwrap();
    let zone = [("zone".to_owned(), Some("a".to_owned())), ("rack".to_owned(), None)].into();
    office.change(|all| all.terms_mut(Some(&name())).map(|own| own.label(&zone))).await.unwrap();
    office
        .change(|all| all.see(node.node(), "192.0.2.1", KeelVersion::own(), NOW + 9))
        .await
        .unwrap();
    let refused = async |change: fn(&mut Registry) -> Result<(), RegistryError>| {
        office.change(change).await.unwrap_err().to_string()
    };
    let taken = refused(|all| all.rename(&"web".into(), "db".into())).await;
    assert_eq!(taken, "another node is called `db`; choose another name");
    let nobody = refused(|all| all.rename(&"nobody".into(), "x".into())).await;
    assert_eq!(nobody, "no node `nobody` belongs to the pool; `keel node ls` lists its nodes");
    assert!(refused(|all| all.rename(&"web".into(), "a b".into())).await.contains("`a b`"));
    office.change(|all| all.rename(&"web".into(), "web-1".into())).await.unwrap();
    let connected = office.remove(&"web-1".into(), true, false).await.unwrap_err();
    assert!(matches!(connected, RegistrarError::Refused(RegistryError::Connected(_))));
    office.change(|all| all.revoke_token(&token.id, NOW)).await.unwrap();
    // All of it is there after a restart.
    let registry = registrar(folder.path()).await.unwrap().roster().registry();
    let record = registry.node(node.node()).unwrap();
    assert_eq!((record.name.as_str(), record.terms.availability), ("web-1", Availability::Drain));
    assert_eq!((record.terms.labels["zone"].as_str(), record.seen), ("a", NOW + 9));
    assert_eq!(record.addresses, ["192.0.2.1", "127.0.0.1"]);
    assert_eq!(registry.token(&token.id).unwrap().revoked, Some(NOW));
}

#[tokio::test]
async fn records_of_a_newer_version_and_broken_ones_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry");
    let error = async |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = opening_error(folder.path()).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        error
    };
    let newer = error("1\n{\"version\":2,\"nodes\":{}}").await;
    assert!(newer.contains("has form 2") && newer.contains("install a newer version"), "{newer}");
    assert!(error("1\n{").await.contains("restore it from a backup"));
}

async fn opening_error(folder: &Path) -> String {
    registrar(folder).await.err().expect("it is refused").to_string()
}

#[tokio::test]
async fn a_lost_authority_is_not_replaced_in_silence_while_there_are_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    joined(&registrar(folder.path()).await.unwrap(), "web").await;
    let backup = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = opening_error(folder.path()).await;
    assert!(error.contains("restore it from a backup"), "{error}");
    std::fs::write(&path, backup).unwrap();
    registrar(folder.path()).await.unwrap();
}

/// What is written today is read for ever.
#[test]
fn the_record_of_the_first_version_is_read() {
    let text = include_str!("registry-1.json");
    let registry = Registry::decode(text.as_bytes()).unwrap();
    let nodes: Vec<_> = registry.nodes().map(|node| node.name.as_str()).collect();
    let tokens: Vec<_> = registry.tokens().map(|token| token.creator.as_str()).collect();
    assert_eq!((nodes, tokens), (vec!["web"], vec!["ann"]));
    let written: serde_json::Value = serde_json::from_slice(&registry.encode()).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
}
