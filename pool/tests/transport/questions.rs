//! Questions of who is not connected: one, and its answer.

use crate::lab::{Lab, server_name, with_causes};
use keel_engine::Engine;
use keel_pool::transport::{DialError, Limits, Turned, ask};
use keel_testing::fake::Fake;
use keel_testing::waiting::in_time;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

async fn asked(lab: &Lab, config: &ClientConfig, question: &[u8]) -> Result<String, DialError> {
    let (to, limits) = (lab.address.to_string(), Limits::default());
    let answer = ask(&to, server_name(), config, question, &limits).await?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_stranger_and_a_node_may_ask() {
    let lab = Lab::start(Limits::default()).await;
    for _ in 0..20 {
        let answer = asked(&lab, &lab.authority.stranger(), b"may I join").await.unwrap();
        assert_eq!(answer, "may I join with 0 certificates");
    }
    let answer = asked(&lab, &lab.admit("n1"), b"may I renew").await.unwrap();
    assert_eq!(answer, "may I renew with 1 certificates");
}

#[tokio::test]
async fn a_question_that_is_too_long_or_has_no_answer_gets_none() {
    let lab = Lab::start(Limits::default()).await;
    let mut turned = lab.turned_away();
    for question in [&b"secret"[..], &[b'x'; 100_000]] {
        let error = asked(&lab, &lab.authority.stranger(), question).await.unwrap_err();
        assert!(matches!(error, DialError::Unanswered { .. }), "{}", with_causes(&error));
        let why = in_time("it is known here", turned.recv()).await.unwrap();
        assert!(matches!(why, Turned::Unanswered), "{why:?}");
    }
}

#[tokio::test]
async fn whoever_asks_nothing_is_not_waited_for() {
    let limits = Limits { hello: Duration::from_secs(1), ..Limits::default() };
    let lab = Lab::start(limits).await;
    let mut turned = lab.turned_away();
    let mut config = lab.authority.stranger();
    config.alpn_protocols = vec![b"keel-question".to_vec()];
    let tcp = TcpStream::connect(lab.address).await.unwrap();
    let _line = TlsConnector::from(Arc::new(config)).connect(server_name(), tcp).await.unwrap();
    let why = in_time("it is turned away", turned.recv()).await.unwrap();
    assert!(matches!(why, Turned::Unanswered), "{why:?}");
}

#[tokio::test]
async fn a_stranger_is_no_node() {
    let lab = Lab::start(Limits::default()).await;
    let mut turned = lab.turned_away();
    let (config, fake) = (lab.authority.stranger(), Arc::new(Fake::new("n1")));
    let engine: Arc<dyn Engine> = fake.clone();
    let mut agent = lab.agent_with(config, "n1", engine, lab.address, Limits::default());
    let why = in_time("it is turned away", turned.recv()).await.unwrap();
    assert!(matches!(why, Turned::Refused(_)), "{why:?}");
    agent.waits().await;
    assert!(lab.far("n1").away().is_some());
}
