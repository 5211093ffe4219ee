//! All nodes and tokens of a pool, as one record: what is used up and who came of it change together, names are
//! unique, and who is removed is removed at once.
//!
//! # Invariants
//! - Every change is a pure function of the record; it counts once the changed record took the place of the one that
//!   it was made from.

use super::certificate::Role;
use super::keel_version::KeelVersion;
use super::life::DAY;
use super::node::{BadNodeName, NodeRecord, NodeTerms, check_name};
use super::node_id::NodeId;
use super::public_key::PublicKey;
use super::token::TokenId;
use super::token_record::TokenRecord;
use keel_engine::NodeName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The form of the record that this version writes.
const FORM: u32 = 1;
/// How long tokens that ended are remembered, so that who comes late is told what happened.
const REMEMBERED: u64 = 30 * DAY;

/// All nodes and tokens of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    nodes: BTreeMap<NodeId, NodeRecord>,
    tokens: BTreeMap<TokenId, TokenRecord>,
    home: NodeTerms,
}

/// The record as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    nodes: Vec<NodeRecord>,
    tokens: Vec<TokenRecord>,
    /// The controller's own node, where anything is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<NodeTerms>,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryFormError {
    /// A newer version wrote it.
    #[error(
        "the record of the pool's nodes has form {0}; this version of keel knows {FORM}: install a newer version"
    )]
    Newer(u32),
    /// It is no such record.
    #[error("the record of the pool's nodes cannot be read ({0}); restore it from a backup")]
    Damaged(#[from] serde_json::Error),
}

/// Why a change to a node or token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No node has this name.
    #[error("no node `{0}` belongs to the pool; `keel node ls` lists its nodes")]
    NoNode(String),
    /// Another node has the name.
    #[error("another node is called `{0}`; choose another name")]
    NameTaken(NodeName),
    /// No node may have it.
    #[error(transparent)]
    BadName(#[from] BadNodeName),
    /// The node is connected.
    #[error("node `{0}` is connected; drain it first, or remove it with `--force`")]
    Connected(NodeName),
    /// The node is heard, so its machine runs.
    #[error(
        "node `{0}` is connected, so its machine runs; to move its tasks away, run `keel node drain {0}`"
    )]
    Alive(NodeName),
    /// No token has this ID.
    #[error("no token `{0}` is on record; `keel token ls` lists the tokens")]
    NoToken(String),
}

