//! What every store promises, asked of it by two who use the same one.

use futures_util::StreamExt;
use keel_reconciler::store::{Keep, RecordHint, Store, StoreError};
use keel_testing::waiting::in_time;
use std::sync::Arc;

/// Two ways to one store, which is empty.
pub struct Pair {
    pub one: Arc<dyn Store>,
    pub other: Arc<dyn Store>,
}

impl Pair {
    pub async fn promises(&self) {
        self.a_put_needs_the_revision_that_is_there().await;
        self.a_key_that_comes_back_has_a_revision_nobody_has_read().await;
        self.keys_are_ordered_and_one_may_lie_beside_its_folder().await;
        self.keys_are_words().await;
        self.a_range_is_of_one_moment().await;
        self.writers_take_turns().await;
        self.a_watch_hints_at_what_others_change().await;
    }

    async fn a_put_needs_the_revision_that_is_there(&self) {
        let Self { one, other } = self;
        let first = one.put("cas/a", b"1".to_vec(), 0, Keep::ForNow).await.unwrap();
        let stale = other.put("cas/a", b"2".to_vec(), 0, Keep::ForNow).await;
        assert!(matches!(stale, Err(StoreError::Moved { found, .. }) if found == first));
        let second = other.put("cas/a", b"2".to_vec(), first, Keep::OnDisk).await.unwrap();
        assert!(second > first);
        let entry = one.get("cas/a").await.unwrap().unwrap();
        assert_eq!((entry.value.as_slice(), entry.revision), (&b"2"[..], second));
        let never = one.put("cas/b", b"2".to_vec(), second, Keep::OnDisk).await;
        assert!(matches!(never, Err(StoreError::Moved { found: 0, .. })), "{never:?}");
        assert_eq!(one.get("cas/b").await.unwrap(), None);
    }

    async fn a_key_that_comes_back_has_a_revision_nobody_has_read(&self) {
        let Self { one, other } = self;
        let first = one.put("back", b"1".to_vec(), 0, Keep::ForNow).await.unwrap();
        assert!(other.delete("back").await.unwrap());
        assert!(!one.delete("back").await.unwrap());
        let again = one.put("back", b"1".to_vec(), 0, Keep::ForNow).await.unwrap();
        assert!(again > first);
    }

    async fn keys_are_ordered_and_one_may_lie_beside_its_folder(&self) {
        let Self { one, other } = self;
        for key in ["stacks/b/x", "stacks/a/y", "stacks/a", "sources/a"] {
            one.put(key, key.into(), 0, Keep::ForNow).await.unwrap();
        }
        let keys = other.keys("stacks/").await.unwrap();
        assert_eq!(keys, ["stacks/a", "stacks/a/y", "stacks/b/x"]);
        assert_eq!(other.keys("stacks/a/").await.unwrap(), ["stacks/a/y"]);
        assert_eq!(other.keys("stacks/a").await.unwrap(), ["stacks/a", "stacks/a/y"]);
        let there = other.get("stacks/a").await.unwrap().unwrap().revision;
        assert_eq!(one.revision("stacks/a").await.unwrap(), there);
        assert_eq!(one.revision("stacks/z").await.unwrap(), 0);
        let range = other.range("stacks/a").await.unwrap();
        let values: Vec<_> = range.iter().map(|entry| entry.value.as_slice()).collect();
        assert_eq!(values, [&b"stacks/a"[..], b"stacks/a/y"]);
        assert_eq!(range[0].revision, there);
    }

    async fn keys_are_words(&self) {
        for key in ["../a", "a/../b", "/a", "a//b", "", ".lock", "a b"] {
            let put = self.one.put(key, vec![], 0, Keep::ForNow).await;
            assert!(matches!(put, Err(StoreError::Key(_))), "{key}");
        }
    }

    /// Two keys that are put one after the other: whoever sees the second sees the first.
    async fn a_range_is_of_one_moment(&self) {
        let (one, other) = (self.one.clone(), self.other.clone());
        let writing = tokio::spawn(async move {
            for round in 1..=40_u8 {
                for key in ["moment/b", "moment/a"] {
                    let at = one.revision(key).await.unwrap();
                    one.put(key, vec![round], at, Keep::ForNow).await.unwrap();
                }
            }
        });
        while !writing.is_finished() {
            let range = other.range("moment/").await.unwrap();
            let round = |key: &str| {
                range.iter().find(|entry| entry.key == key).map_or(0, |entry| entry.value[0])
            };
            let (a, b) = (round("moment/a"), round("moment/b"));
            assert!(b == a || b == a + 1, "{a} {b}");
        }
        writing.await.unwrap();
    }

    async fn writers_take_turns(&self) {
        let add = |store: Arc<dyn Store>| async move {
            loop {
                let found = store.get("turns").await.unwrap();
                let (count, at) = found.map_or((0, 0), |entry| (entry.value.len(), entry.revision));
                let put = store.put("turns", vec![0; count + 1], at, Keep::ForNow).await;
                match put {
                    Ok(_) => return,
                    Err(StoreError::Moved { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let stores = [&self.one, &self.other].into_iter().cycle().take(16);
        let all: Vec<_> = stores.map(|store| tokio::spawn(add(store.clone()))).collect();
        for one in all {
            one.await.unwrap();
        }
        assert_eq!(self.one.get("turns").await.unwrap().unwrap().value.len(), 16);
    }

    async fn a_watch_hints_at_what_others_change(&self) {
        let mut hints = self.one.watch("watched/").await.unwrap();
        self.other.put("unwatched", vec![], 0, Keep::OnDisk).await.unwrap();
        self.other.put("watched/a", vec![], 0, Keep::OnDisk).await.unwrap();
        until_hinted(&mut hints, "watched/a").await;
        // A first file makes the folder that it is in, and is told as that.
        self.other.put("watched/b", vec![], 0, Keep::OnDisk).await.unwrap();
        until_hinted(&mut hints, "watched/b").await;
        self.other.delete("watched/a").await.unwrap();
        until_hinted(&mut hints, "watched/a").await;
    }
}

async fn until_hinted(
    hints: &mut (impl futures_util::Stream<Item = RecordHint> + Unpin),
    key: &str,
) {
    in_time("a hint comes", async {
        loop {
            match hints.next().await.expect("a watch does not end") {
                RecordHint::Anything => return,
                RecordHint::Key(told) if told == key => return,
                RecordHint::Key(told) => assert!(told.starts_with("watched/"), "{told}"),
            }
        }
    })
    .await;
}
