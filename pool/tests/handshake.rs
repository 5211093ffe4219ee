//! Real handshakes over loopback: who is let in, who is not, and what each is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_pool::identity::{
    Authority, CONTROLLER_NAME, Certificate, IdentityFailure, JoinFailure, JoinReply, JoinStep,
    KeelVersion, Life, NodeIdentity, Pin, PinError, PrivateKey, PublicKey, Role, to_join,
};
use rcgen::{KeyPair, PublicKeyData};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::{Controller, DAY, HERE, Who, dial, dial_shared, join_over_the_wire, now, refusal};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A key that the test holds in the open.
fn open_key() -> (KeyPair, PublicKey) {
    let pair = KeyPair::generate().unwrap();
    let public = PublicKey::from_info(&pair.subject_public_key_info()).unwrap();
    (pair, public)
}

fn private(pair: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(pair.serialize_der()).into()
}

/// A server that shows these certificates; it ends with whether anybody trusted it.
async fn impostor(pair: &KeyPair, chain: &[&Certificate]) -> (SocketAddr, JoinHandle<bool>) {
    let chain = chain.iter().map(|one| one.der().clone()).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private(pair))
        .unwrap();
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_ok()
    });
    (address, served)
}

/// What a machine with a token of this pin says of a server, which must not get as far as to hear the secret.
async fn seen_by_a_joiner(pin: Pin, pair: &KeyPair, chain: &[&Certificate]) -> PinError {
    let (address, served) = impostor(pair, chain).await;
    let IdentityFailure::Pin(error) = refusal(address, to_join(pin).unwrap()).await else {
        panic!("not by the pin")
    };
    assert!(!served.await.unwrap(), "the server was trusted");
    error
}

/// A client that trusts an authority, and shows a certificate.
fn client(root: &Certificate, own: &Certificate, pair: &KeyPair) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![own.der().clone()], private(pair))
        .unwrap()
}

#[derive(Debug)]
struct In1970;

impl TimeProvider for In1970 {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(60)))
    }
}

#[tokio::test]
async fn the_pinned_pool_is_joined_whatever_the_machines_clock_says() {
    let controller = Controller::start().await;
    let mut config = to_join(controller.authority.get().pin()).unwrap();
    config.time_provider = Arc::new(In1970);
    let connection = dial(controller.address, config).await.unwrap();
    assert_eq!(connection.who, Who::Stranger);
}

#[tokio::test]
async fn another_pool_is_named_and_gets_no_secret() {
    let controller = Controller::start().await;
    let mut token = controller.token(now()).await;
    let found = token.pin;
    token.pin = Authority::create(now()).unwrap().pin();
    let expected = token.pin;
    let file = controller.folder.path().join("agent.pem");
    let step = join_over_the_wire(&controller, token, &file, "web").await;
    let JoinStep::Stop(JoinFailure::Server(IdentityFailure::Pin(error))) = step else {
        panic!("{step:?}")
    };
    assert_eq!(error, PinError::WrongPool { expected, found });
    assert!(error.to_string().contains(&found.to_string()), "{error}");
    assert_eq!(controller.registrar.roster().registry().nodes().count(), 0);
}

#[tokio::test]
async fn what_shows_the_pinned_authority_without_being_signed_by_it_is_refused() {
    let [real, evil] = [0, 1].map(|_| Authority::create(now()).unwrap());
    let (pair, public) = open_key();
    let forged = evil.certify_controller(&public, Life::of_node(now())).unwrap();
    let (real_root, evil_root) = (real.certificate(), evil.certificate());
    let seen = async |chain: &[&Certificate]| seen_by_a_joiner(real.pin(), &pair, chain).await;
    let found = evil.pin();
    // A second root comes along with the pinned one, in either order.
    for chain in [[&forged, evil_root, real_root], [&forged, real_root, evil_root]] {
        assert_eq!(seen(&chain).await, PinError::SecondAuthority { found });
    }
    assert!(matches!(seen(&[&forged, real_root]).await, PinError::NotSigned(_)));
    assert_eq!(seen(&[&forged]).await, PinError::NoAuthority);
    // A second root beside a chain that is right.
    let own = real.certify_controller(&public, Life::of_node(now())).unwrap();
    assert_eq!(seen(&[&own, real_root, evil_root]).await, PinError::SecondAuthority { found });
    // A node of the pool is not its controller.
    let id = Controller::start().await.node("web", now()).await.node().clone();
    let node = real.certify_node(&id, Role::Agent, &public, Life::of_node(now())).unwrap();
    assert!(matches!(seen(&[&node, real_root]).await, PinError::NotSigned(_)));
}

#[tokio::test]
async fn a_reply_with_a_second_root_is_not_trusted() {
    let controller = Controller::start().await;
    let evil = Authority::create(now()).unwrap();
    let key = PrivateKey::generate().unwrap();
    let id = controller.node("web", now()).await.node().clone();
    let authority = controller.authority.get();
    let own = authority.signing();
    let certificate = own.certify_node(&id, Role::Agent, &key.public(), Life::of_node(now()));
    let bundle = vec![own.certificate().clone(), evil.certificate().clone()];
    let (certificate, clock) = (certificate.unwrap(), now());
    let reply = JoinReply { node: id, name: "web".into(), certificate, bundle, clock };
    let error = NodeIdentity::joined(key, reply, own.pin()).unwrap_err();
    let found = evil.pin();
    let expected = PinError::SecondAuthority { found }.to_string();
    assert!(error.to_string().contains(&expected), "{error}");
}

