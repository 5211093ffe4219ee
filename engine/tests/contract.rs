//! The fake keeps the contract that the real engines keep.

use keel_testing::contract::{Subject, suite};
use keel_testing::fake::Fake;

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let fake = Fake::new("node");
    let pause = || -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(async {}) };
    suite(&Subject { engine: &fake, image: "hello", pause: &pause, patience: 3 }).await;
}
