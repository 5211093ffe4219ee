//! A pool that another controller took over: nodes follow the highest epoch, and nobody else ever again.

use crate::lab::{Lab, connected, with_causes};
use keel_engine::{Depth, Engine};
use keel_pool::epoch::Epoch;
use keel_pool::transport::{Away, Hello, Limits};
use keel_testing::fake::Fake;
use keel_testing::waiting::until_holds;
use std::sync::Arc;
use tokio::net::TcpListener;

fn of(epoch: u64) -> Hello {
    Hello { epoch: Epoch(epoch), ..Hello::own() }
}

#[tokio::test]
async fn a_node_that_has_seen_an_epoch_refuses_lower_ones_also_after_it_restarts() {
    let mut lab = Lab::start(Limits::default()).await;
    let fake = Arc::new(Fake::new("n1"));
    let (agent, _) = lab.connect("n1", fake.clone()).await;
    lab.take_over(of(5)).await;
    connected(&lab.far("n1")).await;
    // The old one is back.
    lab.take_over(of(1)).await;
    let far = lab.far("n1");
    let refused = || async { matches!(far.away(), Some((_, Away::Superseded(_)))) };
    until_holds("the old controller knows", refused).await;
    let error = far.observe(Depth::State).await.unwrap_err();
    let text = with_causes(&error);
    assert!(text.contains("epoch 1") && text.contains("epoch 5"), "{text}");
    assert!(error.hint().unwrap().contains("stop this controller"), "{error:?}");
    drop(agent);
    let mut again = lab.agent("n1", fake, lab.address);
    let why = again.waits().await;
    assert!(why.contains("restored or taken over elsewhere"), "{why}");
    lab.take_over(of(6)).await;
    connected(&lab.far("n1")).await;
}

#[tokio::test]
async fn a_node_finds_the_controller_that_took_over_at_an_address_that_it_was_told() {
    let mut lab = Lab::start(Limits::default()).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let next = free.local_addr().unwrap();
    lab.take_over(of(2)).await;
    let _agent = lab.agent("n1", Arc::new(Fake::new("n1")), lab.address);
    connected(&lab.far("n1")).await;
    // One that comes later is told to those who are connected.
    let (told, introduced) = (vec![lab.address.to_string(), next.to_string()], of(2));
    lab.switchboard.introduce(Hello { controllers: told, ..introduced });
    connected(&lab.far("n1")).await;
    drop(free);
    lab.address = next;
    lab.take_over(of(3)).await;
    connected(&lab.far("n1")).await;
}