#[tokio::test]
async fn a_node_is_let_in_and_another_pools_node_is_not() {
    let controller = Controller::start().await;
    let node = controller.node("web", now()).await;
    let connection = dial(controller.address, node.client_config().unwrap()).await.unwrap();
    assert_eq!(connection.who, Who::Node);
    // The other pool's node finds out by itself that this is not its controller.
    let other = Controller::start().await;
    let stray = other.node("web", now()).await;
    let failure = refusal(controller.address, stray.client_config().unwrap()).await;
    assert!(matches!(failure, IdentityFailure::Impostor(_)), "{failure:?}");
    // And if it did not care, the controller would: also for the ID of one of its own nodes.
    let (pair, public) = open_key();
    let life = Life::of_node(now());
    let foreign = other
        .authority
        .get()
        .signing()
        .certify_node(node.node(), Role::Agent, &public, life)
        .unwrap();
    let config = client(controller.authority.get().signing().certificate(), &foreign, &pair);
    assert_eq!(refusal(controller.address, config).await, IdentityFailure::Refused);
}

#[tokio::test]
async fn a_certificate_alone_proves_nothing() {
    let controller = Controller::start().await;
    let node = controller.node("web", now()).await;
    let (pair, public) = open_key();
    let (authority, life) = (controller.authority.get(), Life::of_node(now()));
    let own = authority.signing();
    // Signed by the pool's authority for a node on record: but its record does not have the key.
    let certificate = own.certify_node(node.node(), Role::Agent, &public, life).unwrap();
    let config = client(own.certificate(), &certificate, &pair);
    assert_eq!(refusal(controller.address, config).await, IdentityFailure::Removed);
    // The controller's own certificate is no client's.
    let certificate = own.certify_controller(&public, life).unwrap();
    let config = client(own.certificate(), &certificate, &pair);
    assert_eq!(refusal(controller.address, config).await, IdentityFailure::Refused);
}

#[tokio::test]
async fn who_is_removed_is_cut_off_at_once_and_told_why() {
    let controller = Controller::start().await;
    let (node, stays) = (controller.node("web", now()).await, controller.node("db", now()).await);
    let mut config = node.client_config().unwrap();
    // A client that would resume its session, and so go past the record.
    config.resumption = Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    let mut open = dial_shared(controller.address, config.clone()).await.unwrap();
    let mut other = dial(controller.address, stays.client_config().unwrap()).await.unwrap();
    controller.registrar.remove(&"web".into(), true, true).await.unwrap();
    open.ended().await;
    let again = dial_shared(controller.address, config).await.err().expect("it is refused");
    assert_eq!(IdentityFailure::of(&again), Some(IdentityFailure::Removed));
    // The other node's connection is as it was.
    let next = PrivateKey::generate().unwrap();
    let request = stays.renew_request(&next, KeelVersion::own()).unwrap();
    other.renew(request).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_was_off_too_long_may_renew_and_nothing_else() {
    let controller = Controller::start().await;
    let node = controller.node("web", now() - 40 * DAY).await;
    let config = || node.client_config().unwrap();
    let mut connection = dial(controller.address, config()).await.unwrap();
    assert_eq!(connection.who, Who::Expired);
    let file = controller.folder.path().join("agent.pem");
    node.store(&file).unwrap();
    let next = NodeIdentity::next_key(&file).unwrap();
    let request = node.renew_request(&next, KeelVersion::own()).unwrap();
    let reply = connection.renew(request).await.unwrap().unwrap();
    let renewed = node.renewed(next, reply).unwrap();
    assert_eq!(renewed.node(), node.node());
    assert!(renewed.life().expires > now() + 6 * DAY);
    let connection = dial(controller.address, renewed.client_config().unwrap()).await.unwrap();
    assert_eq!(connection.who, Who::Node);
}

#[tokio::test]
async fn who_was_off_too_long_and_was_removed_meanwhile_is_refused() {
    let controller = Controller::start().await;
    let node = controller.node("web", now() - 40 * DAY).await;
    controller.registrar.remove(&"web".into(), false, false).await.unwrap();
    let failure = refusal(controller.address, node.client_config().unwrap()).await;
    assert_eq!(failure, IdentityFailure::Removed);
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_knows_its_controller_and_no_other() {
    let controller = Controller::start().await;
    let node = controller.node("web", now()).await;
    let mut config = node.client_config().unwrap();
    config.time_provider = Arc::new(In1970);
    let connection = dial(controller.address, config.clone()).await.unwrap();
    assert_eq!(connection.who, Who::Node);
    let other = Controller::start().await;
    assert!(matches!(refusal(other.address, config).await, IdentityFailure::Impostor(_)));
}

#[tokio::test]
async fn what_openssl_reads_of_a_nodes_certificate() {
    let controller = Controller::start().await;
    let node = controller.node("web", now()).await;
    let file = controller.folder.path().join("agent.pem");
    node.store(&file).unwrap();
    let openssl = |arguments: &[&str]| {
        let done = std::process::Command::new("openssl").args(arguments).arg(&file).output();
        let done = done.expect("openssl is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let text = openssl(&["x509", "-noout", "-text", "-in"]);
    for part in [
        format!("CN = {}, OU = agent", node.node()),
        format!("DNS:{}.agent.keel.internal", node.node()),
        "TLS Web Client Authentication".into(),
        "CA:FALSE".into(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    assert!(!text.contains("TLS Web Server Authentication") && !text.contains(CONTROLLER_NAME));
}
