//! Peers that are too far apart: both sides know it, and name both versions.

use crate::lab::{Lab, with_causes};
use crate::stranger::{OddController, hello, odd_agent, ok, usual};
use bytes::Bytes;
use keel_engine::{Depth, Engine};
use keel_pool::transport::{Away, Limits};
use keel_testing::fake::Fake;
use keel_testing::waiting::{in_time, until_holds};
use std::sync::Arc;

const OWN: &str = env!("CARGO_PKG_VERSION");

#[tokio::test]
async fn a_controller_knows_that_an_agent_is_too_far_apart() {
    let lab = Lab::start(Limits::default()).await;
    let far = lab.far("n1");
    let _agent = odd_agent(&lab, "n1", |path| match path {
        "/hello" => (ok(), hello(99)),
        other => usual(other),
    })
    .await;
    let known = || async { matches!(far.away(), Some((_, Away::Version(_)))) };
    until_holds("the controller knows", known).await;
    let error = far.observe(Depth::State).await.unwrap_err();
    let text = with_causes(&error);
    let both = format!("keel {OWN} on this side and keel 99.0.0 on the other share no version");
    assert!(text.contains("node n1") && text.contains(&both), "{text}");
    assert_eq!(error.hint(), Some("upgrade keel on this side to version 99.0.0"));
}

#[tokio::test]
async fn an_agent_knows_that_a_controller_is_too_far_apart() {
    let lab = Lab::start(Limits::default()).await;
    let odd = OddController::listen(lab.authority.server()).await;
    let mut agent = lab.agent("n1", Arc::new(Fake::new("n1")), odd.address);
    let line = odd.accept().await;
    let (mut requests, connection) = h2::client::handshake(line).await.unwrap();
    let driving = tokio::spawn(connection);
    let request = http::Request::post("https://node/hello").body(()).unwrap();
    let (response, mut says) = requests.send_request(request, false).unwrap();
    says.send_data(Bytes::from(hello(99)), true).unwrap();
    let mut body = in_time("it answers", response).await.unwrap().into_body();
    let said = in_time("it says its own version", body.data()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&said).contains(OWN), "{said:?}");
    let why = agent.waits().await;
    let both = format!("keel {OWN} on this side and keel 99.0.0 on the other share no version");
    assert!(why.contains(&both), "{why}");
    let _ = in_time("it ends the connection", driving).await.unwrap();
}

#[tokio::test]
async fn before_versions_agree_an_agent_does_nothing() {
    let lab = Lab::start(Limits::default()).await;
    let odd = OddController::listen(lab.authority.server()).await;
    let fake = Arc::new(Fake::new("n1"));
    let _agent = lab.agent("n1", fake.clone(), odd.address);
    let (mut requests, connection) = h2::client::handshake(odd.accept().await).await.unwrap();
    let _driving = tokio::spawn(connection);
    let request = http::Request::post("https://node/lease").body(()).unwrap();
    let (response, _says) = requests.send_request(request, false).unwrap();
    let response = in_time("it answers", response).await.unwrap();
    assert_eq!(response.status(), http::StatusCode::NOT_FOUND);
    assert_eq!(fake.turns(), 0);
}
