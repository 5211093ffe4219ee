//! What may go so that a disk does not fill up: images, contents and checkouts that no task, pull
//! or revision to come back to needs. Only decides: the reconciler asks the nodes.
//!
//! # Invariants
//! - What is needed never goes, however full the disk is: what a task has, what is desired of any
//!   stack, what was good of it lately, what a person came back to, what is being pulled.
//! - By itself only goes what a stack once needed: an image that a person pulled is theirs.
//! - Else it goes a day after it was needed last; where the disk is full, at once.

use crate::desired::Desired;
use keel_engine::{Digest, NodeName, Nodes, Observation, ObservedImage, Sweep, TaskSpec};
use keel_names::reference::Written;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How long what is not needed any more stays: milliseconds.
pub const DAY: u64 = 24 * 60 * 60 * 1000;
/// From then on the disk counts as full: percent.
pub const FULL: u64 = 85;
/// However full the disk is, parts of images stay as long as this: they may be of a pull that
/// failed for want of room, and is tried again.
const YOUNG: u64 = 10 * 60 * 1000;

/// What is remembered of images, by name as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Images {
    /// When a stack needed each last, in milliseconds since 1970.
    pub needed: BTreeMap<String, u64>,
    /// Those that a person pulled: they stay until a person removes them.
    pub own: BTreeSet<String>,
}

/// A revision of a stack that runs, may run or may be come back to.
#[derive(Debug, Clone, Copy)]
pub struct Revision<'a> {
    /// What it asks for.
    pub desired: &'a Desired,
    /// What its images mean, as far as that is decided.
    pub images: &'a BTreeMap<String, Digest>,
}

/// All that is decided from, for one node.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Every revision of every stack that counts.
    pub revisions: Vec<Revision<'a>>,
    /// What exists on the node.
    pub observation: &'a Observation,
    /// What is remembered.
    pub images: &'a Images,
    /// Milliseconds since 1970.
    pub now: u64,
    /// How much may go.
    pub reach: Reach,
}

/// How much may go. What is needed stays in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What has not been needed for a day.
    Old,
    /// The disk is full: whatever a stack has needed, at once.
    Full,
    /// A person wants room: the same.
    Unneeded,
    /// A person wants room: their own images too, where no container uses them.
    All,
}

/// What may go, and what is remembered from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// For the nodes.
    pub sweep: Sweep,
    /// Folders of revisions that stay: what an earlier version assigned names them.
    pub folders: BTreeSet<PathBuf>,
    /// What is to be remembered.
    pub images: Images,
}

/// What may go on every node, and what is remembered from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions {
    /// For each node that answers.
    pub sweeps: BTreeMap<NodeName, Sweep>,
    /// Folders of revisions that stay.
    pub folders: BTreeSet<PathBuf>,
    /// What is to be remembered.
    pub images: Images,
}

/// Decides for every node. What a silent one had keeps what it needs of the controller.
#[must_use]
pub fn decide_for(
    nodes: &Nodes,
    revisions: &[Revision<'_>],
    images: &Images,
    reach: Reach,
    now: u64,
) -> Decisions {
    let mut all = Decisions { images: images.clone(), ..Decisions::default() };
    all.images.needed.clear();
    for (node, observation) in nodes.seen() {
        let revisions = revisions.to_vec();
        let decision = decide(&Facts { revisions, observation, images, now, reach });
        all.folders.extend(decision.folders);
        // Forgotten is what no node has.
        for (name, at) in decision.images.needed {
            let last = all.images.needed.entry(name).or_default();
            *last = at.max(*last);
        }
        if nodes.known(node).is_some() {
            all.sweeps.insert(node.clone(), decision.sweep);
        }
    }
    all
}

/// Whether a node's disk is so full that a day's wait does not count.
#[must_use]
pub fn is_full(observation: &Observation) -> bool {
    observation.disk.is_some_and(|disk| disk.percent() >= FULL)
}

/// Decides.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Decision {
    let specs = || facts.revisions.iter().flat_map(|revision| specs_of(revision.desired));
    let tasks = || facts.observation.all_tasks().map(|task| &*task.spec);
    let mut images = facts.images.clone();
    for spec in specs().filter(|spec| !spec.image.is_empty()) {
        images.needed.insert(spec.image.clone(), facts.now);
    }
    let needed = needed(facts, specs().chain(tasks()));
    let digests = digests(facts, &needed);
    let may_go = |image: &&ObservedImage| {
        image.digest.is_some()
            && !needed.covers(image, &digests)
            && (facts.reach == Reach::All || is_left(facts, image))
    };
    let gone = facts.observation.all_images().filter(may_go);
    let age = if facts.reach == Reach::Old { DAY } else { YOUNG };
    let sweep = Sweep {
        images: gone.map(|image| image.reference.clone()).collect(),
        needed: needed.written,
        digests,
        contents: specs().chain(tasks()).flat_map(TaskSpec::contents).collect(),
        images_before: facts.now.saturating_sub(age),
        contents_before: facts.now.saturating_sub(DAY),
        trees_before: facts.now.saturating_sub(age),
        dry: false,
    };
    forget(&mut images, facts, &sweep);
    let folders = specs().chain(tasks()).flat_map(folders_of).collect();
    Decision { sweep, folders, images }
}

