//! Logins to registries: the controller's own node has them, and lends a node those for the images that it pulls now.
//!
//! # Invariants
//! - They are read when something is to be pulled, sent at once, and kept nowhere in between: a login or logout counts
//!   for the next pull.
//! - A node is lent a login for an image that its tasks need and that it does not have yet, and no other.

use super::{Fleet, Turns};
use futures_util::future::join_all;
use keel_engine::{
    Assignment, EngineError, Goal, LentLogin, Login, NodeName, Nodes, Observation, Phase, Presence,
    PullPolicy, Result, StackName, Wish,
};
use keel_names::Reference;
use std::collections::{BTreeMap, BTreeSet};

/// Images that a node pulls, as they are written.
type Pulls = BTreeMap<NodeName, BTreeSet<String>>;

/// What was found of the logins for registries.
type Found = BTreeMap<String, Result<Option<Login>>>;

/// The images that nodes other than the controller's own pull for a stack from now on: those that they are asked for,
/// and those that a task needs and that are not there.
pub fn pulls(stack: &StackName, nodes: &Nodes, wishes: &[Wish]) -> Pulls {
    let mut pulls = Pulls::new();
    let far = nodes.all_known().filter(|(name, _)| **name != nodes.home);
    for (name, seen) in far {
        let asked = wishes
            .iter()
            .filter(|wish| wish.node == *name)
            .filter_map(|wish| asks(&wish.what, seen));
        let images: BTreeSet<_> = asked.chain(awaited(stack, seen)).cloned().collect();
        if !images.is_empty() {
            pulls.insert(name.clone(), images);
        }
    }
    pulls
}

/// The image that a node pulls for a wish.
fn asks<'a>(what: &'a Assignment, seen: &Observation) -> Option<&'a String> {
    match what {
        Assignment::Image { reference, policy, wanted: Presence::Present } => {
            Some(reference).filter(|_| *policy != PullPolicy::Never)
        }
        Assignment::Task(task) => {
            let image = &task.spec.image;
            Some(image).filter(|image| is_meant_to_run(task.goal) && !has(seen, image))
        }
        _ => None,
    }
}

/// The images that tasks there still wait for.
fn awaited<'a>(stack: &'a StackName, seen: &'a Observation) -> impl Iterator<Item = &'a String> {
    let tasks = seen.tasks_of(stack).map(|(_, task)| task);
    let waits = tasks.filter(|task| {
        is_meant_to_run(task.goal) && matches!(task.phase, Phase::Pending | Phase::Preparing)
    });
    waits.map(|task| &task.spec.image).filter(|image| !has(seen, image))
}

fn is_meant_to_run(goal: Goal) -> bool {
    matches!(goal, Goal::Ready | Goal::Running)
}

fn has(seen: &Observation, image: &str) -> bool {
    seen.image(image).is_some_and(|image| image.digest.is_some())
}

/// The registry that is asked for an image; none for what keel makes itself.
fn registry(image: &str) -> Option<String> {
    let reference: Reference = image.parse().ok()?;
    (!reference.is_built_in()).then(|| reference.registry().to_owned())
}

impl Fleet {
    /// Lends nodes what they pull these images with, as far as there is a turn at them. A login that cannot be read is
    /// the error, and keeps no other from being lent.
    pub async fn lend(&self, turns: &Turns, pulls: &Pulls) -> Result<()> {
        let found = self.logins(pulls).await;
        let members = self.members();
        let to = pulls.iter().filter_map(|(name, images)| {
            turns.0.get(name)?;
            let (node, logins) = (members.get(name)?, lent(images, &found));
            (!logins.is_empty()).then_some(async move { node.engine.lend(&logins).await })
        });
        let taken = join_all(to).await.into_iter().map(unless_unknown);
        let unread = found.into_values().map(|found| found.map(drop));
        taken.chain(unread).collect()
    }

    /// Each registry's login, asked for once.
    async fn logins(&self, pulls: &Pulls) -> Found {
        let registries: BTreeSet<_> =
            pulls.values().flatten().filter_map(|image| registry(image)).collect();
        let members = self.members();
        let Some(home) = members.get(&self.home) else { return Found::new() };
        let find = registries.into_iter().map(|registry| async move {
            let found = home.engine.login_for(&registry).await;
            (registry, found)
        });
        join_all(find).await.into_iter().collect()
    }
}

/// The logins for these images, as far as they could be read.
fn lent(images: &BTreeSet<String>, found: &Found) -> Vec<LentLogin> {
    let lent = |image: &String| {
        let login = found.get(&registry(image)?)?.as_ref().ok()?.clone();
        Some(LentLogin { image: image.clone(), login })
    };
    images.iter().filter_map(lent).collect()
}

/// A node of an older version cannot be lent anything: it goes on with what it has itself.
fn unless_unknown(taken: Result<()>) -> Result<()> {
    match taken {
        Err(EngineError::Unsupported { .. }) => Ok(()),
        taken => taken,
    }
}

#[cfg(test)]
mod tests;
