//! What strangers and broken peers may: nothing, for a short while, and at nobody else's cost.

use crate::lab::{Authority, Lab, connected, with_causes};
use crate::stranger::{OddController, dial, message, odd_agent, ok, usual};
use keel_engine::{
    Assignment, Depth, Engine, EngineError, Exec, Open, Presence, TaskId, VolumeSpec,
};
use keel_pool::transport::{Away, Limits, Turned};
use keel_testing::fake::Fake;
use keel_testing::waiting::{in_time, until_holds};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The other side closes the line, with or without a last word.
async fn closed(line: &mut (impl AsyncReadExt + Unpin)) {
    let mut rest = Vec::new();
    let _ = in_time("the line is closed", line.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn what_is_no_tls_is_turned_away() {
    let lab = Lab::start(Limits::default()).await;
    let mut turned = lab.turned_away();
    let garbage: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for said in
        [&garbage[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut line = TcpStream::connect(lab.address).await.unwrap();
        // It may be closed already in the middle of it.
        let _ = line.write_all(said).await;
        let why = in_time("it is turned away", turned.recv()).await.unwrap();
        assert!(matches!(why, Turned::Tls(_)), "{why:?}");
        closed(&mut line).await;
    }
    lab.connect("n1", Arc::new(Fake::new("n1"))).await;
}

#[tokio::test]
async fn whoever_says_too_little_is_turned_away_and_keeps_nobody_out() {
    let limits = Limits { handshake: Duration::from_secs(1), ..Limits::default() };
    let lab = Lab::start(limits).await;
    let mut turned = lab.turned_away();
    let mut slow = TcpStream::connect(lab.address).await.unwrap();
    slow.write_all(&[0x16]).await.unwrap();
    lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    let why = in_time("it is turned away", turned.recv()).await.unwrap();
    assert!(matches!(why, Turned::Late(_)), "{why:?}");
    closed(&mut slow).await;
}

#[tokio::test]
async fn from_one_address_only_a_few_strangers_are_heard_at_a_time() {
    let limits = Limits { handshake: Duration::from_secs(2), ..Limits::default() };
    let lab = Lab::start(limits).await;
    let mut turned = lab.turned_away();
    let mut lines = Vec::new();
    for _ in 0..17 {
        lines.push(TcpStream::connect(lab.address).await.unwrap());
    }
    let why = in_time("one is too many", turned.recv()).await.unwrap();
    assert!(matches!(why, Turned::Many), "{why:?}");
    lab.connect("n1", Arc::new(Fake::new("n1"))).await;
}

#[tokio::test]
async fn a_certificate_of_another_pool_opens_nothing() {
    let lab = Lab::start(Limits::default()).await;
    let mut turned = lab.turned_away();
    let stranger = Authority::new();
    let config = stranger.client_of(&lab.authority, "n1");
    let fake = Arc::new(Fake::new("n1"));
    let mut agent = lab.agent_with(config, "n1", fake, lab.address, Limits::default());
    let why = in_time("it is turned away", turned.recv()).await.unwrap();
    assert!(matches!(why, Turned::Tls(_)), "{why:?}");
    agent.waits().await;
    assert!(lab.far("n1").away().is_some());
}

#[tokio::test]
async fn a_node_that_speaks_no_http_is_away_and_the_others_are_not() {
    let lab = Lab::start(Limits::default()).await;
    let (_agent, well) = lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    let mut line = dial(&lab, "n2").await;
    line.write_all(&[0xff; 10_000]).await.unwrap();
    closed(&mut line).await;
    let far = lab.far("n2");
    let known = || async { matches!(far.away(), Some((_, Away::Ended(Some(_))))) };
    until_holds("its connection ended", known).await;
    well.observe(Depth::State).await.unwrap();
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_by_its_announcement() {
    let lab = Lab::start(Limits::default()).await;
    let _agent = odd_agent(&lab, "n1", |path| match path {
        "/call" => (ok(), vec![0xff; 4]),
        other => usual(other),
    })
    .await;
    let far = lab.far("n1");
    connected(&far).await;
    let error = with_causes(&far.observe(Depth::State).await.unwrap_err());
    assert!(error.contains("a message of 4294967295 bytes exceeds the limit"), "{error}");
    far.assign(&[]).await.unwrap();
}

#[tokio::test]
async fn answers_that_are_none_are_errors_of_that_call_alone() {
    let lab = Lab::start(Limits::default()).await;
    let _agent = odd_agent(&lab, "n1", |path| match path {
        "/call" => (ok(), message(b"\0\0\0 no answer")),
        "/lease" => (http::Response::builder().status(404).body(()).unwrap(), vec![]),
        "/open" => (ok(), vec![0, 0]),
        other => usual(other),
    })
    .await;
    let far = lab.far("n1");
    connected(&far).await;
    let garbled = far.observe(Depth::State).await.unwrap_err();
    assert!(matches!(garbled, EngineError::Unsupported { .. }), "{garbled:?}");
    let unknown = far.lease().await.unwrap_err();
    assert!(matches!(unknown, EngineError::Unsupported { .. }), "{unknown:?}");
    let open = Open::Attach { task: TaskId::from_seed("x"), stdin: false };
    let cut = with_causes(&far.open(open).await.err().unwrap());
    assert!(cut.contains("the stream ended in the middle of a message"), "{cut}");
    far.assign(&[]).await.unwrap();
}

#[tokio::test]
async fn enormous_headers_are_refused_on_both_sides() {
    let lab = Lab::start(Limits::default()).await;
    let _agent = odd_agent(&lab, "n1", |path| match path {
        "/call" => {
            let enormous = "x".repeat(100_000);
            (http::Response::builder().header("x", enormous).body(()).unwrap(), vec![])
        }
        other => usual(other),
    })
    .await;
    let far = lab.far("n1");
    connected(&far).await;
    in_time("the call ends", far.observe(Depth::State)).await.unwrap_err();

    let odd = OddController::listen(lab.authority.server()).await;
    let _agent = lab.agent("n2", Arc::new(Fake::new("n2")), odd.address);
    let (mut requests, connection) = h2::client::handshake(odd.accept().await).await.unwrap();
    let _driving = tokio::spawn(connection);
    let request = http::Request::post("https://node/hello").header("x", "x".repeat(100_000));
    let (response, _says) = requests.send_request(request.body(()).unwrap(), false).unwrap();
    match in_time("it is refused", response).await {
        Ok(response) => assert!(response.status().is_client_error(), "{response:?}"),
        Err(error) => assert!(error.is_remote() || error.is_reset(), "{error}"),
    }
}

#[tokio::test]
async fn a_controller_that_says_nothing_is_left() {
    let limits = Limits { hello: Duration::from_secs(1), ..Limits::default() };
    let lab = Lab::start(limits).await;
    let odd = OddController::listen(lab.authority.server()).await;
    let mut agent = lab.agent("n1", Arc::new(Fake::new("n1")), odd.address);
    let mut line = odd.accept().await;
    assert_eq!(agent.waits().await, "the controller did not send its version");
    closed(&mut line).await;
    let (_requests, connection) = h2::client::handshake(odd.accept().await).await.unwrap();
    let _driving = tokio::spawn(connection);
    agent.dials_again().await;
    assert_eq!(agent.waits().await, "the controller did not send its version");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_on_both_sides() {
    let lab = Lab::start(Limits { message: 10_000, ..Limits::default() }).await;
    let (_agent, far) = lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    let exec = Exec { command: vec!["x".repeat(10_000)], ..Exec::default() };
    let open = Open::Exec { task: TaskId::from_seed("x"), exec };
    let refused = far.open(open).await.err().unwrap();
    assert!(refused.to_string().contains("exceeds the limit of 10000 between nodes"), "{refused}");
    let spec = VolumeSpec { name: "x".repeat(10_000), ..VolumeSpec::default() };
    let wish = Assignment::Volume { spec, wanted: Presence::Present };
    let refused = far.assign(&[wish]).await.unwrap_err();
    assert!(matches!(refused, EngineError::Unsupported { .. }), "{refused:?}");
    assert!(refused.to_string().contains("exceed this node's limit"), "{refused}");
    far.observe(Depth::State).await.unwrap();
}
