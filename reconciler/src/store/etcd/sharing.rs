//! What the controllers of one pool say to each other besides records: how nodes reach them, and which sources forges
//! told one of them to refresh.
//!
//! None of this decides anything, so whoever does not lead says it, too.

use super::super::{RecordHint, Result};
use super::shapes::packed;
use super::{EtcdStore, telling};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};

/// Where each controller says how nodes reach it.
const CONTROLLERS: &str = "controllers/";
/// Where sources are named that are to be refreshed.
const HINTS: &str = "hints/";

impl EtcdStore {
    /// Says how nodes reach this controller.
    pub async fn announce(&self, address: &str) -> Result<()> {
        self.say(&format!("{CONTROLLERS}{address}"), address).await
    }

    /// How nodes reach the pool's controllers.
    pub async fn controllers(&self) -> Result<Vec<String>> {
        let found = self.below(&self.own(CONTROLLERS), false).await?;
        Ok(found.into_iter().filter_map(|kv| String::from_utf8(kv.value).ok()).collect())
    }

    /// Hints that the controllers may be others.
    pub async fn controllers_changed(&self) -> Result<BoxStream<'static, ()>> {
        let hints = telling::watch(self.gateway.clone(), self.own(CONTROLLERS), "").await?;
        Ok(hints.map(drop).boxed())
    }

    /// Asks whoever leads to refresh a source.
    pub async fn hint_source(&self, name: &str) -> Result<()> {
        self.say(&format!("{HINTS}{name}"), "").await
    }

    /// Sources that others ask to refresh.
    pub async fn hinted_sources(&self) -> Result<BoxStream<'static, String>> {
        let hints = telling::watch(self.gateway.clone(), self.own(HINTS), "").await?;
        // What was missed is found by the next poll.
        let named = |hint| match hint {
            RecordHint::Key(name) => Some(name),
            RecordHint::Anything => None,
        };
        Ok(hints.filter_map(move |hint| std::future::ready(named(hint))).boxed())
    }

    async fn say(&self, name: &str, value: &str) -> Result<()> {
        let (key, value) = (packed(self.own(name).as_bytes()), packed(value.as_bytes()));
        self.gateway
            .ask::<Value>("/v3/kv/put", &json!({ "key": key, "value": value }))
            .await
            .map(drop)
    }
}
