//! The embedded engine keeps the contract that every engine keeps: itself, behind a stream of bytes, and as a far
//! node over TLS.

use crate::Test;
use crate::lab::{IMAGE, Lab};
use crate::pool;
use keel_engine::frames::Frame;
use keel_engine::{Engine, Exec, Goal, Open, Phase};
use keel_pool::transport::Limits;
use keel_testing::contract::{Subject, suite};
use keel_testing::loopback::behind;
use keel_testing::waiting::in_time;
use std::pin::Pin;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("keeps_the_contract", || Box::pin(keeps_the_contract())),
    ("keeps_the_contract_behind_bytes", || Box::pin(keeps_the_contract_behind_bytes())),
    ("keeps_the_contract_as_a_far_node", || Box::pin(keeps_the_contract_as_a_far_node())),
    ("a_conversation_goes_both_ways_over_bytes", || {
        Box::pin(a_conversation_goes_both_ways_over_bytes())
    }),
    ("a_conversation_goes_both_ways_with_a_far_node", || {
        Box::pin(a_conversation_goes_both_ways_with_a_far_node())
    }),
];

async fn keeps_the_contract() {
    let lab = Lab::open().await;
    kept_by(&**lab.engine()).await;
    lab.clean().await;
}

async fn keeps_the_contract_behind_bytes() {
    let lab = Lab::open().await;
    kept_by(&behind(lab.engine().clone())).await;
    lab.clean().await;
}

async fn keeps_the_contract_as_a_far_node() {
    let lab = Lab::open().await;
    let pool = pool::Lab::start(Limits::default()).await;
    let (_agent, far) = pool.connect("n1", lab.engine().clone()).await;
    kept_by(&*far).await;
    lab.clean().await;
}

async fn kept_by(engine: &dyn Engine) {
    let pause = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(Duration::from_millis(50)))
    };
    suite(&Subject { engine, image: IMAGE, pause: &pause, patience: 400 }).await;
}

async fn a_conversation_goes_both_ways_over_bytes() {
    let lab = Lab::open().await;
    goes_both_ways(&lab, &behind(lab.engine().clone())).await;
    lab.clean().await;
}

async fn a_conversation_goes_both_ways_with_a_far_node() {
    let lab = Lab::open().await;
    let pool = pool::Lab::start(Limits::default()).await;
    let (_agent, far) = pool.connect("n1", lab.engine().clone()).await;
    goes_both_ways(&lab, &*far).await;
    lab.clean().await;
}

/// More than any buffer on the way holds: input is taken as fast as output is read, and its end arrives.
async fn goes_both_ways(lab: &Lab, near: &dyn Engine) {
    let wish = lab.task("web", &[]);
    assert_eq!(wish.goal, Goal::Running);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let command = ["/keel", "hello", "copy"].map(str::to_owned).into();
    let exec = Exec { command, stdin: true, ..Exec::default() };
    let opened = near.open(Open::Exec { task: wish.id.clone(), exec }).await.unwrap();
    let (mut hears, mut says) = opened.split();
    let block: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
    let blocks = 64;
    let saying = tokio::spawn({
        let block = block.clone();
        async move {
            for _ in 0..blocks {
                says.send(Frame::Stdin(block.clone())).await.unwrap();
            }
            says.send(Frame::StdinEnd).await.unwrap();
        }
    });
    let (mut heard, mut code) = (Vec::new(), None);
    let hearing = async {
        while let Some(frame) = hears.receive().await {
            match frame {
                Frame::Stdout(bytes) => heard.extend(bytes),
                Frame::Exit(exit) => code = Some(exit),
                other => panic!("{other:?}"),
            }
        }
    };
    in_time("the conversation ends", hearing).await;
    in_time("all is said", saying).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(
        heard == block.repeat(blocks),
        "{} bytes instead of {}",
        heard.len(),
        blocks * block.len()
    );
}
