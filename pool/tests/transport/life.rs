//! Connections come and go: who notices what, how soon, and what a controller is told of its nodes.

use crate::lab::{Lab, Mode, Wire, connected, with_causes};
use futures_util::StreamExt;
use keel_engine::{Depth, Engine, EngineError, Event, NodeName, NodeReport, Trouble};
use keel_pool::transport::{AgentState, Away, Far, Limits};
use keel_reconciler::Fleet;
use keel_testing::fake::Fake;
use keel_testing::waiting::{in_time, until_holds};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

async fn refused(far: &Far) -> EngineError {
    let error = in_time("it fails", far.observe(Depth::State)).await.unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::Network), "{error:?}");
    error
}

async fn absent(far: &Far) {
    until_holds("the node is known to be away", || async { far.away().is_some() }).await;
}

#[tokio::test]
async fn both_sides_know_of_a_dead_connection() {
    let lab = Lab::start(Limits::default()).await;
    let wire = Wire::to(lab.address).await;
    let mut agent = lab.agent("n1", Arc::new(Fake::new("n1")), wire.address);
    let far = lab.far("n1");
    connected(&far).await;
    wire.set(Mode::Hush);
    let since = now();
    let waits = tokio::spawn({
        let far = far.clone();
        async move { far.observe(Depth::State).await.unwrap_err() }
    });
    absent(&far).await;
    let agents_word = agent.waits().await;
    let silence = "no data received from the other side for 6 seconds";
    assert_eq!(agents_word, silence);
    let (told, why) = far.away().unwrap();
    assert!(matches!(why, Away::Silent(_)) && (since..=now()).contains(&told), "{told} {why}");
    let error = with_causes(&refused(&far).await);
    assert!(error.starts_with("node n1 has been disconnected since 20"), "{error}");
    assert!(error.ends_with(silence), "{error}");
    let error = in_time("what waited ends", waits).await.unwrap();
    assert_eq!(error.trouble(), Some(Trouble::Network), "{error:?}");
    wire.set(Mode::Carry);
    connected(&far).await;
    far.observe(Depth::State).await.unwrap();
}

#[tokio::test]
async fn a_node_that_hears_nothing_is_known_by_its_beats() {
    let limits = Limits { beat: Duration::from_millis(100), ..Limits::default() };
    let lab = Lab::start(limits).await;
    let wire = Wire::to(lab.address).await;
    let _agent = lab.agent("n1", Arc::new(Fake::new("n1")), wire.address);
    let far = lab.far("n1");
    let beats = |one_way| {
        let far = &far;
        move || async move { far.pulse().is_some_and(|pulse| pulse.is_one_way() == one_way) }
    };
    let many = || async { far.pulse().is_some_and(|pulse| pulse.beat > 5) };
    until_holds("it beats", many).await;
    until_holds("its beats are answered", beats(false)).await;
    wire.set(Mode::OneWay);
    until_holds("it is known not to hear", beats(true)).await;
}

#[tokio::test]
async fn a_controller_goes_away_and_comes_back() {
    let mut lab = Lab::start(Limits::default()).await;
    let (mut agent, far) = lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    let mut events = far.events();
    lab.stop();
    agent.waits().await;
    absent(&far).await;
    refused(&far).await;
    lab.listen().await;
    connected(&far).await;
    far.observe(Depth::State).await.unwrap();
    let serves = |state: &AgentState| matches!(state, AgentState::Connected(_));
    in_time("the agent serves again", agent.state.wait_for(serves)).await.unwrap();
    for change in ["it went", "it came"] {
        assert_eq!(in_time(change, events.next()).await, Some(Event::Missed), "{change}");
    }
}

#[tokio::test]
async fn a_node_that_dials_anew_is_not_kept_out_by_its_dead_connection() {
    let lab = Lab::start(Limits::default()).await;
    let wire = Wire::to(lab.address).await;
    let _dead = lab.agent("n1", Arc::new(Fake::new("old")), wire.address);
    let far = lab.far("n1");
    connected(&far).await;
    wire.set(Mode::Hush);
    let waits = tokio::spawn({
        let far = far.clone();
        async move { far.observe(Depth::State).await }
    });
    let _anew = lab.agent("n1", Arc::new(Fake::new("new")), lab.address);
    let is_new = || async {
        let seen = tokio::time::timeout(Duration::from_secs(1), far.observe(Depth::State)).await;
        matches!(seen, Ok(Ok(seen)) if seen.node == NodeName::new("new"))
    };
    until_holds("the new connection is used", is_new).await;
    let _ = in_time("what waited on the old one ends", waits).await.unwrap();
}

#[tokio::test]
async fn a_node_that_is_disconnected_is_gone_at_once() {
    let lab = Lab::start(Limits::default()).await;
    let (mut agent, far) = lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    lab.doorman.forget_all();
    let mut turned = lab.turned_away();
    lab.switchboard.disconnect(far.node(), "it was removed from the pool");
    let error = with_causes(&refused(&far).await);
    assert!(
        error.ends_with("disconnected by the controller: it was removed from the pool"),
        "{error}"
    );
    let refusal = in_time("it is not let in again", turned.recv()).await.unwrap();
    assert_eq!(refusal.to_string(), "it is no node of this pool");
    agent.waits().await;
    assert!(far.away().is_some());
}

#[tokio::test]
async fn a_node_that_never_came_is_said_to_be_one() {
    let lab = Lab::start(Limits::default()).await;
    let error = refused(&lab.far("n9")).await;
    let text = with_causes(&error);
    assert!(text.starts_with("node n9 has been disconnected since 20"), "{text}");
    assert!(text.ends_with("it has not connected since this controller started"), "{text}");
    assert!(error.hint().unwrap().contains("`keel agent` runs on n9"), "{error:?}");
}

/// The controller's view of all nodes, with the real fleet.
#[tokio::test]
async fn a_node_that_does_not_answer_is_unknown_to_the_fleet() {
    let mut lab = Lab::start(Limits::default()).await;
    let (_agent, far) = lab.connect("n1", Arc::new(Fake::new("n1"))).await;
    let (home, node) = (NodeName::new("home"), NodeName::new("n1"));
    let nodes: [(_, Arc<dyn Engine>); 2] =
        [(home.clone(), Arc::new(Fake::new("home"))), (node.clone(), far.clone())];
    let fleet = Fleet::new(home, nodes);
    let seen = fleet.observe(Depth::State).await.unwrap();
    let NodeReport::Known(last_known) = seen.reports[&node].clone() else { panic!("{seen:?}") };
    lab.stop();
    absent(&far).await;
    let before = now();
    let seen = in_time("nobody waits for it", fleet.observe(Depth::State)).await.unwrap();
    let NodeReport::Unknown { since, why, last, .. } = seen.reports[&node].clone() else {
        panic!("{seen:?}")
    };
    assert!((before..=now()).contains(&since));
    assert!(why.starts_with("node n1 has been disconnected since 20"), "{why}");
    assert_eq!(last, Some(last_known));
    assert!(seen.reports[&NodeName::new("home")].known().is_some(), "the others are as they say");
    lab.listen().await;
    let back = || async { fleet.observe(Depth::State).await.unwrap().known(&node).is_some() };
    until_holds("it is known again", back).await;
}
