//! What etcd's JSON gateway says: bytes are base64, numbers are strings, and what is zero is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, de};

/// Bytes as they are sent.
pub(super) fn packed(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The first key that does not begin with this.
pub(super) fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // Keys are text: no byte of one is the highest.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Header {
    #[serde(default, deserialize_with = "number")]
    pub revision: u64,
}

/// A key with its value.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Kv {
    #[serde(deserialize_with = "bytes")]
    pub key: Vec<u8>,
    #[serde(default, deserialize_with = "bytes")]
    pub value: Vec<u8>,
    #[serde(default, deserialize_with = "number")]
    pub create_revision: u64,
    #[serde(default, deserialize_with = "number")]
    pub mod_revision: u64,
    #[serde(default, deserialize_with = "number")]
    pub lease: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct RangeAnswer {
    #[serde(default)]
    pub kvs: Vec<Kv>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct TxnAnswer {
    #[serde(default)]
    pub header: Header,
    #[serde(default)]
    pub succeeded: bool,
    #[serde(default)]
    pub responses: Vec<Response>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    response_range: Option<RangeAnswer>,
    #[serde(default)]
    response_delete_range: Option<Deleted>,
}

#[derive(Debug, Default, Deserialize)]
struct Deleted {
    #[serde(default, deserialize_with = "number")]
    deleted: u64,
}

impl TxnAnswer {
    /// The first key of this range of the answer.
    pub(super) fn range(&self, index: usize) -> Option<&Kv> {
        self.responses.get(index)?.response_range.as_ref()?.kvs.first()
    }

    /// How many keys were taken away.
    pub(super) fn deleted(&self) -> u64 {
        let all = self.responses.iter().filter_map(|one| one.response_delete_range.as_ref());
        all.map(|one| one.deleted).sum()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct LeaseAnswer {
    #[serde(rename = "ID", default, deserialize_with = "number")]
    pub id: u64,
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    pub ttl: u64,
}

/// One message of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Message<T> {
    pub result: T,
}

#[derive(Debug, Deserialize)]
pub(super) struct WatchAnswer {
    #[serde(default)]
    pub created: bool,
    #[serde(default)]
    pub canceled: bool,
    #[serde(default)]
    pub events: Vec<WatchEvent>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WatchEvent {
    pub kv: Kv,
}

/// What is said instead of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Complaint {
    #[serde(alias = "message")]
    pub error: String,
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD.decode(text).map_err(de::Error::custom)
}

/// Leases have signed numbers, which are never negative.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Plain(u64),
    }
    match Number::deserialize(from)? {
        Number::Text(text) => text.parse().map_err(de::Error::custom),
        Number::Plain(number) => Ok(number),
    }
}
