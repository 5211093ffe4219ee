//! Files keep what every store promises.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/promises.rs"]
mod promises;

use keel_reconciler::Late;
use keel_reconciler::store::FileStore;
use promises::Pair;
use std::sync::Arc;

#[tokio::test]
async fn files_keep_what_every_store_promises() {
    for watched in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let late = Late::new(folder.path(), folder.path().join("memory"));
            FileStore::open(folder.path().join("records"), late).unwrap()
        };
        let one = if watched { open().watched() } else { open() };
        Pair { one: Arc::new(one), other: Arc::new(open()) }.promises().await;
    }
}
