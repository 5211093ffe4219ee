//! What the controller keeps of a node that joined.
//!
//! Times are milliseconds since 1970.

use super::certificate::{Certificate, Role};
use super::keel_version::KeelVersion;
use super::life::Life;
use super::node_id::NodeId;
use super::public_key::PublicKey;
use keel_engine::{Availability, NodeName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Keys that a node may have at a time: its own, the next one, and some whose certificate got lost on its way.
const KEYS: usize = 4;
/// Addresses that are remembered of a node.
const ADDRESSES: usize = 8;

/// What people say of what may be placed on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTerms {
    /// What constraints are matched with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What may be placed on it.
    #[serde(default)]
    pub availability: Availability,
    /// Where it is drained: what cannot run elsewhere stops.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_emptied: bool,
}

impl NodeTerms {
    /// Says what may be placed on it.
    pub fn set_availability(&mut self, availability: Availability) {
        (self.availability, self.is_emptied) = (availability, false);
    }

    /// Drains it; by force, what cannot run elsewhere stops.
    pub fn drain(&mut self, force: bool) {
        (self.availability, self.is_emptied) = (Availability::Drain, force);
    }

    /// Sets labels, and takes those away that have no value.
    pub fn label(&mut self, changes: &BTreeMap<String, Option<String>>) {
        for (key, value) in changes {
            match value {
                Some(value) => self.labels.insert(key.clone(), value.clone()),
                None => self.labels.remove(key),
            };
        }
    }
}

/// A node on record: it belongs to the pool until this record is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// What the controller calls it.
    pub id: NodeId,
    /// What people call it.
    pub name: NodeName,
    /// What it may do.
    pub role: Role,
    /// What people say of it.
    #[serde(flatten)]
    pub terms: NodeTerms,
    /// Its keys with their certificates, the newest last; never none.
    pub keys: Vec<NodeKey>,
    /// Where it connected from, the latest first.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Where it said that others reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised: Option<IpAddr>,
    /// Its version of `keel`.
    pub version: KeelVersion,
    /// When it joined.
    pub joined: u64,
    /// When it was last connected, as far as that was recorded.
    pub seen: u64,
    /// When a person said that its machine does not run any more; over once it is connected again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<u64>,
    /// The controller was restored from a backup, and the node was not connected since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unheard: bool,
}

/// A key of a node, and what was certified of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKey {
    /// The key.
    pub key: PublicKey,
    /// The certificate, which the same request gets again.
    pub certificate: Certificate,
    /// When the certificate was made.
    pub issued: u64,
    /// When it ends.
    pub expires: u64,
    /// When the node was first seen with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

impl NodeKey {
    /// A key with its certificate.
    #[must_use]
    pub fn new(key: PublicKey, certificate: Certificate, life: Life) -> Self {
        Self { key, certificate, issued: life.issued, expires: life.expires, used: None }
    }
}

impl NodeRecord {
    /// Whether a key is one of this node's.
    #[must_use]
    pub fn has(&self, key: &PublicKey) -> bool {
        self.key(key).is_some()
    }

    /// What is on record of a key.
    #[must_use]
    pub fn key(&self, key: &PublicKey) -> Option<&NodeKey> {
        self.keys.iter().find(|one| one.key == *key)
    }

    /// Adds the next key. The one in use stays, as do all whose certificates still hold; of more than four the
    /// oldest goes.
    pub fn renew(&mut self, next: NodeKey, used: &PublicKey, now: u64) {
        self.keys.retain(|one| one.expires > now || one.key == *used);
        // It may have a certificate of an authority that was replaced since.
        self.keys.retain(|one| one.key != next.key);
        self.keys.push(next);
        while self.keys.len() > KEYS {
            let oldest = self.keys.iter().position(|one| one.key != *used).unwrap_or(0);
            self.keys.remove(oldest);
        }
    }

    /// Where others reach it: where it says, else where it connected from last.
    #[must_use]
    pub fn address(&self) -> String {
        let seen = || self.addresses.first().cloned().unwrap_or_default();
        self.advertised.map_or_else(seen, |address| address.to_string())
    }

    /// Notes that the node is connected.
    pub fn see(&mut self, address: &str, version: KeelVersion, now: u64) {
        self.addresses.retain(|one| one != address);
        self.addresses.insert(0, address.to_owned());
        self.addresses.truncate(ADDRESSES);
        self.version = version;
        self.seen = now;
        self.dead = None;
        self.unheard = false;
    }
}

/// Why a name cannot be a node's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of a node: a name has 1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit \
     first; choose one with `--name`"
)]
pub struct BadNodeName(pub String);

/// Checks a name that a node proposes. It ends up in slots, labels and tables.
pub fn check_name(name: &NodeName) -> Result<(), BadNodeName> {
    let bytes = name.as_str().as_bytes();
    let sound = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    let first = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
    if first && bytes.len() <= 63 && bytes.iter().all(sound) {
        return Ok(());
    }
    Err(BadNodeName(name.as_str().chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::super::life::DAY;
    use super::super::private_key::PrivateKey;
    use super::*;

    fn key(authority: &Authority, issued: u64) -> NodeKey {
        let (key, life) = (PrivateKey::generate().unwrap().public(), Life::of_node(issued));
        let id = NodeId::new([1; 10]);
        let certificate = authority.certify_node(&id, Role::Agent, &key, life).unwrap();
        NodeKey::new(key, certificate, life)
    }

    fn node(first: NodeKey) -> NodeRecord {
        NodeRecord {
            id: NodeId::new([1; 10]),
            name: "box".into(),
            role: Role::Agent,
            terms: NodeTerms::default(),
            keys: vec![first],
            addresses: vec![],
            advertised: None,
            version: KeelVersion::own(),
            joined: 0,
            seen: 0,
            dead: None,
            unheard: false,
        }
    }

    #[test]
    fn the_old_key_is_good_until_its_certificate_ends() {
        let authority = Authority::create(0).unwrap();
        let (first, second) = (key(&authority, 0), key(&authority, 4 * DAY));
        let third = key(&authority, 8 * DAY);
        let mut node = node(first.clone());
        node.renew(second.clone(), &first.key, 4 * DAY);
        assert!(node.has(&first.key) && node.has(&second.key));
        node.renew(third.clone(), &second.key, 8 * DAY);
        assert!(!node.has(&first.key) && node.has(&second.key) && node.has(&third.key));
    }

    #[test]
    fn the_key_in_use_stays_however_often_a_node_renews() {
        let authority = Authority::create(0).unwrap();
        let first = key(&authority, 0);
        let mut node = node(first.clone());
        let more: Vec<_> = (0..6).map(|_| key(&authority, DAY)).collect();
        for next in &more {
            node.renew(next.clone(), &first.key, 20 * DAY);
        }
        // The others' certificates have ended by then, too: the newest is what was just given.
        assert_eq!(node.keys, [first.clone(), more[5].clone()]);
        for next in &more {
            node.renew(next.clone(), &first.key, 2 * DAY);
        }
        let kept: Vec<_> = [&first, &more[3], &more[4], &more[5]].into_iter().cloned().collect();
        assert_eq!(node.keys, kept);
    }

    #[test]
    fn names_are_those_of_hosts() {
        let fits = |name: &str| check_name(&name.into()).is_ok();
        assert!(fits("web-1") && fits("box.example.org") && fits(&"a".repeat(63)));
        for name in ["", "-a", "a b", "a/b", "ä", "a\n", &"a".repeat(64)] {
            assert!(!fits(name), "{name}");
        }
    }
}
