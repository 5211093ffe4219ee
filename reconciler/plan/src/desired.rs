//! What a revision asks for, fully lowered: the form that is stored, hashed and planned from.
//!
//! # Invariants
//! - Every default is filled in, but for what only a node knows.
//! - Content is not in here, only its digest; whoever lowers hands the content to the nodes
//!   before this is stored.
//! - Where a value came from stands beside it, by field path, with the text of its line: records
//!   can be shown without the files that they were made from.

use crate::pace::Pace;
use crate::placement::Placement;
use keel_engine::{Digest, FieldPath, NetworkSpec, StackName, TaskSpec, VolumeSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One stack, as its revision wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The stack.
    pub stack: StackName,
    /// Who decides about it.
    pub owner: Owner,
    /// The commit, or a digest of what was read; as shown to people.
    #[serde(default)]
    pub revision: String,
    /// Of the meaning of all services, networks and volumes together: names revisions good, bad
    /// or unchanged.
    pub hash: Digest,
    /// Services by name; those that no enabled profile wants are absent.
    pub services: BTreeMap<String, DesiredService>,
    /// Networks by full name.
    #[serde(default)]
    pub networks: BTreeMap<String, DesiredNetwork>,
    /// Volumes by full name.
    #[serde(default)]
    pub volumes: BTreeMap<String, DesiredVolume>,
    /// The stack's policy, defaults filled in.
    #[serde(default)]
    pub policy: Policy,
    /// Its source allows its stacks nobody else's data, what a stack of the same name left behind
    /// included.
    #[serde(default)]
    pub confined: bool,
}

/// Who decides about a stack.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// A source, by name and location.
    Source {
        /// Its name in `keel.yaml`, or `default`.
        name: String,
        /// Its folder, or its URL with branch.
        location: String,
    },
    /// Whoever ran `keel up` or `keel apply`.
    Cli {
        /// The folder of the Compose file.
        path: String,
    },
}

impl Owner {
    /// As a volume says who made it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Source { name, .. } => format!("source {name}"),
            Self::Cli { .. } => "cli".to_owned(),
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source { name, location } => write!(f, "source {name} ({location})"),
            Self::Cli { path } => write!(f, "cli ({path})"),
        }
    }
}

/// What happens to drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftPolicy {
    /// It is put right.
    #[default]
    Heal,
    /// It is only told.
    Report,
}

/// A stack's policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// What happens to drift.
    pub drift: DriftPolicy,
    /// How long a new task must stay available before its rollout goes on; milliseconds.
    pub settle: u64,
    /// The time to get healthy; `None`: by the check's own limits, at least two minutes.
    pub health_timeout: Option<u64>,
    /// Whether what the revision no longer names is removed.
    pub prune: bool,
    /// Whether volumes that it no longer names go too, with their data.
    #[serde(skip_serializing_if = "is_off")]
    pub prune_volumes: bool,
    /// Whether a revision that failed gives way to the last good one.
    #[serde(skip_serializing_if = "is_on")]
    pub rollback: bool,
    /// How long an image that its registry does not have is awaited; milliseconds.
    #[serde(skip_serializing_if = "is_usual_wait")]
    pub image_wait: u64,
}

/// How long an image is awaited where nobody said otherwise: a push overtakes its build.
const IMAGE_WAIT: u64 = 15 * 60_000;

