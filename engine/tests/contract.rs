//! The fake keeps the contract that the real engines keep, itself and behind a stream of bytes.

use keel_engine::Engine;
use keel_testing::contract::{Subject, suite};
use keel_testing::fake::Fake;
use keel_testing::loopback::behind;
use std::sync::Arc;

async fn keeps_the_contract(engine: &dyn Engine) {
    let pause = || -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(async {}) };
    suite(&Subject { engine, image: "hello", pause: &pause, patience: 3 }).await;
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    keeps_the_contract(&Fake::new("node")).await;
}

#[tokio::test]
async fn the_fake_keeps_the_contract_behind_bytes() {
    keeps_the_contract(&behind(Arc::new(Fake::new("node")))).await;
}
