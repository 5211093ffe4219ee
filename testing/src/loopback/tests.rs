//! What bytes in between must not change, and what they may: a slow side stops only its own stream.

use super::packet::{self, Body, Packet};
use super::streams::WINDOW;
use super::{Near, behind, serve};
use crate::fake::Fake;
use crate::talk::talk;
use crate::waiting::{in_time, until_holds};
use futures_util::{FutureExt, StreamExt};
use keel_engine::frames::Frame;
use keel_engine::wire::{self, Answer, CONTRACT_VERSION};
use keel_engine::{
    Assignment, Depth, Engine, EngineError, Event, Open, Presence, PullPolicy, TaskId, Trouble,
    Turn,
};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

fn attach() -> Open {
    Open::Attach { task: TaskId::from_seed("x"), stdin: true }
}

fn numbered(number: usize) -> Frame {
    Frame::Stdout(number.to_string().into_bytes())
}

fn wish(number: usize) -> Assignment {
    let reference = format!("app:{number}");
    Assignment::Image { reference, policy: PullPolicy::Missing, wanted: Presence::Present }
}

/// Enough calls there and back that whatever could still be on its way has arrived.
async fn settled(near: &Near) {
    for _ in 0..WINDOW {
        near.observe(Depth::State).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_does_not_read_stops_whoever_writes_and_nobody_else() {
    let (talk, inside) = talk();
    let near = behind(talk.clone());
    let mut conversation = near.open(attach()).await.unwrap();
    let many = 10 * WINDOW;
    tokio::spawn(async move {
        for number in 0..many {
            inside.says.send(numbered(number)).await.unwrap();
        }
        inside
    });
    let asked = || talk.asked.load(Ordering::SeqCst);
    until_holds("as many come as may", || async { asked() >= WINDOW - 1 }).await;
    settled(&near).await;
    assert!(asked() <= WINDOW, "{} frames were taken from the engine, and none read", asked());
    for number in 0..many {
        let frame = in_time("the next frame comes", conversation.receive()).await;
        assert_eq!(frame, Some(numbered(number)));
    }
}

#[tokio::test]
async fn input_waits_for_who_takes_it() {
    let (talk, mut inside) = talk();
    let near = behind(talk.clone());
    let (_hears, mut says) = near.open(attach()).await.unwrap().split();
    let many = 10 * WINDOW;
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for number in 0..many {
                says.send(numbered(number)).await.unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let sent = || sent.load(Ordering::SeqCst);
    until_holds("as much goes as may", || async { sent() >= WINDOW }).await;
    settled(&near).await;
    // One is in the engine's own queue, and one waits to get there.
    assert!(sent() <= WINDOW + 2, "{} frames were sent, and none taken", sent());
    for number in 0..many {
        let frame = in_time("the next frame comes", inside.hears.recv()).await;
        assert_eq!(frame, Some(numbered(number)));
    }
    in_time("all is sent", sending).await.unwrap();
}

#[tokio::test]
async fn each_direction_ends_for_itself() {
    let (talk, mut inside) = talk();
    let near = behind(talk.clone());
    let (mut hears, mut says) = near.open(attach()).await.unwrap().split();
    says.send(Frame::Stdin(b"all there is".to_vec())).await.unwrap();
    drop(says);
    assert_eq!(inside.hears.recv().await, Some(Frame::Stdin(b"all there is".to_vec())));
    assert_eq!(in_time("the input's end comes", inside.hears.recv()).await, None);
    inside.says.send(numbered(1)).await.unwrap();
    inside.says.send(Frame::Exit(7)).await.unwrap();
    drop(inside);
    assert_eq!(hears.receive().await, Some(numbered(1)), "output goes on after that");
    assert_eq!(hears.receive().await, Some(Frame::Exit(7)));
    assert_eq!(in_time("the output's end comes", hears.receive()).await, None);
}

#[tokio::test]
async fn an_engine_hears_that_nobody_reads_and_a_person_that_nobody_listens() {
    let (talk, mut inside) = talk();
    let near = behind(talk.clone());
    let (hears, mut says) = near.open(attach()).await.unwrap().split();
    drop(hears);
    in_time("the engine hears of it", inside.says.closed()).await;
    says.send(numbered(1)).await.unwrap();
    assert_eq!(inside.hears.recv().await, Some(numbered(1)), "input goes on after that");
    drop(inside.hears);
    let refused = async {
        loop {
            if let Err(error) = says.send(numbered(2)).await {
                return error.kind();
            }
        }
    };
    assert_eq!(in_time("the person hears of it", refused).await, ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn no_event_is_lost_and_a_listener_hears_what_was_done_after_it_began() {
    let fake = Arc::new(Fake::new("node"));
    let near = behind(fake.clone());
    let mut events = near.events();
    let many = 10 * WINDOW;
    for number in 0..many {
        near.assign(&[wish(number)]).await.unwrap();
    }
    for number in 0..many {
        let event = in_time("the next event comes", events.next()).await;
        assert_eq!(event, Some(Event::Image(format!("app:{number}"))));
    }
}

#[tokio::test]
async fn leases_end_with_their_connection() {
    let fake = Arc::new(Fake::new("node"));
    let near = Arc::new(behind(fake.clone()));
    let turn = Turn::take(near.clone()).await.unwrap();
    let other = near.lease().await.unwrap();
    assert_eq!(fake.leases(), [turn.lease().clone(), other]);
    drop(turn);
    until_holds("a turn that is dropped is released", || async { fake.leases().len() == 1 }).await;
    drop(near);
    until_holds("the others go with the connection", || async { fake.leases().is_empty() }).await;
}

#[tokio::test]
async fn a_lease_that_nobody_waits_for_any_more_is_not_kept() {
    let (mut talk, _inside) = talk();
    let free = Arc::new(Notify::new());
    Arc::get_mut(&mut talk).unwrap().free = Some(free.clone());
    let near = behind(talk.clone());
    // Given up while it waits.
    assert!(near.lease().now_or_never().is_none());
    settled(&near).await;
    free.notify_one();
    let lease = near.lease().await.unwrap();
    assert_eq!(talk.fake.leases(), [lease], "who waits gets it, not who is gone");
    // Given up when it is granted, and the answer is on its way.
    let mut asks = near.lease();
    assert!(futures_util::poll!(&mut asks).is_pending());
    free.notify_one();
    until_holds("it is granted", || async { talk.fake.leases().len() == 2 }).await;
    drop(asks);
    until_holds("and released", || async { talk.fake.leases().len() == 1 }).await;
}

#[tokio::test]
async fn what_an_engine_refuses_is_refused_with_its_kind_and_causes() {
    let fake = Arc::new(Fake::new("node"));
    let near = behind(fake.clone());
    let lease = near.lease().await.unwrap();
    fake.take_over();
    let refused = near.assign_under(&lease, &[wish(1)]).await.unwrap_err();
    assert!(matches!(refused, EngineError::Driven { .. }), "{refused:?}");
    assert!(near.observe(Depth::State).await.unwrap().images.is_empty(), "and nothing is done");
}

#[tokio::test]
async fn a_line_that_breaks_ends_everything_that_waits() {
    let (here, there) = tokio::io::duplex(1 << 16);
    let (mut talk, _inside) = talk();
    Arc::get_mut(&mut talk).unwrap().free = Some(Arc::default());
    let serving = tokio::spawn(serve(talk.clone(), there));
    let near = Near::connect(here);
    let (mut conversation, mut events) = (near.open(attach()).await.unwrap(), near.events());
    let mut asks = near.lease();
    assert!(futures_util::poll!(&mut asks).is_pending());
    serving.abort();
    let error = in_time("the call ends", asks).await.unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::Network), "{error:?}");
    assert_eq!(in_time("the conversation ends", conversation.receive()).await, None);
    assert_eq!(in_time("the events end", events.next()).await, None);
    let error = in_time("later calls fail", near.observe(Depth::State)).await.unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::Network), "{error:?}");
}

/// Bytes of a peer that is no `Near`.
async fn said(call: &[u8]) -> Answer {
    let (mut here, there) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve(Arc::new(Fake::new("node")), there));
    let mut bytes = u32::try_from(call.len()).unwrap().to_be_bytes().to_vec();
    bytes.push(0);
    bytes.extend(5_u64.to_be_bytes());
    bytes.extend(call);
    here.write_all(&bytes).await.unwrap();
    loop {
        let packet = in_time("an answer comes", packet::read(&mut here)).await.unwrap();
        match packet {
            Some(Packet { stream: 5, body: Body::Answer(bytes) }) => {
                return wire::open(&bytes).unwrap();
            }
            Some(_) => {}
            None => panic!("no answer"),
        }
    }
}

#[tokio::test]
async fn a_node_refuses_what_it_does_not_understand() {
    let later = format!("{{\"version\":{},\"message\":\"usage\"}}", CONTRACT_VERSION + 1);
    let calls = [later.as_str(), r#"{"version":1,"message":"dance"}"#, "\u{0}", ""];
    for call in calls {
        let answer = said(call.as_bytes()).await;
        let refused = matches!(answer, Answer::Refused(EngineError::Unsupported { .. }));
        assert!(refused, "{call}: {answer:?}");
    }
    assert!(matches!(said(br#"{"version":1,"message":"usage"}"#).await, Answer::Usage(_)));
}