impl Registry {
    /// Reads a stored record.
    pub fn decode(bytes: &[u8]) -> Result<Self, RegistryFormError> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let form: Form = serde_json::from_slice(bytes)?;
        if form.version > FORM {
            return Err(RegistryFormError::Newer(form.version));
        }
        let stored: Stored = serde_json::from_slice(bytes)?;
        let nodes = stored.nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
        let tokens = stored.tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
        Ok(Self { nodes, tokens, home: stored.home.unwrap_or_default() })
    }

    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let nodes = self.nodes.values().cloned().collect();
        let tokens = self.tokens.values().cloned().collect();
        let home = Some(self.home.clone()).filter(|home| *home != NodeTerms::default());
        let stored = Stored { version: FORM, nodes, tokens, home };
        serde_json::to_vec(&stored).expect("our own types have string keys and no failing field")
    }

    /// It was restored from a backup: what its nodes were told afterwards is not known until they are connected.
    pub fn restored(&mut self) {
        self.nodes.values_mut().for_each(|node| node.unheard = true);
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values()
    }

    /// A node by its ID.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&NodeRecord> {
        self.nodes.get(id)
    }

    /// A node by its name.
    #[must_use]
    pub fn named(&self, name: &NodeName) -> Option<&NodeRecord> {
        self.nodes().find(|node| node.name == *name)
    }

    /// The node that has this key.
    #[must_use]
    pub fn owner(&self, key: &PublicKey) -> Option<&NodeRecord> {
        self.nodes().find(|node| node.has(key))
    }

    /// Whether a node belongs to the pool, with this key and role.
    #[must_use]
    pub fn knows(&self, id: &NodeId, role: Role, key: &PublicKey) -> bool {
        self.node(id).is_some_and(|node| node.role == role && node.has(key))
    }

    /// Adds a node that joined.
    pub(super) fn add_node(&mut self, node: NodeRecord) {
        self.nodes.insert(node.id.clone(), node);
    }

    /// A node, to change.
    pub(super) fn node_mut(&mut self, id: &NodeId) -> Option<&mut NodeRecord> {
        self.nodes.get_mut(id)
    }

    fn named_mut(&mut self, name: &NodeName) -> Result<&mut NodeRecord, RegistryError> {
        let found = self.nodes.values_mut().find(|node| node.name == *name);
        found.ok_or_else(|| RegistryError::NoNode(name.to_string()))
    }

    /// What people say of the controller's own node.
    #[must_use]
    pub fn home(&self) -> &NodeTerms {
        &self.home
    }

    /// What people say of a node, to change; of the controller's own where none is named.
    pub fn terms_mut(&mut self, name: Option<&NodeName>) -> Result<&mut NodeTerms, RegistryError> {
        match name {
            Some(name) => self.named_mut(name).map(|node| &mut node.terms),
            None => Ok(&mut self.home),
        }
    }

    /// Notes where a node says that others reach it.
    pub fn advertise(
        &mut self,
        name: &NodeName,
        advertised: Option<IpAddr>,
    ) -> Result<(), RegistryError> {
        self.named_mut(name)?.advertised = advertised;
        Ok(())
    }

    /// Gives a node another name.
    pub fn rename(&mut self, name: &NodeName, new: NodeName) -> Result<(), RegistryError> {
        check_name(&new)?;
        if name != &new && self.named(&new).is_some() {
            return Err(RegistryError::NameTaken(new));
        }
        self.named_mut(name)?.name = new;
        Ok(())
    }

    /// Notes where a node is connected from. Callers do so when it connects, and seldom after that.
    pub fn see(
        &mut self,
        id: &NodeId,
        address: &str,
        version: KeelVersion,
        now: u64,
    ) -> Result<(), RegistryError> {
        let node = self.node_mut(id).ok_or_else(|| RegistryError::NoNode(id.to_string()))?;
        node.see(address, version, now);
        Ok(())
    }

    /// Notes that a node uses one of its keys.
    pub fn confirm(&mut self, id: &NodeId, key: &PublicKey, now: u64) -> Result<(), RegistryError> {
        let node = self.node_mut(id).ok_or_else(|| RegistryError::NoNode(id.to_string()))?;
        let used = node.keys.iter_mut().find(|one| one.key == *key);
        used.map(|one| one.used.get_or_insert(now));
        Ok(())
    }

    /// Removes a node: its keys are worthless from now on. Who is connected is removed by force alone.
    pub fn remove(
        &mut self,
        name: &NodeName,
        is_connected: bool,
        force: bool,
    ) -> Result<NodeRecord, RegistryError> {
        let id = self.named_mut(name)?.id.clone();
        if is_connected && !force {
            return Err(RegistryError::Connected(name.clone()));
        }
        self.nodes.remove(&id).ok_or_else(|| RegistryError::NoNode(name.to_string()))
    }

    /// Notes a person's word that a node's machine does not run any more. Who is connected does.
    pub fn confirm_dead(
        &mut self,
        name: &NodeName,
        is_connected: bool,
        now: u64,
    ) -> Result<(), RegistryError> {
        let node = self.named_mut(name)?;
        if is_connected {
            return Err(RegistryError::Alive(name.clone()));
        }
        node.dead.get_or_insert(now);
        Ok(())
    }

    /// All tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenRecord> {
        self.tokens.values()
    }

    /// A token by its ID.
    #[must_use]
    pub fn token(&self, id: &TokenId) -> Option<&TokenRecord> {
        self.tokens.get(id)
    }

    /// A token, to change.
    pub(super) fn token_mut(&mut self, id: &TokenId) -> Option<&mut TokenRecord> {
        self.tokens.get_mut(id)
    }

    /// Adds a token, and forgets those that ended long ago.
    pub fn add_token(&mut self, token: TokenRecord) {
        let now = token.created;
        self.tokens.retain(|_, old| old.expires.saturating_add(REMEMBERED) > now);
        self.tokens.insert(token.id.clone(), token);
    }

    /// Ends a token; the nodes that joined with it stay.
    pub fn revoke_token(&mut self, id: &TokenId, now: u64) -> Result<(), RegistryError> {
        let token = self.token_mut(id).ok_or_else(|| RegistryError::NoToken(id.to_string()))?;
        token.revoked.get_or_insert(now);
        Ok(())
    }
}