// What is as always enters no stored form: a version that knows more keys finds nothing changed.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_off(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_on(flag: &bool) -> bool {
    *flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_usual_wait(wait: &u64) -> bool {
    *wait == IMAGE_WAIT
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            drift: DriftPolicy::Heal,
            settle: 10_000,
            health_timeout: None,
            prune: true,
            prune_volumes: false,
            rollback: true,
            image_wait: IMAGE_WAIT,
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredService {
    /// What each of its tasks shall be. `container_name` is `STACK-SERVICE` (a slot's number is
    /// appended), or what the file says, if [`fixed_name`](Self::fixed_name).
    pub spec: TaskSpec,
    /// `container_name` was given: it is used as it is.
    #[serde(default)]
    pub fixed_name: bool,
    /// How many tasks; of a global service nodes say it.
    pub replicas: u32,
    /// Where they may run, and whether they end.
    #[serde(default, skip_serializing_if = "crate::placement::is_default")]
    pub placement: Placement,
    /// Of the specification's meaning ([`keel_engine::hash_of`]).
    pub hash: Digest,
    /// What must be there first.
    #[serde(default)]
    pub depends_on: Vec<DependsOn>,
    /// Order of a replacement on the way forward, where the file says one.
    #[serde(default)]
    pub order: Option<Order>,
    /// How its slots are brought to a new revision.
    #[serde(default, skip_serializing_if = "crate::placement::is_default")]
    pub update: Pace,
    /// How its slots are brought back to what was good before.
    #[serde(default, skip_serializing_if = "crate::placement::is_default")]
    pub rollback: Pace,
    /// Order of a replacement on the way back, where the file says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_order: Option<Order>,
    /// What keeps it from being run at all; not empty: the service is held.
    #[serde(default)]
    pub held: Vec<Held>,
    /// The service's own policy where it differs from the stack's.
    #[serde(default)]
    pub drift: Option<DriftPolicy>,
    /// As in [`Policy`].
    #[serde(default)]
    pub settle: Option<u64>,
    /// As in [`Policy`].
    #[serde(default)]
    pub health_timeout: Option<u64>,
    /// As in [`Policy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_wait: Option<u64>,
    /// It is a job of each deploy, not something that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Where each field came from, by field path (`environment.TZ`, `ports[0]`).
    #[serde(default)]
    pub origins: Origins,
}

impl DesiredService {
    /// Whether it is a job that ends before anything else of a new revision is changed.
    #[must_use]
    pub fn runs_before_deploy(&self) -> bool {
        self.run == Some(Run::BeforeDeploy)
    }
}

/// When a job of each deploy runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// Before anything else of the revision is changed.
    BeforeDeploy,
}

/// Where values came from, by field path.
pub type Origins = BTreeMap<String, Origin>;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Origin {
    /// The file, as shown to people.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// Characters.
    #[serde(default)]
    pub len: u32,
    /// The text of the line.
    #[serde(default)]
    pub text: String,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The origin of a field, or of the nearest that holds it: `ports[0]`, else `ports`.
pub fn locate(origins: &Origins, path: impl Into<FieldPath>) -> Option<&Origin> {
    let mut path = path.into();
    loop {
        if let Some(origin) = origins.get(&path.to_string()) {
            return Some(origin);
        }
        path = holder(&path)?;
    }
}

/// What holds a part. Of what the table of fields has no row for, the text says it.
fn holder(path: &FieldPath) -> Option<FieldPath> {
    match path {
        FieldPath::Other(text) => Some(text[..text.rfind(['.', '['])?].into()),
        path => path.holder(),
    }
}

/// Legal Compose that this version does not run yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The field path.
    pub field: String,
    /// Why, for people.
    pub why: String,
    /// Where.
    #[serde(default)]
    pub at: Option<Origin>,
}

/// A dependency on another service of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependsOn {
    /// The other service.
    pub service: String,
    /// What must be true of it.
    pub condition: Condition,
    /// Without it (not in the stack, disabled) nothing starts.
    pub required: bool,
    /// Start anew when the other one is replaced.
    #[serde(default)]
    pub restart: bool,
}

/// What must be true of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It runs.
    Started,
    /// Its check says healthy.
    Healthy,
    /// It ended with 0.
    Completed,
}

/// Order of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The new one is available before the old one goes.
    StartFirst,
    /// The old one goes first; the slot keeps its address.
    StopFirst,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredNetwork {
    /// What it shall be.
    pub spec: NetworkSpec,
    /// It must exist already; never made or removed by us.
    #[serde(default)]
    pub external: bool,
    /// Where it came from.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredVolume {
    /// What it shall be.
    pub spec: VolumeSpec,
    /// It must exist already; never made or removed by us.
    #[serde(default)]
    pub external: bool,
    /// Where it came from.
    #[serde(default)]
    pub origin: Option<Origin>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_at_itself_or_at_what_holds_it() {
        let origin = |line| Origin {
            file: "compose.yaml".into(),
            line,
            column: 5,
            len: 1,
            text: String::new(),
        };
        let origins: Origins = [("ports".into(), origin(3)), ("ports[1]".into(), origin(5))].into();
        let line = |field| locate(&origins, field).map(|origin| origin.line);
        assert_eq!(line("ports[1]"), Some(5));
        assert_eq!(line("ports[0]"), Some(3));
        assert_eq!(line("ports[1].target"), Some(5));
        assert_eq!(line("image"), None);
        let origins: Origins =
            [("labels".into(), origin(7)), ("labels.a.b".into(), origin(8))].into();
        let line = |field| locate(&origins, field).map(|origin| origin.line);
        assert_eq!(line("labels.a.b"), Some(8));
        assert_eq!(line("labels.a.b.c"), Some(7), "it is another label");
    }
}
