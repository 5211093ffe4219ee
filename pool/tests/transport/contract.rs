//! A far node keeps the contract that every engine keeps.

use crate::lab::Lab;
use futures_util::StreamExt;
use keel_engine::{
    Assignment, Engine, EngineError, Event, Open, Presence, PullPolicy, TaskId, Thing, Turn,
};
use keel_pool::transport::Limits;
use keel_testing::contract::{Subject, suite};
use keel_testing::fake::Fake;
use keel_testing::waiting::{in_time, until_holds};
use std::pin::Pin;
use std::sync::Arc;

#[tokio::test]
async fn the_fake_keeps_the_contract_as_a_far_node() {
    let lab = Lab::start(Limits::default()).await;
    let (_agent, far) = lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    let pause = || -> Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(async {}) };
    suite(&Subject { engine: &*far, image: "hello", pause: &pause, patience: 30 }).await;
}

fn wish(number: usize) -> Assignment {
    let reference = format!("app:{number}");
    Assignment::Image { reference, policy: PullPolicy::Missing, wanted: Presence::Present }
}

#[tokio::test]
async fn a_listener_hears_what_was_done_after_it_began() {
    let lab = Lab::start(Limits::default()).await;
    let (_agent, far) = lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    let mut events = far.events();
    for number in 0..100 {
        far.assign(&[wish(number)]).await.unwrap();
    }
    for number in 0..100 {
        let event = in_time("the next event comes", events.next()).await;
        assert_eq!(event, Some(Event::Image(format!("app:{number}"))));
    }
}

#[tokio::test]
async fn leases_end_with_whoever_holds_them_and_with_their_connection() {
    let lab = Lab::start(Limits::default()).await;
    let fake = Arc::new(Fake::new("n1"));
    let (_agent, far) = lab.connect("n1", fake.clone()).await;
    let turn = Turn::take(far.clone()).await.unwrap();
    let other = far.lease().await.unwrap();
    assert_eq!(fake.leases(), [turn.lease().clone(), other]);
    drop(turn);
    until_holds("a turn that is dropped is released", || async { fake.leases().len() == 1 }).await;
    lab.switchboard.disconnect(far.node(), "a test");
    until_holds("the others go with the connection", || async { fake.leases().is_empty() }).await;
}

#[tokio::test]
async fn a_refusal_comes_back_with_its_kind() {
    let lab = Lab::start(Limits::default()).await;
    let fake = Arc::new(Fake::new("n1"));
    let (_agent, far) = lab.connect("n1", fake.clone()).await;
    let lease = far.lease().await.unwrap();
    fake.take_over();
    let refused = far.assign_under(&lease, &[wish(1)]).await.unwrap_err();
    assert!(matches!(refused, EngineError::Driven { .. }), "{refused:?}");
    let open = Open::Attach { task: TaskId::from_seed("nobody"), stdin: false };
    let refused = far.open(open).await.err().unwrap();
    assert!(matches!(refused, EngineError::NotFound { kind: Thing::Task, .. }), "{refused:?}");
}