/// Names that stay: as written, and in full.
struct Needed {
    written: BTreeSet<String>,
    full: BTreeSet<(String, String)>,
}

impl Needed {
    /// An image that is named by digest beside its tag is needed for its content alone: it is how a
    /// node names what a tag meant before.
    fn covers(&self, image: &ObservedImage, digests: &BTreeSet<Digest>) -> bool {
        let content = image.digest.as_ref().is_some_and(|digest| digests.contains(digest));
        match image.reference.contains('@') {
            true => content || self.written.contains(&image.reference),
            false => self.full.contains(&full_name(&image.reference)),
        }
    }
}

fn needed<'a>(facts: &Facts<'_>, specs: impl Iterator<Item = &'a TaskSpec>) -> Needed {
    let mut written: BTreeSet<_> = specs.map(|spec| spec.image.clone()).collect();
    let pulled = facts.observation.all_images().filter(|image| image.pulling.is_some());
    written.extend(pulled.map(|image| image.reference.clone()));
    let full = written.iter().map(|name| full_name(name)).collect();
    Needed { written, full }
}

/// What tasks run, and what references meant or mean where a revision says so or they say it.
fn digests(facts: &Facts<'_>, needed: &Needed) -> BTreeSet<Digest> {
    let tasks = facts.observation.all_tasks().filter_map(|task| task.digest);
    let decided = facts.revisions.iter().flat_map(|revision| revision.images.values().cloned());
    let named = needed.written.iter().filter_map(|name| Written::of(name).digest?.parse().ok());
    tasks.chain(decided).chain(named).collect()
}

/// What two references that name the same image have in common.
fn full_name(reference: &str) -> (String, String) {
    let (name, tag) = Written::of(reference).full();
    (name.to_owned(), tag.to_owned())
}

/// Whether a stack needed an image once that is nobody's own, and that is long enough ago.
fn is_left(facts: &Facts<'_>, image: &ObservedImage) -> bool {
    let name = full_name(&image.reference);
    let same = |other: &String| {
        *other == image.reference || (!other.contains('@') && full_name(other) == name)
    };
    let last = facts.images.needed.iter().filter(|(other, _)| same(other)).map(|(_, at)| *at);
    let Some(last) = last.max() else { return false };
    let long = facts.reach != Reach::Old || facts.now.saturating_sub(last) >= DAY;
    long && !facts.images.own.iter().any(same)
}

/// What is needed no more and is not here is remembered for a day: it may be on its way.
fn forget(images: &mut Images, facts: &Facts<'_>, sweep: &Sweep) {
    let there: BTreeSet<_> = facts
        .observation
        .images
        .iter()
        .filter(|image| image.digest.is_some() && !sweep.images.contains(&image.reference))
        .map(|image| full_name(&image.reference))
        .collect();
    images
        .needed
        .retain(|name, at| facts.now.saturating_sub(*at) < DAY || there.contains(&full_name(name)));
}

fn specs_of(desired: &Desired) -> impl Iterator<Item = &TaskSpec> {
    desired.services.values().map(|service| &service.spec)
}

/// Checkouts that tasks of an earlier version mount.
fn folders_of(spec: &TaskSpec) -> impl Iterator<Item = PathBuf> {
    spec.volumes.iter().filter_map(|mount| mount.source.checkout_path().map(PathBuf::from))
}
