//! The embedded engine keeps the contract that every engine keeps.

use crate::Test;
use crate::lab::{IMAGE, Lab};
use keel_testing::contract::{Subject, suite};
use std::pin::Pin;
use std::time::Duration;

pub const TESTS: &[Test] = &[("keeps_the_contract", || Box::pin(keeps_the_contract()))];

async fn keeps_the_contract() {
    let lab = Lab::open().await;
    let pause = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(Duration::from_millis(50)))
    };
    let subject = Subject { engine: &**lab.engine(), image: IMAGE, pause: &pause, patience: 400 };
    suite(&subject).await;
    lab.clean().await;
}
