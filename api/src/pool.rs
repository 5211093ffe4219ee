//! What the API asks of the pool of nodes, and in which shapes.

use async_trait::async_trait;
use keel_engine::NodeName;
use keel_reconciler::ask::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who knows the nodes of a pool.
#[async_trait]
pub trait Pool: Send + Sync {
    /// Every node, the controller's own first.
    async fn nodes(&self) -> Result<Vec<NodeRow>, Refusal>;
    /// Changes a node.
    async fn change(&self, ask: NodeAsk) -> Result<NodeChanged, Refusal>;
    /// Every token that is on record.
    async fn tokens(&self) -> Result<Vec<TokenRow>, Refusal>;
    /// Makes a token.
    async fn create_token(&self, ask: TokenAsk) -> Result<TokenAnswer, Refusal>;
    /// Ends a token; the nodes that joined with it stay.
    async fn revoke_token(&self, id: &str) -> Result<(), Refusal>;
    /// The certificate authority, and how far its replacement is.
    async fn authority(&self) -> Result<AuthorityRow, Refusal>;
    /// Replaces the certificate authority; nodes renew one after another.
    async fn rotate_authority(&self) -> Result<AuthorityRow, Refusal>;
}

/// A node, as `node ls` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRow {
    /// What people call it.
    pub name: NodeName,
    /// What the controller calls it.
    pub id: String,
    /// `manager` or `worker`.
    pub role: String,
    /// Whether it is connected.
    pub state: NodeState,
    /// Why it is not connected, or degraded; empty while it is ready.
    #[serde(default)]
    pub why: String,
    /// Since when it is not connected (RFC 3339); empty while it is, and where nobody knows.
    #[serde(default)]
    pub since: String,
    /// For how many seconds nothing has been heard of it; 0 while it is connected.
    #[serde(default)]
    pub silent_for: u64,
    /// What may be placed on it: `active`, `pause` or `drain`.
    pub availability: String,
    /// Where others reach it: what it advertises.
    pub addr: String,
    /// Where it connected from last; empty for the controller's own.
    #[serde(default)]
    pub connected_from: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its version of keel.
    pub version: String,
    /// What a person should know of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Whether a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It answers.
    Ready,
    /// It is heard, and what is sent to it does not arrive in time: nothing new is placed there.
    Degraded,
    /// It does not; nothing is concluded from that.
    Unknown,
    /// It has not answered for so long that what can run elsewhere does.
    Down,
}

/// A change of a node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NodeAsk {
    /// Its name.
    pub node: NodeName,
    /// What to do.
    pub change: NodeChange,
}

/// What is changed of a node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeChange {
    /// Sets labels, and takes those away that have no value.
    Label(BTreeMap<String, Option<String>>),
    /// Everything may be placed on it.
    Activate,
    /// Nothing new is placed on it.
    Pause,
    /// What runs on it moves elsewhere.
    Drain {
        /// What cannot run elsewhere stops.
        force: bool,
    },
    /// Its machine does not run any more, a person says.
    ConfirmDead,
    /// It belongs to the pool no more.
    Remove {
        /// Also while it is connected.
        force: bool,
    },
}

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeChanged {
    /// Volumes with data that stay behind on a node whose tasks run elsewhere from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// A token, as `token ls` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRow {
    /// Its public name.
    pub id: String,
    /// How many nodes may join with it, and how many have.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// When it ends (RFC 3339).
    pub expires: String,
    /// Whether it is worthless: a person ended it, or the certificate authority was replaced.
    pub revoked: bool,
    /// Labels that nodes get.
    pub labels: BTreeMap<String, String>,
    /// Who made it.
    pub creator: String,
}

/// `token create`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenAsk {
    /// How long it may be used, in milliseconds.
    pub ttl: u64,
    /// How many nodes may join with it.
    pub uses: u32,
    /// Labels that they get.
    pub labels: BTreeMap<String, String>,
    /// Who asks.
    pub creator: String,
}

/// A new token. It is shown now or never.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenAnswer {
    /// It.
    pub token: String,
    /// Where nodes dial: the address that the controller listens on.
    pub listen: String,
}

/// The pool's certificate authority, as `ca show` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorityRow {
    /// The root that certifies.
    pub root: RootRow,
    /// What its private key is sealed with on record.
    pub sealed: AuthoritySeal,
    /// The replacement that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationRow>,
}

/// A root certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootRow {
    /// The digest of its key, which join tokens contain.
    pub digest: String,
    /// Since when it certifies (RFC 3339).
    pub since: String,
    /// When it ends (RFC 3339).
    pub expires: String,
    /// The certificate in PEM.
    pub certificate: String,
}

/// What seals the private key of the certificate authority on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthoritySeal {
    /// Nothing.
    Nothing,
    /// A file in the root.
    File,
    /// The `unlock-key-file` of keel.yaml.
    UnlockKey,
}

/// The replacement of a certificate authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotationRow {
    /// When it began (RFC 3339).
    pub since: String,
    /// The root before, which is trusted until every node has renewed.
    pub former: RootRow,
    /// Nodes that have a certificate of the new root.
    pub renewed: Vec<NodeName>,
    /// Nodes that have not renewed yet.
    pub waiting: Vec<NodeName>,
}
